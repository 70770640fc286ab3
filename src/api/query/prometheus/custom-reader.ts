import type { HistogramChunk } from '../../../materialize/index.ts';
import { haveEqualBounds } from '../promql/histogram-bounds.ts';
import { CUSTOM_BUCKETS_SCHEMA, type SparseBuckets } from '../promql/histogram.ts';
import { bucketsOf, NO_BUCKETS } from './dense-buckets.ts';
import type { HistogramReader, MadeHistogram } from './native-columns.ts';

const NO_BOUNDS = new Float64Array(0);

/** The first bucket of a classic histogram is Prometheus' bucket 0. */
const FIRST_BUCKET = { index: -1, merge: 0 };

/** Classic histograms as native ones with custom buckets. Source: prometheusremotewrite/histograms.go. */
export class CustomReader implements HistogramReader<HistogramChunk> {
  #bounds: Float64Array = NO_BOUNDS;
  #buckets: SparseBuckets = NO_BUCKETS;

  read(chunk: HistogramChunk, row: number): MadeHistogram {
    const bounds = chunk.bounds.subarray(chunk.boundOffsets[row]!, chunk.boundOffsets[row + 1]!);
    if (!haveEqualBounds(bounds, this.#bounds)) this.#bounds = bounds;
    const counts = chunk.bucketCounts.subarray(chunk.bucketOffsets[row]!, chunk.bucketOffsets[row + 1]!);
    this.#buckets = bucketsOf(counts, FIRST_BUCKET, this.#buckets.indexes);
    const sum = chunk.sums[row]!;
    return {
      schema: CUSTOM_BUCKETS_SCHEMA,
      counterReset: 'unknown',
      zeroThreshold: 0,
      zeroCount: 0,
      count: chunk.counts[row]!,
      sum: Number.isNaN(sum) ? 0 : sum,
      positive: this.#buckets,
      negative: NO_BUCKETS,
      customValues: this.#bounds,
    };
  }
}
