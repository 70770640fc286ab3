import type { MatrixSeries, PromValue, VectorElement } from './evaluation.ts';
import type { FloatHistogram } from './histogram.ts';
import { compareLabels } from './labels.ts';
import { ABSENT, FLOAT, HISTOGRAM, type Matrix } from './matrix.ts';
import type { RangeSeries } from './range-vector.ts';
import type { Steps } from './steps.ts';

/** Rows as the vector of an instant query, in their order. */
export function vectorValue(matrix: Matrix, timeMs: number): PromValue {
  const elements: VectorElement[] = [];
  for (let row = 0; row < matrix.rows; row++) {
    const kind = matrix.kindAt(row, 0);
    if (kind === ABSENT) continue;
    const cell = matrix.base[row]!;
    elements.push({
      labels: matrix.labels[row]!,
      value: matrix.values[cell]!,
      histogram: kind === HISTOGRAM ? matrix.histogram(cell) : undefined,
    });
  }
  return { type: 'vector', timeMs, elements };
}

/** Rows as the matrix of a range query, sorted by labels. Rows without gaps share one column of times. */
export function matrixValue(matrix: Matrix, steps: Steps): PromValue {
  const allTimesMs = new Float64Array(steps.count);
  for (let step = 0; step < steps.count; step++) allTimesMs[step] = steps.startMs + step * steps.stepMs;
  const series: MatrixSeries[] = [];
  for (let row = 0; row < matrix.rows; row++) {
    const floats = countKind(matrix, row, FLOAT);
    const histograms = matrix.histograms === undefined ? 0 : countKind(matrix, row, HISTOGRAM);
    if (floats + histograms === 0) continue;
    series.push({
      labels: matrix.labels[row]!,
      floats: floatsOf(matrix, row, floats, allTimesMs),
      histograms: histogramsOf(matrix, row, histograms, allTimesMs),
    });
  }
  return { type: 'matrix', series: sorted(series) };
}

/** The samples of a range, as an instant query for one gives them. */
export function rangeValue(series: readonly RangeSeries[]): PromValue {
  const kept = series.filter((one) => one.timesMs.length + one.histogramTimesMs.length > 0);
  return {
    type: 'matrix',
    series: sorted(
      kept.map((one) => ({
        labels: one.labels,
        floats: { timesMs: one.timesMs, values: one.values },
        histograms: { timesMs: one.histogramTimesMs, values: one.histograms },
      })),
    ),
  };
}

function sorted(series: MatrixSeries[]): MatrixSeries[] {
  return series.sort((left, right) => compareLabels(left.labels, right.labels));
}

function countKind(matrix: Matrix, row: number, wanted: number): number {
  const base = matrix.base[row]!;
  let count = 0;
  for (let cell = base + matrix.from[row]!; cell < base + matrix.to[row]!; cell++)
    if (matrix.kinds[cell] === wanted) count++;
  return count;
}

function floatsOf(matrix: Matrix, row: number, count: number, allTimesMs: Float64Array): MatrixSeries['floats'] {
  if (count === 0) return { timesMs: NO_NUMBERS, values: NO_NUMBERS };
  const base = matrix.base[row]!;
  const from = matrix.from[row]!;
  const to = matrix.to[row]!;
  if (count === to - from) {
    const timesMs = count === allTimesMs.length ? allTimesMs : allTimesMs.subarray(from, to);
    return { timesMs, values: matrix.values.subarray(base + from, base + to) };
  }
  const timesMs = new Float64Array(count);
  const values = new Float64Array(count);
  let at = 0;
  for (let step = from; step < to; step++) {
    if (matrix.kinds[base + step] !== FLOAT) continue;
    timesMs[at] = allTimesMs[step]!;
    values[at++] = matrix.values[base + step]!;
  }
  return { timesMs, values };
}

function histogramsOf(
  matrix: Matrix,
  row: number,
  count: number,
  allTimesMs: Float64Array,
): MatrixSeries['histograms'] {
  if (count === 0) return { timesMs: NO_NUMBERS, values: [] };
  const timesMs = new Float64Array(count);
  const values: FloatHistogram[] = [];
  for (let step = matrix.from[row]!; step < matrix.to[row]!; step++) {
    if (matrix.kindAt(row, step) !== HISTOGRAM) continue;
    timesMs[values.length] = allTimesMs[step]!;
    values.push(matrix.histogram(matrix.base[row]! + step));
  }
  return { timesMs, values };
}

const NO_NUMBERS = new Float64Array(0);
