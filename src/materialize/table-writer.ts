/** Which of the two ways into tables is used, decided once at start. */
import type { DuckDBConnection } from '@duckdb/node-api';
import type { Logger } from '../base/index.ts';
import { openRawTableWriter } from './raw-table-writer.ts';
import { openSafeTableWriter } from './safe-table-writer.ts';
import type { TableWriter } from './vectors.ts';
import { testRawWriter } from './writer-self-test.ts';

export type WriterKind = 'raw' | 'safe';

/**
 * Tests the raw writer in temporary tables of a connection without an open transaction. When it does not hold here the safe one is
 * chosen, and the reason is logged.
 */
export async function chooseWriter(connection: DuckDBConnection, logger: Logger): Promise<WriterKind> {
  const reason = await testRawWriter(connection);
  if (reason === null) return 'raw';
  logger.warn('Raw column writer is off, ingest is slower', { reason });
  return 'safe';
}

/** Writers that are open, by the connection whose transactions they write in. */
const openWriters = new WeakMap<DuckDBConnection, Set<TableWriter>>();

/**
 * Opens a writer on `schema.table` for the transactions of a connection. Throws DuckDB's error when there is no such table and
 * TREASURY_STORE when a column is of a type that cannot be written.
 */
export async function openTableWriter(
  kind: WriterKind,
  connection: DuckDBConnection,
  schema: string,
  table: string,
): Promise<TableWriter> {
  const open = kind === 'raw' ? openRawTableWriter : openSafeTableWriter;
  const writer = await open(connection, schema, table);
  const writers = openWriters.get(connection) ?? new Set();
  openWriters.set(connection, writers);
  writers.add(writer);
  return {
    append: (columns, rowCount) => writer.append(columns, rowCount),
    flush: () => writer.flush(),
    discard: () => writer.discard(),
    close() {
      if (writers.delete(writer)) writer.close();
    },
  };
}

/**
 * Drops the rows that the writers of a connection hold back. Part of every rollback: what a transaction appended must not come
 * up in the next one.
 */
export function discardWriters(connection: DuckDBConnection): void {
  for (const writer of openWriters.get(connection) ?? []) writer.discard();
}
