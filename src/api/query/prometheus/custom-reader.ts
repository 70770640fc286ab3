import type { HistogramChunk } from '../../../materialize/index.ts';
import { haveEqualBounds } from '../promql/histogram-bounds.ts';
import { CUSTOM_BUCKETS_SCHEMA } from '../promql/histogram.ts';
import type { NumberSlab } from '../promql/number-slab.ts';
import { BucketReader, NO_BUCKETS } from './dense-buckets.ts';
import type { HistogramReader, MadeHistogram } from './native-columns.ts';

const NO_BOUNDS = new Float64Array(0);

/** The first bucket of a classic histogram is Prometheus' bucket 0. */
const FIRST_INDEX = -1;

/** Classic histograms as native ones with custom buckets. Source: prometheusremotewrite/histograms.go. */
export class CustomReader implements HistogramReader<HistogramChunk> {
  #bounds: Float64Array = NO_BOUNDS;
  readonly #buckets: BucketReader;

  constructor(slab: NumberSlab) {
    this.#buckets = new BucketReader(slab);
  }

  read(chunk: HistogramChunk, row: number): MadeHistogram {
    const bounds = chunk.bounds.subarray(chunk.boundOffsets[row]!, chunk.boundOffsets[row + 1]!);
    if (!haveEqualBounds(bounds, this.#bounds)) this.#bounds = bounds;
    return {
      schema: CUSTOM_BUCKETS_SCHEMA,
      counterReset: 'unknown',
      zeroThreshold: 0,
      zeroCount: 0,
      count: chunk.counts[row]!,
      sum: chunk.sums[row]!,
      positive: this.#buckets.read(
        chunk.bucketCounts,
        chunk.bucketOffsets[row]!,
        chunk.bucketOffsets[row + 1]!,
        FIRST_INDEX,
      ),
      negative: NO_BUCKETS,
      customValues: this.#bounds,
    };
  }
}
