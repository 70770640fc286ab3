import { hasCustomBuckets } from './histogram-bounds.ts';
import { HistogramWeights } from './histogram-weight.ts';
import { isReset } from './histogram-reset.ts';
import type { HistogramList } from './histogram.ts';

/** What is known of all histograms of one series, found out once and not again in each window. */
export class HistogramRun {
  readonly #histograms: HistogramList;
  /** Weights of all before. */
  readonly #weights: Float64Array;
  #counter: { readonly isPlain: boolean; readonly resets: readonly number[] } | undefined;
  #resetAt = 0;

  constructor(histograms: HistogramList) {
    this.#histograms = histograms;
    this.#weights = weightsBefore(histograms);
  }

  /** What those of index `lo` to `hi` (exclusive) count as against the limit of samples. */
  weight(lo: number, hi: number): number {
    return this.#weights[hi]! - this.#weights[lo]!;
  }

  /**
   * Whether those of index `lo` to `hi` (exclusive) are of a counter that only goes on: no reset between them, no gauge in the series and no mixture of exponential
   * and custom buckets. `lo` must not go back.
   */
  goesOn(lo: number, hi: number): boolean {
    this.#counter ??= counterOf(this.#histograms);
    const { isPlain, resets } = this.#counter;
    if (!isPlain) return false;
    while (this.#resetAt < resets.length && resets[this.#resetAt]! <= lo) this.#resetAt++;
    return this.#resetAt === resets.length || resets[this.#resetAt]! >= hi;
  }
}

function weightsBefore(histograms: HistogramList): Float64Array {
  const sums = new Float64Array(histograms.length + 1);
  const weights = new HistogramWeights();
  for (let at = 0; at < histograms.length; at++) sums[at + 1] = sums[at]! + weights.of(histograms.at(at)!);
  return sums;
}

function counterOf(histograms: HistogramList): { isPlain: boolean; resets: number[] } {
  const resets: number[] = [];
  const custom = hasCustomBuckets(histograms.at(0)!);
  for (let at = 0; at < histograms.length; at++) {
    const histogram = histograms.at(at)!;
    if (histogram.counterReset === 'gauge' || hasCustomBuckets(histogram) !== custom) return { isPlain: false, resets };
    if (at > 0 && isReset(histogram, histograms.at(at - 1)!)) resets.push(at);
  }
  return { isPlain: true, resets };
}
