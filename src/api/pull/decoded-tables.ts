/** The canonical tables of each signal as columns of lists of structs: named as payload types, members as in the OTAP data model. */
import type { Signal } from '../../base/index.ts';
import type {
  AttributesTable,
  CanonicalBatch,
  DataPointColumns,
  ExemplarsTable,
  LogsBatch,
  LogsTable,
  MetricsBatch,
  RootColumns,
  TracesBatch,
  ValueColumns,
} from '../../otap/index.ts';
import { ARROW, type ArrowField, type ArrowNode } from './arrow-ipc.ts';
import { groupNode, structNode, total } from './arrow-nodes.ts';
import { columnsOf, nullable, type TableColumn } from './decoded-columns.ts';

/** One table of batches, as a column with a list of its rows for each batch. */
export interface DecodedTable {
  readonly field: ArrowField;
  /** One list a batch; null for an entry without a batch or a batch without the table. */
  node(batches: readonly (CanonicalBatch | null)[]): ArrowNode;
  /** Bytes of the longest text column. */
  textBytes(batch: CanonicalBatch): number;
  rows(batch: CanonicalBatch): number;
}

/** The tables that batches of these signals may have. */
export function decodedTables(signals: readonly Signal[]): DecodedTable[] {
  return [...TABLES.filter((table) => signals.includes(table.signal)).map(({ table }) => table), ...SHARED];
}

function tableOf<Table extends { readonly rowCount: number }>(
  name: string,
  get: (batch: CanonicalBatch) => Table | null,
  define: (columns: ReturnType<typeof columnsOf<Table>>) => readonly TableColumn<Table>[],
): DecodedTable {
  const columns = define(columnsOf<Table>());
  const row = { name: 'item', type: ARROW.struct(columns.map(({ field }) => field)), isNullable: false };
  return {
    field: nullable(name, ARROW.list(row)),
    node(batches) {
      const tables = batches.map((batch) => (batch === null ? null : get(batch)));
      const there = tables.filter((table) => table !== null);
      const items = structNode(
        total(there),
        { nullCount: 0, validity: null },
        columns.map((column) => column.node(there)),
      );
      return groupNode(
        tables.map((table) => table?.rowCount ?? null),
        items,
      );
    },
    textBytes(batch) {
      const table = get(batch);
      return table === null ? 0 : Math.max(0, ...columns.map((column) => column.textBytes(table)));
    },
    rows: (batch) => get(batch)?.rowCount ?? 0,
  };
}

function values<T extends { readonly rowCount: number }>(get: (table: T) => ValueColumns | null): TableColumn<T>[] {
  const c = columnsOf<T>();
  return [
    c.u8('type', (t) => present(get(t)?.type)),
    c.text('str', (t) => get(t)?.str ?? null),
    c.i64('int', (t) => get(t)?.int ?? null),
    c.f64('double', (t) => get(t)?.double ?? null),
    c.bool('bool', (t) => get(t)?.bool ?? null),
    c.binary('bytes', (t) => get(t)?.bytes ?? null),
    c.binary('ser', (t) => get(t)?.ser ?? null),
  ];
}

const ofAttributes = columnsOf<AttributesTable>();
const attributes: readonly TableColumn<AttributesTable>[] = [
  ofAttributes.id('parent_id', (t) => ({ values: t.parentId, validity: t.parentValidity })),
  ofAttributes.text('key', (t) => t.key),
  ...values<AttributesTable>((table) => table),
];

function root<T extends RootColumns>(): TableColumn<T>[] {
  const c = columnsOf<T>();
  return [
    c.id('id', (t) => t.id),
    c.struct(
      'resource',
      [
        c.id('id', (t) => t.resourceId),
        c.text('schema_url', (t) => t.resourceSchemaUrl),
        c.u32('dropped_attributes_count', (t) => t.resourceDroppedAttributesCount),
      ],
      (t) => isAny(t.resourceId, t.resourceSchemaUrl, t.resourceDroppedAttributesCount),
    ),
    c.struct(
      'scope',
      [
        c.id('id', (t) => t.scopeId),
        c.text('name', (t) => t.scopeName),
        c.text('version', (t) => t.scopeVersion),
        c.u32('dropped_attributes_count', (t) => t.scopeDroppedAttributesCount),
      ],
      (t) => isAny(t.scopeId, t.scopeName, t.scopeVersion, t.scopeDroppedAttributesCount),
    ),
    c.text('schema_url', (t) => t.schemaUrl),
  ];
}

const ofPoints = columnsOf<DataPointColumns>();
const points: readonly TableColumn<DataPointColumns>[] = [
  ofPoints.id('id', (t) => t.id),
  ofPoints.id('parent_id', (t) => t.parentId),
  ofPoints.time('start_time_unix_nano', (t) => t.startTimeUnixNano),
  ofPoints.time('time_unix_nano', (t) => t.timeUnixNano),
  ofPoints.u32('flags', (t) => t.flags),
];

