/** Goal: cases in which histograms in columns are easily worked out otherwise than objects: buckets in the zero bucket, and values that are small beside others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FloatHistogram, histogramsOf } from '../../../../src/api/query/promql/histogram.ts';
import { columnSource } from '../../../helpers/histogram-columns.ts';
import { exponential } from '../../../helpers/histograms.ts';
import { query, samplesOf } from '../../../helpers/promql-samples.ts';

const EXPRESSIONS = [
  'sum(m)',
  'avg(m)',
  'rate(m[4m])',
  'increase(m[9m])',
  'delta(m[4m])',
  'resets(m[9m])',
  'sum(rate(m[4m]))',
  'sum(increase(m[9m]))',
  'histogram_quantile(0.4, sum(increase(m[9m])))',
];

async function assertAlike(all: readonly (readonly FloatHistogram[])[]): Promise<void> {
  const source = samplesOf(
    ...all.map((samples, at) => ({ labels: { __name__: 'm', a: String(at) }, samples, stepMs: 60_000 })),
  );
  for (const emptyBuckets of [0, 2]) {
    for (const text of EXPRESSIONS) {
      const options = { startMs: 60_000, endMs: 600_000, stepMs: 60_000 };
      const [expected, found] = await Promise.all(
        [source, columnSource(source, emptyBuckets)].map(async (one) => {
          const { value, warnings, infos, stats } = await query(text, one, options);
          assert.equal(value.type, 'matrix');
          const series = value.series.map((row) => ({ ...row, histograms: histogramsOf(row.histograms.values) }));
          return { series, warnings, infos, stats };
        }),
      );
      assert.deepEqual(found, expected, text);
    }
  }
}

test('buckets in the zero bucket are taken into it, in columns as in objects', async () => {
  const samples = (shift: number): FloatHistogram[] =>
    [1, 2, 4, 3, 6, 7].map((count, at) =>
      exponential({
        zeroThreshold: 2,
        zeroCount: count + shift,
        // Those up to 1 hold values up to 2. One of them falls where the zero bucket as a whole does not.
        positive: { 0: at === 2 ? 1 : count, 1: 5 + at, 2: count, 3: 2 * count },
        negative: { 1: count, 3: count + shift },
        count: 6 * count + 6 + at + 2 * shift,
        sum: count,
      }),
    );
  await assertAlike([samples(0), samples(3)]);
});

test('small values are not lost beside large ones, in columns as in objects', async () => {
  const of = (count: number): FloatHistogram =>
    exponential({
      zeroCount: count,
      positive: { 1: count, 2: 3 },
      negative: { 1: count },
      count,
      sum: count,
    });
  const small = [1, 2, 3, 4, 5, 6].map(of);
  await assertAlike([[1e16, 3e16, 1, 2, 5e16, 3].map(of), small, small, small]);
  const ones = [1, 1, 1, 1, 1, 1].map(of);
  await assertAlike([ones, [1, 1e16, 1e16, 1, 1e16, 1e16].map(of), ones]);
  await assertAlike([small, small, [1, 1, 7, 3, 2, 1].map(of), [2, 3e16, 1, 1e16, 3, 5e16].map(of)]);
});
