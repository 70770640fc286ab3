import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sortedExponentialHistograms } from '../../../src/materialize/scan/sorted-exponential-histograms.ts';
import {
  COMPARED,
  type ExponentialHistogramChunk,
  FELL,
  OTHER_BUCKETS_USED,
} from '../../../src/materialize/scan/types.ts';

const anyPoint = fc.record({
  ordinal: fc.nat({ max: 6 }),
  timeMs: fc.nat({ max: 9 }),
  number: fc.oneof(fc.constant(7), fc.nat({ max: 1000 })),
  positive: fc.array(fc.nat({ max: 9 }), { maxLength: 4 }),
  negative: fc.array(fc.nat({ max: 9 }), { maxLength: 3 }),
});

type Point = typeof anyPoint extends fc.Arbitrary<infer Made> ? Made : never;

function offsets(lists: readonly (readonly number[])[]): Uint32Array {
  let end = 0;
  return Uint32Array.from([0, ...lists.map((list) => (end += list.length))]);
}

function chunkOf(points: readonly Point[]): ExponentialHistogramChunk {
  const numbers = (shift: number): Float64Array => Float64Array.from(points, ({ number }) => number + shift);
  const positive = points.map((point) => point.positive);
  const negative = points.map((point) => point.negative);
  return {
    ordinals: Uint32Array.from(points, ({ ordinal }) => ordinal),
    timesMs: Float64Array.from(points, ({ timeMs }) => timeMs),
    startTimesMs: numbers(1),
    flags: Uint32Array.from(numbers(2)),
    scales: Int32Array.from(numbers(3)),
    counts: numbers(4),
    sums: numbers(5),
    zeroCounts: numbers(6),
    zeroThresholds: numbers(7),
    positiveFirstIndexes: Int32Array.from(numbers(8)),
    positiveOffsets: offsets(positive),
    positiveCounts: Float64Array.from(positive.flat()),
    negativeFirstIndexes: Int32Array.from(numbers(9)),
    negativeOffsets: offsets(negative),
    negativeCounts: Float64Array.from(negative.flat()),
  };
}

/** All numbers of a point beside its buckets tell of `number`. */
function change(before: Point | undefined, now: Point): number {
  if (before?.ordinal !== now.ordinal || before.number !== now.number) return 0;
  const counts = [...now.positive, ...now.negative];
  const countsBefore = [...before.positive, ...before.negative];
  if (now.positive.length !== before.positive.length || now.negative.length !== before.negative.length) return 0;
  const fell = counts.some((count, at) => count < countsBefore[at]!) ? FELL : 0;
  return (
    COMPARED | fell | (counts.some((count, at) => (count === 0) !== (countsBefore[at] === 0)) ? OTHER_BUCKETS_USED : 0)
  );
}

test('points of exponential histograms stand by series, in the order in which they were stored, and are compared', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(anyPoint, { maxLength: 8 }), { maxLength: 4 }),
      fc.subarray([0, 1, 2, 3, 4]),
      (all, asked) => {
        const sorted = sortedExponentialHistograms(all.map(chunkOf), Uint32Array.from(asked));
        const points = asked.flatMap((ordinal) => all.flat().filter((point) => point.ordinal === ordinal));
        const expected = {
          ...chunkOf(points),
          changes: Uint8Array.from(points, (point, at) => change(points[at - 1], point)),
        };
        const startTimesMs = all.length === 0 ? undefined : expected.startTimesMs;
        assert.deepEqual(sorted, { ...expected, startTimesMs });
      },
    ),
  );
});
