/** The telemetry of a capture as OTLP export requests: the load of ingest.ts in OTLP's own form, request for message. */
import { create, toBinary } from '@bufbuild/protobuf';
import type { Signal } from '../src/base/index.ts';
import { createStreamDecoder, initZstd } from '../src/otap/index.ts';
import { ExportLogsServiceRequestSchema } from '../test/gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { ExportMetricsServiceRequestSchema } from '../test/gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { ExportTraceServiceRequestSchema } from '../test/gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js';
import { canonicalRows } from '../test/helpers/canonical-rows.ts';
import { readArrowStreams } from '../test/helpers/captures.ts';
import type { OtlpLoad } from './otlp-request-file.ts';
import type { Pair, TelemetryRow, TypedValue } from '../test/helpers/telemetry-rows.ts';

/** Reads a capture of one OTel-Arrow stream; each of its messages becomes one request with the same rows. */
export async function otlpRequests(capture: string): Promise<OtlpLoad> {
  await initZstd();
  const stream = readArrowStreams(capture).find((candidate) => candidate.messages.length > 0)!;
  const signal = stream.arrowSignal;
  const decoder = createStreamDecoder(signal);
  let rowCount = 0;
  const bodies = stream.messages.map((message) => {
    const rows = canonicalRows(decoder.decode(message));
    rowCount += rows.length;
    return request(signal, rows);
  });
  return { signal, bodies, rows: rowCount };
}

function request(signal: Signal, rows: readonly TelemetryRow[]): Uint8Array {
  const resources = groupBy(rows, (row) => row['resource']).map((ofResource) => {
    const resource = ofResource[0]!['resource'] as Owner;
    const scopes = groupBy(ofResource, (row) => row['scope']).map((ofScope) => {
      const scope = ofScope[0]!['scope'] as Owner & { name: string; version: string };
      return {
        scope: {
          name: scope.name,
          version: scope.version,
          attributes: attributes(scope.attributes),
          droppedAttributesCount: scope.dropped,
        },
        schemaUrl: scope.schema_url,
        ...(signal === 'logs' ? { logRecords: ofScope.map(logRecord) } : {}),
        ...(signal === 'traces' ? { spans: ofScope.map(span) } : {}),
        ...(signal === 'metrics' ? { metrics: groupBy(ofScope, (row) => row['metric']).map(metric) } : {}),
      };
    });
    return {
      resource: { attributes: attributes(resource.attributes), droppedAttributesCount: resource.dropped },
      schemaUrl: resource.schema_url,
      scopes,
    };
  });
  const grouped = (name: string) => resources.map(({ scopes, ...rest }) => ({ ...rest, [name]: scopes }));
  if (signal === 'logs') {
    const logs = { resourceLogs: grouped('scopeLogs') };
    return toBinary(ExportLogsServiceRequestSchema, create(ExportLogsServiceRequestSchema, logs));
  }
  if (signal === 'traces') {
    const traces = { resourceSpans: grouped('scopeSpans') };
    return toBinary(ExportTraceServiceRequestSchema, create(ExportTraceServiceRequestSchema, traces));
  }
  const metrics = { resourceMetrics: grouped('scopeMetrics') };
  return toBinary(ExportMetricsServiceRequestSchema, create(ExportMetricsServiceRequestSchema, metrics));
}

interface Owner {
  readonly attributes: readonly Pair[];
  readonly dropped: number;
  readonly schema_url: string;
}

function logRecord(row: TelemetryRow) {
  return {
    timeUnixNano: big(row['time']),
    observedTimeUnixNano: big(row['observed']),
    severityNumber: row['severity'] as number,
    severityText: row['severity_text'] as string,
    body: anyValue(row['body'] as TypedValue),
    attributes: attributes(row['attributes'] as Pair[]),
    droppedAttributesCount: row['dropped'] as number,
    flags: row['flags'] as number,
    traceId: hex(row['trace_id']),
    spanId: hex(row['span_id']),
    eventName: row['event_name'] as string,
  };
}

function span(row: TelemetryRow) {
  return {
    traceId: hex(row['trace_id']),
    spanId: hex(row['span_id']),
    parentSpanId: hex(row['parent_span_id']),
    traceState: row['trace_state'] as string,
    name: row['name'] as string,
    kind: row['span_kind'] as number,
    startTimeUnixNano: big(row['start']),
    endTimeUnixNano: big(row['end']),
    flags: row['flags'] as number,
    status: { code: row['status'] as number, message: row['status_message'] as string },
    attributes: attributes(row['attributes'] as Pair[]),
    droppedAttributesCount: row['dropped'] as number,
    droppedEventsCount: row['dropped_events'] as number,
    droppedLinksCount: row['dropped_links'] as number,
    events: (row['events'] as TelemetryRow[]).map((event) => ({
      timeUnixNano: big(event['time']),
      name: event['name'] as string,
      attributes: attributes(event['attributes'] as Pair[]),
      droppedAttributesCount: event['dropped'] as number,
    })),
    links: (row['links'] as TelemetryRow[]).map((link) => ({
      traceId: hex(link['trace_id']),
      spanId: hex(link['span_id']),
      traceState: link['trace_state'] as string,
      flags: link['flags'] as number,
      attributes: attributes(link['attributes'] as Pair[]),
      droppedAttributesCount: link['dropped'] as number,
    })),
  };
}

