/** What tables take on disk, read from the database file of a server that has ended: then everything is settled. */
import { DuckDBInstance } from '@duckdb/node-api';

export interface TableBytes {
  readonly table: string;
  readonly rows: number;
  readonly bytes: number;
  /** Bytes by column, the largest first; nested ones under their column. */
  readonly columns: readonly (readonly [column: string, bytes: number])[];
}

/** Bytes of the blocks that hold rows of each table of schema `store`. Blocks that several tables or columns share are told apart by what each begins where. */
export async function storedBytes(file: string): Promise<TableBytes[]> {
  const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' });
  try {
    const connection = await instance.connect();
    const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRowObjects();
    const tables = await rows(
      `SELECT table_name AS name, estimated_size AS rows FROM duckdb_tables() WHERE schema_name = 'store' AND estimated_size > 0`,
    );
    const segments = tables.map(
      ({ name }) =>
        `SELECT '${String(name)}' AS name, column_name AS one, block_id, block_offset FROM pragma_storage_info('store.${String(name)}') WHERE persistent AND block_id >= 0`,
    );
    const sizes = await rows(`
      SELECT name, one, sum(bytes)::DOUBLE AS bytes
      FROM (
        SELECT name, one, lead(block_offset, 1, block_size) OVER (PARTITION BY block_id ORDER BY block_offset) - block_offset AS bytes
        FROM (${segments.join(' UNION ALL ')}), (SELECT block_size FROM pragma_database_size())
      )
      GROUP BY ALL ORDER BY bytes DESC`);
    return tables
      .map(({ name, rows: count }) => {
        const own = sizes.filter((size) => size['name'] === name);
        return {
          table: String(name),
          rows: Number(count),
          bytes: own.reduce((sum, { bytes }) => sum + Number(bytes), 0),
          columns: own.map(({ one, bytes }) => [String(one), Number(bytes)] as const),
        };
      })
      .sort((a, b) => b.bytes - a.bytes);
  } finally {
    instance.closeSync();
  }
}
