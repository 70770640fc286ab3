/** Files of tables read back with DuckDB, and compared with the tables of a server that has stopped. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { BATCH_TABLES, type BatchTableName } from '../../src/materialize/batch-tables.ts';
import { TABLE_SOURCES } from '../../src/materialize/batch-columns.ts';

/** Parquet files of a table, readers' way: hidden ones are passed by. */
export function dataFiles(folder: string, table: BatchTableName): string[] {
  const directory = join(folder, table);
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.parquet') && !name.split('/').some((part) => /^[._]/.test(part)))
    .map((name) => join(directory, name));
}

/** The rows of files, as a FROM clause. */
export function parquetRows(files: readonly string[]): string {
  return `read_parquet([${files.map((file) => `'${file}'`).join(', ')}], hive_partitioning = false, union_by_name = false)`;
}

/** Asserts that files of the plain flavour hold the rows of the tables, each once, on all columns. Answers rows by table. */
export async function assertSameRows(
  connection: DuckDBConnection,
  folder: string,
): Promise<Record<BatchTableName, number>> {
  const counts: Partial<Record<BatchTableName, number>> = {};
  for (const table of BATCH_TABLES) {
    const wanted = await summaryOf(connection, `(${TABLE_SOURCES[table].query})`);
    const files = dataFiles(folder, table);
    const found = files.length === 0 ? [0n, null, null] : await summaryOf(connection, parquetRows(files));
    assert.deepEqual(found, wanted, table);
    counts[table] = Number(wanted[0]);
  }
  return counts as Record<BatchTableName, number>;
}

/** Count and order-free hashes of whole rows. */
async function summaryOf(connection: DuckDBConnection, rows: string): Promise<unknown[]> {
  const reader = await connection.runAndReadAll(`SELECT count(*), bit_xor(hash(t)), sum(hash(t)) FROM ${rows} AS t`);
  return [...reader.getRowsJS()[0]!];
}
