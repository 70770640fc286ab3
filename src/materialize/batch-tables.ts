/**
 * Batches as rows in a DuckDB of its own memory, by the projections that the server uses, and from there into Parquet files: what
 * `treasury pull` and exporters to a folder need. Any thread; knows nothing of the server's tables.
 */
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import {
  BatchMalformedError,
  ENTRY_TABLES,
  type EntryTable,
  errorMessage,
  LIMITS,
  type Signal,
  silentLogger,
  syncPath,
  TreasuryError,
} from '../base/index.ts';
import type { CanonicalBatch } from '../otap/index.ts';
import { dayOf, type DeltaField, deltaColumns, TABLE_SOURCES } from './batch-columns.ts';
import { type Database, sqlIdentifier, sqlString } from './database.ts';
import type { DuckDBInstance } from './duckdb.ts';
import { openInstance } from './duckdb-instance.ts';
import { applyViews, migrate } from './migrator.ts';
import type { EntryFacts, Projector } from './projection.ts';
import { PROJECTIONS } from './projections/projections.ts';
import { openSeriesNumbers, type SeriesNumbers } from './projections/series-numbers.ts';
import { chooseWriter, openTableWriter } from './table-writer.ts';
import type { TableWriter } from './vectors.ts';
import { databaseOn } from './writing-connection.ts';

export interface BatchTablesOptions {
  readonly memoryLimitMb: number;
  readonly threads: number;
  /** Where DuckDB puts what does not fit its memory; made when it is needed. */
  readonly temporaryDirectory: string;
}

/** Opens tables in a DuckDB of their own, empty. */
export async function openBatchTables(options: BatchTablesOptions): Promise<BatchTables> {
  const { memoryLimitMb, threads, temporaryDirectory } = options;
  const settings = {
    temp_directory: temporaryDirectory,
    // Tables in memory are given back by the checkpoints that are asked for; others only cost time.
    checkpoint_threshold: '1TB',
  };
  const { instance, connection } = await openInstance(':memory:', { memoryLimitMb, threads, settings });
  try {
    const database = databaseOn(connection);
    await migrate(database);
    await applyViews(database);
    const tables = new DuckDBBatchTables(instance, connection, database, await openSeriesNumbers(database));
    await tables.start();
    return tables;
  } catch (error) {
    instance.closeSync();
    throw error;
  }
}

/** The tables that files are made of: each has all columns of the view of that name, metrics also those of their series. */
export const BATCH_TABLES = ENTRY_TABLES;
export type BatchTableName = EntryTable;

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
  /** For files that go with those of the tables, such as checkpoints of Delta tables. */
  readonly database: Database;
  /** The columns of a table's files in flavour `delta`. */
  deltaFields(table: BatchTableName): readonly DeltaField[];
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
    /** Rows of entries below are left out of a table's files. Default: none are. */
    readonly fromOffset?: (table: BatchTableName) => bigint;
  }): Promise<readonly ParquetFile[]>;
  close(): Promise<void>;
}

class DuckDBBatchTables implements BatchTables {
  rows = 0;
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly database: Database;
  readonly #projectors = new Map<Signal, Projector>();
  readonly #seriesNumbers: SeriesNumbers;
  readonly #deltaColumns = new Map<BatchTableName, ReturnType<typeof deltaColumns>>();
  /** Tables that rows go into, dimensions and maps of ids included. */
  readonly #tables: readonly string[] = PROJECTIONS.flatMap(({ tables }) => tables);
  #appends = 0;
  #failure: unknown = null;

  constructor(
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    database: Database,
    seriesNumbers: SeriesNumbers,
  ) {
    this.#instance = instance;
    this.#connection = connection;
    this.database = database;
    this.#seriesNumbers = seriesNumbers;
  }

