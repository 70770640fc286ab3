import type { ExponentialHistogramChunk } from '../../../materialize/index.ts';
import type { NumberSlab } from '../promql/number-slab.ts';
import { BucketReader, NO_BUCKETS } from './dense-buckets.ts';
import type { HistogramReader, MadeHistogram } from './native-columns.ts';

/** Scales of OpenTelemetry that Prometheus has as schemas. Finer ones are merged down, coarser ones have no form. */
const SCALE_MIN = -4;
const SCALE_MAX = 8;

/** The zero bucket of a point that names no width (upstream's defaultZeroThreshold). */
const DEFAULT_ZERO_THRESHOLD = 1e-128;

const NO_BOUNDS = new Float64Array(0);

/** Exponential histograms as native ones; points too coarse for Prometheus are none. Source: prometheusremotewrite/histograms.go. */
export class ExponentialReader implements HistogramReader<ExponentialHistogramChunk> {
  readonly #positive: BucketReader;
  readonly #negative: BucketReader;

  constructor(slab: NumberSlab) {
    this.#positive = new BucketReader(slab);
    this.#negative = new BucketReader(slab);
  }

  read(chunk: ExponentialHistogramChunk, row: number): MadeHistogram | undefined {
    const scale = chunk.scales[row]!;
    if (scale < SCALE_MIN) return undefined;
    const merge = Math.max(0, scale - SCALE_MAX);
    const { positiveCounts, positiveOffsets, negativeCounts, negativeOffsets } = chunk;
    const from = positiveOffsets[row]!;
    const until = positiveOffsets[row + 1]!;
    const index = chunk.positiveFirstIndexes[row]!;
    const negativeFrom = negativeOffsets[row]!;
    const negativeUntil = negativeOffsets[row + 1]!;
    const negativeIndex = chunk.negativeFirstIndexes[row]!;
    let positive = NO_BUCKETS;
    let negative = NO_BUCKETS;
    if (merge === 0) {
      positive = this.#positive.read(positiveCounts, from, until, index);
      if (negativeFrom < negativeUntil)
        negative = this.#negative.read(negativeCounts, negativeFrom, negativeUntil, negativeIndex);
    } else {
      positive = this.#positive.readMerged(positiveCounts.subarray(from, until), index, merge);
      negative = this.#negative.readMerged(negativeCounts.subarray(negativeFrom, negativeUntil), negativeIndex, merge);
    }
    return {
      schema: scale - merge,
      counterReset: 'unknown',
      zeroThreshold: chunk.zeroThresholds[row]! || DEFAULT_ZERO_THRESHOLD,
      zeroCount: chunk.zeroCounts[row]!,
      count: chunk.counts[row]!,
      sum: chunk.sums[row]!,
      positive,
      negative,
      customValues: NO_BOUNDS,
    };
  }
}
