/** Shortcuts for histograms of one series give what the general way gives. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { histogramDifference } from '../../../../src/api/query/promql/histogram-difference.ts';
import { multiplyHistogram, multiplyOwnHistogram } from '../../../../src/api/query/promql/histogram-math.ts';
import { isReset } from '../../../../src/api/query/promql/histogram-reset.ts';
import { HistogramRun } from '../../../../src/api/query/promql/histogram-run.ts';
import { HistogramSum } from '../../../../src/api/query/promql/histogram-sum.ts';
import { HistogramWeights } from '../../../../src/api/query/promql/histogram-weight.ts';
import type { FloatHistogram, SparseBuckets } from '../../../../src/api/query/promql/histogram.ts';
import { NumberSlab } from '../../../../src/api/query/promql/number-slab.ts';
import { anyHistogram, custom, exponential } from '../../../helpers/histograms.ts';

const anyCount = fc.oneof(
  fc.integer({ min: -3, max: 1000 }),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }),
  fc.constantFrom(0, 1e300, Infinity, NaN),
);

/** A histogram and one of the same form, of which some buckets are new and some have gone. */
const anyNeighbours = fc
  .tuple(anyHistogram(), fc.array(anyCount, { minLength: 1, maxLength: 9 }), fc.boolean(), fc.boolean())
  .map(([whole, added, hasLess, isGauge]) => {
    let at = 0;
    const next = (): number => added[at++ % added.length]!;
    const grown = ({ indexes, counts }: SparseBuckets): SparseBuckets => ({
      indexes,
      counts: counts.map((count) => count + next()),
    });
    const first = hasLess ? { ...whole, positive: without(whole.positive), negative: without(whole.negative) } : whole;
    const last: FloatHistogram = {
      ...whole,
      counterReset: isGauge ? 'gauge' : 'not_reset',
      zeroCount: whole.zeroCount + next(),
      count: whole.count + next(),
      sum: whole.sum + next(),
      positive: grown(whole.positive),
      negative: grown(whole.negative),
    };
    return { first, last };
  });

function without({ indexes, counts }: SparseBuckets): SparseBuckets {
  return { indexes: indexes.slice(1), counts: counts.slice(1) };
}

function summed(last: FloatHistogram, first: FloatHistogram): FloatHistogram {
  const sum = new HistogramSum(last);
  sum.add(first, -1);
  return { ...sum.total(), counterReset: 'gauge' };
}

test('the difference of neighbours is what a running sum gives, bit for bit', () => {
  let shortcuts = 0;
  fc.assert(
    fc.property(anyNeighbours, ({ first, last }) => {
      const difference = histogramDifference(last, first, new NumberSlab());
      if (difference === undefined) return;
      shortcuts++;
      assert.deepEqual(difference, summed(last, first));
    }),
  );
  assert.ok(shortcuts > 0);
});

test('the difference of neighbours with custom buckets is what a running sum gives', () => {
  const first = custom({ bounds: [1, 2, 5], counts: { 0: 4, 2: 1.5 }, sum: 3 });
  const last = custom({ bounds: [1, 2, 5], counts: { 0: 4, 1: 7, 2: 2.75 }, sum: 9 });
  assert.deepEqual(histogramDifference(last, first, new NumberSlab()), summed(last, first));
});

test('the difference of histograms of different forms is left to a running sum', () => {
  const slab = new NumberSlab();
  const base = exponential({ count: 3, positive: { 2: 3 } });
  for (const other of [
    exponential({ schema: 1, count: 3, positive: { 2: 3 } }),
    exponential({ zeroThreshold: 0.5, count: 3, positive: { 2: 3 } }),
    exponential({ count: 3, positive: { 4: 3 } }),
    exponential({ count: 3, negative: { 4: 3 } }),
    custom({ bounds: [1], counts: { 0: 3 } }),
  ])
    assert.equal(histogramDifference(base, other, slab), undefined);
  const inZero = exponential({ zeroThreshold: 16, count: 3, positive: { 2: 3 } });
  assert.equal(histogramDifference(inZero, inZero, slab), undefined, 'a bucket inside the zero bucket');
  const bounds = custom({ bounds: [1], counts: { 0: 3 } });
  assert.equal(histogramDifference(bounds, custom({ bounds: [2], counts: { 0: 3 } }), slab), undefined);
});

test('differences out of one slab do not touch each other', () => {
  fc.assert(
    fc.property(fc.array(anyNeighbours, { maxLength: 12 }), (pairs) => {
      const slab = new NumberSlab();
      const together = pairs.map(({ first, last }) => histogramDifference(last, first, slab));
      for (const [at, { first, last }] of pairs.entries())
        assert.deepEqual(together[at], histogramDifference(last, first, new NumberSlab()));
    }),
  );
});

test('a histogram multiplied in place is what it is multiplied into another', () => {
  fc.assert(
    fc.property(anyHistogram(), fc.double(), (histogram, factor) => {
      const apart = multiplyHistogram(histogram, factor);
      assert.deepEqual(multiplyOwnHistogram(structuredClone(histogram), factor), apart);
    }),
  );
});

test('a run of histograms weighs what each of them does, and goes on where no two are apart by a reset', () => {
  fc.assert(
    fc.property(
      fc.array(anyHistogram(), { minLength: 1, maxLength: 8 }),
      fc.nat(),
      fc.nat(),
      (histograms, from, size) => {
        const lo = from % histograms.length;
        const hi = lo + 1 + (size % (histograms.length - lo));
        const within = histograms.slice(lo, hi);
        const run = new HistogramRun(histograms);
        const weight = within.reduce((sum, one) => sum + new HistogramWeights().of(one), 0);
        assert.equal(run.weight(lo, hi), weight);
        assert.equal(
          run.goesOn(lo, hi),
          within.every((one, at) => at === 0 || !isReset(one, within[at - 1]!)),
        );
      },
    ),
  );
});

test('a run of histograms does not go on beside a gauge or another kind of buckets', () => {
  const one = exponential({ count: 1 });
  const gauge: FloatHistogram = { ...one, counterReset: 'gauge' };
  assert.equal(new HistogramRun([one, gauge, one]).goesOn(0, 1), false);
  assert.equal(new HistogramRun([one, custom({ bounds: [1], counts: { 0: 1 } })]).goesOn(0, 1), false);
});
