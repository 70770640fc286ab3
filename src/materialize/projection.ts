/**
 * A projection turns canonical batches into rows of its own tables. It has a name, a version and a checkpoint; a change of shape is
 * a new version, built from the log beside the old one. Definitions are data plus one factory; the materializer drives them.
 */
import type { Signal } from '../base/index.ts';
import type { CanonicalBatch } from '../otap/index.ts';
import type { SeriesNumbers } from './projections/series-numbers.ts';
import type { TableWriter } from './vectors.ts';

export interface ProjectionDefinition {
  /** Stable name, also in status and metrics: `logs`, `traces`, `metrics`. */
  readonly name: string;
  /** Raised by every change of tables or of what is written to them. */
  readonly version: number;
  readonly signal: Signal;
  /** Physical tables, without schema: they live in schema `store` and end in `_v<version>`. Made by a migration. */
  readonly tables: readonly string[];
  /** What retention takes from its tables when they grow old. Without it they keep everything. */
  readonly aging?: AgingTables;
  /** What equal rows may say in several ways, by table without its version. */
  readonly compared?: Readonly<Record<string, ComparedForms>>;
  /** Reads what it needs from its tables (known resources, series) and opens its writers. */
  start(context: ProjectionContext): Promise<Projector>;
}

/** What rows say in one of several columns, for a comparison of two builds. */
export interface ComparedForms {
  readonly columns: readonly string[];
  /** SQL over these columns, with names: what is compared in their place. */
  readonly values: readonly string[];
}

/** How the tables of a projection grow old. Physical names, without schema. */
export interface AgingTables {
  /**
   * Tables with `entry_offset`, and the column with the time of a row; null: a row is as old as the receipt of its entry. Children
   * before what they refer to.
   */
  readonly rows: Readonly<Record<string, string | null>>;
  /** Tables whose rows go when nothing refers to them any more. One that refers to others comes before them. */
  readonly dimensions: readonly AgingDimension[];
}

export interface AgingDimension {
  readonly table: string;
  readonly keyColumn: string;
  readonly referrers: readonly DimensionReferrer[];
  /** Its keys are numbers given in passing: equal rows of two versions may have different ones. */
  readonly numbers?: NumberedDimension;
}

/** What the numbers of a dimension stand for. */
export interface NumberedDimension {
  /** Its column with the lasting key. One key may have several numbers. */
  readonly column: string;
}

export interface DimensionReferrer {
  readonly table: string;
  readonly column: string;
  /** Whether its rows tell their `entry_offset`; those of other dimensions do not. */
  readonly hasOffsets: boolean;
}

/** The store as projections see it. All calls run on the connection whose transaction holds the projection's rows. */
export interface ProjectionContext {
  /** Opens a writer on a table of the definition. */
  openWriter(table: string): Promise<TableWriter>;
  /** The name that a table of the definition goes by in schema `store`: while a version is built anew, another one. Default: its own. */
  tableName?(table: string): string;
  /** What all that write to the same database have in common. Default: numbers of its own. */
  readonly seriesNumbers?: SeriesNumbers;
  /** Runs statements without results. */
  run(sql: string): Promise<void>;
  /** Runs a query of few rows: plain values by column name (bigint for 64-bit integers). */
  rows(sql: string): Promise<Record<string, unknown>[]>;
}

/** The name of a table of the definition in schema `store`. */
export function physicalName(context: ProjectionContext, table: string): string {
  return context.tableName?.(table) ?? table;
}

/** Facts of the log entry that a batch came from. */
export interface EntryFacts {
  readonly offset: bigint;
  readonly receivedAtUnixNano: bigint;
}

/** The running form of a projection. Calls never overlap. */
export interface Projector {
  /**
   * Appends the rows of one batch to the writers. Synchronous: the hot path. Throws only when the batch itself cannot be
   * projected, and then has appended nothing of it (shape first, append last).
   * Returns the number of rows appended over all tables.
   */
  project(entry: EntryFacts, batch: CanonicalBatch): number;
  /** Before COMMIT: flushes the writers and writes what was collected (new resources, scopes, series). */
  beforeCommit(): Promise<void>;
  /** After COMMIT: what was written may now be taken as known. */
  afterCommit(): void;
  /** After ROLLBACK: forgets everything since the last commit; the materializer replays from the checkpoint. */
  afterRollback(): void;
  /**
   * Rows of a dimension (`AgingDimension.table`) are about to be deleted: the next batch with such a key writes its row anew. Only
   * between transactions. Projections with `aging` have it.
   */
  forget?(table: string, keys: readonly bigint[]): void;
  close(): void;
}
