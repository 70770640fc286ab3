import type { FloatHistogram } from './histogram.ts';
import { hasCustomBuckets } from './histogram-bounds.ts';
import { divideHistogram } from './histogram-math.ts';
import { isReset } from './histogram-reset.ts';
import { interpolateFloat, interpolateHistogram } from './interpolate.ts';
import { mixedSchemas, notCounter, notGauge } from './messages.ts';
import { addInWindow } from './range-rate-histogram.ts';
import type { Window } from './windows.ts';

/**
 * `rate`, `increase` and `delta` of `anchored` and `smoothed` ranges: the change between the ends of the range itself, where the value is carried on
 * from the sample before (anchored) or lies between the samples around the end (smoothed).
 */
export function extendedIncrease(window: Window, isCounter: boolean, isRate: boolean): void {
  if (window.histogramCount > 0) extendHistograms(window, isCounter, isRate);
  else extendFloats(window, isCounter, isRate);
}

/** Samples `first` to `last` (inclusive) bear on the range, of those at `lo` to `hi` (exclusive); undefined when none lies in or around it. */
export function samplesAround(
  timesMs: Float64Array,
  samples: { lo: number; hi: number },
  range: { fromMs: number; untilMs: number; isSmoothed: boolean },
): { first: number; last: number } | undefined {
  const { lo, hi } = samples;
  const { fromMs, untilMs, isSmoothed } = range;
  let after = lo;
  while (after < hi - 1 && timesMs[after]! <= fromMs) after++;
  const first = Math.max(lo, after - 1);
  let last = hi - 1;
  if (isSmoothed) {
    last = lo;
    while (last < hi - 1 && timesMs[last]! < untilMs) last++;
  }
  if (timesMs[last]! <= fromMs || (isSmoothed && timesMs[first]! > untilMs)) return undefined;
  return { first, last };
}

/** Values at both ends of the range. */
export function floatsAtEnds(
  columns: { timesMs: Float64Array; values: Float64Array },
  samples: { lo: number; first: number; last: number },
  range: { fromMs: number; untilMs: number; isSmoothed: boolean },
  isCounter: boolean,
): { left: number; right: number } {
  const { timesMs, values } = columns;
  const { lo, first, last } = samples;
  const at = (index: number) => ({ timeMs: timesMs[index]!, value: values[index]! });
  const isLeftBetween = range.isSmoothed && timesMs[first]! < range.fromMs;
  const isRightBetween = range.isSmoothed && last > lo && timesMs[last]! > range.untilMs;
  return {
    left: isLeftBetween ? interpolateFloat(at(first), at(first + 1), range.fromMs, isCounter) : values[first]!,
    right: isRightBetween ? interpolateFloat(at(last - 1), at(last), range.untilMs, isCounter) : values[last]!,
  };
}

function extendFloats(window: Window, isCounter: boolean, isRate: boolean): void {
  const { timesMs, values } = window;
  const around = samplesAround(timesMs, window, window);
  if (around === undefined) return;
  const { left, right } = floatsAtEnds(window, { lo: window.lo, ...around }, window, isCounter);
  let increase = right - left;
  if (isCounter) {
    const first = timesMs[around.first]! <= window.fromMs ? around.first + 1 : around.first;
    const last = timesMs[around.last]! >= window.untilMs ? around.last - 1 : around.last;
    let previous = left;
    // Resets between an end and the sample next to it are in the value at that end already.
    for (let at = first; at <= last; at++) {
      if (values[at]! < previous) increase += previous;
      previous = values[at]!;
    }
    if (right < previous) increase += previous;
  }
  window.give(isRate ? increase / (window.rangeMs / 1000) : increase);
}

function extendHistograms(window: Window, isCounter: boolean, isRate: boolean): void {
  const { histogramLo: lo, histogramHi: hi, histogramTimesMs: timesMs } = window;
  const around = samplesAround(timesMs, { lo, hi }, window);
  if (around === undefined || !areAlike(window, around, isCounter)) return;
  const { first, last } = around;
  const isLeftBetween = window.isSmoothed && timesMs[first]! < window.fromMs;
  const isRightBetween = window.isSmoothed && last > lo && timesMs[last]! > window.untilMs;
  const left = isLeftBetween ? between(window, first, window.fromMs, isCounter) : window.histograms.at(first);
  if (left === undefined) return;
  const right = isRightBetween ? between(window, last - 1, window.untilMs, isCounter) : window.histograms.at(last);
  if (right === undefined) return;
  if (!isCounter && (left.counterReset !== 'gauge' || right.counterReset !== 'gauge'))
    window.warn(notGauge(window.metricName));
  let increase = addInWindow(window, right, left, -1);
  if (increase !== undefined && isCounter)
    increase = correct(window, increase, { first, last, left, right, isLeftBetween });
  if (increase === undefined) return;
  const result = isRate ? divideHistogram(increase, window.rangeMs / 1000) : increase;
  window.giveHistogram({ ...result, counterReset: 'gauge' });
}

function between(window: Window, before: number, timeMs: number, isCounter: boolean): FloatHistogram | undefined {
  const at = (index: number) => ({ timeMs: window.histogramTimesMs[index]!, histogram: window.histograms.at(index)! });
  return interpolateHistogram(at(before), at(before + 1), timeMs, {
    isCounter,
    context: window.context,
    metricName: window.metricName,
    at: window.at,
  });
}

function areAlike(window: Window, around: { first: number; last: number }, isCounter: boolean): boolean {
  const { histograms } = window;
  const custom = hasCustomBuckets(histograms.at(around.first)!);
  for (let at = around.first; at <= around.last; at++) {
    if (hasCustomBuckets(histograms.at(at)!) !== custom) {
      window.warn(mixedSchemas(window.metricName));
      return false;
    }
    if (isCounter && histograms.at(at)!.counterReset === 'gauge') window.warn(notCounter(window.metricName));
  }
  return true;
}

/** Adds what was lost at resets between the ends. */
function correct(
  window: Window,
  increase: FloatHistogram,
  ends: { first: number; last: number; left: FloatHistogram; right: FloatHistogram; isLeftBetween: boolean },
): FloatHistogram | undefined {
  const { histograms } = window;
  let at = ends.first + 1;
  let previous = ends.left;
  if (ends.isLeftBetween && isReset(histograms.at(at)!, histograms.at(ends.first)!)) {
    // The value at the left end was taken behind this reset.
    previous = histograms.at(at)!;
    at++;
  }
  // The last sample stands for the right end, or shares its hint.
  if (at > ends.last) return increase;
  let correction: FloatHistogram | undefined;
  for (; at <= ends.last; at++) {
    const current = at === ends.last ? ends.right : histograms.at(at)!;
    if (isReset(current, previous)) {
      correction = correction === undefined ? previous : addInWindow(window, correction, previous, 1);
      if (correction === undefined) return undefined;
    }
    previous = current;
  }
  return correction === undefined ? increase : addInWindow(window, increase, correction, 1);
}
