import type { SparseBuckets } from './histogram.ts';

const NO_BUCKETS: SparseBuckets = { indexes: new Int32Array(0), counts: new Float64Array(0) };

/**
 * Makes buckets that stand one beside the other into those of histograms, which have no empty ones. Histograms that follow each other mostly have the same
 * buckets: they share the list of them. While there is no empty one, counts stay where they are.
 */
export class SparseReader {
  #indexes = NO_BUCKETS.indexes;

  /** Of the counts from place `from` to `until` (exclusive) the first is that of bucket `lowest`. */
  read(counts: Float64Array, from: number, until: number, lowest: number): SparseBuckets {
    const before = this.#indexes;
    let size = 0;
    let isSame = true;
    for (let at = from; at < until; at++) {
      if (counts[at] === 0) continue;
      if (before[size] !== lowest + at - from) isSame = false;
      size++;
    }
    if (size === 0) return NO_BUCKETS;
    if (!isSame || size !== before.length) this.#indexes = indexesOf(counts, { from, until, lowest, size });
    const indexes = this.#indexes;
    if (size === until - from) return { indexes, counts: counts.subarray(from, until) };
    const kept = new Float64Array(size);
    for (let at = 0; at < size; at++) kept[at] = counts[from + indexes[at]! - lowest]!;
    return { indexes, counts: kept };
  }
}

function indexesOf(
  counts: Float64Array,
  { from, until, lowest, size }: { from: number; until: number; lowest: number; size: number },
): Int32Array {
  const indexes = new Int32Array(size);
  let to = 0;
  for (let at = from; at < until; at++) if (counts[at] !== 0) indexes[to++] = lowest + at - from;
  return indexes;
}
