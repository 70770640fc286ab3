import type { VectorSelector } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { hasCustomBuckets } from './histogram-bounds.ts';
import { interpolateFloat, interpolateHistogram } from './interpolate.ts';
import type { Matrix } from './matrix.ts';
import { mixedSamples, mixedSchemas } from './messages.ts';
import { selectRange } from './range-vector.ts';
import type { Steps } from './steps.ts';
import { overWindows, type Window } from './windows.ts';

/** An instant selector with `smoothed`: the value between the samples around the step, none older or newer than the lookback. */
export async function smoothedInstant(
  context: EvaluationContext,
  selector: VectorSelector,
  steps: Steps,
): Promise<Matrix> {
  // Windows without a range of their own: what they hold is the lookback on both sides.
  const node = {
    kind: 'matrix-selector',
    selector,
    rangeMs: 0,
    rangeExpression: undefined,
    range: selector.range,
  } as const;
  const range = await selectRange(context, node, steps, false);
  const options = { func: { apply: giveSmoothed }, parameters: [], at: selector.range, steps };
  const matrix = await context.uncounted(() => overWindows(context, range, options));
  return matrix.withoutEmptyRows();
}

function giveSmoothed(window: Window): void {
  if (window.floatCount > 0 && window.histogramCount > 0) {
    window.warn(mixedSamples(window.metricName));
    return;
  }
  if (window.histogramCount > 0) smoothHistograms(window);
  else smoothFloats(window);
}

function smoothFloats(window: Window): void {
  const { timesMs, values, lo, hi, untilMs: timeMs } = window;
  const at = firstFrom(timesMs, lo, hi, timeMs);
  const sample = (index: number) => ({ timeMs: timesMs[index]!, value: values[index]! });
  if (at < hi && timesMs[at] === timeMs) window.give(values[at]!);
  else if (at > lo)
    window.give(at < hi ? interpolateFloat(sample(at - 1), sample(at), timeMs, false) : values[at - 1]!);
}

function smoothHistograms(window: Window): void {
  const { histogramTimesMs: timesMs, histograms, histogramLo: lo, histogramHi: hi, untilMs: timeMs } = window;
  const at = firstFrom(timesMs, lo, hi, timeMs);
  if (at < hi && timesMs[at] === timeMs) {
    window.giveHistogram(histograms.at(at)!);
    return;
  }
  if (at === lo) return;
  const before = histograms.at(at - 1)!;
  if (at === hi) {
    // What the hint says of the sample before is not true of its value carried on.
    window.giveHistogram({ ...before, counterReset: 'unknown' });
    return;
  }
  const after = histograms.at(at)!;
  if (hasCustomBuckets(before) !== hasCustomBuckets(after)) {
    window.warn(mixedSchemas(window.metricName));
    return;
  }
  const between = interpolateHistogram(
    { timeMs: timesMs[at - 1]!, histogram: before },
    { timeMs: timesMs[at]!, histogram: after },
    timeMs,
    {
      isCounter: before.counterReset !== 'gauge' || after.counterReset !== 'gauge',
      context: window.context,
      metricName: window.metricName,
      at: window.at,
    },
  );
  if (between !== undefined) window.giveHistogram(between);
}

/** The first sample at or after `timeMs`. */
function firstFrom(timesMs: Float64Array, lo: number, hi: number, timeMs: number): number {
  let at = lo;
  while (at < hi && timesMs[at]! < timeMs) at++;
  return at;
}
