/** One bucket of a classic histogram: how many observations are at most `upperBound`. */
export interface ClassicBucket {
  readonly upperBound: number;
  count: number;
}

/** The quantile, and what had to be repaired to find it. */
export interface ClassicQuantile {
  readonly value: number;
  /** Counts fell from one bucket to the next by more than rounding explains, and were held. */
  readonly repair: MonotonicityRepair | undefined;
}

export interface MonotonicityRepair {
  readonly lowestBound: number;
  readonly highestBound: number;
  readonly largestFall: number;
}

/** Relative differences between counts that are put down to rounding (upstream's smallDeltaTolerance). */
const ROUNDING_TOLERANCE = 1e-12;
const MIN_NORMAL = 2 ** -1022;

/**
 * `histogram_quantile` of a classic histogram; linear within a bucket, the lowest of which begins at 0 when it ends above 0. NaN without observations, with
 * fewer than two buckets, or when the highest is not +Inf. `buckets` are sorted and repaired in place; there must be one. Source: promql/quantile.go.
 */
export function classicQuantile(q: number, buckets: ClassicBucket[]): ClassicQuantile {
  if (Number.isNaN(q)) return { value: Number.NaN, repair: undefined };
  if (q < 0) return { value: Number.NEGATIVE_INFINITY, repair: undefined };
  if (q > 1) return { value: Number.POSITIVE_INFINITY, repair: undefined };
  const merged = sortedAndMerged(buckets);
  if (merged === undefined) return { value: Number.NaN, repair: undefined };
  const repair = makeMonotonic(merged);
  const observations = merged.at(-1)!.count;
  if (merged.length < 2 || observations === 0) return { value: Number.NaN, repair };
  const rank = q * observations;
  const at = firstReaching(merged, rank);
  const { upperBound, count } = merged[at]!;
  if (at === merged.length - 1) return { value: merged[at - 1]!.upperBound, repair };
  if (at === 0) return { value: upperBound <= 0 ? upperBound : upperBound * (rank / count), repair };
  const below = merged[at - 1]!;
  const width = upperBound - below.upperBound;
  return { value: below.upperBound + width * ((rank - below.count) / (count - below.count)), repair };
}

/** `histogram_fraction` of a classic histogram, with the assumptions of `classicQuantile`. */
export function classicFraction(lower: number, upper: number, buckets: ClassicBucket[]): number {
  const merged = sortedAndMerged(buckets);
  const count = merged?.at(-1)!.count;
  if (merged === undefined || count === undefined || count === 0 || Number.isNaN(lower) || Number.isNaN(upper))
    return Number.NaN;
  if (lower >= upper) return 0;
  const rankOf = (value: number): number => Math.min(rankBelow(merged, value) ?? count, count);
  return (rankOf(upper) - rankOf(lower)) / count;
}

/** How many observations lie below `value`; undefined when all buckets do. */
function rankBelow(buckets: readonly ClassicBucket[], value: number): number | undefined {
  let rank = 0;
  let lowerBound = buckets[0]!.upperBound <= 0 ? Number.NEGATIVE_INFINITY : 0;
  for (const { upperBound, count } of buckets) {
    if (lowerBound >= value) return rank;
    if (upperBound > value) {
      if (lowerBound === Number.NEGATIVE_INFINITY) return count;
      return rank + ((count - rank) * (value - lowerBound)) / (upperBound - lowerBound);
    }
    rank = count;
    lowerBound = upperBound;
  }
  return undefined;
}

/** By bound, equal bounds as one; undefined when the highest is not +Inf. */
function sortedAndMerged(buckets: ClassicBucket[]): ClassicBucket[] | undefined {
  buckets.sort((left, right) => (left.upperBound < right.upperBound ? -1 : left.upperBound > right.upperBound ? 1 : 0));
  if (buckets.at(-1)?.upperBound !== Number.POSITIVE_INFINITY) return undefined;
  const merged: ClassicBucket[] = [];
  for (const bucket of buckets) {
    const last = merged.at(-1);
    if (last?.upperBound === bucket.upperBound) last.count += bucket.count;
    else merged.push(bucket);
  }
  return merged;
}

/** Counts of higher buckets include those of lower ones: a fall is held at the count before it. */
function makeMonotonic(buckets: readonly ClassicBucket[]): MonotonicityRepair | undefined {
  let repair: MonotonicityRepair | undefined;
  let held = buckets[0]!.count;
  for (const bucket of buckets.slice(1)) {
    const { count, upperBound } = bucket;
    if (count === held) continue;
    const isRounding = isAlmostEqual(held, count);
    if (!isRounding && !(count < held)) {
      held = count;
      continue;
    }
    bucket.count = held;
    if (isRounding) continue;
    repair = {
      lowestBound: Math.min(repair?.lowestBound ?? Number.POSITIVE_INFINITY, upperBound),
      highestBound: Math.max(repair?.highestBound ?? Number.NEGATIVE_INFINITY, upperBound),
      largestFall: Math.max(repair?.largestFall ?? 0, held - count),
    };
  }
  return repair;
}

function isAlmostEqual(left: number, right: number): boolean {
  if (Number.isNaN(left) && Number.isNaN(right)) return true;
  if (left === right) return true;
  const sum = Math.abs(left) + Math.abs(right);
  const difference = Math.abs(left - right);
  if (left === 0 || right === 0 || sum < MIN_NORMAL) return difference < ROUNDING_TOLERANCE * MIN_NORMAL;
  return difference / Math.min(sum, Number.MAX_VALUE) < ROUNDING_TOLERANCE;
}

/** The first bucket but the last that holds `rank` observations, else the last. */
function firstReaching(buckets: readonly ClassicBucket[], rank: number): number {
  let low = 0;
  let high = buckets.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (buckets[middle]!.count >= rank) high = middle;
    else low = middle + 1;
  }
  return low;
}
