/**
 * The messages of the three OTLP export requests as tables: what the inspector walks by and what JSON is read with. From proto/
 * (opentelemetry-proto 1.x); fields that are not listed (entity references, anything newer) are skipped as unknown.
 *
 * A message that is counted separately by its owner is listed once for each: the attributes of log records and those of resources
 * have the same fields, but their rows go into different tables.
 */
import type { Signal } from '../base/index.ts';
import { WIRE_TYPES } from './protobuf-reader.ts';

/** How a value is written: in protobuf (the wire type) and in JSON (the OTLP/HTTP rules). */
export type OtlpKind =
  /** UTF-8. */
  | 'string'
  /** Base64 in JSON. */
  | 'bytes'
  /** Bytes of a fixed number or none, hex in JSON. */
  | 'trace_id'
  | 'span_id'
  | 'bool'
  | 'double'
  /** Unsigned, 8 bytes in protobuf. */
  | 'fixed64'
  /** Signed, 8 bytes in protobuf. */
  | 'sfixed64'
  | 'int64'
  | 'uint64'
  | 'uint32'
  | 'fixed32'
  /** Zigzag. */
  | 'sint32'
  /** A number in JSON. */
  | 'enum'
  | 'message';

export interface OtlpField {
  readonly number: number;
  /** As in the .proto file; JSON has it in lower camel case. */
  readonly name: string;
  readonly kind: OtlpKind;
  readonly wireType: number;
  /** A repeated number may come packed or not. */
  readonly isRepeated: boolean;
  /** For kind message. */
  readonly message: OtlpMessage | null;
  /** For repeated numbers: counts their elements. */
  readonly elements: OtlpMessage | null;
  /** Other fields of the same oneof replace this one. */
  readonly isOneof: boolean;
}

/** A message, or (without fields) the elements of a repeated number. */
export interface OtlpMessage {
  /** Below OTLP_MESSAGE_COUNT. Index of its count. */
  readonly id: number;
  readonly name: string;
  readonly fields: readonly OtlpField[];
  /** A log record, span or data point: what a partial success counts. */
  readonly isRow: boolean;
  /** AnyValues inside: one level of nesting. */
  readonly isNesting: boolean;
}

type MutableMessage = { -readonly [Key in keyof OtlpMessage]: OtlpMessage[Key] } & { fields: OtlpField[] };

const messages: OtlpMessage[] = [];

const WIRE_TYPE_OF: Readonly<Record<OtlpKind, number>> = {
  string: WIRE_TYPES.BYTES,
  bytes: WIRE_TYPES.BYTES,
  trace_id: WIRE_TYPES.BYTES,
  span_id: WIRE_TYPES.BYTES,
  bool: WIRE_TYPES.VARINT,
  double: WIRE_TYPES.FIXED64,
  fixed64: WIRE_TYPES.FIXED64,
  sfixed64: WIRE_TYPES.FIXED64,
  int64: WIRE_TYPES.VARINT,
  uint64: WIRE_TYPES.VARINT,
  uint32: WIRE_TYPES.VARINT,
  fixed32: WIRE_TYPES.FIXED32,
  sint32: WIRE_TYPES.VARINT,
  enum: WIRE_TYPES.VARINT,
  message: WIRE_TYPES.BYTES,
};

type Declared = readonly [
  number: number,
  name: string,
  kind: OtlpKind | OtlpMessage,
  extra?: { readonly isRepeated?: boolean; readonly elements?: OtlpMessage; readonly isOneof?: boolean },
];

const REPEATED = { isRepeated: true } as const;
const ONEOF = { isOneof: true } as const;

function declare(name: string, fields: readonly Declared[], extra: { isRow?: boolean; isNesting?: boolean } = {}) {
  const message: MutableMessage = { id: messages.length, name, fields: [], isRow: false, isNesting: false, ...extra };
  messages.push(message);
  addFields(message, fields);
  return message;
}

