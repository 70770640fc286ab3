/** Rows of large batches count on from batch to batch; what views show is the same as of small ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CanonicalBatch } from '../../../src/otap/index.ts';
import { idPlaces, PLACED_ROWS_MIN, Places, rowPlaces } from '../../../src/materialize/projections/places.ts';
import { Scratch } from '../../../src/materialize/projections/scratch.ts';
import type { VectorData } from '../../../src/materialize/vectors.ts';
import { assertNormalized } from './normalized.ts';
import { metricsBatch, type Row } from './rows.ts';
import { openStore } from './store.ts';

const ROWS = 3 * PLACED_ROWS_MIN;

/** `metrics` in the order given, each with two points of an attribute. */
function exported(metrics: readonly number[]): Readonly<Record<string, Row[]>> {
  const points = metrics.flatMap((_, parent) => [parent, parent]);
  return {
    univariate_metrics: metrics.map((metric, id) => ({ id, metric_type: 2, name: `metric.${metric}` })),
    number_data_points: points.map((parent, id) => ({ id, parent_id: parent, int_value: BigInt(parent) })),
    number_dp_attrs: points.map((_, at) => ({ parent_id: at, key: 'k', type: 1, str: `k${at % 2}` })),
  };
}

const STORED = `
  SELECT entry_offset, row_shift, row_place, row_base, parent_id, parent_place, parent_base FROM store.samples_v1 ORDER BY rowid`;

test('points and metrics of large batches count on in any order, those of small ones do not', async (t) => {
  const store = await openStore(t);
  const large = Array.from({ length: PLACED_ROWS_MIN }, (_, at) => at);
  const batches = [exported(large), exported([1, 0]), exported(large.toReversed())];
  await store.commit(
    batches.map((rows) => metricsBatch(rows)),
    1n,
  );
  const count = 2 * PLACED_ROWS_MIN;
  const rows = await store.rows(STORED);
  for (const [at, row] of [...rows.slice(0, count), ...rows.slice(count + 4)].entries()) {
    const isFirst = at < count;
    assert.deepEqual(row, {
      entry_offset: isFirst ? 1n : 3n,
      row_place: isFirst ? at : at + 4,
      row_base: isFirst ? 0 : count + 4,
      parent_place: Math.floor(at / 2) + (isFirst ? 0 : 2),
      parent_base: isFirst ? 0 : PLACED_ROWS_MIN + 2,
    });
  }
  // Columns that are null are left out.
  assert.deepEqual(
    rows.slice(count, count + 4),
    [1, 2, 3, 4].map((_, at) => ({ entry_offset: 2n, row_shift: at < 2 ? 3 : -1, parent_id: Math.floor(at / 2) })),
  );
  const metrics = await store.rows(
    'SELECT row, id, row_place, row_base, id_shift FROM store.metrics_v1 WHERE entry_offset = 3 ORDER BY rowid',
  );
  assert.deepEqual(
    metrics,
    large.map((at) => ({
      row_place: PLACED_ROWS_MIN + 2 + at,
      row_base: PLACED_ROWS_MIN + 2,
      id_shift: 0,
    })),
  );
  for (const [at, batch] of batches.entries()) await assertNormalized(store, batch, BigInt(at + 1));
  assert.deepEqual(
    await store.rows('SELECT row FROM samples WHERE entry_offset = 3 ORDER BY row'),
    Array.from({ length: count }, (_, row) => ({ row })),
  );
});

test('rows and parents of a batch that places of 32 bits end in are told as of any other', async (t) => {
  const store = await openStore(t);
  const places = new Places();
  places.take('samples', 2 ** 32 - 3);
  const base = places.take('samples', ROWS);
  assert.equal(places.take('samples', 1), ROWS - 3);
  const scratch = new Scratch();
  const rows = Array.from({ length: ROWS }, (_, row) => row);
  const parents = { values: Uint16Array.from(rows.toReversed()), validity: null };
  const [rowPlace, rowBase] = rowPlaces(base, ROWS, scratch).map(valuesOf);
  const [parentPlace, parentBase] = idPlaces(base, parents, scratch).map(valuesOf);
  const told = await store.rows(`
    SELECT store.point_row(7::UINTEGER, NULL::INTEGER, own::UINTEGER, ${rowBase}::UINTEGER) AS row,
      store.point_id(7::UINTEGER, NULL::INTEGER, own::UINTEGER, ${rowBase}::UINTEGER, 2::INTEGER) AS id,
      store.placed(NULL::UINTEGER, parent::UINTEGER, ${parentBase}::UINTEGER) AS parent
    FROM (SELECT unnest([${rowPlace}]) AS own, unnest([${parentPlace}]) AS parent)`);
  assert.deepEqual(
    told,
    rows.map((row) => ({ row, id: row + 2, parent: ROWS - 1 - row })),
  );
});

/** For SQL text. */
function valuesOf(vector: VectorData): string {
  if (vector.kind === 'fixed') return [...vector.values].join(', ');
  assert.equal(vector.kind, 'constant');
  return String((vector as { readonly value: unknown }).value);
}

const wideId = fc.oneof(fc.nat(ROWS), fc.constantFrom(65_536, 2 ** 32 - 1));

test('normalized metrics give back large batches with any ids and parents', async (t) => {
  const store = await openStore(t);
  const ids = fc.uniqueArray(wideId, { minLength: PLACED_ROWS_MIN, maxLength: PLACED_ROWS_MIN + 9 });
  const point = fc.record({ parent_id: wideId, flags: fc.nat(9) }, { requiredKeys: [] });
  const points = fc.array(point, { minLength: PLACED_ROWS_MIN - 1, maxLength: PLACED_ROWS_MIN + 9 });
  let offset = 0n;
  await fc.assert(
    fc.asyncProperty(ids, ids, points, points, async (metrics, owners, numbers, summaries) => {
      offset++;
      const batch = {
        univariate_metrics: metrics.map((id, at) => (at % 7 === 3 ? { name: 'none' } : { id, name: `metric.${id}` })),
        metric_attrs: metrics
          .filter((_, at) => at % 7 !== 3)
          .map((id) => ({ parent_id: id, key: 'of', type: 1, str: `${id}` })),
        number_data_points: numbers.map((row, at) => ({ ...row, ...(at in owners ? { id: owners[at]! } : {}) })),
        number_dp_attrs: owners
          .slice(0, numbers.length)
          .map((id) => ({ parent_id: id, key: 'k', type: 1, str: `${id}` })),
        summary_data_points: summaries.map((row, at) => ({ ...row, count: BigInt(at) })),
      };
      await store.commit([metricsBatch(batch as Readonly<Record<string, Row[]>>) as CanonicalBatch], offset);
      await assertNormalized(store, batch as Readonly<Record<string, Row[]>>, offset);
    }),
    { numRuns: 15, endOnFailure: false },
  );
});
