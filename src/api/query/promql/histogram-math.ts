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
  return scaled(histogram, factor, {
    positive: times(histogram.positive, factor),
    negative: times(histogram.negative, factor),
  });
}

/** The same, of a histogram that nobody else has: its counts are changed in place. */
export function multiplyOwnHistogram(histogram: FloatHistogram, factor: number): FloatHistogram {
  const { positive, negative } = histogram;
  for (let at = 0; at < positive.counts.length; at++) positive.counts[at]! *= factor;
  for (let at = 0; at < negative.counts.length; at++) negative.counts[at]! *= factor;
  return scaled(histogram, factor, { positive, negative });
}

/** Every count and the sum by `divisor`. Of a division by 0 only zero bucket, count and sum are left, infinite or NaN. */
export function divideHistogram(histogram: FloatHistogram, divisor: number): FloatHistogram {
  return {
    ...histogram,
    counterReset: divisor < 0 ? 'gauge' : histogram.counterReset,
    zeroCount: histogram.zeroCount / divisor,
    count: histogram.count / divisor,
    sum: histogram.sum / divisor,
    positive: divisor === 0 ? NO_BUCKETS : by(histogram.positive, divisor),
    negative: divisor === 0 ? NO_BUCKETS : by(histogram.negative, divisor),
  };
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

const NO_BUCKETS: SparseBuckets = { indexes: new Int32Array(0), counts: new Float64Array(0) };

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

function scaled(
  histogram: FloatHistogram,
  factor: number,
  { positive, negative }: Pick<FloatHistogram, 'positive' | 'negative'>,
): FloatHistogram {
  return {
    schema: histogram.schema,
    counterReset: factor < 0 ? 'gauge' : histogram.counterReset,
    zeroThreshold: histogram.zeroThreshold,
    zeroCount: histogram.zeroCount * factor,
    count: histogram.count * factor,
    sum: histogram.sum * factor,
    positive,
    negative,
    customValues: histogram.customValues,
  };
}

function times({ indexes, counts }: SparseBuckets, factor: number): SparseBuckets {
  return { indexes, counts: counts.map((count) => count * factor) };
}

function by({ indexes, counts }: SparseBuckets, divisor: number): SparseBuckets {
  return { indexes, counts: counts.map((count) => count / divisor) };
}
