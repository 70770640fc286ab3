/** Scans keep numbers of series, which other tables give otherwise: their points are found under the right series all the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetricScans } from '../../../src/materialize/scan/metric-scans.ts';
import { SeriesNumbering } from '../../../src/materialize/scan/series-numbering.ts';
import { type MetricScans, UNKNOWN_ORDINAL } from '../../../src/materialize/scan/types.ts';
import { engineUntil } from '../../helpers/engine-log.ts';
import { nanos, type StoredMetrics, storedMetrics } from '../../helpers/metrics-view.ts';

const { signal } = new AbortController();

test('scans find series again when other tables, with other numbers, take the place of those they know', async (t) => {
  const before = await storedMetrics({ after: (close) => t.after(close) });
  const after = await storedMetrics({ after: (close) => t.after(close) });
  await sendGauges(before, [
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]);
  await sendGauges(after, [
    ['c', 30],
    ['b', 20],
    ['a', 10],
  ]);
  const known: Known = new Map();
  let { engine } = before;
  const scans = createMetricScans((request, abort) => engine.sql(request, abort));
  assert.deepEqual(await told(scans, known), ['a', 'b', 'c']);
  assert.deepEqual(await valuesOf(scans, known, ['a', 'b', 'c']), { a: [1], b: [2], c: [3] });
  engine = after.engine;
  assert.deepEqual(await valuesOf(scans, known, ['a']), { a: [10] }, 'one series');
  engine = before.engine;
  assert.deepEqual(await valuesOf(scans, known, ['a', 'b', 'c']), { a: [1], b: [2], c: [3] }, 'all series, and back');
  engine = after.engine;
  await sendGauges(after, [
    ['d', 40],
    ['a', 11],
  ]);
  assert.deepEqual(await told(scans, known), ['d']);
  assert.deepEqual(await valuesOf(scans, known, ['a', 'd']), { a: [10, 11], d: [40] });
  assert.deepEqual(await told(scans, known), []);
});

test('a rebuild of metrics compares as equal and changes nothing that scans find', async (t) => {
  const store = await storedMetrics({ after: (close) => t.after(close) });
  const { engine, scans } = store;
  const known: Known = new Map();
  await sendGauges(store, [
    ['a', 1],
    ['b', 2],
  ]);
  await sendGauges(store, [
    ['b', 3],
    ['a', 4],
    ['c', 5],
  ]);
  assert.deepEqual(await told(scans, known), ['a', 'b', 'c']);
  await engine.rebuildProjection('metrics');
  const status = await engineUntil(engine, ({ projections }) =>
    projections.some(
      ({ name, lastSwitch, building }) => name === 'metrics' && lastSwitch !== null && building === null,
    ),
  );
  const tables = status.projections.find(({ name }) => name === 'metrics')!.lastSwitch!.tables;
  assert.deepEqual([...new Set(Object.values(tables).map(({ result }) => result))], ['equal']);
  assert.deepEqual(tables['series_numbers'], { result: 'equal', rowsBefore: 3, rows: 3 });
  assert.deepEqual(await valuesOf(scans, known, ['a', 'b', 'c']), { a: [1, 4], b: [2, 3], c: [5] });
  await sendGauges(store, [['d', 6]]);
  assert.deepEqual(await told(scans, known), ['d']);
  assert.deepEqual(await valuesOf(scans, known, ['c', 'd']), { c: [5], d: [6] });
});

test('a series with several numbers has one ordinal', () => {
  const numbering = new SeriesNumbering(1n);
  for (const [number, ordinal] of [
    [5, 0],
    [9_000, 6_000],
    [900, 0],
    [2 ** 32 - 1, 0],
  ] as const) {
    assert.equal(numbering.has(number), false);
    numbering.add(number, ordinal);
    assert.equal(numbering.has(number), true);
  }
  assert.deepEqual(numbering.numbersOf(0), [5, 900, 2 ** 32 - 1]);
  assert.deepEqual(numbering.numbersOf(6_000), [9_000]);
  assert.deepEqual([numbering.numbersOf(1), numbering.numbersOf(100_000)], [[], []]);
  const asked = Uint32Array.of(900, 0, 9_000, 6, 5, 2 ** 32 - 1, 2 ** 31);
  assert.deepEqual(
    [...numbering.ordinalsOf(asked)],
    [0, UNKNOWN_ORDINAL, 6_000, UNKNOWN_ORDINAL, 0, 0, UNKNOWN_ORDINAL],
  );
});

/** Gauges by name with a value each, in this order. */
async function sendGauges(
  store: StoredMetrics,
  gauges: readonly (readonly [name: string, value: number])[],
): Promise<void> {
  await store.send(
    gauges.map(([name, value]) => ({ name, gauge: { dataPoints: [{ timeUnixNano: nanos(1_000), asDouble: value }] } })),
  );
}

/** Ordinals of series by name. */
type Known = Map<string, number>;

/** Names of the series that are told, which become known. */
async function told(scans: MetricScans, known: Known): Promise<string[]> {
  const { series } = await scans.changes(signal);
  const names = series.map(({ name }) => name);
  for (const name of names) known.set(name, known.size);
  return names.toSorted();
}

async function valuesOf(scans: MetricScans, known: Known, names: readonly string[]): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {};
  const ordinals = Uint32Array.from(names, (name) => known.get(name)!).sort();
  const range = { fromMs: 0, untilMs: 2_000_000, withStartTimes: false, signal };
  for await (const chunk of scans.samples({ ordinals, ...range })) {
    for (const [row, ordinal] of chunk.ordinals.entries()) {
      const name = names.find((one) => known.get(one) === ordinal);
      if (name !== undefined) (found[name] ??= []).push(chunk.values[row]!);
    }
  }
  return found;
}
