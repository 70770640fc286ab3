import { CompensatedSum } from './compensated-sum.ts';
import { histogramsIgnoredInRange } from './messages.ts';
import { PromqlEvaluationError } from './promql-errors.ts';
import type { RangeFunction, Window } from './windows.ts';

/** Functions that fit a line or a smoothed curve to the floats of a window. */
export const trendFunctions: Readonly<Record<string, RangeFunction>> = {
  deriv: {
    apply: (window) => {
      // From a time near the samples, since large times cost digits.
      if (hasTwoFloats(window)) window.give(regression(window, window.timesMs[window.lo]!).slope);
    },
  },
  predict_linear: {
    apply: (window) => {
      if (!hasTwoFloats(window)) return;
      const { slope, intercept } = regression(window, window.timeMs);
      window.give(slope * window.parameter(0) + intercept);
    },
  },
  double_exponential_smoothing: { apply: smooth },
};

function hasTwoFloats(window: Window): boolean {
  if (window.floatCount > 0 && window.histogramCount > 0) window.inform(histogramsIgnoredInRange(window.metricName));
  return window.floatCount > 1;
}

/** The least-squares line: change a second, and the value at `interceptMs`. */
function regression(window: Window, interceptMs: number): { slope: number; intercept: number } {
  const { timesMs, values, lo, hi } = window;
  const sumX = new CompensatedSum();
  const sumY = new CompensatedSum();
  const sumXY = new CompensatedSum();
  const sumX2 = new CompensatedSum();
  const first = values[lo]!;
  let isConstant = true;
  for (let at = lo; at < hi; at++) {
    const y = values[at]!;
    if (at > lo && y !== first) isConstant = false;
    const x = (timesMs[at]! - interceptMs) / 1000;
    sumX.add(x);
    sumY.add(y);
    sumXY.add(x * y);
    sumX2.add(x * x);
  }
  if (isConstant) return Number.isFinite(first) || Number.isNaN(first) ? { slope: 0, intercept: first } : NO_LINE;
  const count = hi - lo;
  const covariance = sumXY.total - (sumX.total * sumY.total) / count;
  const variance = sumX2.total - (sumX.total * sumX.total) / count;
  const slope = covariance / variance;
  return { slope, intercept: sumY.total / count - (slope * sumX.total) / count };
}

const NO_LINE = { slope: NaN, intercept: NaN };

/** Holt's double exponential smoothing: the last smoothed value. */
function smooth(window: Window): void {
  const smoothing = window.parameter(0);
  const trend = window.parameter(1);
  checkFactor('smoothing', smoothing);
  checkFactor('trend', trend);
  if (!hasTwoFloats(window)) return;
  const { values, lo, hi } = window;
  let before = 0;
  let level = values[lo]!;
  let slope = values[lo + 1]! - values[lo]!;
  for (let at = lo + 1; at < hi; at++) {
    if (at > lo + 1) slope = trend * (level - before) + (1 - trend) * slope;
    const next = smoothing * values[at]! + (1 - smoothing) * (level + slope);
    before = level;
    level = next;
  }
  window.give(level);
}

function checkFactor(what: 'smoothing' | 'trend', factor: number): void {
  if (factor > 0 && factor < 1) return;
  const symbol = what === 'smoothing' ? 'sf' : 'tf';
  // A NaN passes both of upstream's comparisons.
  if (Number.isNaN(factor)) return;
  throw new PromqlEvaluationError(
    `invalid ${what} factor. Expected: 0 < ${symbol} < 1, got: ${Number.isFinite(factor) ? factor.toFixed(6) : factor > 0 ? '+Inf' : '-Inf'}`,
  );
}
