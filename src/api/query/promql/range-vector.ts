import type { Expression, MatrixSelector, SubqueryExpression } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { FloatRows } from './float-rows.ts';
import { type FloatHistogram, type HistogramList, histogramsOf } from './histogram.ts';
import type { Labels } from './labels.ts';
import { ABSENT, HISTOGRAM, type Matrix } from './matrix.ts';
import { type LookTimes, lookTimes } from './select.ts';
import type { SelectedSeries } from './source.ts';
import { StaleMarks } from './stale.ts';
import { lastStepMs, type Steps, stepsBetween } from './steps.ts';

/** Series with all samples that some window of a range looks at. */
export interface RangeVector {
  readonly series: readonly RangeSeries[];
  /** Where windows end, before they reach further. */
  readonly times: LookTimes;
  readonly rangeMs: number;
  /** How much further windows reach back and on: `anchored` and `smoothed` look at samples around the range. */
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly isAnchored: boolean;
  readonly isSmoothed: boolean;
  /** Samples that a subquery gave and that are held until its function is done. */
  readonly heldSamples: number;
}

/** Samples of one series, without stale markers. */
export interface RangeSeries {
  readonly labels: Labels;
  readonly dropName: boolean;
  readonly timesMs: Float64Array;
  readonly values: Float64Array;
  readonly startTimesMs: Float64Array | undefined;
  readonly histogramTimesMs: Float64Array;
  readonly histograms: HistogramList;
  readonly histogramStartTimesMs: Float64Array | undefined;
}

/** Reads what the windows of a range selector look at over all steps. */
export async function selectRange(
  context: EvaluationContext,
  node: MatrixSelector,
  steps: Steps,
  withStartTimes: boolean,
): Promise<RangeVector> {
  const { selector, rangeMs } = node;
  const { lookbackMs } = context.settings;
  const times = lookTimes(selector, steps);
  const beforeMs = selector.anchored || selector.smoothed ? lookbackMs : 0;
  const afterMs = selector.smoothed ? lookbackMs : 0;
  const series = await context.selectFor(selector, {
    fromMs: times.firstMs - rangeMs - beforeMs + 1,
    untilMs: times.lastMs + afterMs,
    withStartTimes,
  });
  return {
    series: series.map(withoutStaleMarkers),
    times,
    rangeMs,
    beforeMs,
    afterMs,
    isAnchored: selector.anchored,
    isSmoothed: selector.smoothed,
    heldSamples: 0,
  };
}

/** Evaluates a subquery at its own steps, which lie at multiples of its interval whatever the steps outside are. */
export async function evaluateSubquery(
  context: EvaluationContext,
  node: SubqueryExpression,
  steps: Steps,
): Promise<RangeVector> {
  const times = lookTimes(node, steps);
  const heldBefore = context.samplesHeld;
  // Counted in the windows that are made of it.
  const { matrix, inner } = await context.uncounted(() => evaluateInner(context, node, steps));
  return {
    series: (await seriesOf(context, matrix, inner)).map(withUnknownResets),
    times,
    rangeMs: node.rangeMs,
    beforeMs: 0,
    afterMs: 0,
    isAnchored: false,
    isSmoothed: false,
    heldSamples: context.samplesHeld - heldBefore,
  };
}

/** The expression of a subquery at its own steps. */
export async function evaluateInner(
  context: EvaluationContext,
  node: SubqueryExpression,
  steps: Steps,
): Promise<{ matrix: Matrix; inner: Steps }> {
  const { timestampMs, offsetMs, rangeMs } = node;
  const stepMs = node.stepMs === 0 ? context.settings.subqueryStepMs : node.stepMs;
  const startMs = (timestampMs ?? steps.startMs) - offsetMs - rangeMs;
  const endMs = (timestampMs ?? lastStepMs(steps)) - offsetMs;
  let firstMs = stepMs * Math.trunc(startMs / stepMs);
  if (firstMs <= startMs) firstMs += stepMs;
  const inner = stepsBetween(firstMs, endMs, stepMs);
  return { matrix: await context.evaluate(context, node.expression, inner), inner };
}

