/**
 * Goal: what is kept of comparisons of points of exponential histograms changes nothing that is told of them. Method: random points, kept and told of with their
 * comparisons and without, as a whole and with rows left out. Invariant: equal resets, weights and hints.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ExponentialFiller } from '../../../../src/api/query/prometheus/exponential-filler.ts';
import { NativeColumns, type NativeSamples } from '../../../../src/api/query/prometheus/native-columns.ts';
import { PointSlots } from '../../../../src/api/query/prometheus/point-slots.ts';
import { PointTable } from '../../../../src/api/query/prometheus/point-table.ts';
import { SortedNativeColumns } from '../../../../src/api/query/prometheus/sorted-native-columns.ts';
import { HistogramColumns } from '../../../../src/api/query/promql/histogram-columns.ts';
import { HistogramRun } from '../../../../src/api/query/promql/histogram-run.ts';
import { HistogramSlice } from '../../../../src/api/query/promql/histogram-slice.ts';
import { histogramsOf } from '../../../../src/api/query/promql/histogram.ts';
import { KeptChunk } from '../../../../src/materialize/scan/kept-points.ts';
import { sortedExponentialHistograms } from '../../../../src/materialize/scan/sorted-exponential-histograms.ts';
import type { ExponentialHistogramChunk } from '../../../../src/materialize/scan/types.ts';

const anyLayout = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ scale: 2, zeroThreshold: 0, first: 0, sizes: [3, 1] }) },
  {
    weight: 1,
    arbitrary: fc.record({
      scale: fc.constantFrom(2, 3, 10, -6),
      // The last one reaches over the lowest buckets.
      zeroThreshold: fc.constantFrom(0, 0.001, 2),
      first: fc.nat({ max: 1 }),
      sizes: fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 2 })),
    }),
  },
);

const anyPoint = fc.record({
  layout: anyLayout,
  count: fc.constantFrom(10, 10, 10, 11, 9),
  zeroCount: fc.constantFrom(1, 1, 1, 2),
  buckets: fc.array(fc.constantFrom(0, 1, 1, 1, 2), { minLength: 5, maxLength: 5 }),
  isLeftOut: fc.constantFrom(false, false, false, true),
  ordinal: fc.nat({ max: 2 }),
  // Mostly later than the one before.
  late: fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.constantFrom(1, 3) }),
  hasNoValue: fc.nat({ max: 20 }).map((number) => number === 7),
});

type Point = typeof anyPoint extends fc.Arbitrary<infer Made> ? Made : never;

function offsets(lists: readonly (readonly number[])[]): Uint32Array {
  let end = 0;
  return Uint32Array.from([0, ...lists.map((list) => (end += list.length))]);
}

function chunkOf(points: readonly Point[]): ExponentialHistogramChunk {
  const positive = points.map(({ layout, buckets }) => buckets.slice(0, layout.sizes[0]));
  const negative = points.map(({ layout, buckets }) => buckets.slice(3, 3 + layout.sizes[1]!));
  return {
    ordinals: new Uint32Array(points.length),
    timesMs: Float64Array.from(points, (_, at) => at),
    startTimesMs: undefined,
    flags: new Uint32Array(points.length),
    scales: Int32Array.from(points, ({ layout }) => layout.scale),
    counts: Float64Array.from(points, ({ count }) => count),
    sums: Float64Array.from(points, ({ count }) => count),
    zeroCounts: Float64Array.from(points, ({ zeroCount }) => zeroCount),
    zeroThresholds: Float64Array.from(points, ({ layout }) => layout.zeroThreshold),
    positiveFirstIndexes: Int32Array.from(points, ({ layout }) => layout.first),
    positiveOffsets: offsets(positive),
    positiveCounts: Float64Array.from(positive.flat()),
    negativeFirstIndexes: Int32Array.from(points, ({ layout }) => layout.first),
    negativeOffsets: offsets(negative),
    negativeCounts: Float64Array.from(negative.flat()),
  };
}

function chunkOfSeries(points: readonly Point[]): ExponentialHistogramChunk {
  return {
    ...chunkOf(points),
    ordinals: Uint32Array.from(points, ({ ordinal }) => ordinal),
    timesMs: Float64Array.from(points, ({ late }, at) => at - late),
    flags: Uint32Array.from(points, ({ hasNoValue }) => Number(hasNoValue)),
  };
}

function told(chunk: ExponentialHistogramChunk, points: readonly Point[]): unknown {
  const columns = new HistogramColumns();
  const filler = new ExponentialFiller(columns);
  for (const [row, { isLeftOut }] of points.entries()) if (!isLeftOut) filler.add(0, chunk, row);
  const slice = new HistogramSlice(columns, 0, columns.length);
  if (slice.length === 0) return undefined;
  const run = new HistogramRun(slice);
  return {
    isCounter: run.isCounter,
    resets: run.resets,
    weights: Array.from({ length: slice.length }, (_, at) => run.weight(at, at + 1)),
    hints: Array.from({ length: slice.length - 1 }, (_, at) => columns.hintAt(at + 1)),
  };
}

test('comparisons that are kept with exponential histograms tell what comparing them again tells', () => {
  let used = 0;
  fc.assert(
    fc.property(fc.array(anyPoint, { maxLength: 12 }), (points) => {
      const kept = sortedExponentialHistograms([chunkOf(points)], Uint32Array.of(0));
      if (kept.changes?.some((change) => change !== 0) === true) used++;
      assert.deepEqual(told(kept, points), told({ ...kept, changes: undefined }, points));
    }),
    { numRuns: 500 },
  );
  assert.ok(used > 50);
});

test('points that are kept in order are given out as points in any order are', () => {
  let used = 0;
  const times = fc.nat({ max: 30 });
  fc.assert(
    fc.property(fc.array(anyPoint, { maxLength: 30 }), times, times, (points, fromMs, lengthMs) => {
      const kept = new KeptChunk(sortedExponentialHistograms([chunkOfSeries(points)], Uint32Array.of(0, 1, 2)));
      const range = { fromMs, untilMs: fromMs + lengthMs, withStartTimes: false };
      const slots = new PointSlots([0, 2]);
      for (const chunk of kept.within(range)) {
        const sorted = SortedNativeColumns.of(chunk, slots);
        if (sorted === undefined) continue;
        used++;
        const options = { isDelta: false, fromMs, withStartTimes: false };
        const table = new PointTable([chunk], slots);
        const others = new NativeColumns(table, options, (filled) => new ExponentialFiller(filled));
        for (const slot of [0, 1]) assert.deepEqual(given(sorted.of(slot)), given(others.of(slot)));
      }
    }),
    { numRuns: 500 },
  );
  assert.ok(used > 50);
});

function given({ histograms, floats }: NativeSamples): unknown {
  const { timesMs, values } = histograms;
  const run = values.length === 0 ? undefined : new HistogramRun(values);
  const weights = Array.from({ length: values.length }, (_, at) => run?.weight(at, at + 1));
  return { timesMs, floats, weights, resets: run?.resets, histograms: histogramsOf(values) };
}
