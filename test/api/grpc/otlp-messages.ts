/** Export requests and the statuses they end with, by generated code and a reader of another's making. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { AnySchema, DurationSchema } from '@bufbuild/protobuf/wkt';
import type { Signal } from '../../../src/base/index.ts';
import { ExportLogsServiceRequestSchema } from '../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { ExportMetricsServiceRequestSchema } from '../../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { ExportTraceServiceRequestSchema } from '../../gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js';

const TRACE_ID = new Uint8Array(16).fill(7);
const SPAN_ID = new Uint8Array(8).fill(9);
const BAD_ID = new Uint8Array(5).fill(1);

export interface RequestContent {
  /** Sound rows. */
  readonly rows?: number;
  /** Rows with a trace id of five bytes. */
  readonly badRows?: number;
  /** In every row. */
  readonly text?: string;
}

/** A request with so many rows. Metrics cannot be bad by an id: theirs stand in exemplars. */
export function exportRequest(signal: Signal, content: RequestContent = {}): Buffer {
  const { rows = 2, badRows = 0, text = 'hello' } = content;
  const traceIds = Array.from({ length: rows + badRows }, (_, i) => (i < rows ? TRACE_ID : BAD_ID));
  if (signal === 'logs') {
    const body = { value: { case: 'stringValue' as const, value: text } };
    const logRecords = traceIds.map((traceId) => ({ timeUnixNano: 1n, traceId, body }));
    const request = create(ExportLogsServiceRequestSchema, { resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
    return Buffer.from(toBinary(ExportLogsServiceRequestSchema, request));
  }
  if (signal === 'traces') {
    const spans = traceIds.map((traceId) => ({ name: text, traceId, spanId: SPAN_ID, startTimeUnixNano: 1n }));
    const request = create(ExportTraceServiceRequestSchema, { resourceSpans: [{ scopeSpans: [{ spans }] }] });
    return Buffer.from(toBinary(ExportTraceServiceRequestSchema, request));
  }
  const dataPoints = traceIds.map((traceId) => ({
    timeUnixNano: 1n,
    value: { case: 'asInt' as const, value: 5n },
    exemplars: [{ traceId, spanId: SPAN_ID }],
  }));
  const metrics = [{ name: text, data: { case: 'gauge' as const, value: { dataPoints } } }];
  const request = create(ExportMetricsServiceRequestSchema, { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] });
  return Buffer.from(toBinary(ExportMetricsServiceRequestSchema, request));
}

/** A `google.rpc.Status` with the delay of its RetryInfo, or null. */
export interface StatusDetails {
  readonly code: number;
  readonly message: string;
  readonly retryAfterMs: number | null;
}

/** Reads a `grpc-status-details-bin` trailer. */
export function statusDetails(trailer: unknown): StatusDetails {
  if (typeof trailer !== 'string') throw new Error('Cannot read status details: there are none');
  const fields = fieldsOf(Buffer.from(trailer, 'base64'));
  const bytes = (number: number): Uint8Array | null =>
    (fields.find((field) => field.number === number)?.value as Uint8Array | undefined) ?? null;
  const details = bytes(3);
  return {
    code: Number(fields.find(({ number }) => number === 1)?.value ?? 0),
    message: Buffer.from(bytes(2) ?? []).toString(),
    retryAfterMs: details === null ? null : retryDelayMs(details),
  };
}

function retryDelayMs(details: Uint8Array): number {
  const any = fromBinary(AnySchema, details);
  if (any.typeUrl !== 'type.googleapis.com/google.rpc.RetryInfo') throw new Error(`Cannot read a ${any.typeUrl}`);
  const duration = fromBinary(DurationSchema, fieldsOf(any.value)[0]!.value as Uint8Array);
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

function fieldsOf(bytes: Uint8Array): { number: number; value: number | Uint8Array }[] {
  const reader = new BinaryReader(bytes);
  const fields = [];
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    fields.push({ number, value: Number(wireType) === 0 ? reader.uint32() : reader.bytes() });
  }
  return fields;
}
