/**
 * Goal: an expression at many steps gives what it gives at each of them alone. Method: random series with gaps, resets, ends and NaN; a list of
 * expressions of every kind; the range query against instant queries at its steps. Invariant: equal labels and bits.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatFloat } from '../../../../src/api/query/promql/format-float.ts';
import type { Evaluation } from '../../../../src/api/query/promql/evaluation.ts';
import { query, samplesOf, type TestSample } from '../../../helpers/promql-samples.ts';

const EXPRESSIONS = [
  'm',
  'rate(m[3m])',
  'increase(m[90s] offset 1m)',
  'sum by (a) (m)',
  'avg without (b) (irate(m[4m]))',
  'topk by (a) (1, m)',
  'quantile(0.3, m)',
  'count_values by (a) ("v", m)',
  'm > 3',
  'm{b="0"} + on (a) m{b="1"}',
  'm and on (a) (m{b="0"} > 2)',
  'm{b="0"} or on (a) m{b="1"}',
  'sum_over_time(m[2m])',
  'max_over_time(sum by (a) (m)[3m:1m])',
  'm smoothed',
  'delta(m[2m] anchored)',
  'm @ 240',
  'scalar(m{a="0",b="0"}) * m',
  'stddev(m)',
  'absent(m{a="0",b="0"})',
  'timestamp(m)',
];

const sample: fc.Arbitrary<TestSample> = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0, max: 9 }) },
  { weight: 2, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constantFrom<TestSample>('stale', NaN, Infinity) },
);
const samples = fc.array(sample, { minLength: 1, maxLength: 12 });

test('a range query gives at each step what an instant query gives there', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(samples, { minLength: 4, maxLength: 4 }),
      fc.constantFrom(...EXPRESSIONS),
      fc.constantFrom(17_000, 60_000, 210_000),
      async (columns, text, stepMs) => {
        const source = samplesOf(
          ...columns.map((column, n) => ({
            labels: { __name__: 'm', a: String(n >> 1), b: String(n & 1) },
            samples: column,
            fromMs: n * 7_000,
          })),
        );
        const [startMs, endMs] = [30_000, 700_000];
        const range = await query(text, source, { startMs, endMs, stepMs, settings: { lookbackMs: 150_000 } });
        const expected: string[] = [];
        for (let timeMs = startMs; timeMs <= endMs; timeMs += stepMs)
          expected.push(...cells(await query(text, source, { startMs: timeMs, settings: { lookbackMs: 150_000 } })));
        assert.deepEqual(cells(range), expected.sort(), text);
      },
    ),
    { numRuns: 150 },
  );
});

/** Labels, time and value of each sample, sorted. */
function cells({ value }: Evaluation): string[] {
  if (value.type === 'vector')
    return value.elements
      .map((element) => `${element.labels.key} ${value.timeMs} ${formatFloat(element.value)}`)
      .sort();
  if (value.type !== 'matrix') return [];
  return value.series
    .flatMap(({ labels, floats }) =>
      Array.from(floats.timesMs, (timeMs, at) => `${labels.key} ${timeMs} ${formatFloat(floats.values[at]!)}`),
    )
    .sort();
}