const ofExemplars = columnsOf<ExemplarsTable>();
const exemplars: readonly TableColumn<ExemplarsTable>[] = [
  ofExemplars.id('id', (t) => t.id),
  ofExemplars.id('parent_id', (t) => t.parentId),
  ofExemplars.time('time_unix_nano', (t) => t.timeUnixNano),
  ofExemplars.i64('int_value', (t) => t.intValue),
  ofExemplars.f64('double_value', (t) => t.doubleValue),
  ofExemplars.identifier('span_id', 8, (t) => t.spanId),
  ofExemplars.identifier('trace_id', 16, (t) => t.traceId),
];

const logs = (batch: CanonicalBatch): LogsBatch | null => (batch.signal === 'logs' ? batch : null);
const traces = (batch: CanonicalBatch): TracesBatch | null => (batch.signal === 'traces' ? batch : null);
const metrics = (batch: CanonicalBatch): MetricsBatch | null => (batch.signal === 'metrics' ? batch : null);

const LOG_TABLES: readonly DecodedTable[] = [
  tableOf(
    'logs',
    (b) => logs(b)?.logs ?? null,
    (c) => [
      ...root<LogsTable>(),
      c.time('time_unix_nano', (t) => t.timeUnixNano),
      c.time('observed_time_unix_nano', (t) => t.observedTimeUnixNano),
      c.identifier('trace_id', 16, (t) => t.traceId),
      c.identifier('span_id', 8, (t) => t.spanId),
      c.i32('severity_number', (t) => t.severityNumber),
      c.text('severity_text', (t) => t.severityText),
      c.struct(
        'body',
        values<LogsTable>((t) => t.body),
        (t) => t.body !== null,
      ),
      c.u32('dropped_attributes_count', (t) => t.droppedAttributesCount),
      c.u32('flags', (t) => t.flags),
      c.text('event_name', (t) => t.eventName),
    ],
  ),
  tableOf(
    'log_attrs',
    (b) => logs(b)?.logAttrs ?? null,
    () => attributes,
  ),
];

const TRACE_TABLES: readonly DecodedTable[] = [
  tableOf(
    'spans',
    (b) => traces(b)?.spans ?? null,
    (c) => [
      ...root<TracesBatch['spans']>(),
      c.time('start_time_unix_nano', (t) => t.startTimeUnixNano),
      c.duration('duration_time_unix_nano', (t) => t.durationTimeUnixNano),
      c.identifier('trace_id', 16, (t) => t.traceId),
      c.identifier('span_id', 8, (t) => t.spanId),
      c.text('trace_state', (t) => t.traceState),
      c.identifier('parent_span_id', 8, (t) => t.parentSpanId),
      c.text('name', (t) => t.name),
      c.i32('kind', (t) => t.kind),
      c.u32('dropped_attributes_count', (t) => t.droppedAttributesCount),
      c.u32('dropped_events_count', (t) => t.droppedEventsCount),
      c.u32('dropped_links_count', (t) => t.droppedLinksCount),
      c.struct('status', [c.i32('code', (t) => t.statusCode), c.text('status_message', (t) => t.statusMessage)], (t) =>
        isAny(t.statusCode, t.statusMessage),
      ),
      c.u32('flags', (t) => t.flags),
    ],
  ),
  tableOf(
    'span_attrs',
    (b) => traces(b)?.spanAttrs ?? null,
    () => attributes,
  ),
  tableOf(
    'span_events',
    (b) => traces(b)?.spanEvents ?? null,
    (c) => [
      c.id('id', (t) => t.id),
      c.id('parent_id', (t) => t.parentId),
      c.time('time_unix_nano', (t) => t.timeUnixNano),
      c.text('name', (t) => t.name),
      c.u32('dropped_attributes_count', (t) => t.droppedAttributesCount),
    ],
  ),
  tableOf(
    'span_event_attrs',
    (b) => traces(b)?.spanEventAttrs ?? null,
    () => attributes,
  ),
  tableOf(
    'span_links',
    (b) => traces(b)?.spanLinks ?? null,
    (c) => [
      c.id('id', (t) => t.id),
      c.id('parent_id', (t) => t.parentId),
      c.identifier('trace_id', 16, (t) => t.traceId),
      c.identifier('span_id', 8, (t) => t.spanId),
      c.text('trace_state', (t) => t.traceState),
      c.u32('dropped_attributes_count', (t) => t.droppedAttributesCount),
      c.u32('flags', (t) => t.flags),
    ],
  ),
  tableOf(
    'span_link_attrs',
    (b) => traces(b)?.spanLinkAttrs ?? null,
    () => attributes,
  ),
];