function addFields(message: MutableMessage, fields: readonly Declared[]): void {
  for (const [number, name, kind, extra] of fields) {
    const isMessage = typeof kind !== 'string';
    const kindName = isMessage ? 'message' : kind;
    message.fields.push({
      number,
      name,
      kind: kindName,
      wireType: WIRE_TYPE_OF[kindName],
      isRepeated: extra?.isRepeated ?? extra?.elements !== undefined,
      message: isMessage ? kind : null,
      elements: extra?.elements ?? null,
      isOneof: extra?.isOneof ?? false,
    });
  }
}

/** Elements of a repeated number. */
function elements(name: string): { elements: OtlpMessage } {
  return { elements: declare(name, []) };
}

/** AnyValue: fields are added below, since it contains itself. */
const ANY_VALUE = declare('AnyValue', []);
const NESTED_KEY_VALUE = keyValue('KeyValue');
const ARRAY_VALUE = declare('ArrayValue', [[1, 'values', ANY_VALUE, REPEATED]], { isNesting: true });
const KEY_VALUE_LIST = declare('KeyValueList', [[1, 'values', NESTED_KEY_VALUE, REPEATED]], { isNesting: true });
addFields(ANY_VALUE, [
  [1, 'string_value', 'string', ONEOF],
  [2, 'bool_value', 'bool', ONEOF],
  [3, 'int_value', 'int64', ONEOF],
  [4, 'double_value', 'double', ONEOF],
  [5, 'array_value', ARRAY_VALUE, ONEOF],
  [6, 'kvlist_value', KEY_VALUE_LIST, ONEOF],
  [7, 'bytes_value', 'bytes', ONEOF],
]);

/** A KeyValue that is a row of its owner's attributes. */
function keyValue(name: string): OtlpMessage {
  return declare(name, [
    [1, 'key', 'string'],
    [2, 'value', ANY_VALUE],
  ]);
}

const RESOURCE_ATTRIBUTE = keyValue('Resource.attributes');
const SCOPE_ATTRIBUTE = keyValue('InstrumentationScope.attributes');
const RESOURCE = declare('Resource', [
  [1, 'attributes', RESOURCE_ATTRIBUTE, REPEATED],
  [2, 'dropped_attributes_count', 'uint32'],
]);
const SCOPE = declare('InstrumentationScope', [
  [1, 'name', 'string'],
  [2, 'version', 'string'],
  [3, 'attributes', SCOPE_ATTRIBUTE, REPEATED],
  [4, 'dropped_attributes_count', 'uint32'],
]);

const LOG_ATTRIBUTE = keyValue('LogRecord.attributes');
const LOG_RECORD = declare(
  'LogRecord',
  [
    [1, 'time_unix_nano', 'fixed64'],
    [2, 'severity_number', 'enum'],
    [3, 'severity_text', 'string'],
    [5, 'body', ANY_VALUE],
    [6, 'attributes', LOG_ATTRIBUTE, REPEATED],
    [7, 'dropped_attributes_count', 'uint32'],
    [8, 'flags', 'fixed32'],
    [9, 'trace_id', 'trace_id'],
    [10, 'span_id', 'span_id'],
    [11, 'observed_time_unix_nano', 'fixed64'],
    [12, 'event_name', 'string'],
  ],
  { isRow: true },
);
const SCOPE_LOGS = scoped('ScopeLogs', 'log_records', LOG_RECORD);
const RESOURCE_LOGS = resourced('ResourceLogs', 'scope_logs', SCOPE_LOGS);

