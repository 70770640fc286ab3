/** What the rest of the server sees of the engine: the worker thread that owns DuckDB. */
import type { DurablePosition } from '../log/index.ts';
import type { UserProjectionScan, UserProjectionStatus } from './user-projections/types.ts';

export const SQL_FORMATS = ['json', 'arrow', 'csv', 'ndjson'] as const;
export type SqlFormat = (typeof SQL_FORMATS)[number];

/** Bare columns for readers inside this process (`columns-encoder.ts`); no user can ask for it. */
export const COLUMNS_FORMAT = 'columns';

export interface SqlRequest {
  readonly query: string;
  /** Values of `$1`, `$2`, … or of `$name`. */
  readonly params?: readonly SqlParam[] | Readonly<Record<string, SqlParam>>;
  readonly format: SqlFormat | typeof COLUMNS_FORMAT;
  readonly rowsMax: number;
  readonly timeoutMs: number;
  /** A record batch ends at this many bytes instead of the usual rows and bytes; of Arrow alone. */
  readonly batchBytesMax?: number;
}

export type SqlParam = string | number | boolean | null;

export interface SqlAnswer {
  /** Encoded bytes of the answer in order. Ends after the last row; throws TreasuryError when the query fails on the way. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** What the tables lacked when the query began, if anything. */
  readonly incomplete?: readonly IncompleteTables[];
}

export interface ProjectionStatus {
  readonly name: string;
  /** The one that queries see. */
  readonly version: number;
  /** `frozen`: this release has no code for the version any more; it serves as it is until the one being built has caught up. */
  readonly state: 'serving' | 'frozen';
  /** All entries below are in the tables. */
  readonly materializedOffset: bigint;
  /** All entries from here on are in the tables; of earlier ones those that the log had. */
  readonly firstOffset: bigint;
  /** Whether they have been as far as the log was when they were begun; until then queries lack rows. */
  readonly complete: boolean;
  /** Where the log ended then. */
  readonly targetOffset: bigint;
  /** Rows per physical table since start. */
  readonly rowsWritten: number;
  /** What is built to take its place, or null. */
  readonly building: BuildStatus | null;
  /** The last switch in this file of tables, or null. */
  readonly lastSwitch: VersionSwitch | null;
}

/** A version on its way. */
export interface BuildStatus {
  readonly version: number;
  readonly kind: 'new' | 'rebuild';
  /** Where the log began for it. */
  readonly fromOffset: bigint;
  /** All entries below are in its tables. */
  readonly offset: bigint;
  /** Where it serves: the end of the log, which moves. */
  readonly targetOffset: bigint;
  /** Null before there is anything to tell from. */
  readonly entriesPerSecond: number | null;
  /** Time until it has caught up at this rate. */
  readonly estimatedEndMs: number | null;
  readonly rowsWritten: number;
  /** Why it does not go on now, or null. The version before goes on serving. */
  readonly stuck: string | null;
  /** What it waits for then: free disk, or another try after a failure. */
  readonly waiting: 'disk' | 'retry' | null;
  /** When it looks or tries again, as Unix time, if that is known. */
  readonly retryAtUnixMs: number | null;
}

/** A version that took the place of another. */
export interface VersionSwitch {
  readonly name: string;
  readonly version: number;
  readonly fromVersion: number;
  readonly atUnixMs: number;
  /** Both held all entries below. */
  readonly offset: bigint;
  /** By table, without its version. */
  readonly tables: Readonly<Record<string, TableComparison>>;
}

/** The same rows, by number and by a hash that does not depend on their order; `different shape`: their columns are not the same. */
export interface TableComparison {
  readonly result: 'equal' | 'different' | 'different shape';
  readonly rowsBefore: number;
  readonly rows: number;
}

/** Tables that lack rows: they are being built from the log. */
export interface IncompleteTables {
  readonly projection: string;
  readonly from: bigint;
  readonly to: bigint;
  readonly of: bigint;
}

export interface QuarantinedEntry {
  readonly offset: bigint;
  readonly projection: string;
  readonly reason: string;
}

/** Offsets that retention deleted from the log before they were in the tables. */
export interface LostOffsets {
  /** Since start. Of tables built anew: from the log's very beginning. */
  readonly total: bigint;
  /** The newest ranges, newest first. */
  readonly newest: readonly { readonly from: bigint; readonly to: bigint }[];
}

