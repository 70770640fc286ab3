/**
 * What went into a Collector, as canonical rows: the side that tables are compared with. Reads OTLP export requests with generated
 * protobuf messages, so it shares no code with the server's own readers.
 *
 * The Go Arrow encoder does not carry (captures' README, section Equality): attributes with an empty key or no value, a histogram's
 * sum, min or max of exactly 0, empty bytes inside maps and arrays (they become null), metric metadata. These are left out here, unless
 * the rows are asked for exactly.
 */
import { fromBinary } from '@bufbuild/protobuf';
import type { Signal } from '../../src/base/index.ts';
import { ExportLogsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { ExportMetricsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { ExportTraceServiceRequestSchema } from '../gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js';
import type { AnyValue, InstrumentationScope, KeyValue } from '../gen/opentelemetry/proto/common/v1/common_pb.js';
import type {
  Exemplar,
  ExponentialHistogramDataPoint,
  HistogramDataPoint,
  Metric,
  NumberDataPoint,
  SummaryDataPoint,
} from '../gen/opentelemetry/proto/metrics/v1/metrics_pb.js';
import type { Resource } from '../gen/opentelemetry/proto/resource/v1/resource_pb.js';
import {
  doubleText,
  type Pair,
  sortCanonical,
  sortPairs,
  type TelemetryRow,
  type TypedValue,
  unsignedText,
} from './telemetry-rows.ts';

export interface ExpectedRowsOptions {
  /** Keeps what the Go Arrow encoder does not carry; metrics have `metadata` then. */
  readonly exact?: boolean;
}

/** The rows of one OTLP export request (protobuf). */
export function expectedRows(
  signal: Signal,
  request: Uint8Array,
  { exact = false }: ExpectedRowsOptions = {},
): TelemetryRow[] {
  if (signal === 'logs') return logRows(request, exact);
  return signal === 'traces' ? spanRows(request, exact) : pointRows(request, exact);
}

function logRows(request: Uint8Array, exact: boolean): TelemetryRow[] {
  return fromBinary(ExportLogsServiceRequestSchema, request).resourceLogs.flatMap((group) =>
    group.scopeLogs.flatMap((scoped) =>
      scoped.logRecords.map((log) => ({
        kind: 'log',
        resource: resourceRow(group.resource, group.schemaUrl, exact),
        scope: scopeRow(scoped.scope, scoped.schemaUrl, exact),
        time: unsignedText(log.timeUnixNano),
        observed: unsignedText(log.observedTimeUnixNano),
        severity: log.severityNumber,
        severity_text: log.severityText,
        body: sortPairs([['', typedValue(log.body, exact)]])[0]![1],
        attributes: attributePairs(log.attributes, exact),
        dropped: log.droppedAttributesCount,
        flags: log.flags,
        trace_id: hex(log.traceId),
        span_id: hex(log.spanId),
        event_name: log.eventName,
      })),
    ),
  );
}

function spanRows(request: Uint8Array, exact: boolean): TelemetryRow[] {
  return fromBinary(ExportTraceServiceRequestSchema, request).resourceSpans.flatMap((group) =>
    group.scopeSpans.flatMap((scoped) =>
      scoped.spans.map((span) => ({
        kind: 'span',
        resource: resourceRow(group.resource, group.schemaUrl, exact),
        scope: scopeRow(scoped.scope, scoped.schemaUrl, exact),
        trace_id: hex(span.traceId),
        span_id: hex(span.spanId),
        parent_span_id: hex(span.parentSpanId),
        trace_state: span.traceState,
        name: span.name,
        span_kind: span.kind,
        start: unsignedText(span.startTimeUnixNano),
        end: unsignedText(span.endTimeUnixNano),
        flags: span.flags,
        status: span.status?.code ?? 0,
        status_message: span.status?.message ?? '',
        attributes: attributePairs(span.attributes, exact),
        dropped: span.droppedAttributesCount,
        dropped_events: span.droppedEventsCount,
        dropped_links: span.droppedLinksCount,
        events: sortCanonical(
          span.events.map((event) => ({
            time: unsignedText(event.timeUnixNano),
            name: event.name,
            attributes: attributePairs(event.attributes, exact),
            dropped: event.droppedAttributesCount,
          })),
        ),
        links: sortCanonical(
          span.links.map((link) => ({
            trace_id: hex(link.traceId),
            span_id: hex(link.spanId),
            trace_state: link.traceState,
            flags: link.flags,
            attributes: attributePairs(link.attributes, exact),
            dropped: link.droppedAttributesCount,
          })),
        ),
      })),
    ),
  );
}

function pointRows(request: Uint8Array, exact: boolean): TelemetryRow[] {
  return fromBinary(ExportMetricsServiceRequestSchema, request).resourceMetrics.flatMap((group) =>
    group.scopeMetrics.flatMap((scoped) =>
      scoped.metrics.flatMap((metric) => {
        const parent = {
          resource: resourceRow(group.resource, group.schemaUrl, exact),
          scope: scopeRow(scoped.scope, scoped.schemaUrl, exact),
          metric: metricRow(metric, exact),
        };
        const points = metricPoints(metric, exact);
        if (points.length === 0) return [{ kind: 'metric', ...parent }];
        return points.map((point) => ({ kind: 'point', ...parent, point }));
      }),
    ),
  );
}

function metricRow(metric: Metric, exact: boolean): TelemetryRow {
  const data = metric.data;
  return {
    name: metric.name,
    description: metric.description,
    unit: metric.unit,
    type: data.case ?? 'empty',
    temporality:
      data.case === 'sum' || data.case === 'histogram' || data.case === 'exponentialHistogram'
        ? data.value.aggregationTemporality
        : 0,
    monotonic: data.case === 'sum' ? data.value.isMonotonic : false,
    ...(exact ? { metadata: attributePairs(metric.metadata, exact) } : {}),
  };
}

function metricPoints(metric: Metric, exact: boolean): TelemetryRow[] {
  const data = metric.data;
  switch (data.case) {
    case 'gauge':
    case 'sum':
      return data.value.dataPoints.map((point) => numberPoint(point, exact));
    case 'histogram':
      return data.value.dataPoints.map((point) => histogramPoint(point, exact));
    case 'exponentialHistogram':
      return data.value.dataPoints.map((point) => expHistogramPoint(point, exact));
    case 'summary':
      return data.value.dataPoints.map((point) => summaryPoint(point, exact));
    default:
      return [];
  }
}

function numberPoint(point: NumberDataPoint, exact: boolean): TelemetryRow {
  return {
    ...pointBase(point, exact),
    value: numberValue(point.value),
    exemplars: exemplarRows(point.exemplars, exact),
  };
}

function histogramPoint(point: HistogramDataPoint, exact: boolean): TelemetryRow {
  return {
    ...pointBase(point, exact),
    count: unsignedText(point.count),
    sum: presentDouble(point.sum, exact),
    min: presentDouble(point.min, exact),
    max: presentDouble(point.max, exact),
    buckets: point.bucketCounts.map(unsignedText),
    bounds: point.explicitBounds.map(doubleText),
    exemplars: exemplarRows(point.exemplars, exact),
  };
}

function expHistogramPoint(point: ExponentialHistogramDataPoint, exact: boolean): TelemetryRow {
  return {
    ...pointBase(point, exact),
    count: unsignedText(point.count),
    sum: presentDouble(point.sum, exact),
    min: presentDouble(point.min, exact),
    max: presentDouble(point.max, exact),
    scale: point.scale,
    zero_count: unsignedText(point.zeroCount),
    zero_threshold: doubleText(point.zeroThreshold),
    positive: {
      offset: point.positive?.offset ?? 0,
      buckets: (point.positive?.bucketCounts ?? []).map(unsignedText),
    },
    negative: {
      offset: point.negative?.offset ?? 0,
      buckets: (point.negative?.bucketCounts ?? []).map(unsignedText),
    },
    exemplars: exemplarRows(point.exemplars, exact),
  };
}

function summaryPoint(point: SummaryDataPoint, exact: boolean): TelemetryRow {
  return {
    ...pointBase(point, exact),
    count: unsignedText(point.count),
    sum: doubleText(point.sum),
    quantiles: point.quantileValues.map((entry) => [doubleText(entry.quantile), doubleText(entry.value)]),
  };
}

interface PointBase {
  attributes: KeyValue[];
  startTimeUnixNano: bigint;
  timeUnixNano: bigint;
  flags: number;
}

function pointBase(point: PointBase, exact: boolean): TelemetryRow {
  return {
    attributes: attributePairs(point.attributes, exact),
    start: unsignedText(point.startTimeUnixNano),
    time: unsignedText(point.timeUnixNano),
    flags: point.flags,
  };
}

function exemplarRows(exemplars: Exemplar[], exact: boolean): TelemetryRow[] {
  return sortCanonical(
    exemplars.map((exemplar) => ({
      time: unsignedText(exemplar.timeUnixNano),
      value: numberValue(exemplar.value),
      trace_id: hex(exemplar.traceId),
      span_id: hex(exemplar.spanId),
      attributes: attributePairs(exemplar.filteredAttributes, exact),
    })),
  );
}

function numberValue(value: NumberDataPoint['value'] | Exemplar['value']): TypedValue {
  if (value.case === 'asInt') return { i: String(value.value) };
  return value.case === 'asDouble' ? { d: doubleText(value.value) } : null;
}

function presentDouble(value: number | undefined, exact: boolean): string | null {
  return value === undefined || (value === 0 && !exact) ? null : doubleText(value);
}

function resourceRow(resource: Resource | undefined, schemaUrl: string, exact: boolean): TelemetryRow {
  return {
    attributes: attributePairs(resource?.attributes ?? [], exact),
    dropped: resource?.droppedAttributesCount ?? 0,
    schema_url: schemaUrl,
  };
}

function scopeRow(scope: InstrumentationScope | undefined, schemaUrl: string, exact: boolean): TelemetryRow {
  return {
    name: scope?.name ?? '',
    version: scope?.version ?? '',
    attributes: attributePairs(scope?.attributes ?? [], exact),
    dropped: scope?.droppedAttributesCount ?? 0,
    schema_url: schemaUrl,
  };
}

function attributePairs(attributes: KeyValue[], exact: boolean): Pair[] {
  const pairs = attributes.map(({ key, value }) => [key, typedValue(value, exact)] as Pair);
  return sortPairs(exact ? pairs : pairs.filter(([key, value]) => key !== '' && value !== null));
}

function typedValue(value: AnyValue | undefined, exact: boolean, nested = false): TypedValue {
  const inner = value?.value;
  switch (inner?.case) {
    case 'stringValue':
      return { s: inner.value };
    case 'intValue':
      return { i: String(inner.value) };
    case 'doubleValue':
      return { d: doubleText(inner.value) };
    case 'boolValue':
      return { b: inner.value };
    case 'bytesValue':
      return nested && !exact && inner.value.length === 0 ? null : { x: hex(inner.value) };
    case 'kvlistValue':
      return { m: inner.value.values.map((entry) => [entry.key, typedValue(entry.value, exact, true)] as Pair) };
    case 'arrayValue':
      return { a: inner.value.values.map((item) => typedValue(item, exact, true)) };
    default:
      return null;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
