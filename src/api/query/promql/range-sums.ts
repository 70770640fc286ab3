import { CompensatedSum } from './compensated-sum.ts';
import { histogramAverage, histogramTotal } from './histogram-aggregate.ts';
import { histogramsIgnoredInRange, mixedSamples } from './messages.ts';
import { histogramsOf } from './histogram.ts';
import type { RangeFunction, Window } from './windows.ts';

/** Functions that add up the samples of a window. */
export const sumFunctions: Readonly<Record<string, RangeFunction>> = {
  sum_over_time: {
    apply: (window) => {
      if (isMixed(window)) return;
      if (window.floatCount > 0) window.give(sumOf(window.values, window.lo, window.hi));
      else giveAggregate(window, histogramTotal);
    },
  },
  avg_over_time: {
    apply: (window) => {
      if (isMixed(window)) return;
      if (window.floatCount > 0) window.give(averageOf(window.values, window.lo, window.hi));
      else giveAggregate(window, histogramAverage);
    },
  },
  stddev_over_time: { apply: (window) => giveVariance(window, Math.sqrt) },
  stdvar_over_time: { apply: (window) => giveVariance(window, (variance) => variance) },
  count_over_time: { apply: (window) => window.give(window.floatCount + window.histogramCount) },
  present_over_time: { apply: (window) => window.give(1) },
  // Where no series has a sample is found out afterwards.
  absent_over_time: { apply: (window) => window.give(1) },
};

function isMixed(window: Window): boolean {
  if (window.floatCount === 0 || window.histogramCount === 0) return false;
  window.warn(mixedSamples(window.metricName));
  return true;
}

function sumOf(values: Float64Array, lo: number, hi: number): number {
  const sum = new CompensatedSum();
  for (let at = lo; at < hi; at++) sum.add(values[at]!);
  return Number.isFinite(sum.sum) ? sum.total : sum.sum;
}

function averageOf(values: Float64Array, lo: number, hi: number): number {
  const sum = new CompensatedSum(values[lo]!);
  const before = new CompensatedSum();
  for (let at = lo + 1; at < hi; at++) {
    before.sum = sum.sum;
    before.compensation = sum.compensation;
    sum.add(values[at]!);
    if (sum.sum === Infinity || sum.sum === -Infinity) return incrementalAverage(values, lo, at, hi, before);
  }
  const count = hi - lo;
  return sum.sum / count + sum.compensation / count;
}

/** Goes on from where the sum would have become infinite, with the mean so far in place of the sum. */
function incrementalAverage(values: Float64Array, lo: number, at: number, hi: number, before: CompensatedSum): number {
  const mean = new CompensatedSum(before.sum / (at - lo), before.compensation / (at - lo));
  for (let index = at; index < hi; index++) {
    const count = index - lo + 1;
    const share = (count - 1) / count;
    mean.sum *= share;
    mean.compensation *= share;
    mean.add(values[index]! / count);
  }
  return mean.total;
}

function giveVariance(window: Window, finish: (variance: number) => number): void {
  const { values, lo, hi } = window;
  if (lo === hi) return;
  if (window.histogramCount > 0) window.inform(histogramsIgnoredInRange(window.metricName));
  const mean = new CompensatedSum();
  const squares = new CompensatedSum();
  for (let at = lo; at < hi; at++) {
    const delta = values[at]! - mean.total;
    mean.add(delta / (at - lo + 1));
    squares.add(delta * (values[at]! - mean.total));
  }
  window.give(finish(squares.total / (hi - lo)));
}

function giveAggregate(window: Window, aggregate: typeof histogramTotal): void {
  const histograms = histogramsOf(window.histograms, window.histogramLo, window.histogramHi);
  const result = aggregate(histograms, {
    annotations: window.context.annotations,
    at: window.at,
    metricName: window.metricName,
  });
  if (result !== undefined) window.giveHistogram(result);
}
