import type { MatrixSelector } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { HistogramWeights } from './histogram-weight.ts';
import { PromqlEvaluationError } from './promql-errors.ts';
import { type RangeSeries, type RangeVector, selectRange } from './range-vector.ts';
import { floatsAtEnds, samplesAround } from './range-extended.ts';
import type { Steps } from './steps.ts';

/** The samples in the range itself, as the answer to a query for a range; `anchored` and `smoothed` add values at its ends. */
export async function rangeSamples(
  context: EvaluationContext,
  node: MatrixSelector,
  steps: Steps,
): Promise<RangeSeries[]> {
  const range = await selectRange(context, node, steps, false);
  const series = range.isAnchored || range.isSmoothed ? range.series.map((one) => extended(range, one)) : range.series;
  let samples = 0;
  const weights = new HistogramWeights();
  for (const { values, histograms } of series) {
    samples += values.length;
    for (let at = 0; at < histograms.length; at++) samples += weights.of(histograms.at(at)!);
  }
  context.countRead(samples);
  context.hold(samples);
  return [...series];
}

function extended(range: RangeVector, series: RangeSeries): RangeSeries {
  if (series.histograms.length > 0) {
    const modifier = range.isAnchored ? 'anchored' : 'smoothed';
    throw new PromqlEvaluationError(`${modifier} modifier is not supported with histograms`);
  }
  const { timesMs, values } = series;
  const untilMs = range.times.firstMs;
  const ends = { fromMs: untilMs - range.rangeMs, untilMs, isSmoothed: range.isSmoothed };
  const around = timesMs.length === 0 ? undefined : samplesAround(timesMs, { lo: 0, hi: timesMs.length }, ends);
  if (around === undefined) return { ...series, timesMs: new Float64Array(0), values: new Float64Array(0) };
  const { left, right } = floatsAtEnds(series, { lo: 0, ...around }, ends, false);
  const first = timesMs[around.first]! <= ends.fromMs ? around.first + 1 : around.first;
  const last = timesMs[around.last]! >= untilMs ? around.last - 1 : around.last;
  return {
    ...series,
    timesMs: Float64Array.of(ends.fromMs, ...timesMs.subarray(first, last + 1), untilMs),
    values: Float64Array.of(left, ...values.subarray(first, last + 1), right),
  };
}
