import type { PositionRange } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import type { FloatHistogram } from './histogram.ts';
import { areCompatible } from './histogram-bounds.ts';
import { addHistograms, multiplyHistogram } from './histogram-math.ts';
import { isReset } from './histogram-reset.ts';
import { boundsReconciled, mixedSchemas } from './messages.ts';

/** The value at `timeMs` on the line between two samples; a counter that fell between them began at 0. */
export function interpolateFloat(
  before: { timeMs: number; value: number },
  after: { timeMs: number; value: number },
  timeMs: number,
  isCounter: boolean,
): number {
  const first = isCounter && after.value < before.value ? 0 : before.value;
  return first + ((after.value - first) * (timeMs - before.timeMs)) / (after.timeMs - before.timeMs);
}

/** The same for histograms; undefined, with a warning, for those that cannot be subtracted. */
export function interpolateHistogram(
  before: { timeMs: number; histogram: FloatHistogram },
  after: { timeMs: number; histogram: FloatHistogram },
  timeMs: number,
  options: { isCounter: boolean; context: EvaluationContext; metricName: string; at: PositionRange },
): FloatHistogram | undefined {
  if (timeMs === before.timeMs) return before.histogram;
  if (timeMs === after.timeMs) return after.histogram;
  const fraction = (timeMs - before.timeMs) / (after.timeMs - before.timeMs);
  if (options.isCounter && isReset(after.histogram, before.histogram))
    return multiplyHistogram(after.histogram, fraction);
  const { annotations } = options.context;
  if (!areCompatible(after.histogram, before.histogram)) {
    annotations.warn(mixedSchemas(options.metricName), options.at);
    return undefined;
  }
  const change = addHistograms(after.histogram, before.histogram, -1);
  if (change.boundsReconciled) annotations.inform(boundsReconciled('subtraction'), options.at);
  const result = addHistograms(multiplyHistogram(change.histogram, fraction), before.histogram, 1);
  if (result.boundsReconciled) annotations.inform(boundsReconciled('addition'), options.at);
  return result.histogram;
}
