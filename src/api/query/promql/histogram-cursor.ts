import { upperBound } from './histogram-bounds.ts';
import type { FloatHistogram } from './histogram.ts';

/**
 * Walks over all buckets of a histogram by value: negative ones, the zero bucket (when it counts something), positive ones; or from the top down. The
 * fields hold the bucket that the last `next` reached, and stay on the last one at the end. They may be overwritten by the reader.
 */
export class BucketCursor {
  lower = 0;
  upper = 0;
  count = 0;
  readonly #histogram: FloatHistogram;
  readonly #step: 1 | -1;
  /** Buckets count from 0 at the lowest one. */
  #position: number;
  readonly #zeroPosition: number;
  readonly #size: number;

  constructor(histogram: FloatHistogram, direction: 'up' | 'down') {
    this.#histogram = histogram;
    this.#zeroPosition = histogram.negative.indexes.length;
    const zeroBuckets = histogram.zeroCount > 0 ? 1 : 0;
    this.#size = this.#zeroPosition + zeroBuckets + histogram.positive.indexes.length;
    this.#step = direction === 'up' ? 1 : -1;
    this.#position = direction === 'up' ? -1 : this.#size;
  }

  next(): boolean {
    const position = this.#position + this.#step;
    if (position < 0 || position >= this.#size) return false;
    this.#position = position;
    const { negative, positive, zeroCount, zeroThreshold, schema, customValues } = this.#histogram;
    if (position < this.#zeroPosition) {
      const at = this.#zeroPosition - 1 - position;
      const index = negative.indexes[at]!;
      this.lower = -upperBound(index, schema, customValues);
      this.upper = -upperBound(index - 1, schema, customValues);
      this.count = negative.counts[at]!;
    } else if (zeroCount > 0 && position === this.#zeroPosition) {
      this.lower = -zeroThreshold;
      this.upper = zeroThreshold;
      this.count = zeroCount;
    } else {
      const at = position - this.#zeroPosition - (zeroCount > 0 ? 1 : 0);
      const index = positive.indexes[at]!;
      this.lower = upperBound(index - 1, schema, customValues);
      this.upper = upperBound(index, schema, customValues);
      this.count = positive.counts[at]!;
    }
    return true;
  }
}

/**
 * How far `value` lies into the bucket (`lower`, `upper`], 0 to 1: linearly for custom and zero buckets, else on the logarithmic scale on which
 * exponential buckets are equally wide.
 */
export function fractionBelow(value: number, lower: number, upper: number, isLinear: boolean): number {
  if (isLinear) return (value - lower) / (upper - lower);
  const logLower = Math.log2(Math.abs(lower));
  const logUpper = Math.log2(Math.abs(upper));
  const logValue = Math.log2(Math.abs(value));
  if (value > 0) return (logValue - logLower) / (logUpper - logLower);
  return 1 - (logValue - logUpper) / (logLower - logUpper);
}
