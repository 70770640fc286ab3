/**
 * OTLP/JSON as an SDK writes it, made from a protobuf request with generated messages only: it shares no code with the server's own
 * reader of JSON. Fields that are not set are left out; all others are there, with their default value too where presence matters.
 */
import { type DescField, type DescMessage, fromBinary, ScalarType } from '@bufbuild/protobuf';
import { reflect, type ReflectMessage } from '@bufbuild/protobuf/reflect';
import type { Signal } from '../../src/base/index.ts';
import { ExportLogsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { ExportMetricsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { ExportTraceServiceRequestSchema } from '../gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js';

/** The descriptor of a signal's request. */
export const OTLP_REQUEST_SCHEMAS = {
  logs: ExportLogsServiceRequestSchema,
  traces: ExportTraceServiceRequestSchema,
  metrics: ExportMetricsServiceRequestSchema,
} as const satisfies Record<Signal, DescMessage>;

/** Ids that the OTLP specification has in hex; all other bytes are base64. */
export const HEX_FIELDS: ReadonlySet<string> = new Set(['trace_id', 'span_id', 'parent_span_id']);

/** A request (protobuf) as OTLP/JSON. Throws when it is not a request of the signal. */
export function toOtlpJson(signal: Signal, request: Uint8Array): string {
  const schema: DescMessage = OTLP_REQUEST_SCHEMAS[signal];
  return messageText(reflect(schema, fromBinary(schema, request)));
}

function messageText(message: ReflectMessage): string {
  const members = message.sortedFields
    .filter((field) => message.isSet(field))
    .map((field) => `${JSON.stringify(field.jsonName)}:${fieldText(message, field)}`);
  return `{${members.join(',')}}`;
}

function fieldText(message: ReflectMessage, field: DescField): string {
  switch (field.fieldKind) {
    case 'message':
      return messageText(message.get(field));
    case 'enum':
      return String(message.get(field));
    case 'scalar':
      return scalarText(field, field.scalar, message.get(field));
    case 'list': {
      const items = [...message.get(field)];
      if (field.listKind === 'message') return `[${(items as ReflectMessage[]).map(messageText).join(',')}]`;
      const scalar = field.listKind === 'scalar' ? field.scalar : ScalarType.INT32;
      return `[${items.map((item) => scalarText(field, scalar, item)).join(',')}]`;
    }
    default:
      throw new Error(`Cannot write ${field}: OTLP has no maps`);
  }
}

function scalarText(field: DescField, scalar: ScalarType, value: unknown): string {
  if (typeof value === 'bigint') return `"${value}"`;
  if (value instanceof Uint8Array) {
    return `"${Buffer.from(value).toString(HEX_FIELDS.has(field.name) ? 'hex' : 'base64')}"`;
  }
  if (scalar === ScalarType.DOUBLE) return doubleText(value as number);
  return JSON.stringify(value);
}

function doubleText(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`;
  return Object.is(value, -0) ? '-0' : String(value);
}