const SPAN_ATTRIBUTE = keyValue('Span.attributes');
const EVENT_ATTRIBUTE = keyValue('Event.attributes');
const LINK_ATTRIBUTE = keyValue('Link.attributes');
const EVENT = declare('Event', [
  [1, 'time_unix_nano', 'fixed64'],
  [2, 'name', 'string'],
  [3, 'attributes', EVENT_ATTRIBUTE, REPEATED],
  [4, 'dropped_attributes_count', 'uint32'],
]);
const LINK = declare('Link', [
  [1, 'trace_id', 'trace_id'],
  [2, 'span_id', 'span_id'],
  [3, 'trace_state', 'string'],
  [4, 'attributes', LINK_ATTRIBUTE, REPEATED],
  [5, 'dropped_attributes_count', 'uint32'],
  [6, 'flags', 'fixed32'],
]);
const STATUS = declare('Status', [
  [2, 'message', 'string'],
  [3, 'code', 'enum'],
]);
const SPAN = declare(
  'Span',
  [
    [1, 'trace_id', 'trace_id'],
    [2, 'span_id', 'span_id'],
    [3, 'trace_state', 'string'],
    [4, 'parent_span_id', 'span_id'],
    [5, 'name', 'string'],
    [6, 'kind', 'enum'],
    [7, 'start_time_unix_nano', 'fixed64'],
    [8, 'end_time_unix_nano', 'fixed64'],
    [9, 'attributes', SPAN_ATTRIBUTE, REPEATED],
    [10, 'dropped_attributes_count', 'uint32'],
    [11, 'events', EVENT, REPEATED],
    [12, 'dropped_events_count', 'uint32'],
    [13, 'links', LINK, REPEATED],
    [14, 'dropped_links_count', 'uint32'],
    [15, 'status', STATUS],
    [16, 'flags', 'fixed32'],
  ],
  { isRow: true },
);
const SCOPE_SPANS = scoped('ScopeSpans', 'spans', SPAN);
const RESOURCE_SPANS = resourced('ResourceSpans', 'scope_spans', SCOPE_SPANS);

