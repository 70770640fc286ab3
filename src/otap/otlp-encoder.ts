/** Canonical tables as OTLP export requests in protobuf: what decodeOtlp does, backwards. */
import { BatchTooLargeError, LIMITS } from '../base/index.ts';
import type { CanonicalBatch } from './canonical.ts';
import { countItems } from './count-items.ts';
import { putOtlpLogs } from './otlp-encode-logs.ts';
import { putOtlpMetrics } from './otlp-encode-metrics.ts';
import { putOtlpSpans } from './otlp-encode-spans.ts';
import { BackwardOutput } from './protobuf-backward-output.ts';

/** What of a batch an OTLP request cannot hold, counted for the caller. */
export interface OtlpEncodeFaults {
  /**
   * Rows left out because the row they belong to is not there, and all that belongs to them: attributes, events, links, data points (also
   * those of another kind than their metric) and exemplars.
   */
  orphanRows: number;
}

/** Of a record with a handful of attributes. */
const ROW_BYTES_TYPICAL = 384;

/**
 * A batch as ExportLogsServiceRequest, ExportTraceServiceRequest or ExportMetricsServiceRequest. Throws BatchTooLargeError above
 * LIMITS.messageBytesMax: `splitBatch` first. Maps and slices that are not CBOR go out as bytes, integers in them that 64 bits do not
 * hold as their digits. Adds to `faults`.
 */
export function encodeOtlp(batch: CanonicalBatch, faults?: OtlpEncodeFaults): Uint8Array {
  const output = new BackwardOutput({
    capacityBytes: ROW_BYTES_TYPICAL * countItems(batch),
    bytesMax: LIMITS.messageBytesMax,
    tooLarge: () =>
      new BatchTooLargeError(`Cannot encode a batch as OTLP: it has more than ${LIMITS.messageBytesMax} bytes`, {
        signal: batch.signal,
        bytesMax: LIMITS.messageBytesMax,
      }),
  });
  const orphanRows = putBatch(output, batch);
  if (faults !== undefined) faults.orphanRows += orphanRows;
  return output.finish();
}

function putBatch(output: BackwardOutput, batch: CanonicalBatch): number {
  if (batch.signal === 'logs') return putOtlpLogs(output, batch);
  return batch.signal === 'traces' ? putOtlpSpans(output, batch) : putOtlpMetrics(output, batch);
}
