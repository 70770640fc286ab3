import { quantileOf } from './float-math.ts';
import { histogramsIgnoredInRange, invalidQuantile } from './messages.ts';
import type { RangeFunction, Window } from './windows.ts';

/** Functions that pick a sample of a window, or what lies in the middle of them. */
export const pickFunctions: Readonly<Record<string, RangeFunction>> = {
  max_over_time: { apply: (window) => giveExtreme(window, (value, most) => value > most, false) },
  min_over_time: { apply: (window) => giveExtreme(window, (value, least) => value < least, false) },
  ts_of_max_over_time: { apply: (window) => giveExtreme(window, (value, most) => value >= most, true) },
  ts_of_min_over_time: { apply: (window) => giveExtreme(window, (value, least) => value <= least, true) },
  first_over_time: { apply: giveFirst },
  last_over_time: { apply: giveLast },
  ts_of_first_over_time: {
    apply: (window) => {
      const floatMs = window.floatCount > 0 ? window.timesMs[window.lo]! : Infinity;
      const histogramMs = window.histogramCount > 0 ? window.histogramTimesMs[window.histogramLo]! : Infinity;
      window.give(Math.min(floatMs, histogramMs) / 1000);
    },
  },
  ts_of_last_over_time: {
    apply: (window) => {
      // As upstream: 1970 stands in for the kind of sample that there is none of.
      const floatMs = window.floatCount > 0 ? window.timesMs[window.hi - 1]! : 0;
      const histogramMs = window.histogramCount > 0 ? window.histogramTimesMs[window.histogramHi - 1]! : 0;
      window.give(Math.max(floatMs, histogramMs) / 1000);
    },
  },
  quantile_over_time: { apply: giveQuantile },
  mad_over_time: { apply: giveMedianDeviation },
};

/** Of the floats; histograms beside them are ignored. NaN gives way to any number. */
function giveExtreme(window: Window, isBeyond: (value: number, extreme: number) => boolean, asTime: boolean): void {
  const { values, lo, hi } = window;
  if (lo === hi) return;
  noteIgnored(window);
  let extreme = values[lo]!;
  let extremeAt = lo;
  for (let at = lo; at < hi; at++) {
    const value = values[at]!;
    if (!isBeyond(value, extreme) && !Number.isNaN(extreme)) continue;
    extreme = value;
    extremeAt = at;
  }
  window.give(asTime ? window.timesMs[extremeAt]! / 1000 : extreme);
}

function giveFirst(window: Window): void {
  const { lo, histogramLo } = window;
  const isFloat =
    window.histogramCount === 0 ||
    (window.floatCount > 0 && window.timesMs[lo]! < window.histogramTimesMs[histogramLo]!);
  if (isFloat) window.give(window.values[lo]!);
  else window.pickHistogram(histogramLo);
}

function giveLast(window: Window): void {
  const { hi, histogramHi } = window;
  const isFloat =
    window.histogramCount === 0 ||
    (window.floatCount > 0 && window.histogramTimesMs[histogramHi - 1]! < window.timesMs[hi - 1]!);
  if (isFloat) window.give(window.values[hi - 1]!);
  else window.pickHistogram(histogramHi - 1);
}

function giveQuantile(window: Window): void {
  if (window.floatCount === 0) return;
  const quantile = window.parameter(0);
  if (!(quantile >= 0 && quantile <= 1)) window.warn(invalidQuantile(quantile));
  noteIgnored(window);
  window.give(quantileOf(quantile, copied(window), window.floatCount));
}

/** The median of the distances from the median. */
function giveMedianDeviation(window: Window): void {
  const count = window.floatCount;
  if (count === 0) return;
  noteIgnored(window);
  const numbers = copied(window);
  if (numbers.subarray(0, count).some(Number.isNaN)) {
    window.give(NaN);
    return;
  }
  const median = quantileOf(0.5, numbers, count);
  for (let at = 0; at < count; at++) numbers[at] = Math.abs(numbers[at]! - median);
  window.give(quantileOf(0.5, numbers, count));
}

function copied(window: Window): Float64Array {
  const count = window.floatCount;
  if (window.scratch.length < count) window.scratch = new Float64Array(count * 2);
  window.scratch.set(window.values.subarray(window.lo, window.hi));
  return window.scratch;
}

function noteIgnored(window: Window): void {
  if (window.histogramCount > 0) window.inform(histogramsIgnoredInRange(window.metricName));
}
