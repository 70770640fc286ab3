import type { HistogramChunk, SummaryChunk } from '../../../materialize/index.ts';
import { formatFloat } from '../promql/format-float.ts';
import type { ReadPoint } from './float-columns.ts';

/** How many observations of a classic histogram are at most `bound` (the text of `le`); none where a point does not have that bound. */
export function readBucket(bound: string): ReadPoint<HistogramChunk> {
  if (bound === '+Inf') return (chunk, row) => chunk.counts[row]!;
  const value = Number(bound);
  return (chunk, row) => {
    const boundsFrom = chunk.boundOffsets[row]!;
    const boundsUntil = chunk.boundOffsets[row + 1]!;
    const countsUntil = chunk.bucketOffsets[row + 1]!;
    let countAt = chunk.bucketOffsets[row]!;
    let below = 0;
    for (let at = boundsFrom; at < boundsUntil && countAt < countsUntil; at++, countAt++) {
      below += chunk.bucketCounts[countAt]!;
      if (chunk.bounds[at] === value) return below;
    }
    return undefined;
  };
}

/** The value of a summary at a quantile (the text of `quantile`). */
export function readQuantile(quantile: string): ReadPoint<SummaryChunk> {
  return (chunk, row) => {
    for (let at = chunk.quantileOffsets[row]!; at < chunk.quantileOffsets[row + 1]!; at++) {
      if (formatFloat(chunk.quantiles[at]!) === quantile) return chunk.quantileValues[at]!;
    }
    return undefined;
  };
}

export function readCount(chunk: HistogramChunk | SummaryChunk, row: number): number {
  return chunk.counts[row]!;
}

/** Undefined where no sum was sent. */
export function readSum(chunk: HistogramChunk | SummaryChunk, row: number): number | undefined {
  const sum = chunk.sums[row]!;
  return Number.isNaN(sum) ? undefined : sum;
}