const NUMBER_ATTRIBUTE = keyValue('NumberDataPoint.attributes');
const NUMBER_EXEMPLAR_ATTRIBUTE = keyValue('NumberDataPoint.exemplars.filtered_attributes');
const NUMBER_EXEMPLAR = exemplar('NumberDataPoint.exemplars', NUMBER_EXEMPLAR_ATTRIBUTE);
const NUMBER_POINT = declare(
  'NumberDataPoint',
  [
    [2, 'start_time_unix_nano', 'fixed64'],
    [3, 'time_unix_nano', 'fixed64'],
    [4, 'as_double', 'double', ONEOF],
    [5, 'exemplars', NUMBER_EXEMPLAR, REPEATED],
    [6, 'as_int', 'sfixed64', ONEOF],
    [7, 'attributes', NUMBER_ATTRIBUTE, REPEATED],
    [8, 'flags', 'uint32'],
  ],
  { isRow: true },
);
const HISTOGRAM_ATTRIBUTE = keyValue('HistogramDataPoint.attributes');
const HISTOGRAM_EXEMPLAR_ATTRIBUTE = keyValue('HistogramDataPoint.exemplars.filtered_attributes');
const HISTOGRAM_EXEMPLAR = exemplar('HistogramDataPoint.exemplars', HISTOGRAM_EXEMPLAR_ATTRIBUTE);
const HISTOGRAM_BUCKETS = elements('HistogramDataPoint.bucket_counts');
const HISTOGRAM_BOUNDS = elements('HistogramDataPoint.explicit_bounds');
const HISTOGRAM_POINT = declare(
  'HistogramDataPoint',
  [
    [2, 'start_time_unix_nano', 'fixed64'],
    [3, 'time_unix_nano', 'fixed64'],
    [4, 'count', 'fixed64'],
    [5, 'sum', 'double'],
    [6, 'bucket_counts', 'fixed64', HISTOGRAM_BUCKETS],
    [7, 'explicit_bounds', 'double', HISTOGRAM_BOUNDS],
    [8, 'exemplars', HISTOGRAM_EXEMPLAR, REPEATED],
    [9, 'attributes', HISTOGRAM_ATTRIBUTE, REPEATED],
    [10, 'flags', 'uint32'],
    [11, 'min', 'double'],
    [12, 'max', 'double'],
  ],
  { isRow: true },
);
const EXP_HISTOGRAM_ATTRIBUTE = keyValue('ExponentialHistogramDataPoint.attributes');
const EXP_HISTOGRAM_EXEMPLAR_ATTRIBUTE = keyValue('ExponentialHistogramDataPoint.exemplars.filtered_attributes');
const EXP_HISTOGRAM_EXEMPLAR = exemplar('ExponentialHistogramDataPoint.exemplars', EXP_HISTOGRAM_EXEMPLAR_ATTRIBUTE);
const POSITIVE_BUCKETS = elements('ExponentialHistogramDataPoint.positive.bucket_counts');
const NEGATIVE_BUCKETS = elements('ExponentialHistogramDataPoint.negative.bucket_counts');
const POSITIVE = buckets('ExponentialHistogramDataPoint.positive', POSITIVE_BUCKETS);
const NEGATIVE = buckets('ExponentialHistogramDataPoint.negative', NEGATIVE_BUCKETS);
const EXP_HISTOGRAM_POINT = declare(
  'ExponentialHistogramDataPoint',
  [
    [1, 'attributes', EXP_HISTOGRAM_ATTRIBUTE, REPEATED],
    [2, 'start_time_unix_nano', 'fixed64'],
    [3, 'time_unix_nano', 'fixed64'],
    [4, 'count', 'fixed64'],
    [5, 'sum', 'double'],
    [6, 'scale', 'sint32'],
    [7, 'zero_count', 'fixed64'],
    [8, 'positive', POSITIVE],
    [9, 'negative', NEGATIVE],
    [10, 'flags', 'uint32'],
    [11, 'exemplars', EXP_HISTOGRAM_EXEMPLAR, REPEATED],
    [12, 'min', 'double'],
    [13, 'max', 'double'],
    [14, 'zero_threshold', 'double'],
  ],
  { isRow: true },
);
const SUMMARY_ATTRIBUTE = keyValue('SummaryDataPoint.attributes');
const QUANTILE = declare('ValueAtQuantile', [
  [1, 'quantile', 'double'],
  [2, 'value', 'double'],
]);
const SUMMARY_POINT = declare(
  'SummaryDataPoint',
  [
    [2, 'start_time_unix_nano', 'fixed64'],
    [3, 'time_unix_nano', 'fixed64'],
    [4, 'count', 'fixed64'],
    [5, 'sum', 'double'],
    [6, 'quantile_values', QUANTILE, REPEATED],
    [7, 'attributes', SUMMARY_ATTRIBUTE, REPEATED],
    [8, 'flags', 'uint32'],
  ],
  { isRow: true },
);
const TEMPORALITY: Declared = [2, 'aggregation_temporality', 'enum'];
const GAUGE = declare('Gauge', [[1, 'data_points', NUMBER_POINT, REPEATED]]);
const SUM = declare('Sum', [[1, 'data_points', NUMBER_POINT, REPEATED], TEMPORALITY, [3, 'is_monotonic', 'bool']]);
const HISTOGRAM = declare('Histogram', [[1, 'data_points', HISTOGRAM_POINT, REPEATED], TEMPORALITY]);
const EXP_HISTOGRAM = declare('ExponentialHistogram', [[1, 'data_points', EXP_HISTOGRAM_POINT, REPEATED], TEMPORALITY]);
const SUMMARY = declare('Summary', [[1, 'data_points', SUMMARY_POINT, REPEATED]]);
const METRIC_ATTRIBUTE = keyValue('Metric.metadata');
const METRIC = declare('Metric', [
  [1, 'name', 'string'],
  [2, 'description', 'string'],
  [3, 'unit', 'string'],
  [5, 'gauge', GAUGE, ONEOF],
  [7, 'sum', SUM, ONEOF],
  [9, 'histogram', HISTOGRAM, ONEOF],
  [10, 'exponential_histogram', EXP_HISTOGRAM, ONEOF],
  [11, 'summary', SUMMARY, ONEOF],
  [12, 'metadata', METRIC_ATTRIBUTE, REPEATED],
]);
const SCOPE_METRICS = scoped('ScopeMetrics', 'metrics', METRIC);
const RESOURCE_METRICS = resourced('ResourceMetrics', 'scope_metrics', SCOPE_METRICS);

