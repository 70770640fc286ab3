/** Numbers of series: one never stands for two series, and what is forgotten costs no more than another number. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyNumbers } from '../../../src/materialize/projections/key-numbers.ts';
import { METRICS_PROJECTION } from '../../../src/materialize/projections/metrics.ts';
import { NumberSet } from '../../../src/materialize/projections/number-set.ts';
import {
  loadNumbers,
  openSeriesNumbers,
  renewNumbering,
  type SeriesNumbers,
} from '../../../src/materialize/projections/series-numbers.ts';
import { openRawTableWriter } from '../../../src/materialize/raw-table-writer.ts';
import { sweepDimension } from '../../../src/materialize/table-retention-dimensions.ts';
import { databaseOn } from '../../../src/materialize/writing-connection.ts';
import { seededRandom } from '../../helpers/random.ts';
import { metricsBatch } from './rows.ts';
import { openStore } from './store.ts';

test('numbers of keys are found, whatever slots keys share, until their generation is forgotten', () => {
  // Few different low words, and some at the end of the slots, so that runs of taken slots are long and wrap around.
  const key = fc.tuple(fc.constantFrom(1, 2, 3, 254, 255, 256, 0xffffffff), fc.integer({ min: 1, max: 40 }));
  fc.assert(
    fc.property(fc.array(key, { maxLength: 300 }), (keys) => {
      const numbers = new KeyNumbers(2_000);
      const model = new Map<string, number>();
      for (const [at, [low, high]] of keys.entries()) {
        assert.equal(numbers.get(low, high), model.get(`${low}/${high}`) ?? 0);
        numbers.set(low, high, at + 1);
        model.set(`${low}/${high}`, at + 1);
      }
      for (const [name, number] of model) {
        assert.equal(numbers.get(...(name.split('/').map(Number) as [number, number])), number);
      }
    }),
  );
  const few = new KeyNumbers(4);
  for (let low = 1; low <= 4; low++) few.set(low, 1, low);
  assert.equal(few.get(1, 1), 1, 'what is used stays');
  few.set(5, 1, 5);
  assert.deepEqual([few.get(2, 1), few.get(1, 1), few.get(5, 1)], [0, 1, 5]);
});

test('a set of numbers has what was added and not deleted since', () => {
  const number = fc.constantFrom(0, 1, 31, 32, 32_767, 32_768, 65_535, 2 ** 31, 2 ** 32 - 1);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), number)), (operations) => {
      const set = new NumberSet();
      const model = new Set<number>();
      for (const [isAdd, one] of operations) {
        assert.equal(set.has(one), model.has(one));
        if (isAdd) set.add(one);
        else set.delete(one);
        if (isAdd) model.add(one);
        else model.delete(one);
      }
      for (const [, one] of operations) assert.equal(set.has(one), model.has(one));
    }),
  );
});

test('numbers begin behind the greatest of all tables, or in the widest gap when half are passed', async (t) => {
  const store = await openStore(t);
  const next = async (): Promise<number> => drawn(await openSeriesNumbers(store, { numberMax: 100 }), 1)[0]!;
  assert.equal(await next(), 1);
  await store.run('INSERT INTO store.series_numbers_v1 VALUES (7, 70), (20, 200)');
  await store.run('CREATE TABLE store.series_numbers_v1__next AS FROM store.series_numbers_v1 WITH NO DATA');
  assert.equal(await next(), 21);
  await store.run('INSERT INTO store.series_numbers_v1__next VALUES (40, 400)');
  assert.equal(await next(), 41);
  await store.run('INSERT INTO store.series_numbers_v1__next VALUES (60, 600), (97, 970)');
  assert.equal(await next(), 61);
  await store.run('INSERT INTO store.series_numbers_v1 VALUES (80, 800)');
  assert.equal(await next(), 21);
});

test('numbers that run out are looked for anew, without those that were drawn and are in no table yet', async (t) => {
  const store = await openStore(t);
  const numbers = await openSeriesNumbers(store, { numberMax: 100, spareMin: 10 });
  assert.deepEqual(drawn(numbers, 85), range(1, 85));
  assert.equal(await numbers.refill(store), null);
  assert.deepEqual(drawn(numbers, 7, 1_000), range(86, 92));
  // Of them only these are committed; the first ones have gone with their points.
  await store.run('INSERT INTO store.series_numbers_v1 SELECT n, n FROM range(50, 60) AS all_of(n)');
  await store.run('INSERT INTO store.series_numbers_v1 VALUES (95, 95)');
  const [enter, late] = [await numbers.refill(store), await numbers.refill(store)];
  assert.deepEqual(drawn(numbers, 1, 1_500), [93], 'the new ones are given when readers know of them');
  enter?.();
  // What lies between the numbers drawn is not free, though no table has it.
  assert.deepEqual(drawn(numbers, 3, 2_000), [96, 97, 98]);
  late?.();
  assert.deepEqual(drawn(numbers, 1, 3_000), [99], 'another loop looked for the same ones');
});

test('numbers that come back stand for one series each, also when the series that had them come back', async (t) => {
  const store = await openStore(t);
  const { run, rows, connection } = store;
  const writing = await METRICS_PROJECTION.start({
    run,
    rows,
    openWriter: (table) => openRawTableWriter(connection, 'store', table),
    seriesNumbers: await openSeriesNumbers(store, { numberMax: 100, spareMin: 12 }),
  });
  await renewNumbering(store);
  t.after(() => writing.close());
  const random = seededRandom(11);
  const seen: string[] = [];
  let known = new Map<number, unknown>();
  let numbering: unknown = null;
  let renewals = 0;
  for (let offset = 0n; offset < 50n; offset++) {
    const fresh = Array.from({ length: 6 }, () => `s${seen.length}.${random.below(1_000_000)}`);
    const again = seen.length === 0 ? [] : [1, 2, 3].map(() => seen[random.below(seen.length)]!);
    const series = [...new Set([...fresh, ...again])];
    seen.push(...fresh);
    const facts = { offset, receivedAtUnixNano: 1n };
    // Each fourth transaction is taken back and comes again.
    for (let isLast = random.below(4) > 0; ; isLast = true) {
      await run('BEGIN');
      writing.project(facts, points(...series));
      await writing.beforeCommit();
      await run(isLast ? 'COMMIT' : 'ROLLBACK');
      if (isLast) break;
      writing.afterRollback();
    }
    writing.afterCommit();
    assert.deepEqual(
      (await rows(`SELECT attributes['name'] AS name FROM metrics WHERE entry_offset = ${offset} ORDER BY row`)).map(
        ({ name }) => name,
      ),
      series,
    );
    // What readers learned under one numbering holds as long as it does.
    const [{ id }] = (await rows('SELECT store.series_numbering() AS id')) as [{ id: unknown }];
    if (id !== numbering) known = new Map();
    if (id !== numbering) renewals++;
    numbering = id;
    for (const { number, key } of await rows(
      'SELECT series_number AS number, series_id AS key FROM store.series_numbers_v1',
    )) {
      assert.equal(known.get(Number(number)) ?? key, key);
      known.set(Number(number), key);
    }
    await run(`DELETE FROM store.samples_v1 WHERE entry_offset + 3 < ${offset}`);
    for (const dimension of METRICS_PROJECTION.aging!.dimensions.slice(0, 2)) {
      const slices = { scanRowsMax: 100, keysMax: 100 };
      const swept = sweepDimension(
        databaseOn(connection),
        dimension,
        { nextOffset: offset + 1n, projector: writing },
        slices,
      );
      for await (const _slice of swept) await Promise.resolve();
    }
    const [{ twice }] = (await rows(
      'SELECT count(*) - count(DISTINCT series_number) AS twice FROM store.series_numbers_v1',
    )) as [{ twice: bigint }];
    assert.equal(twice, 0n);
  }
  assert.ok(renewals > 2, `numbers came back only ${renewals} times`);
});

test('numbers of a table are taken over in slices, of too many the newest', async (t) => {
  const store = await openStore(t);
  await store.run(
    'INSERT INTO store.series_numbers_v1 SELECT n + 1, (n + 1) * 4294967296 + n + 1 FROM range(45_000) AS all_of(n)',
  );
  const context = { run: store.run, rows: store.rows, openWriter: () => Promise.reject(new Error('No writer')) };
  const all = await openSeriesNumbers(store);
  const written = await loadNumbers(context, 'series_numbers_v1', all);
  for (const number of [1, 20_000, 20_001, 45_000]) {
    assert.ok(written.has(number));
    assert.equal(all.numberOf(number, number), number);
  }
  assert.equal(all.numberOf(45_001, 45_001), 45_001);
  const newest = await openSeriesNumbers(store);
  const some = await loadNumbers(context, 'series_numbers_v1', newest, 1_000);
  assert.deepEqual([some.has(44_000), some.has(44_001)], [false, true]);
  assert.equal(newest.numberOf(44_001, 44_001), 44_001);
  assert.equal(newest.numberOf(1, 1), 45_001);
});

test('numbers follow the order of points, rows and ids are told by their difference', async (t) => {
  const store = await openStore(t);
  await store.commit([points('a', 'b', 'c'), points('a', 'b', 'c'), points('c', 'd')]);
  assert.deepEqual(
    await store.rows('SELECT entry_offset, series_number, row_shift, id_shift FROM store.samples_v1 ORDER BY rowid'),
    [
      [7n, 1, 1, 100],
      [7n, 2, 1, 100],
      [7n, 3, 1, 100],
      [8n, 1, 1, 100],
      [8n, 2, 1, 100],
      [8n, 3, 1, 100],
      [9n, 3, 3, 100],
      [9n, 4, 3, 100],
    ].map(([offset, number, row, id]) => ({
      entry_offset: offset,
      series_number: number,
      row_shift: row,
      id_shift: id,
    })),
  );
  assert.deepEqual(await store.rows('SELECT row FROM samples WHERE entry_offset = 9 ORDER BY row'), [
    { row: 0 },
    { row: 1 },
  ]);
});

test('a number that was given in a transaction that is taken back is written with the replay', async (t) => {
  const store = await openStore(t);
  await store.commit([points('a')]);
  await store.run('BEGIN');
  store.project(points('a', 'b'), 8n);
  await store.beforeCommit();
  await store.run('ROLLBACK');
  store.afterRollback();
  await store.commit([points('c', 'b', 'a')], 8n);
  assert.deepEqual(await names(store), ['a', 'a', 'b', 'c']);
  const [counts] = await store.rows(
    'SELECT count(*)::INTEGER AS rows, count(DISTINCT series_number)::INTEGER AS numbers, count(DISTINCT series_id)::INTEGER AS ids FROM store.series_numbers_v1',
  );
  assert.deepEqual(counts, { rows: 3, numbers: 3, ids: 3 });
});

test('a series with several numbers is one series, each of its points shown once', async (t) => {
  const store = await openStore(t);
  await store.commit([points('a', 'b')]);
  // What another number is given for: a was forgotten in memory.
  await store.run(`
    INSERT INTO store.series_numbers_v1 SELECT 50, series_id FROM store.series_numbers_v1 WHERE series_number = 1;
    INSERT INTO store.samples_v1 SELECT * REPLACE (8::UBIGINT AS entry_offset, 50 AS series_number, 50 AS row_shift) FROM store.samples_v1 WHERE series_number = 1`);
  assert.deepEqual(await names(store), ['a', 'a', 'b']);
  assert.deepEqual(await store.rows('SELECT entry_offset, row FROM samples ORDER BY ALL'), [
    { entry_offset: 7n, row: 0 },
    { entry_offset: 7n, row: 1 },
    { entry_offset: 8n, row: 0 },
  ]);
  assert.deepEqual(await store.rows('SELECT count(*)::INTEGER AS n FROM normalized.number_dp_attrs'), [{ n: 3 }]);
  assert.deepEqual(await store.rows('SELECT count(*)::INTEGER AS n FROM series'), [{ n: 2 }]);
});

/** A point for each series, with wide ids. */
function points(...series: readonly string[]) {
  return metricsBatch({
    univariate_metrics: [{ id: 0, metric_type: 1, name: 'm' }],
    number_data_points: series.map((_, at) => ({ id: 100 + at, parent_id: 0, int_value: 1n })),
    number_dp_attrs: series.map((name, at) => ({ parent_id: 100 + at, key: 'name', type: 1, str: name })),
  });
}

async function names(store: Awaited<ReturnType<typeof openStore>>): Promise<unknown[]> {
  const rows = await store.rows(`SELECT attributes['name'] AS name FROM metrics ORDER BY name`);
  return rows.map(({ name }) => name);
}

/** Numbers of keys that were never seen. */
function drawn(numbers: SeriesNumbers, count: number, firstKey = 1): number[] {
  return Array.from({ length: count }, (_, at) => numbers.numberOf(firstKey + at, 9));
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}
