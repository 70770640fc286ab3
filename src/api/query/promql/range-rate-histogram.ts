import { areCompatible, hasCustomBuckets } from './histogram-bounds.ts';
import { GAUGE } from './histogram-columns.ts';
import { differenceInColumns, histogramDifference } from './histogram-difference.ts';
import { addHistograms } from './histogram-math.ts';
import { isReset } from './histogram-reset.ts';
import { HistogramSum } from './histogram-sum.ts';
import type { HistogramSlice } from './histogram-slice.ts';
import type { FloatHistogram } from './histogram.ts';
import { boundsReconciled, mixedSchemas, notCounter, notGauge } from './messages.ts';
import { isStartTimeReset, overlapsStartTime } from './start-times.ts';
import type { Window } from './windows.ts';

/** How much the histograms of a window grew, two of them at least; undefined, with a warning, when they cannot be subtracted. Nobody else has it. */
export function histogramIncrease(window: Window, isCounter: boolean): FloatHistogram | undefined {
  const { histogramLo: lo, histogramHi: hi, histograms } = window;
  const last = histograms.at(hi - 1)!;
  if (isCounter && window.histogramStartTimesMs === undefined && window.run.goesOn(lo, hi)) {
    const increase = histogramDifference(last, histograms.at(lo)!, window.slab);
    if (increase !== undefined) return increase;
  }
  warnOfHints(window, isCounter);
  let first: FloatHistogram | undefined = histograms.at(lo)!;
  // What lies before a reset is not subtracted, so its buckets do not matter.
  if (isCounter && isResetAt(window, lo + 1)) first = undefined;
  const custom = hasCustomBuckets(first ?? histograms.at(lo + 1)!);
  for (let at = isCounter ? lo + 1 : hi - 1; at < hi; at++) {
    if (hasCustomBuckets(histograms.at(at)!) === custom) continue;
    window.warn(mixedSchemas(window.metricName));
    return undefined;
  }
  const sum = new HistogramSum(last);
  if (first !== undefined) note(window, sum.add(first, -1).boundsReconciled, 'subtraction');
  if (isCounter) addResets(window, sum, first === undefined);
  return { ...sum.total(), counterReset: 'gauge' };
}

/**
 * The same for histograms that lie in columns and need no change to be subtracted: puts the increase at the end of `window.made`, and gives its index. -1, and
 * nothing is put there, for others.
 */
export function increaseInColumns(window: Window, isCounter: boolean): number {
  const { run, histogramLo: lo, histogramHi: hi } = window;
  const { slice } = run;
  if (slice === undefined || window.histogramStartTimesMs !== undefined || (isCounter && !run.isCounter)) return -1;
  const { columns } = slice;
  const first = slice.first + lo;
  const last = slice.first + hi - 1;
  if (!isCounter && (columns.hints[first] !== GAUGE || columns.hints[last] !== GAUGE))
    window.warn(notGauge(window.metricName));
  const isGoingOn = !isCounter || run.goesOn(lo, hi);
  const form = columns.formOf[last]!;
  if (!isGoingOn || form !== columns.formOf[first] || !columns.arePlain[form]!)
    return sumInColumns(window, slice, isGoingOn);
  return differenceInColumns(columns, last, first, window.made);
}

/** The last one without the first one, and with what the counter stood at before each reset. */
function sumInColumns(window: Window, { columns, first: start }: HistogramSlice, isGoingOn: boolean): number {
  const { accumulator, run, histogramLo: lo, histogramHi: hi } = window;
  const { resets } = run;
  let resetAt = isGoingOn ? resets.length : run.resetAfter(lo);
  const isFirstReset = resets[resetAt] === lo + 1;
  if (isFirstReset) resetAt++;
  accumulator.begin();
  if (!accumulator.reach(columns, start + hi - 1)) return -1;
  if (!isFirstReset && !accumulator.reach(columns, start + lo)) return -1;
  for (let at = resetAt; at < resets.length && resets[at]! < hi; at++)
    if (!accumulator.reach(columns, start + resets[at]! - 1)) return -1;
  accumulator.start();
  accumulator.add(columns, start + hi - 1, 1);
  if (!isFirstReset) accumulator.add(columns, start + lo, -1);
  for (let at = resetAt; at < resets.length && resets[at]! < hi; at++)
    accumulator.add(columns, start + resets[at]! - 1, 1);
  return accumulator.giveTo(window.made, GAUGE, 1);
}

/** `left` + `right` (or minus); undefined, with a warning, when they cannot be added. */
export function addInWindow(
  window: Window,
  left: FloatHistogram,
  right: FloatHistogram,
  sign: 1 | -1,
): FloatHistogram | undefined {
  if (!areCompatible(left, right)) {
    window.warn(mixedSchemas(window.metricName));
    return undefined;
  }
  const result = addHistograms(left, right, sign);
  note(window, result.boundsReconciled, sign === 1 ? 'addition' : 'subtraction');
  return result.histogram;
}

/** A counter goes on from 0 at a reset: what it stood at before is added. */
function addResets(window: Window, sum: HistogramSum, isFirstReset: boolean): void {
  const { histogramLo: lo, histogramHi: hi, histograms, histogramTimesMs: timesMs } = window;
  const startTimesMs = window.histogramStartTimesMs;
  let isWarned = false;
  for (let at = lo + 1; at < hi; at++) {
    if (
      !isWarned &&
      startTimesMs !== undefined &&
      overlapsStartTime(startTimesMs[at - 1]!, timesMs[at - 1]!, startTimesMs[at]!)
    ) {
      window.context.annotations.warnOfOverlap(window.metricName, window.at);
      isWarned = true;
    }
    const isSkipped = isFirstReset && at === lo + 1;
    if (isSkipped || !isResetAt(window, at)) continue;
    note(window, sum.add(histograms.at(at - 1)!).boundsReconciled, 'addition');
  }
}

function isResetAt(window: Window, at: number): boolean {
  const { histogramTimesMs: timesMs, histogramStartTimesMs: startTimesMs, histograms } = window;
  if (
    startTimesMs !== undefined &&
    isStartTimeReset(startTimesMs[at - 1]!, timesMs[at - 1]!, startTimesMs[at]!, timesMs[at]!)
  )
    return true;
  return isReset(histograms.at(at)!, histograms.at(at - 1)!);
}

function warnOfHints(window: Window, isCounter: boolean): void {
  const { histogramLo: lo, histogramHi: hi, histograms } = window;
  if (isCounter) {
    for (let at = lo; at < hi; at++) {
      if (histograms.at(at)!.counterReset !== 'gauge') continue;
      window.warn(notCounter(window.metricName));
      return;
    }
  } else if (histograms.at(lo)!.counterReset !== 'gauge' || histograms.at(hi - 1)!.counterReset !== 'gauge')
    window.warn(notGauge(window.metricName));
}

function note(window: Window, isReconciled: boolean, operation: 'addition' | 'subtraction'): void {
  if (isReconciled) window.inform(boundsReconciled(operation));
}
