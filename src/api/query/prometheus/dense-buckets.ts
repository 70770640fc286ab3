import type { SparseBuckets } from '../promql/histogram.ts';

export const NO_BUCKETS: SparseBuckets = { indexes: new Int32Array(0), counts: new Float64Array(0) };

interface FirstBucket {
  /** OpenTelemetry's number of the first bucket. */
  readonly index: number;
  /** By how many powers of two buckets are merged. */
  readonly merge: number;
}

/**
 * Buckets of an OpenTelemetry point as a native histogram has them: its bucket i is Prometheus' bucket i + 1, since i holds (base^i, base^(i+1)]. Empty buckets are left out; while there is none, counts stay in the memory of the
 * chunk. `indexesBefore` are given again when they are the same.
 */
export function bucketsOf(counts: Float64Array, first: FirstBucket, indexesBefore: Int32Array): SparseBuckets {
  if (first.merge > 0 || counts.includes(0)) return sparseBuckets(counts, first, indexesBefore);
  const { length } = counts;
  const lowest = first.index + 1;
  // Indexes ascend, so what lies between two ends as far apart as there are indexes is known.
  const isSame =
    indexesBefore.length === length && indexesBefore[0] === lowest && indexesBefore[length - 1] === lowest + length - 1;
  if (isSame) return { indexes: indexesBefore, counts };
  const indexes = new Int32Array(length);
  for (let at = 0; at < length; at++) indexes[at] = lowest + at;
  return { indexes, counts };
}

function sparseBuckets(counts: Float64Array, first: FirstBucket, indexesBefore: Int32Array): SparseBuckets {
  const factor = 2 ** first.merge;
  const sums = new Float64Array(counts.length);
  const indexes = new Int32Array(counts.length);
  let size = 0;
  let isSame = true;
  for (let at = 0; at < counts.length; at++) {
    const count = counts[at]!;
    if (count === 0) continue;
    const index = Math.floor((first.index + at) / factor) + 1;
    if (size === 0 || indexes[size - 1] !== index) {
      isSame &&= indexesBefore[size] === index;
      indexes[size++] = index;
    }
    sums[size - 1]! += count;
  }
  isSame &&= indexesBefore.length === size;
  return { indexes: isSame ? indexesBefore : indexes.slice(0, size), counts: sums.subarray(0, size) };
}
