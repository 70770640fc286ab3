import type { HistogramColumns } from './histogram-columns.ts';
import type { FloatHistogram, HistogramList } from './histogram.ts';

/** The histograms of one series, where they lie one behind the other in columns. */
export class HistogramSlice implements HistogramList {
  readonly columns: HistogramColumns;
  /** Where the first one is. */
  readonly first: number;
  readonly length: number;

  constructor(columns: HistogramColumns, first: number, length: number) {
    this.columns = columns;
    this.first = first;
    this.length = length;
  }

  at(index: number): FloatHistogram | undefined {
    return index < this.length ? this.columns.at(this.first + index) : undefined;
  }
}
