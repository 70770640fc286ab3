/** Versions of projections of users as the database holds them: checkpoints, tables, views. Each change is one transaction. */
import type { DuckDBConnection } from '@duckdb/node-api';
import { sqlString } from '../database.ts';
import type { IncompleteTables } from '../types.ts';
import { queryRows } from './query-rows.ts';
import { sqlName } from './sql-text.ts';
import type { UserDefinition } from './validation.ts';

/** A version that is in the database. */
export interface StoredVersion {
  readonly name: string;
  readonly version: number;
  /** The text of its file. */
  readonly text: string;
  readonly hash: string;
  readonly description: string | null;
  readonly timeColumn: string | null;
  readonly nextOffset: bigint;
  /** Where the log ended when it was begun. */
  readonly targetOffset: bigint;
  readonly state: 'serving' | 'building';
}

/** The table of a version, for SQL text. */
export function versionTable({ name, version }: Pick<StoredVersion, 'name' | 'version'>): string {
  return `projected.${sqlName(`${name}_v${version}`)}`;
}

/** What queries do not find in its table yet, or null. `firstOffset`: where the tables begin that it reads. */
export function lackOf(
  { name, state, nextOffset, targetOffset }: StoredVersion,
  firstOffset: bigint,
): IncompleteTables | null {
  if (state !== 'serving' || nextOffset >= targetOffset) return null;
  const from = firstOffset < nextOffset ? firstOffset : nextOffset;
  return { projection: name, from, to: nextOffset, of: targetOffset };
}

export async function storedVersions(connection: DuckDBConnection): Promise<StoredVersion[]> {
  const rows = await queryRows(
    connection,
    `
    SELECT projection, version, statement, hash, description, time_column, next_offset, target_offset, state
    FROM projected.checkpoints ORDER BY projection, version`,
  );
  return rows.map((row) => ({
    name: String(row['projection']),
    version: Number(row['version']),
    text: String(row['statement']),
    hash: String(row['hash']),
    description: textOrNull(row['description']),
    timeColumn: textOrNull(row['time_column']),
    nextOffset: BigInt(row['next_offset'] as bigint),
    targetOffset: BigInt(row['target_offset'] as bigint),
    state: row['state'] === 'building' ? 'building' : 'serving',
  }));
}

/** Makes the table of a new version; the first one of a name serves at once. */
export async function createVersion(
  connection: DuckDBConnection,
  definition: UserDefinition,
  { version, state, targetOffset }: Pick<StoredVersion, 'version' | 'state' | 'targetOffset'>,
): Promise<StoredVersion> {
  const { name, text, hash, description, timeColumn, columns } = definition;
  const from = { nextOffset: 0n, targetOffset };
  const stored: StoredVersion = { name, version, text, hash, description, timeColumn, ...from, state };
  const columnList = columns.map((column) => `${sqlName(column.name)} ${column.type}`).join(', ');
  await inOneTransaction(connection, [
    `CREATE TABLE ${versionTable(stored)} (${columnList})`,
    `INSERT INTO projected.checkpoints
       (projection, version, statement, hash, description, time_column, next_offset, state, target_offset)
     VALUES (${sqlString(name)}, ${version}, ${sqlString(text)}, '${hash}',
       ${sqlOptional(description)}, ${sqlOptional(timeColumn)}, 0, '${state}', ${targetOffset})`,
    ...(state === 'serving' ? [viewOf(stored)] : []),
  ]);
  return stored;
}

/** Shows a version in place of those before it, and drops them. */
export async function switchVersion(
  connection: DuckDBConnection,
  next: StoredVersion,
  older: readonly StoredVersion[],
): Promise<void> {
  await inOneTransaction(connection, [
    viewOf(next),
    ...older.flatMap(dropOf),
    `UPDATE projected.checkpoints SET state = 'serving' WHERE ${isVersion(next)}`,
  ]);
}

/** Drops versions; with `view`, all that is seen of the projection too. */
export async function dropVersions(
  connection: DuckDBConnection,
  versions: readonly StoredVersion[],
  options: { readonly view: boolean },
): Promise<void> {
  const name = versions[0]?.name;
  if (name === undefined) return;
  await inOneTransaction(connection, [
    ...(options.view ? [`DROP VIEW IF EXISTS main.${sqlName(name)}`] : []),
    ...versions.flatMap(dropOf),
  ]);
}

/** Remembers a file that says the same in other words. */
export async function renewText(
  connection: DuckDBConnection,
  version: StoredVersion,
  { text, description }: Pick<StoredVersion, 'text' | 'description'>,
): Promise<void> {
  await connection.run(
    `UPDATE projected.checkpoints SET statement = ${sqlString(text)}, description = ${sqlOptional(description)}
     WHERE ${isVersion(version)}`,
  );
}

/** Moves a checkpoint, together with what else belongs to it. */
export async function moveCheckpoint(
  connection: DuckDBConnection,
  version: StoredVersion,
  nextOffset: bigint,
  statements: readonly string[],
): Promise<void> {
  await inOneTransaction(connection, [
    ...statements,
    `UPDATE projected.checkpoints SET next_offset = ${nextOffset} WHERE ${isVersion(version)}`,
  ]);
}

function viewOf(version: StoredVersion): string {
  return `CREATE OR REPLACE VIEW main.${sqlName(version.name)} AS SELECT * FROM ${versionTable(version)}`;
}

function dropOf(version: StoredVersion): string[] {
  return [
    `DROP TABLE IF EXISTS ${versionTable(version)}`,
    `DELETE FROM projected.checkpoints WHERE ${isVersion(version)}`,
    `DELETE FROM meta.quarantine WHERE ${isVersion(version)}`,
  ];
}

function isVersion({ name, version }: Pick<StoredVersion, 'name' | 'version'>): string {
  return `projection = ${sqlString(name)} AND version = ${version}`;
}

function sqlOptional(text: string | null): string {
  return text === null ? 'NULL' : sqlString(text);
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

async function inOneTransaction(connection: DuckDBConnection, statements: readonly string[]): Promise<void> {
  await connection.run('BEGIN');
  try {
    for (const statement of statements) await connection.run(statement);
    await connection.run('COMMIT');
  } catch (error) {
    // A failed COMMIT has ended its transaction already; the error that led here is the one to tell.
    await connection.run('ROLLBACK').catch(() => {});
    throw error;
  }
}
