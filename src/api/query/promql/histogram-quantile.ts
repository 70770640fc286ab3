import { hasCustomBuckets } from './histogram-bounds.ts';
import { BucketCursor, fractionBelow } from './histogram-cursor.ts';
import type { FloatHistogram } from './histogram.ts';

/** What a result says beside its value: observations of NaN are in no bucket, so the result lies too low (`nan-skew`) or is NaN (`nan-result`). */
export interface QuantileResult {
  readonly value: number;
  readonly note: 'nan-result' | 'nan-skew' | undefined;
}

/**
 * The value below which the fraction `q` of the observations lies. Within a bucket, observations are taken to be spread evenly on a logarithmic scale; in
 * the zero bucket and custom buckets, linearly. -Infinity for q < 0, Infinity for q > 1, NaN for no observations. Source: promql/quantile.go.
 */
export function histogramQuantile(q: number, histogram: FloatHistogram): QuantileResult {
  if (q < 0) return { value: Number.NEGATIVE_INFINITY, note: undefined };
  if (q > 1) return { value: Number.POSITIVE_INFINITY, note: undefined };
  if (histogram.count === 0 || Number.isNaN(q)) return { value: Number.NaN, note: undefined };
  const mayHoldNaN = Number.isNaN(histogram.sum);
  const isUpwards = mayHoldNaN || q < 0.5;
  const bucket = new BucketCursor(histogram, isUpwards ? 'up' : 'down');
  let rank = (isUpwards ? q : 1 - q) * histogram.count;
  let count = 0;
  while (bucket.next()) {
    if (bucket.count === 0) continue;
    count += bucket.count;
    if (count >= rank) break;
  }
  if (hasCustomBuckets(histogram)) {
    if (bucket.lower === Number.NEGATIVE_INFINITY) {
      if (bucket.upper <= 0) return { value: bucket.upper, note: undefined };
      bucket.lower = 0;
    } else if (bucket.upper === Number.POSITIVE_INFINITY) {
      return { value: bucket.lower, note: undefined };
    }
  } else if (bucket.lower < 0 && bucket.upper > 0) {
    narrowZeroBucket(bucket, histogram);
  }
  count = Math.min(count, histogram.count);
  if (count < rank) {
    return mayHoldNaN ? { value: Number.NaN, note: 'nan-result' } : { value: bucket.upper, note: undefined };
  }
  rank = isUpwards ? rank - (count - bucket.count) : count - rank;
  const { lower, upper } = bucket;
  const fraction = rank / bucket.count;
  let note: QuantileResult['note'];
  if (mayHoldNaN) {
    while (bucket.next()) count += bucket.count;
    if (count < histogram.count) note = 'nan-skew';
  }
  return { value: interpolate(lower, upper, fraction, hasCustomBuckets(histogram)), note };
}

/** The fraction of observations between two values, with the assumptions of `histogramQuantile`. NaN for no observations or a bound of NaN. */
export function histogramFraction(lower: number, upper: number, histogram: FloatHistogram): QuantileResult {
  if (histogram.count === 0 || Number.isNaN(lower) || Number.isNaN(upper))
    return { value: Number.NaN, note: undefined };
  if (lower >= upper) return { value: 0, note: undefined };
  const bucket = new BucketCursor(histogram, 'up');
  const isCustom = hasCustomBuckets(histogram);
  let count = 0;
  let rank = 0;
  let lowerRank: number | undefined;
  let upperRank: number | undefined;
  while ((lowerRank === undefined || upperRank === undefined) && bucket.next()) {
    count += bucket.count;
    const isZeroBucket = bucket.lower <= 0 && bucket.upper >= 0;
    if (isZeroBucket) narrowZeroBucket(bucket, histogram);
    const rankOf = (value: number): number | undefined => {
      if (bucket.lower >= value) return rank;
      if (bucket.upper <= value) return undefined;
      const isLinear = isCustom || isZeroBucket;
      if (isLinear && bucket.lower === Number.NEGATIVE_INFINITY) return bucket.count;
      return rank + bucket.count * fractionBelow(value, bucket.lower, bucket.upper, isLinear);
    };
    lowerRank ??= rankOf(lower);
    upperRank ??= rankOf(upper);
    rank += bucket.count;
  }
  let note: QuantileResult['note'];
  if (Number.isNaN(histogram.sum)) {
    while (bucket.next()) count += bucket.count;
    if (count < histogram.count) note = 'nan-skew';
  } else {
    count = histogram.count;
  }
  const from = Math.min(lowerRank ?? count, count);
  const until = Math.min(upperRank ?? count, count);
  return { value: (until - from) / histogram.count, note };
}

/** With buckets on one side of 0 only, the zero bucket lies on that side, too. */
function narrowZeroBucket(bucket: BucketCursor, { positive, negative }: FloatHistogram): void {
  if (negative.indexes.length === 0 && positive.indexes.length > 0) bucket.lower = 0;
  else if (positive.indexes.length === 0 && negative.indexes.length > 0) bucket.upper = 0;
}

function interpolate(lower: number, upper: number, fraction: number, isCustom: boolean): number {
  if (isCustom || (lower <= 0 && upper >= 0)) return lower + (upper - lower) * fraction;
  const logLower = Math.log2(Math.abs(lower));
  const logUpper = Math.log2(Math.abs(upper));
  if (lower > 0) return 2 ** (logLower + (logUpper - logLower) * fraction);
  return -(2 ** (logUpper + (logLower - logUpper) * (1 - fraction)));
}
