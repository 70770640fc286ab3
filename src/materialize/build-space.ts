/** Whether the disk has room for what is built: tables of about the size of those that serve, and a reserve that others need. */
import { LIMITS } from '../base/index.ts';
import { type Database, sqlString } from './database.ts';
import { storeFailure } from './store-failures.ts';
import { fileSpace } from './table-retention-space.ts';

/** Tables that serve, and those that are built beside them. Physical names. */
export interface TablesToBuild {
  readonly serving: readonly string[];
  readonly built: readonly string[];
}

export interface BuildSpace {
  /** Why these cannot be built now, or null. Tables that are partly built need the rest. */
  lackFor(database: Database, tables: readonly TablesToBuild[]): Promise<string | null>;
  /** Why what is being built must stand now, or null. */
  lack(): string | null;
}

/** `diskFreeBytes`: what the disk of the tables has left. */
export function createBuildSpace(
  diskFreeBytes: () => number,
  reserveBytes: number = LIMITS.buildDiskReserveBytes,
): BuildSpace {
  return {
    async lackFor(database, tables) {
      let neededBytes = 0;
      for (const { serving, built } of tables) {
        const others = serving.filter((table) => !built.includes(table));
        const doneBytes = await tableBytes(database, built);
        neededBytes += Math.max(0, (await tableBytes(database, others)) - doneBytes);
      }
      // Free blocks inside of the file are filled first.
      const freeBytes = diskFreeBytes() + (await fileSpace(database)).freeBytes;
      if (freeBytes >= neededBytes + reserveBytes) return null;
      return `about ${megabytes(neededBytes)} are needed beside a reserve of ${megabytes(reserveBytes)}, ${megabytes(freeBytes)} are free`;
    },
    lack() {
      const freeBytes = diskFreeBytes();
      if (freeBytes >= reserveBytes) return null;
      return `a reserve of ${megabytes(reserveBytes)} is left alone, ${megabytes(freeBytes)} are free`;
    },
  };
}

/** Bytes that tables of schema `store` have in the file. */
async function tableBytes(database: Database, tables: readonly string[]): Promise<number> {
  if (tables.length === 0) return 0;
  try {
    return await blockBytes(database, tables);
  } catch (error) {
    // DuckDB cannot tell the blocks of a table with times that are far out of range, which are data like any other.
    if (storeFailure(error) !== 'data') throw error;
    return sharedBytes(database, tables);
  }
}

/** Those of their blocks. */
async function blockBytes(database: Database, tables: readonly string[]): Promise<number> {
  let blocks = 0;
  for (const table of tables) {
    const info = `pragma_storage_info(${sqlString(`store.${table}`)})`;
    const [found] = await database.rows(`
      SELECT count(DISTINCT block) AS blocks FROM (
        SELECT block_id AS block FROM ${info} WHERE persistent AND block_id >= 0
        UNION ALL SELECT unnest(additional_block_ids) FROM ${info} WHERE persistent)`);
    blocks += Number(found?.['blocks'] ?? 0);
  }
  if (blocks === 0) return 0;
  const [size] = await database.rows('SELECT block_size FROM pragma_database_size()');
  return blocks * Number(size?.['block_size'] ?? 0);
}

/** Their share of what the file has in use, by rows and columns. */
async function sharedBytes(database: Database, tables: readonly string[]): Promise<number> {
  const [found] = await database.rows(`
    SELECT coalesce(sum(estimated_size * column_count) FILTER (schema_name = 'store' AND table_name IN (${tables.map(sqlString).join(', ')})), 0)
      / greatest(sum(estimated_size * column_count), 1) AS share
    FROM duckdb_tables() WHERE database_name = current_database()`);
  return Math.ceil((await fileSpace(database)).usedBytes * Number(found?.['share'] ?? 0));
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1_000_000)} MB`;
}
