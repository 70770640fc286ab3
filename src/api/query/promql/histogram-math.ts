import { hasCustomBuckets, haveEqualBounds } from './histogram-bounds.ts';
import { type AdditionNotes, HistogramSum } from './histogram-sum.ts';
import type { FloatHistogram, SparseBuckets } from './histogram.ts';

/** `left` + `right` (or minus), and what was come across. They must be compatible (`areCompatible`). */
export function addHistograms(
  left: FloatHistogram,
  right: FloatHistogram,
  sign: 1 | -1,
): AdditionNotes & { readonly histogram: FloatHistogram } {
  const sum = new HistogramSum(left);
  const notes = sum.add(right, sign);
  return { ...notes, histogram: sum.total() };
}

/** Every count and the sum times `factor`; a negative one makes a gauge, since counts below 0 are no counter's. */
export function multiplyHistogram(histogram: FloatHistogram, factor: number): FloatHistogram {
  const times = (value: number): number => value * factor;
  return mapped(histogram, times, factor < 0);
}

/** Every count and the sum by `divisor`. Of a division by 0 only zero bucket, count and sum are left, infinite or NaN. */
export function divideHistogram(histogram: FloatHistogram, divisor: number): FloatHistogram {
  const by = (value: number): number => value / divisor;
  const result = mapped(histogram, by, divisor < 0);
  return divisor === 0 ? { ...result, positive: NO_BUCKETS, negative: NO_BUCKETS } : result;
}

/** Without empty buckets. */
export function compactHistogram(histogram: FloatHistogram): FloatHistogram {
  const positive = compactBuckets(histogram.positive);
  const negative = compactBuckets(histogram.negative);
  return positive === histogram.positive && negative === histogram.negative
    ? histogram
    : { ...histogram, positive, negative };
}

/** Equal in everything but hints and empty buckets; NaN equals NaN. */
export function areEqualHistograms(left: FloatHistogram, right: FloatHistogram): boolean {
  return (
    left.schema === right.schema &&
    Object.is(left.count, right.count) &&
    Object.is(left.sum, right.sum) &&
    left.zeroThreshold === right.zeroThreshold &&
    Object.is(left.zeroCount, right.zeroCount) &&
    (!hasCustomBuckets(left) || haveEqualBounds(left.customValues, right.customValues)) &&
    areEqualBuckets(compactBuckets(left.positive), compactBuckets(right.positive)) &&
    areEqualBuckets(compactBuckets(left.negative), compactBuckets(right.negative))
  );
}

/** How many float samples a histogram counts as against the limit of samples: upstream's bytes of it by 16 (FloatHistogram.Size). */
export function sampleWeight(histogram: FloatHistogram): number {
  const { positive, negative, customValues } = histogram;
  const spans = spansOf(positive.indexes) + spansOf(negative.indexes);
  const values = positive.counts.length + negative.counts.length + customValues.length;
  return Math.floor((FIXED_BYTES + 8 * (spans + values) + 8) / 16);
}

/** Bytes of a histogram without its slices, and of the time beside it, as upstream counts them. */
const FIXED_BYTES = 168;

const NO_BUCKETS: SparseBuckets = { indexes: new Int32Array(0), counts: new Float64Array(0) };

function mapped(histogram: FloatHistogram, change: (value: number) => number, isGauge: boolean): FloatHistogram {
  const { positive, negative } = histogram;
  return {
    ...histogram,
    counterReset: isGauge ? 'gauge' : histogram.counterReset,
    zeroCount: change(histogram.zeroCount),
    count: change(histogram.count),
    sum: change(histogram.sum),
    positive: { indexes: positive.indexes, counts: positive.counts.map(change) },
    negative: { indexes: negative.indexes, counts: negative.counts.map(change) },
  };
}

function compactBuckets(buckets: SparseBuckets): SparseBuckets {
  if (!buckets.counts.includes(0)) return buckets;
  return {
    indexes: buckets.indexes.filter((_, at) => buckets.counts[at] !== 0),
    counts: buckets.counts.filter((count) => count !== 0),
  };
}

function areEqualBuckets(left: SparseBuckets, right: SparseBuckets): boolean {
  return (
    left.indexes.length === right.indexes.length &&
    left.indexes.every((index, at) => index === right.indexes[at] && Object.is(left.counts[at], right.counts[at]))
  );
}

function spansOf(indexes: Int32Array): number {
  let spans = 0;
  for (let at = 0; at < indexes.length; at++) if (at === 0 || indexes[at]! !== indexes[at - 1]! + 1) spans++;
  return spans;
}
