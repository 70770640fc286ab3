import type { ExponentialHistogramChunk } from '../../../materialize/index.ts';
import type { SparseBuckets } from '../promql/histogram.ts';
import { bucketsOf, NO_BUCKETS } from './dense-buckets.ts';
import type { HistogramReader, MadeHistogram } from './native-columns.ts';

/** Scales of OpenTelemetry that Prometheus has as schemas. Finer ones are merged down, coarser ones have no form. */
const SCALE_MIN = -4;
const SCALE_MAX = 8;

/** The zero bucket of a point that names no width (upstream's defaultZeroThreshold). */
const DEFAULT_ZERO_THRESHOLD = 1e-128;

const NO_BOUNDS = new Float64Array(0);

/** Exponential histograms as native ones; points too coarse for Prometheus are none. Source: prometheusremotewrite/histograms.go. */
export class ExponentialReader implements HistogramReader<ExponentialHistogramChunk> {
  #positive: SparseBuckets = NO_BUCKETS;
  #negative: SparseBuckets = NO_BUCKETS;

  read(chunk: ExponentialHistogramChunk, row: number): MadeHistogram | undefined {
    const scale = chunk.scales[row]!;
    if (scale < SCALE_MIN) return undefined;
    const merge = Math.max(0, scale - SCALE_MAX);
    const { positiveCounts, positiveOffsets, negativeCounts, negativeOffsets } = chunk;
    this.#positive = bucketsOf(
      positiveCounts.subarray(positiveOffsets[row]!, positiveOffsets[row + 1]!),
      { index: chunk.positiveFirstIndexes[row]!, merge },
      this.#positive.indexes,
    );
    if (negativeOffsets[row] === negativeOffsets[row + 1]) this.#negative = NO_BUCKETS;
    else
      this.#negative = bucketsOf(
        negativeCounts.subarray(negativeOffsets[row]!, negativeOffsets[row + 1]!),
        { index: chunk.negativeFirstIndexes[row]!, merge },
        this.#negative.indexes,
      );
    return {
      schema: scale - merge,
      counterReset: 'unknown',
      zeroThreshold: chunk.zeroThresholds[row]! || DEFAULT_ZERO_THRESHOLD,
      zeroCount: chunk.zeroCounts[row]!,
      count: chunk.counts[row]!,
      sum: chunk.sums[row]!,
      positive: this.#positive,
      negative: this.#negative,
      customValues: NO_BOUNDS,
    };
  }
}