/** What retention has done to the tables. Totals since start. */
export interface TablesRetentionStatus {
  /** Null: rows stay. */
  readonly ageMs: number | null;
  /** Time between two runs: how much longer than their age rows may be seen. */
  readonly intervalMs: number;
  readonly runs: number;
  /** End of the last run as Unix time, null before it. */
  readonly lastRunAtUnixMs: number | null;
  /** By table, without its version. */
  readonly rowsDeleted: Readonly<Record<string, number>>;
  /** Oldest time of a row at the end of the last run, by table; null: no rows with a time that can be. */
  readonly oldestUnixMs: Readonly<Record<string, number | null>>;
  /** Why the last run failed, or null. It is tried again. */
  readonly failing: string | null;
  /** Bytes inside of the file that rows to come fill first. */
  readonly freeBytes: number;
  /** How often all rows were written again to make the file smaller. */
  readonly rewrites: number;
}

export interface EngineStatus {
  readonly duckdbVersion: string;
  readonly projections: readonly ProjectionStatus[];
  readonly userProjections: readonly UserProjectionStatus[];
  /** All entries below are in the tables of every projection. */
  readonly materializedOffset: bigint;
  /** The same, those that are being built too: the log should keep what comes after. */
  readonly neededOffset: bigint;
  /** Whether no table lacks rows because it is still being built from the log. */
  readonly complete: boolean;
  readonly commits: number;
  readonly rowsWritten: number;
  readonly entriesDecoded: number;
  readonly quarantinedTotal: number;
  /** The newest ones, newest first. */
  readonly quarantined: readonly QuarantinedEntry[];
  readonly repairedStrings: number;
  readonly lost: LostOffsets;
  readonly tableBytes: number;
  readonly writer: 'raw' | 'safe';
  readonly lastCommitMs: number;
  readonly queriesRunning: number;
  readonly queriesQueued: number;
  /** False when materialization is off by choice. */
  readonly materializing: boolean;
  /** Set when materialization has stopped and why. */
  readonly stuck: string | null;
  readonly retention: TablesRetentionStatus;
}

export interface EngineOptions {
  /** Folder of the segments. */
  readonly logDirectory: string;
  /** Folder of `treasury.duckdb`. */
  readonly tablesDirectory: string;
  readonly logUuid: string;
  /** Folder of projections of users; without it those that are there stay as they are. */
  readonly projectionsDirectory?: string;
  /** Whether the log becomes rows (default), or is left for a later start while the tables stay as they are. */
  readonly materialize?: boolean;
  /** Age at which rows go from the tables; null (default): they stay. Not while materialization is off. */
  readonly retentionAgeMs?: number | null;
  /** The present that rows age by, as Unix time at start; default: the system clock's. */
  readonly retentionClockUnixMs?: number;
  /** Names of projections that begin anew: their rows are forgotten at the start. */
  readonly rebuild?: readonly string[];
  readonly memoryLimitMb: number;
  readonly threads: number;
  /** The end of the log at start. */
  readonly durable: DurablePosition;
}

/** The engine as the main thread holds it. */
export interface Engine {
  /** Tells how far the log is durable; cheap, may be called for every frame (coalesced). */
  advance(position: DurablePosition): void;
  /** Starts a query. Resolves with the first bytes ready or rejects with TreasuryError (invalid, limit, cancelled). */
  sql(request: SqlRequest, signal: AbortSignal): Promise<SqlAnswer>;
  status(): Promise<EngineStatus>;
  /** Looks at the files of projections of users again, now. */
  scanProjections(): Promise<UserProjectionScan>;
  /**
   * Begins to build a projection's version anew beside the tables that serve; resolves when it has begun, also when it had before. Rejects with
   * TREASURY_PROJECTION_UNKNOWN, with TREASURY_PROJECTION_STATE when it cannot begin now, or with TREASURY_DISK_FULL when its tables do not fit.
   */
  rebuildProjection(name: string): Promise<void>;
  /** Ends such a build and drops its tables. Rejects with TREASURY_PROJECTION_UNKNOWN, or TREASURY_PROJECTION_STATE when there is none. */
  cancelRebuild(name: string): Promise<void>;
  /** The worker's death: rejects no calls by itself, every pending call rejects with TREASURY_ENGINE_UNAVAILABLE. */
  readonly failed: Promise<Error>;
  /** Where changes of the tables are counted (`seeTableChanges`), by all engines of this process on the same folder of tables. Undefined: they are not. */
  readonly tableChanges?: SharedArrayBuffer | undefined;
  /** Whether a transaction was committed since it was started; also of one that is dead. */
  hasCommitted(): boolean;
  /**
   * Commits what is materialized and ends the worker. What is not done after `withinMs` (default: `engineStopMaxMs`) is broken off; the next
   * start does it again.
   */
  stop(withinMs?: number): Promise<void>;
}
