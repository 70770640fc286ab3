import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

/** Every view of `main` that has (entry_offset, row). */
export const ROW_VIEWS = ['logs', 'spans', 'samples', 'histograms', 'exp_histograms', 'summaries', 'exemplars'];

/** Reads the tables of a server that has stopped; closed when the test ends. */
export async function openStoppedTables(t: { after(fn: () => void): void }, data: string): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(join(data, 'tables/treasury.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  t.after(() => {
    connection.closeSync();
    instance.closeSync();
  });
  return connection;
}
