import { upperBound } from './histogram-bounds.ts';
import type { FloatHistogram } from './histogram.ts';

/** A zero bucket after it was widened. */
export interface WidenedZeroBucket {
  readonly zeroCount: number;
  /** At least what was asked for: a bucket that counts something is never cut. */
  readonly zeroThreshold: number;
}

/**
 * The zero bucket of `histogram`, made at least as wide as `threshold`; every bucket that then lies in it counts with it. `threshold` must not be
 * below the histogram's own. Source: FloatHistogram.zeroCountForLargerThreshold.
 */
export function zeroCountUpTo(histogram: FloatHistogram, threshold: number): WidenedZeroBucket {
  const { schema, customValues } = histogram;
  if (threshold === histogram.zeroThreshold) return { zeroCount: histogram.zeroCount, zeroThreshold: threshold };
  let zeroThreshold = threshold;
  for (;;) {
    const before = zeroThreshold;
    let zeroCount = histogram.zeroCount;
    for (const { indexes, counts } of [histogram.positive, histogram.negative]) {
      for (let at = 0; at < indexes.length; at++) {
        if (upperBound(indexes[at]! - 1, schema, customValues) >= zeroThreshold) break;
        zeroCount += counts[at]!;
        const upper = upperBound(indexes[at]!, schema, customValues);
        if (upper <= zeroThreshold) continue;
        if (counts[at] !== 0) zeroThreshold = upper;
        break;
      }
    }
    // A negative bucket that widened the zero bucket may have taken in further positive ones: count again.
    if (zeroThreshold === before) return { zeroCount, zeroThreshold };
  }
}

/** How many of the ascending buckets lie inside a zero bucket of `threshold`, which cuts none that counts something. */
export function countsBelowThreshold(indexes: Int32Array, schema: number, threshold: number): number {
  let inside = 0;
  while (inside < indexes.length && upperBound(indexes[inside]! - 1, schema, NO_BOUNDS) < threshold) inside++;
  return inside;
}

const NO_BOUNDS = new Float64Array(0);
