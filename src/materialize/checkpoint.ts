/**
 * How far each version of each projection has come. A checkpoint is committed with the rows it stands for (I8), so the next start
 * goes on exactly behind them; what the log no longer vouches for (another log, an offset beyond its end) is never built upon.
 */
import { assert } from '../base/index.ts';
import { type Database, inTransaction, sqlName, sqlString } from './database.ts';
import type { ProjectionDefinition } from './projection.ts';
import { NEXT_SUFFIX, nextDefinition } from './projection-versions.ts';

/** One running version of a projection. */
export interface Checkpoint {
  /** Of a rebuild: with its own tables. */
  readonly definition: ProjectionDefinition;
  /** All entries below are in the tables. */
  readonly nextOffset: bigint;
  /** `building`: an older version serves until this one has caught up. `rebuilding`: the same version does, in other tables. */
  readonly state: 'serving' | 'building' | 'rebuilding';
  /** All entries from here on are in the tables; of earlier ones those that the log had. */
  readonly firstOffset: bigint;
  /** Where the log ended when the version was begun. */
  readonly targetOffset: bigint;
}

/** A checkpoint as the transaction that is about to commit leaves it. */
export type MovedCheckpoint = Pick<Checkpoint, 'definition' | 'state' | 'nextOffset' | 'firstOffset'>;

export interface LogPosition {
  readonly uuid: string;
  readonly durableOffset: bigint;
}

/** Why the tables cannot be used with this log, or null when they can. The caller moves them aside and begins anew. */
export async function staleReason(database: Database, log: LogPosition): Promise<string | null> {
  for (const row of await database.rows('SELECT projection, version, log_uuid, next_offset FROM meta.projections')) {
    const name = `projection ${row['projection']} version ${row['version']}`;
    if (row['log_uuid'] !== log.uuid) return `${name} was built from log ${row['log_uuid']}, this log is ${log.uuid}`;
    const next = BigInt(row['next_offset'] as bigint);
    if (next > log.durableOffset) return `${name} is at offset ${next}, the log ends at ${log.durableOffset}`;
  }
  return null;
}

/** Why this release cannot go on with the tables: they are of a later version of a projection. Null when they are not. */
export async function newerReason(
  database: Database,
  definitions: readonly ProjectionDefinition[],
): Promise<string | null> {
  for (const row of await database.rows(
    'SELECT projection, max(version) AS version FROM meta.projections GROUP BY ALL',
  )) {
    const known = definitions.filter(({ name }) => name === row['projection']).map(({ version }) => version);
    if (known.length === 0 || Number(row['version']) <= Math.max(...known)) continue;
    return `projection ${row['projection']} has version ${row['version']}, this release makes ${Math.max(...known)}`;
  }
  return null;
}

/**
 * The checkpoints to go on from: of each name the highest version in `definitions`, and a lower one as long as it serves. New versions begin
 * at offset 0, those begun before that nobody builds any more are dropped with their tables.
 */
export async function openCheckpoints(
  database: Database,
  definitions: readonly ProjectionDefinition[],
  logUuid: string,
  targetOffset = 0n,
): Promise<Checkpoint[]> {
  const stored = await storedVersions(database);
  const checkpoints: Checkpoint[] = [];
  const created: Checkpoint[] = [];
  const abandoned: StoredVersion[] = [];
  for (const target of targetsOf(definitions)) {
    const own = stored.filter(({ name }) => name === target.name);
    for (const row of own) {
      const definition = definitions.find(({ name, version }) => name === row.name && version === row.version);
      const isTarget = row.version === target.version;
      if (row.state !== 'serving' && !isTarget) abandoned.push(row);
      else if (definition !== undefined) {
        checkpoints.push({ ...row, definition: row.state === 'rebuilding' ? nextDefinition(definition) : definition });
      }
    }
    if (own.some(({ version, state }) => version === target.version && state !== 'rebuilding')) continue;
    created.push({
      definition: target,
      nextOffset: 0n,
      state: own.length > 0 ? 'building' : 'serving',
      firstOffset: 0n,
      targetOffset,
    });
  }
  if (created.length + abandoned.length > 0) {
    await inTransaction(database, async () => {
      for (const row of abandoned) await dropVersion(database, row);
      for (const checkpoint of created) await insertCheckpoint(database, checkpoint, logUuid);
    });
  }
  return [...checkpoints, ...created];
}

