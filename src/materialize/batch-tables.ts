/**
 * Batches as rows in a DuckDB of its own memory, by the projections that the server uses, and from there into Parquet files: what
 * `treasury pull` and exporters to a folder need. Any thread; knows nothing of the server's tables.
 */
import type { CanonicalBatch } from '../otap/index.ts';
import type { EntryFacts } from './projection.ts';

/** The tables that files are made of: each has all columns of the view of that name, metrics also those of their series. */
export const BATCH_TABLES = [
  'logs',
  'spans',
  'samples',
  'histograms',
  'exp_histograms',
  'summaries',
  'exemplars',
] as const;
export type BatchTableName = (typeof BATCH_TABLES)[number];

/** A Parquet file that was written: the rows of one table and one UTC day of event time. */
export interface ParquetFile {
  readonly table: BatchTableName;
  /** `2026-11-22`; `0000-00-00` for rows without a time. */
  readonly day: string;
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
}

export interface BatchTables {
  /** Rows not yet written to files. */
  readonly rows: number;
  /** Adds the rows of one entry; throws BatchMalformedError when it cannot be projected, and has added nothing then. */
  add(entry: EntryFacts, batch: CanonicalBatch): void;
  /**
   * Writes all rows into files and forgets them. `pathOf` names the file of a table and day; its folder is made. Files are complete and
   * synced when this resolves, not before: the caller names temporary paths and renames. `flavour: 'delta'` writes the column types that
   * Delta tables have (microseconds, signed integers, ids as hex).
   */
  writeParquet(options: {
    readonly pathOf: (table: BatchTableName, day: string) => string;
    readonly flavour: 'parquet' | 'delta';
  }): Promise<readonly ParquetFile[]>;
  close(): Promise<void>;
}
