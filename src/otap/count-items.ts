import type { CanonicalBatch } from './canonical.ts';

/** Log records, spans or data points of a batch. */
export function countItems(batch: CanonicalBatch): number {
  if (batch.signal === 'logs') return batch.logs.rowCount;
  if (batch.signal === 'traces') return batch.spans.rowCount;
  return (
    (batch.numberDataPoints?.rowCount ?? 0) +
    (batch.summaryDataPoints?.rowCount ?? 0) +
    (batch.histogramDataPoints?.rowCount ?? 0) +
    (batch.expHistogramDataPoints?.rowCount ?? 0)
  );
}
