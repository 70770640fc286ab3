/**
 * Goal: arithmetic on native histograms loses no observation and invents none.
 * Method: worked examples with every bucket written out, and properties over generated histograms.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { upperBound } from '../../../../src/api/query/promql/histogram-bounds.ts';
import {
  addHistograms,
  areEqualHistograms,
  compactHistogram,
  divideHistogram,
  multiplyHistogram,
} from '../../../../src/api/query/promql/histogram-math.ts';
import { isReset } from '../../../../src/api/query/promql/histogram-reset.ts';
import { HistogramSum } from '../../../../src/api/query/promql/histogram-sum.ts';
import { HistogramWeights } from '../../../../src/api/query/promql/histogram-weight.ts';
import { trimHistogram } from '../../../../src/api/query/promql/histogram-trim.ts';
import { anyHistogram, custom, exponential } from '../../../helpers/histograms.ts';

const NO_BOUNDS = new Float64Array(0);

test('bucket bounds are powers of the base, with the last finite one cut to the largest number', () => {
  assert.equal(upperBound(0, 0, NO_BOUNDS), 1);
  assert.equal(upperBound(3, 0, NO_BOUNDS), 8);
  assert.equal(upperBound(-1, 0, NO_BOUNDS), 0.5);
  assert.equal(upperBound(1, -1, NO_BOUNDS), 4);
  assert.equal(upperBound(2, -4, NO_BOUNDS), 2 ** 32);
  assert.equal(upperBound(1024, 0, NO_BOUNDS), Number.MAX_VALUE);
  assert.equal(upperBound(1025, 0, NO_BOUNDS), Number.POSITIVE_INFINITY);
  assert.equal(upperBound(-1074, 0, NO_BOUNDS), Number.MIN_VALUE);
  assert.equal(upperBound(256 * 1024, 8, NO_BOUNDS), Number.MAX_VALUE);
  assert.equal(upperBound(64, -4, NO_BOUNDS), Number.MAX_VALUE);
});

test('bucket bounds ascend, and finer schemas hold those of coarser ones', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 7 }), fc.integer({ min: -900, max: 900 }), (schema, index) => {
      assert.ok(upperBound(index, schema, NO_BOUNDS) < upperBound(index + 1, schema, NO_BOUNDS));
      assert.equal(upperBound(index, schema, NO_BOUNDS), upperBound(2 * index, schema + 1, NO_BOUNDS));
      const exact = 2 ** (index / 2 ** schema);
      assert.ok(Math.abs(upperBound(index, schema, NO_BOUNDS) - exact) <= 1e-12 * exact);
    }),
  );
});

test('addition merges buckets by index and adds the rest', () => {
  const left = exponential({ schema: 0, count: 7, sum: 10, zeroCount: 1, positive: { 0: 2, 2: 4 } });
  const right = exponential({ schema: 0, count: 6, sum: 5, zeroCount: 2, positive: { 1: 3, 2: 1 } });
  const { histogram, boundsReconciled, counterResetCollision } = addHistograms(left, right, 1);
  assert.ok(
    areEqualHistograms(
      histogram,
      exponential({ schema: 0, count: 13, sum: 15, zeroCount: 3, positive: { 0: 2, 1: 3, 2: 5 } }),
    ),
  );
  assert.deepEqual(
    { boundsReconciled, counterResetCollision },
    { boundsReconciled: false, counterResetCollision: false },
  );
});

test('addition of a finer schema merges its buckets into the coarser ones', () => {
  const coarse = exponential({ schema: 0, count: 1, positive: { 1: 1 } });
  const fine = exponential({ schema: 1, count: 6, positive: { 0: 1, 1: 2, 2: 3 } });
  const expected = exponential({ schema: 0, count: 7, positive: { 0: 1, 1: 6 } });
  assert.ok(areEqualHistograms(addHistograms(coarse, fine, 1).histogram, expected));
  assert.ok(areEqualHistograms(addHistograms(fine, coarse, 1).histogram, expected));
});

test('addition widens the narrower zero bucket to whole buckets', () => {
  const narrow = exponential({
    schema: 0,
    count: 10,
    zeroCount: 1,
    zeroThreshold: 0.1,
    positive: { 0: 4, 1: 5 },
    negative: { 0: 0 },
  });
  const wide = exponential({ schema: 0, count: 2, zeroCount: 2, zeroThreshold: 0.6 });
  const { histogram } = addHistograms(narrow, wide, 1);
  assert.equal(histogram.zeroThreshold, 1);
  assert.equal(histogram.zeroCount, 1 + 4 + 2);
  assert.deepEqual([...histogram.positive.indexes], [1]);
  assert.equal(histogram.count, 12);
});

test('addition of custom buckets keeps the bounds that both have and says so', () => {
  const left = custom({ bounds: [1, 2, 5], counts: { 0: 1, 1: 2, 2: 3, 3: 4 } });
  const right = custom({ bounds: [2, 3, 5], counts: { 0: 10, 1: 20, 2: 30, 3: 40 } });
  const { histogram, boundsReconciled } = addHistograms(left, right, 1);
  assert.ok(boundsReconciled);
  assert.deepEqual([...histogram.customValues], [2, 5]);
  assert.deepEqual([...histogram.positive.counts], [1 + 2 + 10, 3 + 20 + 30, 4 + 40]);
});

test('addition of hints that contradict each other is noted and forgets them', () => {
  const reset = { ...exponential({ count: 1 }), counterReset: 'reset' as const };
  const goesOn = { ...exponential({ count: 1 }), counterReset: 'not_reset' as const };
  const gauge = { ...exponential({ count: 1 }), counterReset: 'gauge' as const };
  assert.equal(addHistograms(reset, goesOn, 1).counterResetCollision, true);
  assert.equal(addHistograms(reset, goesOn, 1).histogram.counterReset, 'unknown');
  assert.equal(addHistograms(reset, gauge, 1).histogram.counterReset, 'gauge');
  assert.equal(addHistograms(reset, gauge, 1).counterResetCollision, false);
});

test('addition of exponential to custom buckets is refused', () => {
  const sum = new HistogramSum(exponential({ count: 1 }));
  assert.throws(() => sum.add(custom({ bounds: [1], counts: { 0: 1 } })), /Cannot add histograms/);
});

test('subtraction takes back what addition added', () => {
  fc.assert(
    fc.property(anyHistogram(), anyHistogram(), (left, right) => {
      const back = addHistograms(addHistograms(left, right, 1).histogram, right, -1).histogram;
      const same = addHistograms(left, addHistograms(right, right, -1).histogram, 1).histogram;
      assert.ok(areEqualHistograms(back, same), `${JSON.stringify(back)} ${JSON.stringify(same)}`);
    }),
  );
});

test('addition holds every observation in some bucket, whatever schemas and zero buckets meet', () => {
  const observations = ({ positive, negative, zeroCount }: ReturnType<typeof exponential>): number =>
    [...positive.counts, ...negative.counts, zeroCount].reduce((sum, count) => sum + count, 0);
  fc.assert(
    fc.property(fc.array(anyHistogram(), { minLength: 1, maxLength: 6 }), (histograms) => {
      const sum = new HistogramSum(histograms[0]!);
      for (const histogram of histograms.slice(1)) sum.add(histogram);
      const total = sum.total();
      assert.equal(
        observations(total),
        histograms.map(observations).reduce((a, b) => a + b, 0),
      );
      assert.ok(total.positive.indexes.every((index, at) => at === 0 || index > total.positive.indexes[at - 1]!));
    }),
  );
});

test('sums leave the histograms that they add as they were', () => {
  fc.assert(
    fc.property(anyHistogram(), anyHistogram(), (left, right) => {
      const before = JSON.stringify([left, right]);
      const sum = new HistogramSum(left);
      sum.add(right);
      sum.multiply(-0.5);
      assert.equal(JSON.stringify([left, right]), before);
    }),
  );
});

test('sums of many small and one large value keep the small ones', () => {
  const sum = new HistogramSum(exponential({ schema: 0, count: 1e16, sum: 1e16, positive: { 0: 1e16 } }));
  for (let round = 0; round < 10; round++) sum.add(exponential({ schema: 0, count: 1, sum: 1, positive: { 0: 1 } }));
  assert.equal(sum.total().count, 1e16 + 10);
  assert.equal(sum.total().positive.counts[0], 1e16 + 10);
});

test('multiplication and division change counts and sum; a negative factor makes a gauge', () => {
  const histogram = exponential({ schema: 0, count: 4, sum: 8, zeroCount: 1, positive: { 0: 2 }, negative: { 1: 1 } });
  const half = exponential({ schema: 0, count: 2, sum: 4, zeroCount: 0.5, positive: { 0: 1 }, negative: { 1: 0.5 } });
  assert.ok(areEqualHistograms(multiplyHistogram(histogram, 0.5), half));
  assert.ok(areEqualHistograms(divideHistogram(histogram, 2), half));
  assert.equal(multiplyHistogram(histogram, 0.5).counterReset, 'unknown');
  assert.equal(multiplyHistogram(histogram, -1).counterReset, 'gauge');
  const none = divideHistogram(histogram, 0);
  assert.equal(none.count, Number.POSITIVE_INFINITY);
  assert.equal(none.positive.indexes.length, 0);
});

test('compaction leaves out empty buckets only', () => {
  const histogram = exponential({ schema: 0, count: 3, positive: { 0: 1, 1: 0, 2: 2 } });
  assert.deepEqual([...compactHistogram(histogram).positive.indexes], [0, 2]);
  assert.ok(areEqualHistograms(compactHistogram(histogram), histogram));
});

test('weights against the limit of samples grow with buckets', () => {
  const weights = new HistogramWeights();
  assert.equal(weights.of(exponential({ count: 0 })), 11);
  assert.equal(weights.of(exponential({ schema: 0, count: 3, positive: { 0: 1, 1: 1, 5: 1 } })), 13);
  assert.equal(weights.of(exponential({ count: 0 })), 11, 'whatever was weighed before');
});

test('resets are seen in any count that falls, in a finer schema and a narrower zero bucket', () => {
  const before = exponential({ schema: 1, count: 9, zeroCount: 2, zeroThreshold: 0.1, positive: { 0: 3, 4: 4 } });
  const after = (change: Parameters<typeof exponential>[0]): boolean =>
    isReset(
      exponential({ schema: 1, count: 20, zeroCount: 2, zeroThreshold: 0.1, positive: { 0: 3, 4: 4 }, ...change }),
      before,
    );
  assert.equal(after({}), false);
  assert.equal(after({ count: 8 }), true);
  assert.equal(after({ zeroCount: 1 }), true);
  assert.equal(after({ positive: { 0: 2, 4: 4 } }), true);
  assert.equal(after({ positive: { 0: 3 } }), true);
  assert.equal(after({ positive: { 0: 3, 1: 5, 4: 9 } }), false);
  assert.equal(after({ schema: 2 }), true);
  assert.equal(after({ zeroThreshold: 0.01 }), true);
  assert.equal(after({ schema: 0, positive: { 0: 3, 2: 4 } }), false);
  assert.equal(isReset({ ...before, counterReset: 'reset' }, before), true);
  assert.equal(isReset({ ...exponential({ count: 0 }), counterReset: 'not_reset' }, before), false);
});

test('resets of custom buckets are looked for between the bounds that both have', () => {
  const before = custom({ bounds: [1, 2, 3], counts: { 0: 1, 1: 2, 3: 5 } });
  assert.equal(isReset(custom({ bounds: [2, 3], counts: { 0: 3, 2: 5 } }), before), false);
  assert.equal(isReset(custom({ bounds: [2, 4], counts: { 0: 2, 2: 9 } }), before), true);
  assert.equal(isReset(custom({ bounds: [1, 2, 3], counts: { 0: 1, 1: 1, 3: 9 } }), before), true);
});

test('trims cut the bucket that holds the limit and work out count and sum anew', () => {
  const histogram = custom({ bounds: [1, 2, 4], counts: { 0: 2, 1: 4, 2: 6, 3: 8 }, sum: 50 });
  const below = trimHistogram(histogram, 3, 'below');
  assert.deepEqual([...below.positive.counts], [2, 4, 3]);
  assert.equal(below.count, 9);
  assert.equal(below.sum, 2 * 0.5 + 4 * 1.5 + 3 * 2.5);
  const above = trimHistogram(histogram, 3, 'above');
  assert.deepEqual([...above.positive.counts], [3, 8]);
  assert.equal(above.sum, 3 * 3.5 + 8 * 4);
  assert.equal(trimHistogram(histogram, Number.POSITIVE_INFINITY, 'below'), histogram);
});

test('trims above and below a limit share out all observations', () => {
  fc.assert(
    fc.property(anyHistogram(), fc.double({ min: -100, max: 100, noNaN: true }), (histogram, limit) => {
      const total = (trimmed: typeof histogram): number =>
        [...trimmed.positive.counts, ...trimmed.negative.counts, trimmed.zeroCount].reduce(
          (sum, count) => sum + count,
          0,
        );
      const parts = total(trimHistogram(histogram, limit, 'below')) + total(trimHistogram(histogram, limit, 'above'));
      assert.ok(Math.abs(parts - total(histogram)) <= 1e-9 * (1 + parts), `${parts} of ${total(histogram)}`);
    }),
  );
});
