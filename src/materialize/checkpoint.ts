/**
 * How far each version of each projection has come. A checkpoint is committed with the rows it stands for (I8), so the next start
 * goes on exactly behind them; what the log no longer vouches for (another log, an offset beyond its end) is never built upon.
 */
import { assert, TreasuryError } from '../base/index.ts';
import { type Database, inTransaction, sqlString } from './database.ts';
import type { ProjectionDefinition } from './projection.ts';

/** One running version of a projection. */
export interface Checkpoint {
  readonly definition: ProjectionDefinition;
  /** All entries below are in the tables. */
  readonly nextOffset: bigint;
  /** `building`: an older version serves until this one has caught up. */
  readonly state: 'serving' | 'building';
}

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

/**
 * The checkpoints of `definitions`, those of new versions made at offset 0. Throws TreasuryError TREASURY_MIGRATION when the
 * database holds a later version of one of them.
 */
export async function openCheckpoints(
  database: Database,
  definitions: readonly ProjectionDefinition[],
  logUuid: string,
): Promise<Checkpoint[]> {
  const rows = await database.rows('SELECT projection, version, next_offset, state FROM meta.projections');
  const created: Checkpoint[] = [];
  const checkpoints = definitions.map((definition): Checkpoint => {
    const stored = rows.filter((row) => row['projection'] === definition.name);
    const later = stored.find((row) => Number(row['version']) > definition.version);
    if (later !== undefined) throw laterVersionError(definition, Number(later['version']));
    const own = stored.find((row) => Number(row['version']) === definition.version);
    if (own !== undefined) {
      const state = own['state'] === 'building' ? 'building' : 'serving';
      return { definition, nextOffset: BigInt(own['next_offset'] as bigint), state };
    }
    const fresh: Checkpoint = { definition, nextOffset: 0n, state: stored.length > 0 ? 'building' : 'serving' };
    created.push(fresh);
    return fresh;
  });
  if (created.length > 0) {
    await inTransaction(database, async () => {
      const literals = created.map((checkpoint) => checkpointLiteral(checkpoint, logUuid));
      await database.run(`INSERT INTO meta.projections VALUES ${literals.join(', ')}`);
    });
  }
  return checkpoints;
}

/** Moves checkpoints inside the open transaction. An offset beyond the durable end is a bug: it would survive a lost tail. */
export async function writeCheckpoints(
  database: Database,
  moved: readonly { readonly definition: ProjectionDefinition; readonly nextOffset: bigint }[],
  durableOffset: bigint,
): Promise<void> {
  const values = moved.map(({ definition, nextOffset }) => {
    assert(nextOffset <= durableOffset, `checkpoint ${nextOffset} must not pass the durable offset ${durableOffset}`);
    return `(${sqlString(definition.name)}, ${definition.version}, ${nextOffset}::UBIGINT)`;
  });
  await database.run(
    `UPDATE meta.projections SET next_offset = moved.next_offset
     FROM (VALUES ${values.join(', ')}) AS moved(projection, version, next_offset)
     WHERE projections.projection = moved.projection AND projections.version = moved.version`,
  );
}

/** Inside the open transaction: makes `definition`'s version the serving one, drops the tables of all others of its name. */
export async function retireOlderVersions(database: Database, definition: ProjectionDefinition): Promise<string[]> {
  const older = `projection = ${sqlString(definition.name)} AND version < ${definition.version}`;
  const rows = await database.rows(`SELECT DISTINCT unnest(tables) AS name FROM meta.projections WHERE ${older}`);
  const kept = new Set(definition.tables);
  const dropped = rows.map((row) => String(row['name'])).filter((name) => !kept.has(name));
  for (const name of dropped) await database.run(`DROP TABLE IF EXISTS store.${sqlName(name)}`);
  await database.run(
    `DELETE FROM meta.projections WHERE ${older};
     DELETE FROM meta.quarantine WHERE ${older};
     UPDATE meta.projections SET state = 'serving'
     WHERE projection = ${sqlString(definition.name)} AND version = ${definition.version}`,
  );
  return dropped;
}

function checkpointLiteral({ definition, nextOffset, state }: Checkpoint, logUuid: string): string {
  const tables = definition.tables.map(sqlString).join(', ');
  return `(${sqlString(definition.name)}, ${definition.version}, [${tables}]::VARCHAR[], ${sqlString(logUuid)}, ${nextOffset}, '${state}')`;
}

function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function laterVersionError(definition: ProjectionDefinition, stored: number): TreasuryError {
  return new TreasuryError(
    'TREASURY_MIGRATION',
    `Cannot use a database of a later release: projection ${definition.name} has version ${stored}, this release makes ${definition.version}`,
    { facts: { projection: definition.name, stored, version: definition.version } },
  );
}