/** Rows as series: only what is present, with the times of the steps. */
export async function seriesOf(context: EvaluationContext, matrix: Matrix, steps: Steps): Promise<RangeSeries[]> {
  const series: RangeSeries[] = [];
  for (let row = 0; row < matrix.rows; row++) {
    await context.turn();
    const base = matrix.base[row]!;
    const timesMs: number[] = [];
    const values: number[] = [];
    const histogramTimesMs: number[] = [];
    const histograms: FloatHistogram[] = [];
    for (let step = matrix.from[row]!; step < matrix.to[row]!; step++) {
      const kind = matrix.kinds[base + step]!;
      if (kind === ABSENT) continue;
      const timeMs = steps.startMs + step * steps.stepMs;
      if (kind === HISTOGRAM) {
        histogramTimesMs.push(timeMs);
        histograms.push(matrix.histogram(base + step));
      } else {
        timesMs.push(timeMs);
        values.push(matrix.values[base + step]!);
      }
    }
    series.push({
      labels: matrix.labels[row]!,
      dropName: matrix.dropName[row] === 1,
      timesMs: Float64Array.from(timesMs),
      values: Float64Array.from(values),
      startTimesMs: undefined,
      histogramTimesMs: Float64Array.from(histogramTimesMs),
      histograms,
      histogramStartTimesMs: undefined,
    });
  }
  return series;
}

/** Whether a call takes this argument as a range. */
export function isRange(expression: Expression): expression is MatrixSelector | SubqueryExpression {
  return expression.kind === 'matrix-selector' || expression.kind === 'subquery';
}

/** Samples that a subquery skips or gives twice make hints about resets wrong. */
function withUnknownResets(series: RangeSeries): RangeSeries {
  return {
    ...series,
    histograms: histogramsOf(series.histograms).map((histogram) =>
      histogram.counterReset === 'reset' || histogram.counterReset === 'not_reset'
        ? { ...histogram, counterReset: 'unknown' }
        : histogram,
    ),
  };
}

/** A series of numbers alone, whose samples are rows of columns that it shares. */
export class RangeRows implements RangeSeries {
  readonly labels: Labels;
  readonly floats: FloatRows;
  readonly dropName = false;
  readonly startTimesMs = undefined;
  readonly histogramTimesMs = NO_NUMBERS;
  readonly histograms = NO_HISTOGRAMS;
  readonly histogramStartTimesMs = undefined;

  constructor(labels: Labels, floats: FloatRows) {
    this.labels = labels;
    this.floats = floats;
  }

  get timesMs(): Float64Array {
    return this.floats.timesMs;
  }

  get values(): Float64Array {
    return this.floats.values;
  }
}

const NO_NUMBERS = new Float64Array(0);
const NO_HISTOGRAMS: HistogramList = [];

function withoutStaleMarkers({ labels, floats, histograms }: SelectedSeries): RangeSeries {
  if (floats instanceof FloatRows && histograms.timesMs.length === 0) return new RangeRows(labels, floats);
  const { timesMs, values, startTimesMs } = floats;
  const kept = staleFreeIndexes(values);
  const pick = (column: Float64Array) => (kept === undefined ? column : Float64Array.from(kept, (at) => column[at]!));
  return {
    labels,
    dropName: false,
    timesMs: pick(timesMs),
    values: pick(values),
    startTimesMs: startTimesMs === undefined ? undefined : pick(startTimesMs),
    histogramTimesMs: histograms.timesMs,
    histograms: histograms.values,
    histogramStartTimesMs: histograms.startTimesMs,
  };
}

/** Undefined when no value is a stale marker. */
function staleFreeIndexes(values: Float64Array): number[] | undefined {
  let first = 0;
  while (first < values.length && !Number.isNaN(values[first]!)) first++;
  if (first === values.length) return undefined;
  const stale = new StaleMarks(values);
  const kept: number[] = [];
  for (let at = 0; at < values.length; at++) if (!stale.at(at)) kept.push(at);
  return kept.length === values.length ? undefined : kept;
}
