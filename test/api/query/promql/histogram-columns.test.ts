/**
 * Goal: histograms in columns give what histograms as objects give. Method: random series of histograms with resets, other schemas, zero buckets and bounds, gauges and
 * floats between them; a list of expressions over both. Invariant: equal labels, bits, annotations and counted samples.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Evaluation } from '../../../../src/api/query/promql/evaluation.ts';
import { compactHistogram } from '../../../../src/api/query/promql/histogram-math.ts';
import { HistogramRun } from '../../../../src/api/query/promql/histogram-run.ts';
import {
  type CounterResetHint,
  type FloatHistogram,
  histogramsOf,
  type SparseBuckets,
} from '../../../../src/api/query/promql/histogram.ts';
import { columnSource, inColumns } from '../../../helpers/histogram-columns.ts';
import { anyHistogram, custom } from '../../../helpers/histograms.ts';
import { query, samplesOf, type TestSample } from '../../../helpers/promql-samples.ts';

const EXPRESSIONS = [
  'm',
  'm[5m]',
  '-m',
  'rate(m[3m])',
  'increase(m[4m] offset 1m)',
  'delta(m[3m])',
  'irate(m[4m])',
  'sum(m)',
  'avg by (a) (m)',
  'sum(rate(m[3m]))',
  'sum by (a) (increase(m[5m]))',
  'avg(rate(m[3m]))',
  'count(m)',
  'histogram_quantile(0.9, sum(rate(m[3m])))',
  'histogram_quantile(0.3, m)',
  'histogram_fraction(-1, 3, sum by (a) (rate(m[3m])))',
  'histogram_count(rate(m[3m]))',
  'histogram_sum(m)',
  'histogram_avg(sum(rate(m[4m])))',
  'histogram_stddev(m)',
  'sum_over_time(m[3m])',
  'avg_over_time(rate(m[3m])[4m:1m])',
  'last_over_time(m[2m])',
  'first_over_time(m[2m])',
  'resets(m[5m])',
  'changes(m[5m])',
  'rate(sum by (a) (m)[4m:1m])',
  'increase(m[4m:30s])',
  'm * 2',
  'm + on (a, b) m',
  'm{b="0"} or m',
  'limitk(1, m)',
  'count_values("v", m)',
  'sum(m @ 240)',
  'increase(m[3m] anchored)',
  'm smoothed',
];

const anyKind = fc.constantFrom('grow', 'grow', 'grow', 'reset', 'gauge', 'other', 'float', 'stale', 'none', 'new');

/** A counter that grows, is reset, turns into another or is not there. */
function samplesFrom(
  histograms: readonly FloatHistogram[],
  kinds: readonly string[],
  grown: readonly number[],
): TestSample[] {
  let current = histograms[0]!;
  return kinds.map((kind, at): TestSample => {
    const amount = grown[at % grown.length]!;
    const another = histograms[at % histograms.length]!;
    if (kind === 'none') return undefined;
    if (kind === 'stale') return 'stale';
    if (kind === 'float') return amount;
    if (kind === 'other') current = another;
    else if (kind === 'reset') current = changed(current, (count) => count / 4, 'unknown');
    else if (kind === 'gauge') current = changed(current, (count) => count + amount, 'gauge');
    else current = changed(current, (count) => count + amount, kind === 'new' ? 'reset' : 'not_reset');
    return compactHistogram(current);
  });
}

function changed(
  histogram: FloatHistogram,
  change: (count: number) => number,
  counterReset: CounterResetHint,
): FloatHistogram {
  const side = ({ indexes, counts }: SparseBuckets): SparseBuckets => ({ indexes, counts: counts.map(change) });
  return {
    ...histogram,
    counterReset,
    count: change(histogram.count),
    sum: change(histogram.sum),
    positive: side(histogram.positive),
    negative: side(histogram.negative),
  };
}

const anySamples = fc
  .tuple(
    fc.array(anyHistogram(), { minLength: 1, maxLength: 2 }),
    fc.boolean(),
    fc.array(anyKind, { minLength: 4, maxLength: 14 }),
    fc.array(fc.constantFrom(0.1, 1, 3, 1e15), { minLength: 1, maxLength: 5 }),
  )
  .map(([all, hasCustom, kinds, grown]) => {
    const bounds = custom({ bounds: [1, 2, 4], counts: { 0: 3, 2: grown[0]!, 3: 1 } });
    return samplesFrom(
      hasCustom ? [bounds, ...all.slice(1), custom({ bounds: [1, 4], counts: { 1: 2 } })] : all,
      kinds,
      grown,
    );
  });

/** Series of one form, and series of any. */
const anySeries = fc.oneof(
  fc.array(anySamples, { minLength: 1, maxLength: 4 }),
  fc.array(anySamples, { minLength: 1, maxLength: 1 }).map(([one]) => [one!, one!.slice(1), one!.toReversed()]),
);

function plain({ value, warnings, infos, stats }: Evaluation): unknown {
  if (value.type !== 'matrix') return { value, warnings, infos, stats };
  const series = value.series.map((one) => ({ ...one, histograms: histogramsOf(one.histograms.values) }));
  return { series, warnings, infos, stats };
}

test('expressions over histograms in columns give what they give over objects', async () => {
  await fc.assert(
    fc.asyncProperty(
      anySeries,
      fc.subarray(EXPRESSIONS, { minLength: 6, maxLength: 12 }),
      fc.nat({ max: 2 }),
      async (all, expressions, emptyBuckets) => {
        const source = samplesOf(
          ...all.map((samples, at) => ({
            labels: { __name__: 'm', a: String(at % 2), b: String(at >> 1) },
            samples,
            stepMs: 60_000,
          })),
        );
        for (const text of expressions) {
          const isRange = text !== 'm[5m]';
          const options = { startMs: isRange ? 60_000 : 400_000, endMs: 720_000, stepMs: isRange ? 60_000 : 0 };
          const expected = await outcome(text, () => query(text, source, options));
          const found = await outcome(text, () => query(text, columnSource(source, emptyBuckets), options));
          assert.deepEqual(found, expected, text);
        }
      },
    ),
    { numRuns: 150, endOnFailure: true },
  );
});

async function outcome(text: string, evaluate: () => Promise<Evaluation>): Promise<unknown> {
  try {
    return plain(await evaluate());
  } catch (error) {
    return `${text}: ${(error as Error).message}`;
  }
}

test('a run of histograms in columns knows of the resets and weights that a run of objects knows of', () => {
  fc.assert(
    fc.property(anySamples, (samples) => {
      const histograms = samples.filter((sample) => typeof sample === 'object');
      fc.pre(histograms.length > 0);
      const objects = new HistogramRun(histograms);
      const columns = new HistogramRun(inColumns(histograms));
      assert.equal(columns.weight(0, histograms.length), objects.weight(0, histograms.length));
      assert.equal(columns.isCounter, objects.isCounter);
      if (objects.isCounter) assert.deepEqual(columns.resets, objects.resets);
    }),
  );
});
