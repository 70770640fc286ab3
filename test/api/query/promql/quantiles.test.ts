/** Goal: quantiles and fractions of histograms lie where interpolation puts them. Method: worked examples and inverse properties. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type ClassicBucket,
  classicFraction,
  classicQuantile,
} from '../../../../src/api/query/promql/classic-quantile.ts';
import { histogramFraction, histogramQuantile } from '../../../../src/api/query/promql/histogram-quantile.ts';
import { anyHistogram, custom, exponential } from '../../../helpers/histograms.ts';

const INFINITY = Number.POSITIVE_INFINITY;

function classic(...counts: [upperBound: number, count: number][]): ClassicBucket[] {
  return counts.map(([upperBound, count]) => ({ upperBound, count }));
}

test('quantiles of exponential buckets interpolate on a logarithmic scale', () => {
  const histogram = exponential({ schema: 0, count: 4, sum: 12, positive: { 2: 4 } });
  assert.equal(histogramQuantile(0.5, histogram).value, 2 ** 1.5);
  assert.equal(histogramQuantile(0, histogram).value, 2);
  assert.equal(histogramQuantile(1, histogram).value, 4);
  const mirrored = exponential({ schema: 0, count: 4, sum: -12, negative: { 2: 4 } });
  assert.equal(histogramQuantile(0.25, mirrored).value, -(2 ** 1.75));
});

test('quantiles in the zero bucket interpolate linearly, on the side where the other buckets are', () => {
  const both = { schema: 0, count: 4, zeroCount: 2, zeroThreshold: 0.5 };
  assert.equal(histogramQuantile(0.25, exponential({ ...both, positive: { 1: 2 } })).value, 0.25);
  assert.equal(histogramQuantile(0.75, exponential({ ...both, negative: { 1: 2 } })).value, -0.25);
  assert.equal(histogramQuantile(0.5, exponential({ ...both, positive: { 1: 1 }, negative: { 1: 1 } })).value, 0);
});

test('quantiles of custom buckets interpolate linearly and stop at the outermost bounds', () => {
  const histogram = custom({ bounds: [1, 3], counts: { 0: 2, 1: 4, 2: 2 } });
  assert.equal(histogramQuantile(0.5, histogram).value, 2);
  assert.equal(histogramQuantile(0.125, histogram).value, 0.5);
  assert.equal(histogramQuantile(0.9, histogram).value, 3);
  assert.equal(histogramQuantile(0.1, custom({ bounds: [-1, 3], counts: { 0: 2, 1: 4 } })).value, -1);
});

test('quantiles outside 0 to 1, of nothing and of NaN have no place', () => {
  const histogram = exponential({ schema: 0, count: 1, positive: { 0: 1 } });
  assert.equal(histogramQuantile(-0.1, histogram).value, -INFINITY);
  assert.equal(histogramQuantile(1.1, histogram).value, INFINITY);
  assert.equal(histogramQuantile(Number.NaN, histogram).value, Number.NaN);
  assert.equal(histogramQuantile(0.5, exponential({ count: 0 })).value, Number.NaN);
});

test('observations of NaN are told from those in buckets', () => {
  const histogram = exponential({ schema: 0, count: 4, sum: Number.NaN, positive: { 1: 2 } });
  assert.deepEqual(histogramQuantile(0.25, histogram), { value: 2 ** 0.5, note: 'nan-skew' });
  assert.deepEqual(histogramQuantile(0.9, histogram), { value: Number.NaN, note: 'nan-result' });
  assert.deepEqual(histogramFraction(-INFINITY, INFINITY, histogram), { value: 0.5, note: 'nan-skew' });
});

test('fractions are the inverse of quantiles', () => {
  fc.assert(
    fc.property(anyHistogram(), fc.double({ min: 0.01, max: 0.99, noNaN: true }), (histogram, q) => {
      fc.pre(histogram.count > 0);
      const { value } = histogramQuantile(q, histogram);
      const back = histogramFraction(-INFINITY, value, histogram).value;
      const isInPoint = histogram.zeroThreshold === 0 && value === 0;
      assert.ok(isInPoint || Math.abs(back - q) < 1e-9, `${q} gave ${value}, which gave ${back}`);
    }),
  );
});

test('fractions between bounds that are NaN, equal or the wrong way round', () => {
  const histogram = exponential({ schema: 0, count: 4, positive: { 1: 2, 2: 2 } });
  assert.equal(histogramFraction(1, 2, histogram).value, 0.5);
  assert.equal(histogramFraction(2, 2, histogram).value, 0);
  assert.equal(histogramFraction(3, 2, histogram).value, 0);
  assert.equal(histogramFraction(Number.NaN, 2, histogram).value, Number.NaN);
  assert.equal(histogramFraction(0, 1, exponential({ count: 0 })).value, Number.NaN);
});

test('quantiles of classic histograms interpolate between cumulative counts', () => {
  assert.equal(classicQuantile(0.5, classic([1, 2], [3, 6], [INFINITY, 8])).value, 2);
  assert.equal(classicQuantile(0.125, classic([1, 2], [3, 6], [INFINITY, 8])).value, 0.5);
  assert.equal(classicQuantile(0.99, classic([1, 2], [3, 6], [INFINITY, 8])).value, 3);
  assert.equal(classicQuantile(0.1, classic([-1, 2], [INFINITY, 8])).value, -1);
});

test('classic histograms may come in any order and with bounds that stand twice', () => {
  assert.equal(classicQuantile(0.5, classic([INFINITY, 8], [3, 3], [1, 2], [3, 3])).value, 2);
});

test('classic histograms without observations, +Inf or a second bucket have no quantile', () => {
  assert.equal(classicQuantile(0.5, classic([1, 0], [INFINITY, 0])).value, Number.NaN);
  assert.equal(classicQuantile(0.5, classic([1, 1], [2, 2])).value, Number.NaN);
  assert.equal(classicQuantile(0.5, classic([INFINITY, 2])).value, Number.NaN);
  assert.equal(classicQuantile(2, classic([INFINITY, 2])).value, INFINITY);
});

test('counts that fall are held, and the repair is told unless rounding explains it', () => {
  const repaired = classicQuantile(0.5, classic([1, 4], [2, 3], [4, 2], [INFINITY, 8]));
  assert.equal(repaired.value, 1);
  assert.deepEqual(repaired.repair, { lowestBound: 2, highestBound: 4, largestFall: 2 });
  assert.equal(classicQuantile(0.5, classic([1, 4], [2, 4 - 1e-14], [INFINITY, 8])).repair, undefined);
});

test('fractions of classic histograms', () => {
  const buckets = (): ClassicBucket[] => classic([1, 2], [3, 6], [INFINITY, 8]);
  assert.equal(classicFraction(0, 2, buckets()), 0.5);
  assert.equal(classicFraction(-INFINITY, INFINITY, buckets()), 1);
  assert.equal(classicFraction(3, INFINITY, buckets()), 0.25);
  assert.equal(classicFraction(2, 1, buckets()), 0);
  assert.equal(classicFraction(0, 1, classic([1, 2])), Number.NaN);
});
