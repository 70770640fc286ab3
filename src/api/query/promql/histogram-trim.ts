import { hasCustomBuckets, upperBound } from './histogram-bounds.ts';
import { fractionBelow } from './histogram-cursor.ts';
import { compactHistogram } from './histogram-math.ts';
import type { FloatHistogram, SparseBuckets } from './histogram.ts';

/** What a trim leaves of a bucket: how many observations, and a value that stands for each of them in the new sum. */
interface Kept {
  readonly count: number;
  readonly midpoint: number;
}

interface Bucket {
  readonly lower: number;
  readonly upper: number;
  readonly count: number;
}

const NOTHING: Kept = { count: 0, midpoint: 0 };

/**
 * The operators `</` and `>/`: without the observations above (`keep` 'below') or below (`keep` 'above') a limit. The bucket that holds the limit is split by
 * interpolation; count and sum are worked out anew from the buckets when anything was cut. Source: FloatHistogram.TrimBuckets.
 */
export function trimHistogram(histogram: FloatHistogram, limit: number, keep: 'below' | 'above'): FloatHistogram {
  const totals = { count: 0, sum: 0, isCut: false };
  const positive = trimSide(histogram, 'positive', limit, keep, totals);
  const negative = trimSide(histogram, 'negative', limit, keep, totals);
  let { zeroCount } = histogram;
  if (zeroCount > 0) {
    const kept = trimZeroBucket(histogram, limit, keep);
    totals.isCut ||= kept.count !== zeroCount;
    totals.count += kept.count;
    totals.sum += kept.midpoint * kept.count;
    zeroCount = kept.count;
  }
  if (!totals.isCut) return histogram;
  return compactHistogram({ ...histogram, positive, negative, zeroCount, count: totals.count, sum: totals.sum });
}

function trimSide(
  histogram: FloatHistogram,
  side: 'positive' | 'negative',
  limit: number,
  keep: 'below' | 'above',
  totals: { count: number; sum: number; isCut: boolean },
): SparseBuckets {
  const { schema, customValues } = histogram;
  const { indexes, counts } = histogram[side];
  const isPositive = side === 'positive';
  const isLinear = hasCustomBuckets(histogram);
  const keptCounts = counts.map((count, at) => {
    if (count === 0) return 0;
    const near = upperBound(indexes[at]! - 1, schema, customValues);
    const far = upperBound(indexes[at]!, schema, customValues);
    const bucket = isPositive ? { lower: near, upper: far, count } : { lower: -far, upper: -near, count };
    const kept = trimBucket(bucket, limit, keep, isPositive, isLinear);
    totals.isCut ||= kept.count !== count;
    totals.count += kept.count;
    totals.sum += kept.midpoint * kept.count;
    return kept.count;
  });
  return { indexes, counts: keptCounts };
}

function trimBucket(
  bucket: Bucket,
  limit: number,
  keep: 'below' | 'above',
  isPositive: boolean,
  isLinear: boolean,
): Kept {
  const { lower, upper, count } = bucket;
  const isWhole = keep === 'below' ? upper <= limit : lower >= limit;
  if (isWhole) return { count, midpoint: midpoint(lower, upper, isPositive, isLinear) };
  const isSplit = keep === 'below' ? lower < limit : upper > limit;
  if (!isSplit) return NOTHING;
  if (lower === Number.NEGATIVE_INFINITY)
    return keep === 'below' ? belowInLowest(bucket, limit) : aboveInLowest(bucket, limit);
  if (upper === Number.POSITIVE_INFINITY) {
    return keep === 'above' && limit >= lower ? { count, midpoint: limit } : { count: 0, midpoint: finite(lower) };
  }
  const below = count * fractionBelow(limit, lower, upper, isLinear);
  return keep === 'below'
    ? { count: below, midpoint: midpoint(lower, limit, isPositive, isLinear) }
    : { count: count - below, midpoint: midpoint(limit, upper, isPositive, isLinear) };
}

/** The lowest custom bucket has no lower end: observations in it are taken to lie above 0 when its upper end does, else at that end. */
function belowInLowest({ upper, count }: Bucket, limit: number): Kept {
  if (limit >= upper) return { count, midpoint: 0 };
  if (limit > 0 && upper > 0 && upper !== Number.POSITIVE_INFINITY)
    return { count: (count * limit) / upper, midpoint: limit / 2 };
  return upper <= 0 ? { count, midpoint: limit } : { count: 0, midpoint: finite(upper) };
}

function aboveInLowest({ lower, upper, count }: Bucket, limit: number): Kept {
  if (limit <= lower) return { count, midpoint: 0 };
  if (limit >= 0 && upper > limit && upper !== Number.POSITIVE_INFINITY)
    return { count: count * (1 - limit / upper), midpoint: (limit + upper) / 2 };
  return { count: 0, midpoint: finite(upper) };
}

/** Linearly; a histogram with observations on one side of 0 only has them there in its zero bucket, too. */
function trimZeroBucket(histogram: FloatHistogram, limit: number, keep: 'below' | 'above'): Kept {
  const hasPositive = histogram.positive.counts.some((count) => count !== 0);
  const hasNegative = histogram.negative.counts.some((count) => count !== 0);
  const lower = hasPositive && !hasNegative ? 0 : -histogram.zeroThreshold;
  const upper = hasNegative && !hasPositive ? 0 : histogram.zeroThreshold;
  const all = { count: histogram.zeroCount, midpoint: (lower + upper) / 2 };
  if (limit <= lower) return keep === 'below' ? NOTHING : all;
  if (limit >= upper) return keep === 'below' ? all : NOTHING;
  return keep === 'below'
    ? { count: histogram.zeroCount * ((limit - lower) / (upper - lower)), midpoint: (lower + limit) / 2 }
    : { count: histogram.zeroCount * ((upper - limit) / (upper - lower)), midpoint: (limit + upper) / 2 };
}

function midpoint(lower: number, upper: number, isPositive: boolean, isLinear: boolean): number {
  if (!Number.isFinite(lower)) {
    if (!Number.isFinite(upper)) return 0;
    return upper > 0 ? upper / 2 : upper;
  }
  if (!Number.isFinite(upper)) return lower;
  if (isLinear) return (lower + upper) / 2;
  const mean = Math.sqrt(Math.abs(lower * upper));
  return isPositive ? mean : -mean;
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}