const METRIC_TABLES: readonly DecodedTable[] = [
  tableOf(
    'univariate_metrics',
    (b) => metrics(b)?.metrics ?? null,
    (c) => [
      ...root<MetricsBatch['metrics']>(),
      c.u8('metric_type', (t) => t.metricType),
      c.text('name', (t) => t.name),
      c.text('description', (t) => t.description),
      c.text('unit', (t) => t.unit),
      c.i32('aggregation_temporality', (t) => t.aggregationTemporality),
      c.bool('is_monotonic', (t) => t.isMonotonic),
    ],
  ),
  tableOf(
    'metric_attrs',
    (b) => metrics(b)?.metricAttrs ?? null,
    () => attributes,
  ),
  tableOf(
    'number_data_points',
    (b) => metrics(b)?.numberDataPoints ?? null,
    (c) => [...points, c.i64('int_value', (t) => t.intValue), c.f64('double_value', (t) => t.doubleValue)],
  ),
  tableOf(
    'summary_data_points',
    (b) => metrics(b)?.summaryDataPoints ?? null,
    (c) => [
      ...points,
      c.u64('count', (t) => t.count),
      c.f64('sum', (t) => t.sum),
      c.pairs('quantile', ['quantile', (t) => t.quantiles], ['value', (t) => t.quantileValues]),
    ],
  ),
  tableOf(
    'histogram_data_points',
    (b) => metrics(b)?.histogramDataPoints ?? null,
    (c) => [
      ...points,
      c.u64('count', (t) => t.count),
      c.f64('sum', (t) => t.sum),
      c.u64List('bucket_counts', (t) => t.bucketCounts),
      c.f64List('explicit_bounds', (t) => t.explicitBounds),
      c.f64('min', (t) => t.min),
      c.f64('max', (t) => t.max),
    ],
  ),
  tableOf(
    'exp_histogram_data_points',
    (b) => metrics(b)?.expHistogramDataPoints ?? null,
    (c) => [
      ...points,
      c.u64('count', (t) => t.count),
      c.f64('sum', (t) => t.sum),
      c.i32('scale', (t) => t.scale),
      c.u64('zero_count', (t) => t.zeroCount),
      c.struct(
        'positive',
        [c.i32('offset', (t) => t.positiveOffset), c.u64List('bucket_counts', (t) => t.positiveBucketCounts)],
        (t) => isAny(t.positiveOffset, t.positiveBucketCounts),
      ),
      c.struct(
        'negative',
        [c.i32('offset', (t) => t.negativeOffset), c.u64List('bucket_counts', (t) => t.negativeBucketCounts)],
        (t) => isAny(t.negativeOffset, t.negativeBucketCounts),
      ),
      c.f64('min', (t) => t.min),
      c.f64('max', (t) => t.max),
      c.f64('zero_threshold', (t) => t.zeroThreshold),
    ],
  ),
  tableOf(
    'number_dp_attrs',
    (b) => metrics(b)?.numberDpAttrs ?? null,
    () => attributes,
  ),
  tableOf(
    'summary_dp_attrs',
    (b) => metrics(b)?.summaryDpAttrs ?? null,
    () => attributes,
  ),
  tableOf(
    'histogram_dp_attrs',
    (b) => metrics(b)?.histogramDpAttrs ?? null,
    () => attributes,
  ),
  tableOf(
    'exp_histogram_dp_attrs',
    (b) => metrics(b)?.expHistogramDpAttrs ?? null,
    () => attributes,
  ),
  tableOf(
    'number_dp_exemplars',
    (b) => metrics(b)?.numberDpExemplars ?? null,
    () => exemplars,
  ),
  tableOf(
    'histogram_dp_exemplars',
    (b) => metrics(b)?.histogramDpExemplars ?? null,
    () => exemplars,
  ),
  tableOf(
    'exp_histogram_dp_exemplars',
    (b) => metrics(b)?.expHistogramDpExemplars ?? null,
    () => exemplars,
  ),
  tableOf(
    'number_dp_exemplar_attrs',
    (b) => metrics(b)?.numberDpExemplarAttrs ?? null,
    () => attributes,
  ),
  tableOf(
    'histogram_dp_exemplar_attrs',
    (b) => metrics(b)?.histogramDpExemplarAttrs ?? null,
    () => attributes,
  ),
  tableOf(
    'exp_histogram_dp_exemplar_attrs',
    (b) => metrics(b)?.expHistogramDpExemplarAttrs ?? null,
    () => attributes,
  ),
];

const SHARED: readonly DecodedTable[] = [
  tableOf(
    'resource_attrs',
    (b) => b.resourceAttrs,
    () => attributes,
  ),
  tableOf(
    'scope_attrs',
    (b) => b.scopeAttrs,
    () => attributes,
  ),
];

const TABLES: readonly { readonly signal: Signal; readonly table: DecodedTable }[] = [
  ...LOG_TABLES.map((table) => ({ signal: 'logs' as const, table })),
  ...TRACE_TABLES.map((table) => ({ signal: 'traces' as const, table })),
  ...METRIC_TABLES.map((table) => ({ signal: 'metrics' as const, table })),
];

function isAny(...columns: readonly unknown[]): boolean {
  return columns.some((column) => column !== null);
}

function present(type: Uint8Array | undefined) {
  return type === undefined ? null : { values: type, validity: null };
}
