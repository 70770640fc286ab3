/** What is seen of projections of users. */

/**
 * `serving`: the view shows it. `building`: an older version serves until it has caught up. `stopped`: its statement fails, it stays where it
 * is. `refused`: its file cannot be used, and there is no version of before.
 */
export type UserProjectionState = 'serving' | 'building' | 'stopped' | 'refused';

/** One version of a projection of a user. */
export interface UserProjectionStatus {
  readonly name: string;
  /** 0 when it never had one. */
  readonly version: number;
  readonly state: UserProjectionState;
  readonly description: string | null;
  /** All entries below are in the table, those aside that it has failed on. */
  readonly materializedOffset: bigint;
  /** Whether they have been as far as the log was when the version was begun; until then its table lacks rows. */
  readonly complete: boolean;
  /** Where the log ended then. */
  readonly targetOffset: bigint;
  /** Since start. */
  readonly rowsWritten: number;
  /** Entries that its statement failed on, since start. */
  readonly quarantined: number;
  /** What is wrong with the file, or why it does not go on. With the place: `NAME.sql:LINE:COLUMN: …`. */
  readonly error: string | null;
}

/** Something wrong with a file. */
export interface UserProjectionProblem {
  readonly file: string;
  /** From 1; null when there is no place to tell. */
  readonly line: number | null;
  readonly column: number | null;
  /** Begins with the place. */
  readonly message: string;
}

/** What a look at the files has found. */
export interface UserProjectionScan {
  readonly projections: readonly UserProjectionStatus[];
  readonly problems: readonly UserProjectionProblem[];
}
