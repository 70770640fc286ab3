/**
 * Deletes the rows of a dimension (resources, scopes, series) that no row refers to any more.
 *
 * Rows of a projection are only ever added behind its checkpoint, so references below the checkpoint at the start can be looked up in
 * slices, with commits in between: they only get fewer. What was added since is looked up in the transaction that deletes. Projections
 * remember the keys that they have written; a key whose row is about to go is forgotten first, so the next batch with it writes
 * the row again. A key forgotten for nothing, as the transaction failed, costs a staged row that is dropped.
 */
import { LIMITS } from '../base/index.ts';
import { type Database, inTransaction } from './database.ts';
import type { AgingDimension, Projector } from './projection.ts';
import { deleteRows } from './table-retention-sweep.ts';

/** A running projection as retention sees it. `nextOffset` is its checkpoint, which moves. */
export interface AgingProjection {
  readonly nextOffset: bigint;
  readonly projector: Pick<Projector, 'forget'>;
}

export interface DimensionSlices {
  /** References looked up by one statement. */
  readonly scanRowsMax: number;
  /** Rows deleted by one transaction. */
  readonly keysMax: number;
}

const SLICES: DimensionSlices = {
  scanRowsMax: LIMITS.retentionScanRowsMax,
  keysMax: LIMITS.retentionKeysMax,
};

/** Yields the number of rows deleted after each slice. Nothing but commits of batches may come between slices. */
export async function* sweepDimension(
  database: Database,
  dimension: AgingDimension,
  projection: AgingProjection,
  slices: DimensionSlices = SLICES,
): AsyncGenerator<number, void> {
  const from = projection.nextOffset;
  await database.run(
    `CREATE OR REPLACE TEMP TABLE retention_keys AS SELECT ${dimension.keyColumn} AS key FROM store.${dimension.table}`,
  );
  yield 0;
  yield* lookUpReferences(database, dimension, slices);
  for (;;) {
    const deleted = await deleteUnreferenced(database, dimension, projection, from, slices.keysMax);
    if (deleted === 0) break;
    yield deleted;
  }
  await database.run('DROP TABLE temp.retention_keys');
}

/** Takes keys that rows refer to off the list, newest rows first: nearly all keys are found there. */
async function* lookUpReferences(
  database: Database,
  dimension: AgingDimension,
  { scanRowsMax }: DimensionSlices,
): AsyncGenerator<number, void> {
  for (const { table, column, hasOffsets } of dimension.referrers) {
    if (!hasOffsets) continue;
    const [found] = await database.rows(`SELECT max(rowid) + 1 AS rows FROM store.${table}`);
    // Row ids shrink when a checkpoint drops empty row groups; going down, no row is passed over.
    for (let end = Number(found?.['rows'] ?? 0); end > 0; end -= scanRowsMax) {
      const [left] = await database.rows('SELECT count(*) AS count FROM temp.retention_keys');
      if (Number(left?.['count']) === 0) return;
      const range = `rowid >= ${Math.max(0, end - scanRowsMax)} AND rowid < ${end}`;
      await database.run(referred(`SELECT DISTINCT ${column} FROM store.${table} WHERE ${range}`));
      yield 0;
    }
  }
}

async function deleteUnreferenced(
  database: Database,
  { table, keyColumn, referrers }: AgingDimension,
  { projector }: AgingProjection,
  from: bigint,
  keysMax: number,
): Promise<number> {
  let deleted = 0;
  await inTransaction(database, async () => {
    for (const { table: referrer, column, hasOffsets } of referrers) {
      const added = hasOffsets ? `WHERE entry_offset >= ${from}` : '';
      await database.run(referred(`SELECT DISTINCT ${column} FROM store.${referrer} ${added}`));
    }
    const rows = await database.rows(`SELECT key FROM temp.retention_keys ORDER BY key LIMIT ${keysMax}`);
    const keys = rows.map((row) => BigInt(row['key'] as bigint));
    const last = keys.at(-1);
    if (last === undefined) return;
    projector.forget?.(table, keys);
    deleted = await deleteRows(
      database,
      `store.${table} WHERE ${keyColumn} IN (SELECT key FROM temp.retention_keys WHERE key <= ${last})`,
    );
    await database.run(`DELETE FROM temp.retention_keys WHERE key <= ${last}`);
  });
  return deleted;
}

function referred(keys: string): string {
  return `DELETE FROM temp.retention_keys WHERE key IN (${keys})`;
}
