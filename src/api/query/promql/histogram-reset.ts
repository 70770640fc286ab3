import { coarserIndex, hasCustomBuckets, haveEqualBounds, upperBound } from './histogram-bounds.ts';
import { zeroCountUpTo } from './histogram-zero.ts';
import type { FloatHistogram, SparseBuckets } from './histogram.ts';

/**
 * Whether a counter that stood at `previous` was reset before `current`: its hint says so, or any count has fallen, or its resolution has become finer,
 * which a counter that goes on never does. Source: FloatHistogram.DetectReset.
 */
export function isReset(current: FloatHistogram, previous: FloatHistogram): boolean {
  if (current.counterReset === 'reset') return true;
  if (current.counterReset === 'not_reset') return false;
  if (current.count < previous.count) return true;
  if (hasCustomBuckets(current)) {
    if (!hasCustomBuckets(previous)) return true;
    if (!haveEqualBounds(current.customValues, previous.customValues)) return isResetBetweenBounds(current, previous);
  }
  if (current.schema > previous.schema || current.zeroThreshold < previous.zeroThreshold) return true;
  const zero = zeroCountUpTo(previous, current.zeroThreshold);
  if (zero.zeroThreshold !== current.zeroThreshold || current.zeroCount < zero.zeroCount) return true;
  const { schema, zeroThreshold } = current;
  return (
    hasFallen(current.positive, previous.positive, previous.schema, schema, zeroThreshold) ||
    hasFallen(current.negative, previous.negative, previous.schema, schema, zeroThreshold)
  );
}

/** Whether a bucket above the zero bucket counts less now; buckets of `before` are brought to `schema`. */
function hasFallen(
  now: SparseBuckets,
  before: SparseBuckets,
  schemaBefore: number,
  schema: number,
  zeroThreshold: number,
): boolean {
  if (schema === schemaBefore) return hasFallenBucket(now, before, schema, zeroThreshold);
  let at = 0;
  let from = 0;
  while (from < before.indexes.length) {
    const target = coarserIndex(before.indexes[from]!, schemaBefore, schema);
    let count = 0;
    for (; from < before.indexes.length && coarserIndex(before.indexes[from]!, schemaBefore, schema) === target; from++)
      count += before.counts[from]!;
    if (count === 0 || (zeroThreshold > 0 && upperBound(target, schema, NO_BOUNDS) <= zeroThreshold)) continue;
    while (at < now.indexes.length && now.indexes[at]! < target) at++;
    if ((now.indexes[at] === target ? now.counts[at]! : 0) < count) return true;
  }
  return false;
}

/** The same of buckets of one schema. */
function hasFallenBucket(now: SparseBuckets, before: SparseBuckets, schema: number, zeroThreshold: number): boolean {
  const { indexes } = before;
  const { length } = indexes;
  let from = 0;
  if (zeroThreshold > 0) while (from < length && upperBound(indexes[from]!, schema, NO_BOUNDS) <= zeroThreshold) from++;
  if (now.indexes === indexes) {
    for (; from < length; from++) {
      const count = before.counts[from]!;
      if (count !== 0 && now.counts[from]! < count) return true;
    }
    return false;
  }
  let at = 0;
  for (; from < length; from++) {
    const count = before.counts[from]!;
    if (count === 0) continue;
    const index = indexes[from]!;
    while (at < now.indexes.length && now.indexes[at]! < index) at++;
    if ((now.indexes[at] === index ? now.counts[at]! : 0) < count) return true;
  }
  return false;
}

/** Compares what lies between bounds that both have. */
function isResetBetweenBounds(current: FloatHistogram, previous: FloatHistogram): boolean {
  const common = [
    ...current.customValues.filter((bound) => previous.customValues.includes(bound)),
    Number.POSITIVE_INFINITY,
  ];
  const now = countsBetween(current, common);
  return countsBetween(previous, common).some((count, at) => now[at]! < count);
}

function countsBetween({ positive, customValues, schema }: FloatHistogram, bounds: readonly number[]): number[] {
  const counts = bounds.map(() => 0);
  for (let at = 0; at < positive.indexes.length; at++) {
    const upper = upperBound(positive.indexes[at]!, schema, customValues);
    counts[bounds.findIndex((bound) => upper <= bound)]! += positive.counts[at]!;
  }
  return counts;
}

const NO_BOUNDS = new Float64Array(0);