const LOGS_REQUEST = declare('ExportLogsServiceRequest', [[1, 'resource_logs', RESOURCE_LOGS, REPEATED]]);
const TRACES_REQUEST = declare('ExportTraceServiceRequest', [[1, 'resource_spans', RESOURCE_SPANS, REPEATED]]);
const METRICS_REQUEST = declare('ExportMetricsServiceRequest', [[1, 'resource_metrics', RESOURCE_METRICS, REPEATED]]);

function scoped(name: string, rowsName: string, row: OtlpMessage): OtlpMessage {
  return declare(name, [
    [1, 'scope', SCOPE],
    [2, rowsName, row, REPEATED],
    [3, 'schema_url', 'string'],
  ]);
}

function resourced(name: string, scopesName: string, scope: OtlpMessage): OtlpMessage {
  return declare(name, [
    [1, 'resource', RESOURCE],
    [2, scopesName, scope, REPEATED],
    [3, 'schema_url', 'string'],
  ]);
}

function exemplar(name: string, attribute: OtlpMessage): OtlpMessage {
  return declare(name, [
    [2, 'time_unix_nano', 'fixed64'],
    [3, 'as_double', 'double', ONEOF],
    [4, 'span_id', 'span_id'],
    [5, 'trace_id', 'trace_id'],
    [6, 'as_int', 'sfixed64', ONEOF],
    [7, 'filtered_attributes', attribute, REPEATED],
  ]);
}

function buckets(name: string, counts: { elements: OtlpMessage }): OtlpMessage {
  return declare(name, [
    [1, 'offset', 'sint32'],
    [2, 'bucket_counts', 'uint64', counts],
  ]);
}

/** The request message of each signal. */
export const OTLP_REQUESTS: Readonly<Record<Signal, OtlpMessage>> = {
  logs: LOGS_REQUEST,
  traces: TRACES_REQUEST,
  metrics: METRICS_REQUEST,
};

/** Messages whose number in a request says how many rows a table gets, by the table. */
export const OTLP_ROWS = {
  resources: { logs: RESOURCE_LOGS, traces: RESOURCE_SPANS, metrics: RESOURCE_METRICS },
  resourceAttrs: RESOURCE_ATTRIBUTE,
  scopeAttrs: SCOPE_ATTRIBUTE,
  logs: LOG_RECORD,
  logAttrs: LOG_ATTRIBUTE,
  spans: SPAN,
  spanAttrs: SPAN_ATTRIBUTE,
  spanEvents: EVENT,
  spanEventAttrs: EVENT_ATTRIBUTE,
  spanLinks: LINK,
  spanLinkAttrs: LINK_ATTRIBUTE,
  metrics: METRIC,
  metricAttrs: METRIC_ATTRIBUTE,
  numberDataPoints: NUMBER_POINT,
  numberDpAttrs: NUMBER_ATTRIBUTE,
  numberDpExemplars: NUMBER_EXEMPLAR,
  numberDpExemplarAttrs: NUMBER_EXEMPLAR_ATTRIBUTE,
  histogramDataPoints: HISTOGRAM_POINT,
  histogramDpAttrs: HISTOGRAM_ATTRIBUTE,
  histogramDpExemplars: HISTOGRAM_EXEMPLAR,
  histogramDpExemplarAttrs: HISTOGRAM_EXEMPLAR_ATTRIBUTE,
  histogramBuckets: HISTOGRAM_BUCKETS.elements,
  histogramBounds: HISTOGRAM_BOUNDS.elements,
  expHistogramDataPoints: EXP_HISTOGRAM_POINT,
  expHistogramDpAttrs: EXP_HISTOGRAM_ATTRIBUTE,
  expHistogramDpExemplars: EXP_HISTOGRAM_EXEMPLAR,
  expHistogramDpExemplarAttrs: EXP_HISTOGRAM_EXEMPLAR_ATTRIBUTE,
  positiveBuckets: POSITIVE_BUCKETS.elements,
  negativeBuckets: NEGATIVE_BUCKETS.elements,
  summaryDataPoints: SUMMARY_POINT,
  summaryDpAttrs: SUMMARY_ATTRIBUTE,
  quantiles: QUANTILE,
} as const;

/** All messages by id. */
export const OTLP_MESSAGES: readonly OtlpMessage[] = messages;
