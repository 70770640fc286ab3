import type { FloatHistogram } from './histogram.ts';

/** What histograms count as, one after the other: neighbours mostly share the list of their buckets, which is then looked at once. */
export class HistogramWeights {
  readonly #positive = new Spans();
  readonly #negative = new Spans();

  /** How many float samples it counts as against the limit of samples: upstream's bytes of it by 16 (FloatHistogram.Size). */
  of({ positive, negative, customValues }: FloatHistogram): number {
    const spans = this.#positive.of(positive.indexes) + this.#negative.of(negative.indexes);
    const values = positive.counts.length + negative.counts.length + customValues.length;
    return histogramWeight(spans, values);
  }
}

/** The same by runs of neighbouring buckets, and buckets and custom bounds. */
export function histogramWeight(spans: number, values: number): number {
  return Math.floor((FIXED_BYTES + 8 * (spans + values) + 8) / 16);
}

/** Bytes of a histogram without its slices, and of the time beside it, as upstream counts them. */
const FIXED_BYTES = 168;

/** How many runs of neighbouring buckets there are. */
class Spans {
  #indexes: Int32Array | undefined;
  #spans = 0;

  of(indexes: Int32Array): number {
    if (indexes === this.#indexes) return this.#spans;
    let spans = 0;
    for (let at = 0; at < indexes.length; at++) if (at === 0 || indexes[at]! !== indexes[at - 1]! + 1) spans++;
    this.#indexes = indexes;
    this.#spans = spans;
    return spans;
  }
}
