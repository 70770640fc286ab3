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

/**
 * Opens a writer on `schema.table` for the transactions of a connection. Throws DuckDB's error when there is no such table and
 * TREASURY_STORE when a column is of a type that cannot be written.
 */
export function openTableWriter(
  kind: WriterKind,
  connection: DuckDBConnection,
  schema: string,
  table: string,
): Promise<TableWriter> {
  const open = kind === 'raw' ? openRawTableWriter : openSafeTableWriter;
  return open(connection, schema, table);
}
