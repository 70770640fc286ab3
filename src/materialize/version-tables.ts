/** The tables of versions: made beside those that serve, filled from them, put in their place. Everything runs inside an open transaction. */
import { dropVersion, insertCheckpoint, type Checkpoint, type StoredVersion, storedVersions } from './checkpoint.ts';
import { type Database, inTransaction, sqlName, sqlString } from './database.ts';
import type { OffsetRange } from './materializer-types.ts';
import type { ProjectionDefinition } from './projection.ts';
import { NEXT_SUFFIX, nextDefinition } from './projection-versions.ts';

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

/** Begins rebuilds again whose tables are not those that this release makes. Returns the names of the projections. */
export async function renewBuilds(
  database: Database,
  definitions: readonly ProjectionDefinition[],
  logUuid: string,
): Promise<string[]> {
  const renewed: string[] = [];
  for (const version of await storedVersions(database)) {
    const definition = definitions.find((one) => one.name === version.name && one.version === version.version);
    if (version.state !== 'rebuilding' || definition === undefined) continue;
    const tables = nextDefinition(definition).tables.toSorted().join();
    if (version.tables.toSorted().join() === tables) continue;
    const { firstOffset, targetOffset } = version;
    await inTransaction(database, async () => {
      await dropVersion(database, version);
      await makeNextTables(database, definition, { logUuid, firstOffset, targetOffset });
    });
    renewed.push(definition.name);
  }
  return renewed;
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
  await copyRows(database, next, range);
  await database.run(`
    INSERT INTO meta.quarantine (entry_offset, projection, version, reason, stream_id, quarantined_at)
    SELECT entry_offset, ${sqlString(next.name + NEXT_SUFFIX)}, version, reason, stream_id, quarantined_at FROM meta.quarantine
    WHERE projection = ${sqlString(next.name)} AND version = ${next.version} AND ${range}`);
}

/** Entries in one statement. */
const ENTRIES_MAX = 500;

/** The same of entries that the log has and that do not become rows any more: they are in quarantine besides. In the order of the log. */
export async function takeOverEntries(
  database: Database,
  next: ProjectionDefinition,
  offsets: readonly bigint[],
): Promise<void> {
  for (let at = 0; at < offsets.length; at += ENTRIES_MAX) {
    const some = offsets.slice(at, at + ENTRIES_MAX);
    // The range spares what lies outside: DuckDB knows the least and the greatest offset of each part of a table.
    const range = `entry_offset BETWEEN ${some[0]} AND ${some.at(-1)} AND entry_offset IN (${some.join(', ')})`;
    await copyRows(database, next, range);
  }
}

async function copyRows(database: Database, next: ProjectionDefinition, range: string): Promise<void> {
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

/** Those of `tables` that have `entry_offset`. */
export async function tablesWithOffsets(database: Database, tables: readonly string[]): Promise<string[]> {
  const rows = await database.rows(
    `SELECT table_name FROM duckdb_columns() WHERE schema_name = 'store' AND column_name = 'entry_offset'`,
  );
  const found = new Set(rows.map((row) => String(row['table_name'])));
  return tables.filter((table) => found.has(table));
}

/** A table for SQL text. */
export function stored(table: string): string {
  return `store.${sqlName(table)}`;
}

function servingName(next: string): string {
  return next.slice(0, -NEXT_SUFFIX.length);
}
