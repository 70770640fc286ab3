/** Histograms of any kind as native ones, through real tables. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { MetricsView } from '../../../../src/api/query/prometheus/metrics-view.ts';
import { type FloatHistogram, histogramsOf } from '../../../../src/api/query/promql/histogram.ts';
import type { SelectedSeries } from '../../../../src/api/query/promql/source.ts';
import { nanos, type StoredMetrics, storedMetrics } from '../../../helpers/metrics-view.ts';
import { linesOf, query } from '../../../helpers/promql-samples.ts';

const DELTA = 1;
const CUMULATIVE = 2;

let store: StoredMetrics;
const closing: (() => Promise<void>)[] = [];
before(async () => {
  store = await storedMetrics({ after: (close) => closing.push(close) });
});
after(async () => {
  for (const close of closing) await close();
});

async function only(view: MetricsView, name: string): Promise<SelectedSeries> {
  const matchers = [{ name: '__name__', operator: '=' as const, value: name }];
  const selection = { matchers, fromMs: 0, untilMs: 600_000, samplesMax: 1000, withStartTimes: true };
  const selected = await view.select(selection, new AbortController().signal);
  assert.equal(selected.length, 1);
  return selected[0]!;
}

function shape({ schema, counterReset, count, sum, positive, customValues }: FloatHistogram): unknown {
  const buckets = Array.from(positive.indexes, (index, at) => [index, positive.counts[at]]);
  return { schema, counterReset, count, sum, buckets, bounds: [...customValues] };
}

function classicPoint(second: number, bucketCounts: readonly number[], fields: object = {}): object {
  const count = bucketCounts.reduce((total, each) => total + each, 0);
  return { timeUnixNano: nanos(second), explicitBounds: [1, 5], bucketCounts, count: String(count), ...fields };
}

test('Classic histograms are native ones with custom buckets where that is set, changes added up', async () => {
  const dataPoints = [
    classicPoint(60, [1, 0, 2], { sum: 20, startTimeUnixNano: nanos(1) }),
    classicPoint(120, [0, 0, 3], { sum: 30 }),
    classicPoint(180, [0, 4, 0], { explicitBounds: [1, 9], sum: 8 }),
    classicPoint(240, [0, 0, 0], { flags: 1 }),
  ];
  await store.send([
    { name: 'classic', histogram: { aggregationTemporality: CUMULATIVE, dataPoints } },
    { name: 'changes', histogram: { aggregationTemporality: DELTA, dataPoints: dataPoints.slice(0, 2) } },
  ]);
  const view = store.viewWith({ convertsHistograms: true, strategy: 'NoTranslation' });
  const classic = await only(view, 'classic');
  assert.deepEqual(histogramsOf(classic.histograms.values).map(shape), [
    {
      schema: -53,
      counterReset: 'unknown',
      count: 3,
      sum: 20,
      buckets: [
        [0, 1],
        [2, 2],
      ],
      bounds: [1, 5],
    },
    { schema: -53, counterReset: 'unknown', count: 3, sum: 30, buckets: [[2, 3]], bounds: [1, 5] },
    { schema: -53, counterReset: 'unknown', count: 4, sum: 8, buckets: [[1, 4]], bounds: [1, 9] },
  ]);
  assert.deepEqual([...classic.histograms.startTimesMs!], [1000, 0, 0]);
  assert.deepEqual([...classic.floats.timesMs], [240_000]);
  assert.deepEqual(
    histogramsOf((await only(view, 'changes')).histograms.values)
      .map(shape)
      .at(-1),
    {
      schema: -53,
      counterReset: 'not_reset',
      count: 6,
      sum: 50,
      buckets: [
        [0, 1],
        [2, 5],
      ],
      bounds: [1, 5],
    },
  );
  const range = { selectors: [], fromMs: 0, untilMs: 600_000, limit: 0 };
  const signal = new AbortController().signal;
  assert.deepEqual((await view.labelValues('__name__', range, signal)).items, ['changes', 'classic']);
  assert.deepEqual((await view.labelNames(range, signal)).items, ['__name__']);
  assert.equal(
    (await view.metadata({ metric: 'classic', metricsMax: 1, perMetricMax: 1 }, signal)).get('classic')![0]!.type,
    'histogram',
  );
});

function exponentialPoint(second: number, count: number, fields: object = {}): object {
  const positive = { offset: 0, bucketCounts: [count] };
  return { timeUnixNano: nanos(second), scale: 0, count: String(count), positive, ...fields };
}

function exponential(name: string, ...dataPoints: object[]): object {
  return { name, exponentialHistogram: { aggregationTemporality: CUMULATIVE, dataPoints } };
}

test('A sum of a native histogram that is no number is told from one that was not sent', async () => {
  await store.send([exponential('sums', exponentialPoint(60, 1, { sum: 'NaN' }), exponentialPoint(120, 2))]);
  const { histograms } = await only(store.view, 'sums');
  assert.deepEqual(
    histogramsOf(histograms.values).map(({ sum }) => sum),
    [Number.NaN, 0],
  );
});

test('Resets between native histograms of two scopes in turn are seen, though neither scope has one', async () => {
  const first = exponential('turns', exponentialPoint(60, 10), exponentialPoint(180, 20));
  const second = exponential('turns', exponentialPoint(120, 3), exponentialPoint(240, 4));
  await store.send([first], { scope: { name: 'one' } });
  await store.send([second], { scope: { name: 'two' } });
  const { histograms } = await only(store.view, 'turns');
  assert.deepEqual(
    histogramsOf(histograms.values).map(({ count, counterReset }) => [count, counterReset]),
    [
      [10, 'unknown'],
      [3, 'unknown'],
      [20, 'not_reset'],
      [4, 'unknown'],
    ],
  );
  const resets = await query('resets(turns[5m])', store.view, { startMs: 300_000 });
  assert.deepEqual(linesOf(resets), ['{} 2']);
});
