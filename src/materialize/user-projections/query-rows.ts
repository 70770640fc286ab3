import type { DuckDBConnection } from '@duckdb/node-api';

/** Runs a query of few rows: plain values by column name (bigint for 64-bit integers). */
export async function queryRows(connection: DuckDBConnection, sql: string): Promise<Record<string, unknown>[]> {
  return (await connection.runAndReadAll(sql)).getRowObjectsJS();
}
