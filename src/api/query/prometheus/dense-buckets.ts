import type { SparseBuckets } from '../promql/histogram.ts';
import type { NumberSlab } from '../promql/number-slab.ts';

export const NO_BUCKETS: SparseBuckets = { indexes: new Int32Array(0), counts: new Float64Array(0) };

/**
 * Makes buckets of OpenTelemetry points of one series, one point after the other, into those of native histograms: bucket i is Prometheus' bucket i + 1, since
 * i holds (base^i, base^(i+1)]. Empty buckets are left out; while there is none, counts stay in the memory of the chunk. Neighbours with the same buckets share
 * the list of them.
 */
export class BucketReader {
  readonly #slab: NumberSlab;
  #indexes = NO_BUCKETS.indexes;

  /** Counts that do not stay where they are go to `slab`. */
  constructor(slab: NumberSlab) {
    this.#slab = slab;
  }

  /** The counts from place `from` to `until` (exclusive), of which the first is OpenTelemetry's bucket `firstIndex`. */
  read(counts: Float64Array, from: number, until: number, firstIndex: number): SparseBuckets {
    const lowest = firstIndex + 1;
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
    const kept = this.#slab.take(size);
    for (let at = 0; at < size; at++) kept[at] = counts[from + indexes[at]! - lowest]!;
    return { indexes, counts: kept };
  }

  /** The same with 2 ** `merge` buckets made into one. */
  readMerged(counts: Float64Array, firstIndex: number, merge: number): SparseBuckets {
    const factor = 2 ** merge;
    const lowest = Math.floor(firstIndex / factor);
    const sums = new Float64Array(Math.floor((firstIndex + counts.length) / factor) - lowest + 1);
    for (let at = 0; at < counts.length; at++) sums[Math.floor((firstIndex + at) / factor) - lowest]! += counts[at]!;
    return this.read(sums, 0, sums.length, lowest);
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
