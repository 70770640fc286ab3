import { type HistogramChunk, NO_SUM, type SummaryChunk } from '../../../materialize/index.ts';
import type { ReadPoint } from './float-columns.ts';

/** The value of a summary at a quantile (the text of `quantile`); of several with that text the first. */
export function readQuantile(quantile: string): ReadPoint<SummaryChunk> {
  const wanted = numberOf(quantile);
  return (chunk, row) => {
    for (let at = chunk.quantileOffsets[row]!; at < chunk.quantileOffsets[row + 1]!; at++) {
      if (Object.is(chunk.quantiles[at]!, wanted)) return chunk.quantileValues[at]!;
    }
    return undefined;
  };
}

/** The number that `formatFloat` wrote. */
function numberOf(text: string): number {
  return text.endsWith('Inf') ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text);
}

export function readCount(chunk: HistogramChunk | SummaryChunk, row: number): number {
  return chunk.counts[row]!;
}

/** Undefined where no sum was sent. */
export function readSum(chunk: HistogramChunk | SummaryChunk, row: number): number | undefined {
  return (chunk.flags[row]! & NO_SUM) === 0 ? chunk.sums[row]! : undefined;
}