  async start(): Promise<void> {
    const connection = this.#connection;
    const kind = await chooseWriter(connection, silentLogger);
    const openWriter = async (table: string): Promise<TableWriter> => {
      const writer = await openTableWriter(kind, connection, 'store', table);
      return {
        ...writer,
        append: (columns, rowCount) => {
          this.#appends++;
          writer.append(columns, rowCount);
        },
      };
    };
    const context = {
      openWriter,
      tableName: (table: string) => table,
      run: (sql: string) => this.database.run(sql),
      rows: (sql: string) => this.database.rows(sql),
      seriesNumbers: this.#seriesNumbers,
    };
    for (const projection of PROJECTIONS) {
      this.#projectors.set(projection.signal, await projection.start(context));
    }
    for (const table of BATCH_TABLES) {
      const shape = await connection.runAndReadAll(`${TABLE_SOURCES[table].query} LIMIT 0`);
      const types = shape.columnTypes();
      this.#deltaColumns.set(
        table,
        shape.columnNames().flatMap((name, i) => deltaColumns(name, types[i]!)),
      );
    }
  }

  deltaFields(table: BatchTableName): readonly DeltaField[] {
    return this.#deltaColumns.get(table)!.map(({ field }) => field);
  }

  add(entry: EntryFacts, batch: CanonicalBatch): void {
    this.#refuseBroken();
    const before = this.#appends;
    try {
      this.#projectors.get(batch.signal)!.project(entry, batch);
    } catch (error) {
      // Batches are shaped as a whole before the first rows are appended.
      if (this.#appends === before) {
        throw new BatchMalformedError(`Cannot make rows of the entry: ${errorMessage(error)}`, {}, error);
      }
      throw this.#break(`Cannot take the rows of entry ${entry.offset}`, error);
    }
    this.rows += rowsOf(batch);
  }

  async writeParquet(options: Parameters<BatchTables['writeParquet']>[0]): Promise<readonly ParquetFile[]> {
    this.#refuseBroken();
    try {
      for (const projector of this.#projectors.values()) {
        await projector.beforeCommit();
        projector.afterCommit();
      }
      const files: ParquetFile[] = [];
      for (const table of BATCH_TABLES) files.push(...(await this.#writeTable(table, options)));
      await this.#forget();
      return files;
    } catch (error) {
      throw this.#break('Cannot write rows to files', error);
    }
  }

  async close(): Promise<void> {
    for (const projector of this.#projectors.values()) projector.close();
    this.#connection.closeSync();
    this.#instance.closeSync();
  }

  async #writeTable(
    table: BatchTableName,
    { pathOf, flavour, fromOffset }: Parameters<BatchTables['writeParquet']>[0],
  ): Promise<ParquetFile[]> {
    const { query, time } = TABLE_SOURCES[table];
    const wanted = `entry_offset >= ${fromOffset?.(table) ?? 0n}`;
    const days = await this.database.rows(
      `SELECT ${dayOf(time)} AS day, count(*) AS rows FROM main.${table} WHERE ${wanted} GROUP BY day ORDER BY day`,
    );
    const columns =
      flavour === 'parquet'
        ? '*'
        : this.#deltaColumns
            .get(table)!
            .map(({ field, sql }) => `${sql} AS ${sqlIdentifier(field.name)}`)
            .join(', ');
    const files: ParquetFile[] = [];
    for (const each of days) {
      const day = String(each['day']);
      const path = pathOf(table, day);
      await mkdir(dirname(path), { recursive: true });
      await this.database.run(`
        COPY (SELECT ${columns} FROM (${query}) WHERE ${wanted} AND ${dayOf(time)} = ${sqlString(day)})
        TO ${sqlString(path)}
        (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${LIMITS.parquetRowGroupRows}, USE_TMP_FILE false)`);
      await syncPath(path);
      files.push({ table, day, path, rows: Number(each['rows']), bytes: (await stat(path)).size });
    }
    return files;
  }

  /** Empties everything, resources and series too, so that memory does not grow with what was ever seen. */
  async #forget(): Promise<void> {
    for (const table of this.#tables) await this.database.run(`DELETE FROM store.${sqlIdentifier(table)}`);
    await this.database.run('CHECKPOINT');
    for (const projector of this.#projectors.values()) projector.afterRollback();
    this.#seriesNumbers.reset();
    this.rows = 0;
  }

  #break(what: string, error: unknown): TreasuryError {
    this.#failure ??= error;
    return error instanceof TreasuryError
      ? error
      : new TreasuryError('TREASURY_STORE', `${what}: ${errorMessage(error)}`, { cause: error });
  }

  #refuseBroken(): void {
    if (this.#failure === null) return;
    const message = `Cannot use the tables: they failed before, with ${errorMessage(this.#failure)}`;
    throw new TreasuryError('TREASURY_STORE', message, { cause: this.#failure });
  }
}

/** Rows of the batch in the tables that files are made of. */
function rowsOf(batch: CanonicalBatch): number {
  switch (batch.signal) {
    case 'logs':
      return batch.logs.rowCount;
    case 'traces':
      return batch.spans.rowCount;
    case 'metrics':
      return [
        batch.numberDataPoints,
        batch.summaryDataPoints,
        batch.histogramDataPoints,
        batch.expHistogramDataPoints,
        batch.numberDpExemplars,
        batch.histogramDpExemplars,
        batch.expHistogramDpExemplars,
      ].reduce((sum, table) => sum + (table?.rowCount ?? 0), 0);
  }
}
