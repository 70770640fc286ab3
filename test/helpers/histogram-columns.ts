import { GAUGE, HistogramColumns, NOT_RESET, RESET, UNKNOWN } from '../../src/api/query/promql/histogram-columns.ts';
import { HistogramSlice } from '../../src/api/query/promql/histogram-slice.ts';
import { type FloatHistogram, histogramsOf, type SparseBuckets } from '../../src/api/query/promql/histogram.ts';
import type { SampleSource, SelectedSeries } from '../../src/api/query/promql/source.ts';

const CODES = { unknown: UNKNOWN, reset: RESET, not_reset: NOT_RESET, gauge: GAUGE };

/** Histograms put at the end of columns, where their buckets stand one beside the other; `emptyBuckets` more than needed on either side of them. */
export function inColumns(
  histograms: readonly FloatHistogram[],
  columns = new HistogramColumns(),
  emptyBuckets = 0,
): HistogramSlice {
  const first = columns.length;
  for (const histogram of histograms) put(columns, histogram, emptyBuckets);
  return new HistogramSlice(columns, first, histograms.length);
}

/** The same series, whose histograms lie in columns. */
export function columnSource(source: SampleSource, emptyBuckets = 0): SampleSource {
  return {
    select: async (selection, signal) => {
      const columns = new HistogramColumns();
      return (await source.select(selection, signal)).map((series): SelectedSeries => {
        const values = inColumns(histogramsOf(series.histograms.values), columns, emptyBuckets);
        return { ...series, histograms: { ...series.histograms, values } };
      });
    },
  };
}

function put(columns: HistogramColumns, histogram: FloatHistogram, emptyBuckets: number): void {
  const positive = denseOf(histogram.positive, emptyBuckets);
  const negative = denseOf(histogram.negative, emptyBuckets);
  const form = columns.formNumber({
    schema: histogram.schema,
    zeroThreshold: histogram.zeroThreshold,
    customValues: histogram.customValues,
    positiveFirst: positive.first,
    positiveSize: positive.counts.length,
    negativeFirst: negative.first,
    negativeSize: negative.counts.length,
  });
  const index = columns.addEmpty(form, CODES[histogram.counterReset]);
  columns.zeroCounts[index] = histogram.zeroCount;
  columns.counts[index] = histogram.count;
  columns.sums[index] = histogram.sum;
  columns.pages[columns.pageOf[index]!]!.set(positive.counts, columns.startOf[index]);
  columns.negativePages[columns.pageOf[index]!]!.set(negative.counts, columns.negativeStartOf[index]);
}

function denseOf(
  { indexes, counts }: SparseBuckets,
  emptyBuckets: number,
): { readonly first: number; readonly counts: Float64Array } {
  if (indexes.length === 0) return { first: 0, counts: new Float64Array(0) };
  const first = indexes[0]! - emptyBuckets;
  const dense = new Float64Array(indexes.at(-1)! - first + 1 + emptyBuckets);
  indexes.forEach((index, at) => {
    dense[index - first] = counts[at]!;
  });
  return { first, counts: dense };
}
