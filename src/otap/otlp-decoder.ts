/**
 * OTLP requests in protobuf as canonical tables, in two walks over the bytes. The first one checks and counts (otlp-inspector.ts), so
 * that the second one needs no checks, and each column is allocated once. Strings are not copied: pools are the request itself.
 */
import type { Signal } from '../base/index.ts';
import type { CanonicalBatch } from './canonical.ts';
import { OtlpFill } from './otlp-fill.ts';
import { inspectOtlpProtobuf } from './otlp-inspector.ts';
import { readOtlpLogs } from './otlp-logs.ts';
import { readOtlpMetrics } from './otlp-metrics.ts';
import { readOtlpSpans } from './otlp-spans.ts';

/**
 * The rows of an export request, less those that the inspector rejects. Fields mean what protobuf says in whatever order they come:
 * the last value of a scalar counts, a message that occurs several times is merged. Throws like `inspectOtlpProtobuf`.
 */
export function decodeOtlpProtobuf(signal: Signal, bytes: Uint8Array): CanonicalBatch {
  // One class of arrays for all readers, whatever the caller holds: a Buffer here would slow every later decode.
  const request = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fill = new OtlpFill(request, inspectOtlpProtobuf(signal, request));
  if (signal === 'logs') return readOtlpLogs(fill);
  return signal === 'traces' ? readOtlpSpans(fill) : readOtlpMetrics(fill);
}
