import type { HistogramChunk } from '../../../materialize/index.ts';
import { haveEqualBounds } from '../promql/histogram-bounds.ts';
import { type HistogramColumns, UNTOLD } from '../promql/histogram-columns.ts';
import { CUSTOM_BUCKETS_SCHEMA } from '../promql/histogram.ts';
import type { HistogramFiller } from './native-columns.ts';

/** Classic histograms as native ones with custom buckets, which stay where they are. Source: prometheusremotewrite/histograms.go. */
export class CustomFiller implements HistogramFiller<HistogramChunk> {
  readonly #columns: HistogramColumns;
  /** By number of chunk. */
  readonly #pages: number[] = [];
  /** Of the point before: the next one mostly has the same. */
  #bounds: Float64Array = NO_NUMBERS;
  #size = -1;
  #formNumber = -1;

  constructor(columns: HistogramColumns) {
    this.#columns = columns;
  }

  add(chunkNumber: number, chunk: HistogramChunk, row: number): boolean {
    const columns = this.#columns;
    const page = (this.#pages[chunkNumber] ??= columns.addPage(chunk.bucketCounts, NO_NUMBERS));
    const start = chunk.bucketOffsets[row]!;
    const size = chunk.bucketOffsets[row + 1]! - start;
    const bounds = chunk.bounds.subarray(chunk.boundOffsets[row]!, chunk.boundOffsets[row + 1]!);
    if (size !== this.#size || !haveEqualBounds(bounds, this.#bounds)) this.#turnTo(bounds, size);
    const index = columns.add(this.#formNumber, UNTOLD, page, start, 0);
    columns.counts[index] = chunk.counts[row]!;
    columns.sums[index] = chunk.sums[row]!;
    return true;
  }

  #turnTo(bounds: Float64Array, size: number): void {
    this.#formNumber = this.#columns.formNumber({
      schema: CUSTOM_BUCKETS_SCHEMA,
      zeroThreshold: 0,
      customValues: bounds,
      positiveFirst: 0,
      positiveSize: size,
      negativeFirst: 0,
      negativeSize: 0,
    });
    this.#bounds = bounds;
    this.#size = size;
  }
}

const NO_NUMBERS = new Float64Array(0);
