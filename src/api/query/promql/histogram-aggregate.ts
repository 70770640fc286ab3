import type { Annotations } from './annotations.ts';
import type { PositionRange } from './ast.ts';
import { areCompatible } from './histogram-bounds.ts';
import { divideHistogram } from './histogram-math.ts';
import { HistogramSum } from './histogram-sum.ts';
import type { FloatHistogram } from './histogram.ts';
import { boundsReconciled, mixedSchemas, resetCollision } from './messages.ts';

/** Where annotations about histograms go. */
export interface Place {
  readonly annotations: Annotations;
  readonly at: PositionRange;
  readonly metricName: string;
}

/** The sum of one histogram or more; undefined, with a warning, when they cannot be added. */
export function histogramTotal(histograms: readonly FloatHistogram[], place: Place): FloatHistogram | undefined {
  const [first] = histograms;
  if (!areAddable(histograms, place)) return undefined;
  noteCollision(histograms, place);
  const sum = new HistogramSum(first!);
  for (let at = 1; at < histograms.length; at++) note(sum.add(histograms[at]!).boundsReconciled, place);
  return sum.total();
}

/** The mean of one histogram or more, worked out incrementally from where a sum would become infinite. */
export function histogramAverage(histograms: readonly FloatHistogram[], place: Place): FloatHistogram | undefined {
  const [first] = histograms;
  if (!areAddable(histograms, place)) return undefined;
  noteCollision(histograms, place);
  const sum = new HistogramSum(first!);
  for (let at = 1; at < histograms.length; at++) {
    note(sum.add(histograms[at]!).boundsReconciled, place);
    if (sum.hasOverflow()) return incrementalAverage(histograms, at);
  }
  return divideHistogram(sum.total(), histograms.length);
}

function incrementalAverage(histograms: readonly FloatHistogram[], at: number): FloatHistogram {
  const mean = new HistogramSum(histograms[0]!);
  for (let index = 1; index < at; index++) mean.add(histograms[index]!);
  mean.multiply(1 / at);
  for (let index = at; index < histograms.length; index++) {
    const count = index + 1;
    mean.multiply((count - 1) / count);
    mean.add(divideHistogram(histograms[index]!, count));
  }
  return mean.total();
}

function areAddable(histograms: readonly FloatHistogram[], { annotations, at, metricName }: Place): boolean {
  if (histograms.every((histogram) => areCompatible(histogram, histograms[0]!))) return true;
  annotations.warn(mixedSchemas(metricName), at);
  return false;
}

function noteCollision(histograms: readonly FloatHistogram[], { annotations, at }: Place): void {
  const hints = new Set(histograms.map((histogram) => histogram.counterReset));
  if (hints.has('reset') && hints.has('not_reset')) annotations.warn(resetCollision('aggregation'), at);
}

function note(isReconciled: boolean, { annotations, at }: Place): void {
  if (isReconciled) annotations.inform(boundsReconciled('aggregation'), at);
}
