/**
 * Goal: what is worked out of series whose samples are rows of common columns is what is worked out of columns of their own, bit by bit, with the same notes and counts.
 * Method: random series, asked in both forms.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FloatRows } from '../../../../src/api/query/promql/float-rows.ts';
import { Labels } from '../../../../src/api/query/promql/labels.ts';
import type { SampleSource, SelectedSeries } from '../../../../src/api/query/promql/source.ts';
import { query } from '../../../helpers/promql-samples.ts';

interface Series {
  readonly group: string;
  readonly gapsMs: readonly number[];
  readonly values: readonly number[];
}

const value = fc.oneof(
  { weight: 6, arbitrary: fc.nat(1000) },
  { weight: 2, arbitrary: fc.double({ noNaN: true, min: -50, max: 1e6 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, -0, Infinity, -Infinity, 1e308, 5e-324, 0.1) },
);

const series: fc.Arbitrary<Series> = fc.nat(25).chain((length) =>
  fc.record({
    group: fc.constantFrom('x', 'y', 'z'),
    gapsMs: fc.array(fc.oneof({ weight: 4, arbitrary: fc.constant(15_000) }, fc.integer({ min: 1, max: 200_000 })), {
      minLength: length,
      maxLength: length,
    }),
    values: fc.oneof(
      fc.array(value, { minLength: length, maxLength: length }),
      fc.array(fc.nat(9), { minLength: length, maxLength: length }).map((steps) => {
        let total = 0;
        return steps.map((step) => (total += step));
      }),
    ),
  }),
);

function selected(all: readonly Series[]): SelectedSeries[] {
  return all.map(({ group, gapsMs, values }, number) => {
    let timeMs = 0;
    return {
      labels: Labels.of([
        ['__name__', 'requests_total'],
        ['group', group],
        ['number', String(number)],
      ]),
      floats: { timesMs: Float64Array.from(gapsMs, (gapMs) => (timeMs += gapMs)), values: Float64Array.from(values) },
      histograms: { timesMs: new Float64Array(0), values: [] },
    };
  });
}

/** All samples one behind another, with something between them that no series has. */
function inRows(all: readonly SelectedSeries[]): SelectedSeries[] {
  const lengths = all.map(({ floats }) => floats.values.length);
  const room = lengths.reduce((sum, length) => sum + length + 1, 3);
  const columns = { timesMs: new Float64Array(room).fill(7e4), values: new Float64Array(room).fill(-1e6) };
  let first = 0;
  return all.map((one, at) => {
    const shift = 2;
    const { timesMs, values } = one.floats;
    columns.timesMs.set(timesMs, first);
    columns.values.set(values, first + shift);
    const end = first + lengths[at]!;
    const mayFall = values.some((number, place) => place > 0 && number < values[place - 1]!);
    const floats = new FloatRows(columns, { first, end, shift, mayFall });
    first = end + 1;
    return { ...one, floats };
  });
}

function sourceOf(all: readonly SelectedSeries[]): SampleSource {
  return { select: () => Promise.resolve([...all]) };
}

const expressions = [
  'rate(requests_total[R])',
  'increase(requests_total[R])',
  'delta(requests_total[R])',
  'sum by (group) (rate(requests_total[R]))',
  'avg(increase(requests_total[R]))',
  'topk by (group) (2, rate(requests_total[R]))',
  'rate(requests_total[R] offset 1m)',
  'rate(requests_total[R] @ 300)',
  'rate(requests_total[R] anchored)',
  'max_over_time(requests_total[R])',
  'requests_total',
  'count by (group) (requests_total)',
];

test('series that are rows of common columns give the same as series of their own', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(series, { maxLength: 12 }),
      fc.constantFrom(...expressions),
      fc.integer({ min: 1, max: 900 }),
      fc.integer({ min: 5000, max: 400_000 }),
      fc.integer({ min: -100_000, max: 900_000 }),
      async (all, expression, rangeSeconds, stepMs, startMs) => {
        const own = selected(all);
        const text = expression.replace('R', `${rangeSeconds}s`);
        const options = { startMs, endMs: startMs + 1_500_000, stepMs };
        const [left, right] = await Promise.all([
          query(text, sourceOf(own), options),
          query(text, sourceOf(inRows(own)), options),
        ]);
        assert.deepEqual(right, left);
      },
    ),
    { numRuns: 400 },
  );
});