/** A row of `meta.projections`. */
export interface StoredVersion extends Omit<Checkpoint, 'definition'> {
  readonly name: string;
  readonly version: number;
  /** Physical names. */
  readonly tables: readonly string[];
}

/** All versions that have tables. */
export async function storedVersions(database: Database): Promise<StoredVersion[]> {
  const rows = await database.rows(
    `SELECT projection, version, next_offset, state, first_offset, target_offset, array_to_string(tables, ',') AS tables
     FROM meta.projections ORDER BY projection, version, state DESC`,
  );
  return rows.map((row) => ({
    name: String(row['projection']),
    version: Number(row['version']),
    nextOffset: BigInt(row['next_offset'] as bigint),
    state: row['state'] as Checkpoint['state'],
    firstOffset: BigInt(row['first_offset'] as bigint),
    targetOffset: BigInt(row['target_offset'] as bigint),
    tables: String(row['tables'])
      .split(',')
      .filter((name) => name !== ''),
  }));
}

/** Moves checkpoints inside the open transaction. An offset beyond the durable end is a bug: it would survive a lost tail. */
export async function writeCheckpoints(
  database: Database,
  moved: readonly MovedCheckpoint[],
  durableOffset: bigint,
): Promise<void> {
  const values = moved.map(({ definition, state, nextOffset, firstOffset }) => {
    assert(nextOffset <= durableOffset, `checkpoint ${nextOffset} must not pass the durable offset ${durableOffset}`);
    return `(${sqlString(definition.name)}, ${definition.version}, '${state}', ${nextOffset}::UBIGINT, ${firstOffset}::UBIGINT)`;
  });
  await database.run(
    `UPDATE meta.projections SET next_offset = moved.next_offset, first_offset = moved.first_offset
     FROM (VALUES ${values.join(', ')}) AS moved(projection, version, state, next_offset, first_offset)
     WHERE projections.projection = moved.projection AND projections.version = moved.version AND projections.state = moved.state`,
  );
}

/** Inside the open transaction. */
export async function insertCheckpoint(database: Database, checkpoint: Checkpoint, logUuid: string): Promise<void> {
  const { definition, state, nextOffset, firstOffset, targetOffset } = checkpoint;
  const tables = definition.tables.map(sqlString).join(', ');
  await database.run(
    `INSERT INTO meta.projections (projection, version, tables, log_uuid, next_offset, state, first_offset, target_offset)
     VALUES (${sqlString(definition.name)}, ${definition.version}, [${tables}]::VARCHAR[], ${sqlString(logUuid)},
             ${nextOffset}, '${state}', ${firstOffset}, ${targetOffset})`,
  );
}

/** Inside the open transaction: drops a version with all that is known of it. Returns the tables. */
export async function dropVersion(
  database: Database,
  { name, version, state, tables }: Pick<StoredVersion, 'name' | 'version' | 'state' | 'tables'>,
): Promise<readonly string[]> {
  for (const table of tables) await database.run(`DROP TABLE IF EXISTS store.${sqlName(table)}`);
  const noted = state === 'rebuilding' ? name + NEXT_SUFFIX : name;
  await database.run(
    `DELETE FROM meta.projections WHERE projection = ${sqlString(name)} AND version = ${version} AND state = '${state}';
     DELETE FROM meta.quarantine WHERE projection = ${sqlString(noted)} AND version = ${version}`,
  );
  return tables;
}

/** Of each name the highest version. */
function targetsOf(definitions: readonly ProjectionDefinition[]): ProjectionDefinition[] {
  return definitions.filter(
    ({ name, version }) => !definitions.some((other) => other.name === name && other.version > version),
  );
}
