import { hasCustomBuckets } from './histogram-bounds.ts';
import { GAUGE, NOT_RESET, RESET } from './histogram-columns.ts';
import { compareNeighbours, FALLEN, OTHER_BUCKETS } from './histogram-neighbours.ts';
import { HistogramSlice } from './histogram-slice.ts';
import { HistogramWeights } from './histogram-weight.ts';
import { isReset } from './histogram-reset.ts';
import type { FloatHistogram, HistogramList } from './histogram.ts';

/** What is known of all histograms of one series, found out once and not again in each window. */
export class HistogramRun implements HistogramList {
  /** Where all of them lie in columns. */
  readonly slice: HistogramSlice | undefined;
  readonly #histograms: HistogramList;
  /** Those that were made. */
  readonly #made: (FloatHistogram | undefined)[] = [];
  /** Weights of all before. */
  readonly #weights: Float64Array;
  #counter: Counter | undefined;
  #resetAt = 0;

  constructor(histograms: HistogramList) {
    this.#histograms = histograms;
    this.#weights = new Float64Array(histograms.length + 1);
    if (histograms instanceof HistogramSlice) {
      this.slice = histograms;
      this.#counter = inColumns(histograms, this.#weights);
    } else weigh(histograms, this.#weights);
  }

  get length(): number {
    return this.#histograms.length;
  }

  /** The same object each time. */
  at(index: number): FloatHistogram | undefined {
    return (this.#made[index] ??= this.#histograms.at(index));
  }

  /** What those of index `lo` to `hi` (exclusive) count as against the limit of samples. */
  weight(lo: number, hi: number): number {
    return this.#weights[hi]! - this.#weights[lo]!;
  }

  /** Whether they are of a counter: none is a gauge, and none has exponential buckets beside one with custom ones. */
  get isCounter(): boolean {
    this.#counter ??= counterOf(this.#histograms);
    return this.#counter.isCounter;
  }

  /** Where the counter was reset: indexes of those behind the resets, ascending. */
  get resets(): readonly number[] {
    this.#counter ??= counterOf(this.#histograms);
    return this.#counter.resets;
  }

  /** The first of `resets` behind index `lo`, which must not go back. */
  resetAfter(lo: number): number {
    const { resets } = this;
    while (this.#resetAt < resets.length && resets[this.#resetAt]! <= lo) this.#resetAt++;
    return this.#resetAt;
  }

  /**
   * Whether those of index `lo` to `hi` (exclusive) are of a counter that only goes on: no reset between them, no gauge in the series and no mixture of exponential
   * and custom buckets. `lo` must not go back.
   */
  goesOn(lo: number, hi: number): boolean {
    if (!this.isCounter) return false;
    const at = this.resetAfter(lo);
    return at === this.resets.length || this.resets[at]! >= hi;
  }
}

interface Counter {
  readonly isCounter: boolean;
  readonly resets: readonly number[];
}

/** Compares each one with the one before, and weighs them on the way. */
function inColumns({ columns, first, length }: HistogramSlice, weights: Float64Array): Counter {
  const resets: number[] = [];
  const { hints, formOf } = columns;
  let isCounter = true;
  let weight = 0;
  let form = formOf[first]!;
  const custom = length > 0 && hasCustomBuckets(columns.formAt(first));
  for (let at = 0; at < length; at++) {
    const index = first + at;
    const hint = hints[index]!;
    if (hint === GAUGE) isCounter = false;
    if (formOf[index] !== form) {
      form = formOf[index]!;
      if (hasCustomBuckets(columns.forms[form]!) !== custom) isCounter = false;
    }
    const found = at === 0 ? OTHER_BUCKETS : compareNeighbours(columns, index - 1, index);
    if (at > 0 && (hint === RESET || (hint !== NOT_RESET && (found & FALLEN) !== 0))) resets.push(at);
    if ((found & OTHER_BUCKETS) !== 0) weight = columns.weight(index);
    else columns.weights[index] = weight;
    weights[at + 1] = weights[at]! + weight;
  }
  return { isCounter, resets };
}

function weigh(histograms: HistogramList, sums: Float64Array): void {
  const weights = new HistogramWeights();
  for (let at = 0; at < histograms.length; at++) sums[at + 1] = sums[at]! + weights.of(histograms.at(at)!);
}

function counterOf(histograms: HistogramList): Counter {
  const resets: number[] = [];
  const custom = hasCustomBuckets(histograms.at(0)!);
  for (let at = 0; at < histograms.length; at++) {
    const histogram = histograms.at(at)!;
    if (histogram.counterReset === 'gauge' || hasCustomBuckets(histogram) !== custom)
      return { isCounter: false, resets };
    if (at > 0 && isReset(histogram, histograms.at(at - 1)!)) resets.push(at);
  }
  return { isCounter: true, resets };
}