function metric(rows: readonly TelemetryRow[]) {
  const { type, temporality, monotonic, name, description, unit } = rows[0]!['metric'] as {
    type: 'gauge' | 'sum' | 'histogram';
    temporality: number;
    monotonic: boolean;
    name: string;
    description: string;
    unit: string;
  };
  const points = rows.map((row) => row['point'] as TelemetryRow);
  const kinds = {
    gauge: () => ({ dataPoints: points.map(numberPoint) }),
    sum: () => ({
      dataPoints: points.map(numberPoint),
      aggregationTemporality: temporality,
      isMonotonic: monotonic,
    }),
    histogram: () => ({ dataPoints: points.map(histogramPoint), aggregationTemporality: temporality }),
  };
  if (!(type in kinds)) throw new Error(`The load has no metrics of type ${type}`);
  return { name, description, unit, data: { case: type, value: kinds[type]() } as never };
}

function pointBase(point: TelemetryRow) {
  return {
    attributes: attributes(point['attributes'] as Pair[]),
    startTimeUnixNano: big(point['start']),
    timeUnixNano: big(point['time']),
    flags: point['flags'] as number,
    exemplars: (point['exemplars'] as TelemetryRow[]).map((exemplar) => ({
      timeUnixNano: big(exemplar['time']),
      value: numberValue(exemplar['value'] as TypedValue),
      traceId: hex(exemplar['trace_id']),
      spanId: hex(exemplar['span_id']),
      filteredAttributes: attributes(exemplar['attributes'] as Pair[]),
    })),
  };
}

function numberPoint(point: TelemetryRow) {
  return { ...pointBase(point), value: numberValue(point['value'] as TypedValue) };
}

function histogramPoint(point: TelemetryRow) {
  const optional = (name: string) => (typeof point[name] === 'string' ? double(point[name]) : undefined);
  return {
    ...pointBase(point),
    count: big(point['count']),
    sum: optional('sum'),
    min: optional('min'),
    max: optional('max'),
    bucketCounts: (point['buckets'] as string[]).map(BigInt),
    explicitBounds: (point['bounds'] as string[]).map(double),
  };
}

function numberValue(value: TypedValue) {
  if (value !== null && 'i' in value) return { case: 'asInt' as const, value: BigInt(value.i) };
  if (value !== null && 'd' in value) return { case: 'asDouble' as const, value: double(value.d) };
  return { case: undefined };
}

function attributes(pairs: readonly Pair[]) {
  return pairs.map(([key, value]) => ({ key, value: anyValue(value) }));
}

type AnyValueInit = { value: { case: string | undefined; value?: unknown } };

function anyValue(value: TypedValue): never {
  return { value: oneof(value) } satisfies AnyValueInit as never;
}

function oneof(value: TypedValue): AnyValueInit['value'] {
  if (value === null) return { case: undefined };
  if ('s' in value) return { case: 'stringValue', value: value.s };
  if ('i' in value) return { case: 'intValue', value: BigInt(value.i) };
  if ('d' in value) return { case: 'doubleValue', value: double(value.d) };
  if ('b' in value) return { case: 'boolValue', value: value.b };
  if ('x' in value) return { case: 'bytesValue', value: hex(value.x) };
  if ('m' in value) return { case: 'kvlistValue', value: { values: attributes(value.m) } };
  return { case: 'arrayValue', value: { values: value.a.map(anyValue) } };
}

function groupBy(rows: readonly TelemetryRow[], key: (row: TelemetryRow) => unknown): TelemetryRow[][] {
  const groups = new Map<string, TelemetryRow[]>();
  for (const row of rows) {
    const text = JSON.stringify(key(row));
    const group = groups.get(text);
    if (group === undefined) groups.set(text, [row]);
    else group.push(row);
  }
  return [...groups.values()];
}

function big(value: unknown): bigint {
  return BigInt(value as string);
}

function hex(value: unknown): Uint8Array {
  return new Uint8Array(Buffer.from(value as string, 'hex'));
}

function double(text: string): number {
  if (text === 'nan') return Number.NaN;
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(`0x${text}`));
  return view.getFloat64(0);
}
