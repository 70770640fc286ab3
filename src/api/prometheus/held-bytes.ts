/** How much memory the result of a request holds while its answer is written: an estimate. */
import type { MatrixSeries, PromValue } from '../query/promql/evaluation.ts';
import type { FloatHistogram } from '../query/promql/histogram.ts';

/** Of a value of PromQL. */
export function valueBytes(value: PromValue): number {
  switch (value.type) {
    case 'scalar':
    case 'string':
      return 0;
    case 'vector':
      return value.elements.reduce((bytes, { histogram }) => bytes + ITEM_BYTES + histogramBytes(histogram), 0);
    case 'matrix':
      return value.series.reduce((bytes, series) => bytes + seriesBytes(series), 0);
  }
}

/** Of a list of label sets or texts. */
export function listBytes(items: readonly unknown[]): number {
  return items.length * ITEM_BYTES;
}

/** An object of a few fields. Label sets are the index's own. */
const ITEM_BYTES = 100;
const HISTOGRAM_BYTES = 300;

/** Histograms of a series are about as large as its last one. */
function seriesBytes({ floats, histograms }: MatrixSeries): number {
  const points = floats.timesMs.length + histograms.timesMs.length;
  return (
    ITEM_BYTES +
    16 * points +
    histograms.values.length * histogramBytes(histograms.values.at(histograms.values.length - 1))
  );
}

function histogramBytes(histogram: FloatHistogram | undefined): number {
  if (histogram === undefined) return 0;
  const { positive, negative, customValues } = histogram;
  return HISTOGRAM_BYTES + 12 * (positive.counts.length + negative.counts.length) + 8 * customValues.length;
}
