/** The tables of versions: made beside those that serve, compared with them, put in their place. Everything runs inside an open transaction. */
import { dropVersion, insertCheckpoint, type Checkpoint, type StoredVersion } from './checkpoint.ts';
import { type Database, sqlName, sqlString } from './database.ts';
import type { OffsetRange } from './materializer-types.ts';
import type { ProjectionDefinition } from './projection.ts';
import { NEXT_SUFFIX, nextDefinition } from './projection-versions.ts';
import { unversioned } from './table-retention-figures.ts';
import type { TableComparison } from './types.ts';

/** Makes empty tables beside those of a version, and the checkpoint of their build. */
export async function makeNextTables(
  database: Database,
  definition: ProjectionDefinition,
  facts: Pick<Checkpoint, 'firstOffset' | 'targetOffset'> & { readonly logUuid: string },
): Promise<void> {
  for (const table of definition.tables) {
    await database.run(`
      DROP TABLE IF EXISTS ${stored(table + NEXT_SUFFIX)};
      CREATE TABLE ${stored(table + NEXT_SUFFIX)} AS FROM ${stored(table)} WITH NO DATA`);
  }
  const checkpoint: Checkpoint = {
    ...facts,
    definition: nextDefinition(definition),
    nextOffset: 0n,
    state: 'rebuilding',
  };
  await insertCheckpoint(database, checkpoint, facts.logUuid);
}

/**
 * Puts into the tables of a rebuild what those that serve have of entries that the log no longer has: rows, and the resources, scopes and
 * series that these refer to.
 */
export async function takeOverRows(
  database: Database,
  next: ProjectionDefinition,
  { from, to }: OffsetRange,
): Promise<void> {
  const range = `entry_offset >= ${from} AND entry_offset < ${to}`;
  for (const table of await tablesWithOffsets(database, next.tables)) {
    await database.run(`INSERT INTO ${stored(table)} FROM ${stored(servingName(table))} WHERE ${range}`);
  }
  for (const { table, keyColumn, referrers } of next.aging?.dimensions ?? []) {
    const referred = referrers.map((referrer) => {
      const rows = referrer.hasOffsets ? `WHERE ${range}` : '';
      return `SELECT ${referrer.column} FROM ${stored(referrer.table)} ${rows}`;
    });
    await database.run(`
      INSERT INTO ${stored(table)} FROM ${stored(servingName(table))}
      WHERE ${keyColumn} IN (${referred.join(' UNION ALL ')}) AND ${keyColumn} NOT IN (SELECT ${keyColumn} FROM ${stored(table)})`);
  }
  await database.run(`
    INSERT INTO meta.quarantine (entry_offset, projection, version, reason, stream_id, quarantined_at)
    SELECT entry_offset, ${sqlString(next.name + NEXT_SUFFIX)}, version, reason, stream_id, quarantined_at FROM meta.quarantine
    WHERE projection = ${sqlString(next.name)} AND version = ${next.version} AND ${range}`);
}

/** Makes the tables of a rebuild those of its version. Returns the tables that are gone. */
export async function putInPlace(
  database: Database,
  serving: StoredVersion,
  next: ProjectionDefinition,
): Promise<readonly string[]> {
  for (const table of next.tables) {
    const name = servingName(table);
    await database.run(`DROP TABLE ${stored(name)}; ALTER TABLE ${stored(table)} RENAME TO ${sqlName(name)}`);
  }
  const own = `projection = ${sqlString(next.name)} AND version = ${next.version}`;
  const tables = serving.tables.map(sqlString).join(', ');
  await database.run(`
    DELETE FROM meta.projections WHERE ${own} AND state = 'serving';
    UPDATE meta.projections SET state = 'serving', tables = [${tables}]::VARCHAR[] WHERE ${own};
    DELETE FROM meta.quarantine WHERE ${own};
    UPDATE meta.quarantine SET projection = ${sqlString(next.name)} WHERE projection = ${sqlString(next.name + NEXT_SUFFIX)}`);
  return [];
}

/** Makes a new version the one that serves and drops the others of its name. Returns the tables that are gone. */
export async function retireOlder(
  database: Database,
  older: readonly StoredVersion[],
  { name, version, tables }: ProjectionDefinition,
): Promise<readonly string[]> {
  const kept = new Set(tables);
  const dropped: string[] = [];
  for (const one of older) {
    dropped.push(...(await dropVersion(database, { ...one, tables: one.tables.filter((table) => !kept.has(table)) })));
  }
  await database.run(
    `UPDATE meta.projections SET state = 'serving' WHERE projection = ${sqlString(name)} AND version = ${version}`,
  );
  return dropped;
}

/**
 * Compares the tables that two builds share, by name without version: entries from `firstOffset` on, which both hold in full. Where that is
 * not all, tables without offsets cannot be compared.
 */
export async function compareTables(
  database: Database,
  before: readonly string[],
  after: readonly string[],
  firstOffset: bigint,
): Promise<Readonly<Record<string, TableComparison>>> {
  const results: Record<string, TableComparison> = {};
  const withOffsets = new Set(await tablesWithOffsets(database, [...before, ...after]));
  for (const table of after) {
    const old = before.find((name) => unversioned(name) === unversioned(table));
    if (old === undefined || /_staged_v\d/.test(table)) continue;
    const hasOffsets = withOffsets.has(old) && withOffsets.has(table);
    if (!hasOffsets && firstOffset > 0n) continue;
    const condition = hasOffsets ? `WHERE entry_offset >= ${firstOffset}` : '';
    const isSameShape = (await shapeOf(database, old)) === (await shapeOf(database, table));
    const [had, has] = [await sumOf(database, old, condition), await sumOf(database, table, condition)];
    const result = had.rows === has.rows && had.hash === has.hash ? 'equal' : 'different';
    results[unversioned(table)] = {
      result: isSameShape ? result : 'different shape',
      rowsBefore: had.rows,
      rows: has.rows,
    };
  }
  return results;
}

async function shapeOf(database: Database, table: string): Promise<string> {
  const columns = await database.rows(
    `SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'store' AND table_name = ${sqlString(table)}
     ORDER BY column_index`,
  );
  return JSON.stringify(columns);
}

async function sumOf(database: Database, table: string, condition: string): Promise<{ rows: number; hash: string }> {
  const [sum] = await database.rows(
    `SELECT count(*) AS rows, coalesce(sum(hash(one)::HUGEINT), 0)::VARCHAR AS hash FROM (FROM ${stored(table)} ${condition}) AS one`,
  );
  return { rows: Number(sum?.['rows']), hash: String(sum?.['hash']) };
}

async function tablesWithOffsets(database: Database, tables: readonly string[]): Promise<string[]> {
  const rows = await database.rows(
    `SELECT table_name FROM duckdb_columns() WHERE schema_name = 'store' AND column_name = 'entry_offset'`,
  );
  const found = new Set(rows.map((row) => String(row['table_name'])));
  return tables.filter((table) => found.has(table));
}

function stored(table: string): string {
  return `store.${sqlName(table)}`;
}

function servingName(next: string): string {
  return next.slice(0, -NEXT_SUFFIX.length);
}
