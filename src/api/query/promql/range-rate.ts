import type { FloatHistogram } from './histogram.ts';
import { multiplyHistogram, multiplyOwnHistogram } from './histogram-math.ts';
import { mixedSamples } from './messages.ts';
import { extendedIncrease } from './range-extended.ts';
import { addInWindow, histogramIncrease, increaseInColumns } from './range-rate-histogram.ts';
import { isStartTimeReset, overlapsStartTime } from './start-times.ts';
import type { RangeFunction, Window } from './windows.ts';

/** `rate`, `increase` and `delta`: the change over the range, extrapolated to its ends. */
export const rateFunctions: Readonly<Record<'rate' | 'increase' | 'delta', RangeFunction>> = {
  rate: { enter: findResets, apply: (window) => extrapolated(window, true, true) },
  increase: { enter: findResets, apply: (window) => extrapolated(window, true, false) },
  delta: { apply: (window) => extrapolated(window, false, false) },
};

/** How much wider than the average a gap at the end of a range may be, before the series is taken to begin or end there. */
export const GAP_FACTOR = 1.1;

function findResets(window: Window): void {
  const { values } = window;
  const resets: number[] = [];
  for (let at = 1; at < values.length; at++) if (values[at]! < values[at - 1]!) resets.push(at);
  window.resets = resets;
  window.resetAt = 0;
}

function extrapolated(window: Window, isCounter: boolean, isRate: boolean): void {
  if (window.histogramHi > window.histogramLo && window.hi > window.lo) {
    window.warn(mixedSamples(window.metricName));
    return;
  }
  if (window.isAnchored || window.isSmoothed) {
    extendedIncrease(window, isCounter, isRate);
    return;
  }
  if (window.histogramHi > window.histogramLo) extrapolateHistogram(window, isCounter, isRate);
  else extrapolateFloats(window, isCounter, isRate);
}

function extrapolateFloats(window: Window, isCounter: boolean, isRate: boolean): void {
  const { lo, hi, timesMs, values } = window;
  const first = values[lo]!;
  const startMs = isCounter ? startTimeInRange(window, window.startTimesMs?.[lo], timesMs[lo]!) : undefined;
  if (hi - lo < 2 && startMs === undefined) return;
  let increase = values[hi - 1]! - first;
  if (isCounter)
    increase = window.startTimesMs === undefined ? addResets(window, increase) : addStarts(window, increase);
  if (startMs !== undefined) increase += first;
  const zeroAt = increase > 0 && first >= 0 ? first / increase : undefined;
  const firstMs = timesMs[lo]!;
  const lastMs = timesMs[hi - 1]!;
  window.give(
    increase * extrapolation(window, { firstMs, lastMs, gaps: hi - lo - 1, startMs, zeroAt, isCounter, isRate }),
  );
}

/** Adds what the counter stood at before each fall in the window. */
function addResets(window: Window, increase: number): number {
  const { resets, lo, hi, values } = window;
  let at = window.resetAt;
  while (at < resets.length && resets[at]! <= lo) at++;
  window.resetAt = at;
  let sum = increase;
  for (; at < resets.length && resets[at]! < hi; at++) sum += values[resets[at]! - 1]!;
  return sum;
}

/** The same when start times tell of resets, too. */
function addStarts(window: Window, increase: number): number {
  const { lo, hi, timesMs, values } = window;
  const startTimesMs = window.startTimesMs!;
  let sum = increase;
  let isWarned = false;
  for (let at = lo + 1; at < hi; at++) {
    const startMs = startTimesMs[at - 1]!;
    if (!isWarned && overlapsStartTime(startMs, timesMs[at - 1]!, startTimesMs[at]!)) {
      window.context.annotations.warnOfOverlap(window.metricName, window.at);
      isWarned = true;
    }
    if (values[at]! < values[at - 1]! || isStartTimeReset(startMs, timesMs[at - 1]!, startTimesMs[at]!, timesMs[at]!))
      sum += values[at - 1]!;
  }
  return sum;
}

