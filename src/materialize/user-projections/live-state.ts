/** What projections of users know of the loop that they follow, and how far they may go. */
import type { RangeLimits } from './range-run.ts';

/** What is known of the materializer. */
export interface LiveState {
  /** Everything below is committed: of a projection by name, or of all of them. */
  materializedOffset(projection: string | null): bigint;
  /** Everything from here on is there: of a projection by name, or of all of them. */
  firstOffset(projection: string | null): bigint;
  /** The end of the log. */
  readonly durableOffset: bigint;
  /** Nothing waits to be materialized. */
  readonly isCaughtUp: boolean;
  /** It cannot go on for now. */
  readonly isStuck: boolean;
}

/** Replace single ones of `LIMITS`. */
export type UserLimits = RangeLimits & {
  readonly [name in 'userRangeEntriesMax' | 'userRangeTargetMs' | 'userRestFactor' | 'userFailuresInRowMax']: number;
};
