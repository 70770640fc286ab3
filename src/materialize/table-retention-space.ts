/**
 * Gives the disk back what deleted rows have left. DuckDB drops row groups without rows at a checkpoint and fills their blocks again,
 * but the file ends behind its last block in use, and the newest rows lie there. When more is free than in use, all rows are written
 * once more, oldest first: they go into free blocks further ahead, and the checkpoint after that cuts the file. Each slice moves rows
 * within one transaction, so readers always see each row once and a crash at any point loses nothing.
 */
import { LIMITS } from '../base/index.ts';
import { type Database, inTransaction } from './database.ts';

const SLICE_ROWS_MIN = 7_680;

export interface FileSpace {
  readonly usedBytes: number;
  readonly freeBytes: number;
}

/** Blocks of the database file. */
export async function fileSpace(database: Pick<Database, 'rows'>): Promise<FileSpace> {
  const [row] = await database.rows('SELECT block_size, used_blocks, free_blocks FROM pragma_database_size()');
  const blockBytes = Number(row?.['block_size'] ?? 0);
  return {
    usedBytes: blockBytes * Number(row?.['used_blocks'] ?? 0),
    freeBytes: blockBytes * Number(row?.['free_blocks'] ?? 0),
  };
}

/** Whether writing all rows again gives back more than it takes. */
export function isWorthRewriting({ usedBytes, freeBytes }: FileSpace, bytesMin: number): boolean {
  return freeBytes > usedBytes && freeBytes + usedBytes >= bytesMin;
}

/**
 * Cuts a file of which more is free than in use, as far as that goes without moving rows: what the file says about its tables is
 * written again in full, where DuckDB otherwise leaves parts that did not change where they are, possibly at the end. For a database
 * that nobody uses yet.
 */
export async function shrinkFile(
  database: Pick<Database, 'run' | 'rows'>,
  bytesMin: number = LIMITS.rewriteBytesMin,
): Promise<void> {
  if (!isWorthRewriting(await fileSpace(database), bytesMin)) return;
  // A checkpoint with nothing to write does nothing.
  await database.run(`
    SET GLOBAL experimental_metadata_reuse = false;
    CREATE SCHEMA IF NOT EXISTS treasury_shrink;
    DROP SCHEMA treasury_shrink;
    CHECKPOINT;
    SET GLOBAL experimental_metadata_reuse = true`);
}

/** Writes all rows again, yields after each slice. Row ids change: nothing that holds them may come between slices. */
export async function* rewriteTables(
  database: Database,
  nowMs: () => number,
  sliceMs: number = LIMITS.rewriteSliceMs,
): AsyncGenerator<void, void> {
  const tables = await database.rows(`
    SELECT schema_name AS schema, table_name AS name FROM duckdb_tables()
    WHERE database_name = current_database() AND schema_name IN ('store', 'meta') ORDER BY estimated_size DESC`);
  let sliceRows = SLICE_ROWS_MIN;
  for (const { schema, name } of tables) {
    const table = `${quoted(String(schema))}.${quoted(String(name))}`;
    const [counted] = await database.rows(`SELECT count(*) AS count FROM ${table}`);
    // Rows that come meanwhile lie behind these.
    for (let left = Number(counted?.['count'] ?? 0); left > 0; ) {
      const startMs = nowMs();
      const moved = await moveOldest(database, table, Math.min(left, sliceRows));
      if (moved === 0) break;
      left -= moved;
      const tookMs = nowMs() - startMs;
      // Whole row groups are written best; wide rows come in parts of one.
      if (tookMs < sliceMs / 2) sliceRows = Math.min(LIMITS.commitRowsMax, 2 * sliceRows);
      else if (tookMs > sliceMs) sliceRows = Math.max(SLICE_ROWS_MIN, sliceRows / 2);
      yield;
    }
  }
}

async function moveOldest(database: Database, table: string, rowsMax: number): Promise<number> {
  const [found] = await database.rows(
    `SELECT max(id) AS last, count(*) AS count FROM (SELECT rowid AS id FROM ${table} LIMIT ${rowsMax})`,
  );
  const count = Number(found?.['count'] ?? 0);
  if (count === 0) return 0;
  const oldest = `rowid <= ${found?.['last'] as bigint}`;
  await inTransaction(database, async () => {
    await database.run(`INSERT INTO ${table} SELECT * FROM ${table} WHERE ${oldest}`);
    await database.run(`DELETE FROM ${table} WHERE ${oldest}`);
  });
  return count;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