/** When the first sample's counter began within the range: it stood at 0 then, and nothing is extrapolated before. */
function startTimeInRange(window: Window, startMs: number | undefined, firstMs: number): number | undefined {
  if (startMs === undefined || startMs === 0) return undefined;
  return startMs > window.fromMs && startMs < firstMs ? startMs : undefined;
}

function extrapolateHistogram(window: Window, isCounter: boolean, isRate: boolean): void {
  const { histogramLo: lo, histogramHi: hi, histogramTimesMs: timesMs } = window;
  const startMs = isCounter ? startTimeInRange(window, window.histogramStartTimesMs?.[lo], timesMs[lo]!) : undefined;
  if (startMs === undefined && hi - lo > 1) {
    const index = increaseInColumns(window, isCounter);
    if (index !== -1) {
      giveExtrapolated(window, index, isCounter, isRate);
      return;
    }
  }
  const first = window.histograms.at(lo)!;
  let increase: FloatHistogram | undefined;
  if (hi - lo > 1) {
    increase = histogramIncrease(window, isCounter);
    if (increase === undefined) return;
  } else if (startMs === undefined) return;
  if (startMs !== undefined) increase = increase === undefined ? first : addInWindow(window, increase, first, 1);
  if (increase === undefined) return;
  const zeroAt = increase.count > 0 && first.count >= 0 ? first.count / increase.count : undefined;
  const firstMs = timesMs[lo]!;
  const lastMs = timesMs[hi - 1]!;
  const factor = extrapolation(window, { firstMs, lastMs, gaps: hi - lo - 1, startMs, zeroAt, isCounter, isRate });
  const isOwn = increase !== first;
  window.giveHistogram(isOwn ? multiplyOwnHistogram(increase, factor) : multiplyHistogram(increase, factor));
}

/** The increase of `index` among those that were made. */
function giveExtrapolated(window: Window, index: number, isCounter: boolean, isRate: boolean): void {
  const { histogramLo: lo, histogramHi: hi, histogramTimesMs: timesMs, made } = window;
  const { columns, first } = window.run.slice!;
  const count = made.counts[index]!;
  const firstCount = columns.counts[first + lo]!;
  const factor = extrapolation(window, {
    firstMs: timesMs[lo]!,
    lastMs: timesMs[hi - 1]!,
    gaps: hi - lo - 1,
    startMs: undefined,
    zeroAt: count > 0 && firstCount >= 0 ? firstCount / count : undefined,
    isCounter,
    isRate,
  });
  made.multiply(index, factor);
  window.giveMade();
}

/** What an increase between the first and the last sample is multiplied by to become that of the range (or its rate). */
function extrapolation(
  window: Window,
  found: {
    firstMs: number;
    lastMs: number;
    /** Gaps between samples. */
    gaps: number;
    startMs: number | undefined;
    /** How far before the first sample the counter would have been 0, by the sampled interval. */
    zeroAt: number | undefined;
    isCounter: boolean;
    isRate: boolean;
  },
): number {
  const { firstMs, lastMs, gaps, startMs } = found;
  let sampled = (lastMs - firstMs) / 1000;
  let toStart = (firstMs - window.fromMs) / 1000;
  let toEnd = (window.untilMs - lastMs) / 1000;
  const average = gaps > 0 ? sampled / gaps : 0;
  const threshold = average * GAP_FACTOR;
  if (startMs !== undefined) {
    toStart = 0;
    sampled = (lastMs - startMs) / 1000;
  } else {
    if (toStart >= threshold) toStart = average / 2;
    if (found.isCounter && found.zeroAt !== undefined) {
      const toZero = sampled * found.zeroAt;
      if (toZero < toStart) toStart = toZero;
    }
  }
  if (toEnd >= threshold) toEnd = average / 2;
  let factor = sampled === 0 ? 1 : (sampled + toStart + toEnd) / sampled;
  if (found.isRate) factor /= window.rangeMs / 1000;
  return factor;
}
