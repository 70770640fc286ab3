/**
 * Canonical batches from plain rows, and rows of the `normalized` views in the same plain form: what a test writes down is what the
 * views have to give back. Times and 64-bit integers are bigint, ids of traces and spans hex, bytes hex, absent values undefined.
 */
import {
  DuckDBBlobValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBUUIDValue,
} from '@duckdb/node-api';
import type {
  AttributesTable,
  BytesColumn,
  ExemplarsTable,
  FixedColumn,
  IdColumn,
  IdentifierColumn,
  ListColumn,
  LogsBatch,
  MetricsBatch,
  RootColumns,
  TracesBatch,
  ValueColumns,
} from '../../../src/otap/index.ts';

export type Row = Readonly<Record<string, unknown>>;
/** Rows by name of the normalized view. */
export type Rows = Readonly<Record<string, readonly Row[]>>;

const U16_MAX = 65_535;

type Values = Uint8Array | Uint16Array | Uint32Array | Int32Array | BigInt64Array | BigUint64Array | Float64Array;

/**
 * How strings are laid out: a pool entry a row, a dictionary with unused entries before and between, or (`request`) in place: every
 * other entry of the pool is what lies between two strings. Ids have 32 bits then, and where they need them, otherwise 16.
 */
export type StringLayout = 'plain' | 'dictionary' | 'request';

export const STRING_LAYOUTS = ['plain', 'dictionary', 'request'] as const satisfies readonly StringLayout[];

export function logsBatch(rows: Rows, layout: StringLayout = 'plain'): LogsBatch {
  const logs = rows['logs'] ?? [];
  const build = builder(logs, layout);
  return {
    signal: 'logs',
    repairedStrings: 0,
    ...sharedTables(rows, layout),
    logs: {
      ...rootColumns(logs, layout),
      timeUnixNano: build.fixed('time_unix_nano', BigInt64Array),
      observedTimeUnixNano: build.fixed('observed_time_unix_nano', BigInt64Array),
      traceId: build.identifier('trace_id', 16),
      spanId: build.identifier('span_id', 8),
      severityNumber: build.fixed('severity_number', Int32Array),
      severityText: build.text('severity_text'),
      body: logs.some((row) => row['body'] !== undefined) ? valueColumns(field(logs, 'body'), layout) : null,
      droppedAttributesCount: build.fixed('dropped_attributes_count', Uint32Array),
      flags: build.fixed('flags', Uint32Array),
      eventName: build.text('event_name'),
    },
    logAttrs: attributes(rows['log_attrs'], layout),
  };
}

export function tracesBatch(rows: Rows, layout: StringLayout = 'plain'): TracesBatch {
  const spans = rows['spans'] ?? [];
  const build = builder(spans, layout);
  const status = builder(field(spans, 'status'), layout);
  const events = rows['span_events'];
  const links = rows['span_links'];
  const event = builder(events ?? [], layout);
  const link = builder(links ?? [], layout);
  return {
    signal: 'traces',
    repairedStrings: 0,
    ...sharedTables(rows, layout),
    spans: {
      ...rootColumns(spans, layout),
      startTimeUnixNano: build.fixed('start_time_unix_nano', BigInt64Array),
      durationTimeUnixNano: build.fixed('duration_time_unix_nano', BigInt64Array),
      traceId: build.identifier('trace_id', 16),
      spanId: build.identifier('span_id', 8),
      traceState: build.text('trace_state'),
      parentSpanId: build.identifier('parent_span_id', 8),
      name: build.text('name'),
      kind: build.fixed('kind', Int32Array),
      droppedAttributesCount: build.fixed('dropped_attributes_count', Uint32Array),
      droppedEventsCount: build.fixed('dropped_events_count', Uint32Array),
      droppedLinksCount: build.fixed('dropped_links_count', Uint32Array),
      statusCode: status.fixed('code', Int32Array),
      statusMessage: status.text('status_message'),
      flags: build.fixed('flags', Uint32Array),
    },
    spanAttrs: attributes(rows['span_attrs'], layout),
    spanEvents:
      events === undefined
        ? null
        : {
            rowCount: events.length,
            id: event.fixed('id', Uint32Array),
            parentId: event.idAlways('parent_id'),
            timeUnixNano: event.fixed('time_unix_nano', BigInt64Array),
            name: event.text('name'),
            droppedAttributesCount: event.fixed('dropped_attributes_count', Uint32Array),
          },
    spanLinks:
      links === undefined
        ? null
        : {
            rowCount: links.length,
            id: link.fixed('id', Uint32Array),
            parentId: link.idAlways('parent_id'),
            traceId: link.identifier('trace_id', 16),
            spanId: link.identifier('span_id', 8),
            traceState: link.text('trace_state'),
            droppedAttributesCount: link.fixed('dropped_attributes_count', Uint32Array),
            flags: link.fixed('flags', Uint32Array),
          },
    spanEventAttrs: attributes(rows['span_event_attrs'], layout),
    spanLinkAttrs: attributes(rows['span_link_attrs'], layout),
  };
}

export function metricsBatch(rows: Rows, layout: StringLayout = 'plain'): MetricsBatch {
  const metrics = rows['univariate_metrics'] ?? [];
  const build = builder(metrics, layout);
  const points = <Table>(name: string, columns: (build: Builder, items: readonly Row[]) => Table) => {
    const items = rows[`${name}_data_points`];
    if (items === undefined) return null;
    const point = builder(items, layout);
    return {
      rowCount: items.length,
      id: point.fixed('id', Uint32Array),
      parentId: point.idAlways('parent_id'),
      startTimeUnixNano: point.fixed('start_time_unix_nano', BigInt64Array),
      timeUnixNano: point.fixed('time_unix_nano', BigInt64Array),
      flags: point.fixed('flags', Uint32Array),
      ...columns(point, items),
    };
  };
  const aggregate = (point: Builder) => ({
    count: point.fixed('count', BigUint64Array),
    sum: point.fixed('sum', Float64Array),
    min: point.fixed('min', Float64Array),
    max: point.fixed('max', Float64Array),
  });
  const attrs = (name: string) => attributes(rows[name], layout);
  const exemplars = (name: string) => exemplarsTable(rows[`${name}_dp_exemplars`], layout);
  return {
    signal: 'metrics',
    repairedStrings: 0,
    ...sharedTables(rows, layout),
    metrics: {
      ...rootColumns(metrics, layout),
      metricType: build.fixed('metric_type', Uint8Array),
      name: build.text('name'),
      description: build.text('description'),
      unit: build.text('unit'),
      aggregationTemporality: build.fixed('aggregation_temporality', Int32Array),
      isMonotonic: build.fixed('is_monotonic', Uint8Array),
    },
    metricAttrs: attrs('metric_attrs'),
    numberDataPoints: points('number', (point) => ({
      intValue: point.fixed('int_value', BigInt64Array),
      doubleValue: point.fixed('double_value', Float64Array),
    })),
    summaryDataPoints: points('summary', (point, items) => ({
      count: point.fixed('count', BigUint64Array),
      sum: point.fixed('sum', Float64Array),
      quantiles: lists(field2(items, 'quantile', 'quantile'), Float64Array),
      quantileValues: lists(field2(items, 'quantile', 'value'), Float64Array),
    })),
    histogramDataPoints: points('histogram', (point, items) => ({
      ...aggregate(point),
      bucketCounts: lists(values(items, 'bucket_counts'), BigUint64Array),
      explicitBounds: lists(values(items, 'explicit_bounds'), Float64Array),
    })),
    expHistogramDataPoints: points('exp_histogram', (point, items) => ({
      ...aggregate(point),
      scale: point.fixed('scale', Int32Array),
      zeroCount: point.fixed('zero_count', BigUint64Array),
      zeroThreshold: point.fixed('zero_threshold', Float64Array),
      positiveOffset: builder(field(items, 'positive'), layout).fixed('offset', Int32Array),
      positiveBucketCounts: lists(values(field(items, 'positive'), 'bucket_counts'), BigUint64Array),
      negativeOffset: builder(field(items, 'negative'), layout).fixed('offset', Int32Array),
      negativeBucketCounts: lists(values(field(items, 'negative'), 'bucket_counts'), BigUint64Array),
    })),
    numberDpAttrs: attrs('number_dp_attrs'),
    summaryDpAttrs: attrs('summary_dp_attrs'),
    histogramDpAttrs: attrs('histogram_dp_attrs'),
    expHistogramDpAttrs: attrs('exp_histogram_dp_attrs'),
    numberDpExemplars: exemplars('number'),
    histogramDpExemplars: exemplars('histogram'),
    expHistogramDpExemplars: exemplars('exp_histogram'),
    numberDpExemplarAttrs: attrs('number_dp_exemplar_attrs'),
    histogramDpExemplarAttrs: attrs('histogram_dp_exemplar_attrs'),
    expHistogramDpExemplarAttrs: attrs('exp_histogram_dp_exemplar_attrs'),
  };
}

function sharedTables(rows: Rows, layout: StringLayout) {
  return {
    resourceAttrs: attributes(rows['resource_attrs'], layout),
    scopeAttrs: attributes(rows['scope_attrs'], layout),
  };
}

function rootColumns(rows: readonly Row[], layout: StringLayout): RootColumns {
  const build = builder(rows, layout);
  const resource = builder(field(rows, 'resource'), layout);
  const scope = builder(field(rows, 'scope'), layout);
  return {
    rowCount: rows.length,
    id: build.id('id'),
    resourceId: resource.id('id'),
    resourceSchemaUrl: resource.text('schema_url'),
    resourceDroppedAttributesCount: resource.fixed('dropped_attributes_count', Uint32Array),
    scopeId: scope.id('id'),
    scopeName: scope.text('name'),
    scopeVersion: scope.text('version'),
    scopeDroppedAttributesCount: scope.fixed('dropped_attributes_count', Uint32Array),
    schemaUrl: build.text('schema_url'),
  };
}

function exemplarsTable(rows: readonly Row[] | undefined, layout: StringLayout): ExemplarsTable | null {
  if (rows === undefined) return null;
  const build = builder(rows, layout);
  return {
    rowCount: rows.length,
    id: build.fixed('id', Uint32Array),
    parentId: build.fixedAlways('parent_id', Uint32Array),
    timeUnixNano: build.fixed('time_unix_nano', BigInt64Array),
    intValue: build.fixed('int_value', BigInt64Array),
    doubleValue: build.fixed('double_value', Float64Array),
    spanId: build.identifier('span_id', 8),
    traceId: build.identifier('trace_id', 16),
  };
}

function attributes(rows: readonly Row[] | undefined, layout: StringLayout): AttributesTable | null {
  if (rows === undefined) return null;
  const build = builder(rows, layout);
  const parent = build.fixedAlways('parent_id', Uint32Array);
  return {
    rowCount: rows.length,
    parentId: parent.values,
    parentValidity: parent.validity,
    key: build.text('key') ?? { kind: 'utf8', pool: poolOf([]), indices: null, validity: new Uint8Array(rows.length) },
    ...valueColumns(rows, layout),
  };
}

function valueColumns(rows: readonly Row[], layout: StringLayout): ValueColumns {
  const build = builder(rows, layout);
  return {
    type: build.fixedAlways('type', Uint8Array).values,
    str: build.text('str'),
    int: build.fixed('int', BigInt64Array),
    double: build.fixed('double', Float64Array),
    bool: build.fixed('bool', Uint8Array),
    bytes: build.binary('bytes'),
    ser: build.binary('ser'),
  };
}

type Builder = ReturnType<typeof builder>;

/** Columns of plain rows. A column without any value is null as a whole. */
function builder(rows: readonly Row[], layout: StringLayout) {
  const isAbsent = (name: string) => rows.every((row) => row[name] === undefined);
  function fixedAlways<T extends Values>(name: string, type: new (length: number) => T): FixedColumn<T> {
    const column = new type(rows.length);
    const validity = new Uint8Array(rows.length);
    for (const [i, row] of rows.entries()) {
      if (row[name] === undefined) continue;
      validity[i] = 1;
      column[i] = (typeof row[name] === 'boolean' ? Number(row[name]) : row[name]) as never;
    }
    return { values: column, validity: validity.every((byte) => byte === 1) ? null : validity };
  }
  function idAlways(name: string): IdColumn {
    const isWide = layout === 'request' || rows.some((row) => Number(row[name] ?? 0) > U16_MAX);
    return isWide ? fixedAlways(name, Uint32Array) : fixedAlways(name, Uint16Array);
  }
  function strings(
    name: string,
    kind: BytesColumn['kind'],
    bytesOf: (value: string) => Uint8Array,
  ): BytesColumn | null {
    if (isAbsent(name)) return null;
    const texts = rows.map((row) => row[name] as string | undefined);
    const validity = Uint8Array.from(texts, (text) => (text === undefined ? 0 : 1));
    if (layout === 'plain') {
      return { kind, pool: poolOf(texts.map((text) => bytesOf(text ?? ''))), indices: null, validity };
    }
    if (layout === 'request') {
      const gap = Buffer.from([0xff, 0x00]);
      const parts = texts.flatMap((text) => [bytesOf(text ?? ''), gap]);
      const indices = Uint32Array.from(texts, (text, row) => (text === undefined ? 0 : 2 * row));
      return { kind, pool: poolOf(parts), indices, validity };
    }
    const entries = ['unused entry of the dictionary', ...new Set(texts.filter((text) => text !== undefined))];
    const indices = Uint16Array.from(texts, (text) => (text === undefined ? 0 : entries.lastIndexOf(text)));
    return {
      kind,
      pool: poolOf(entries.map((entry, i) => (i === 0 ? Buffer.from(entry) : bytesOf(entry)))),
      indices,
      validity,
    };
  }
  return {
    fixedAlways,
    idAlways,
    id: (name: string) => (isAbsent(name) ? null : idAlways(name)),
    fixed: <T extends Values>(name: string, type: new (length: number) => T) =>
      isAbsent(name) ? null : fixedAlways(name, type),
    text: (name: string) => strings(name, 'utf8', (text) => Buffer.from(text)),
    binary: (name: string) => strings(name, 'binary', (hex) => Buffer.from(hex, 'hex')),
    identifier(name: string, width: 8 | 16): IdentifierColumn | null {
      if (isAbsent(name)) return null;
      const bytes = new Uint8Array(width * rows.length);
      const validity = new Uint8Array(rows.length);
      for (const [i, row] of rows.entries()) {
        if (row[name] === undefined) continue;
        validity[i] = 1;
        bytes.set(Buffer.from(row[name] as string, 'hex'), width * i);
      }
      return { width, values: bytes, validity: validity.every((byte) => byte === 1) ? null : validity };
    },
  };
}

function lists<T extends BigUint64Array | Float64Array>(
  items: readonly unknown[],
  type: new (length: number) => T,
): ListColumn<T> | null {
  if (items.every((item) => item === undefined)) return null;
  const offsets = new Uint32Array(items.length + 1);
  for (const [i, item] of items.entries())
    offsets[i + 1] = offsets[i]! + ((item as unknown[] | undefined)?.length ?? 0);
  const column = new type(offsets[items.length]!);
  for (const [i, item] of items.entries()) column.set(((item as unknown[] | undefined) ?? []) as never, offsets[i]!);
  return { offsets, values: column, validity: Uint8Array.from(items, (item) => (item === undefined ? 0 : 1)) };
}

function poolOf(entries: readonly Uint8Array[]) {
  const offsets = new Int32Array(entries.length + 1);
  for (const [i, entry] of entries.entries()) offsets[i + 1] = offsets[i]! + entry.length;
  return { bytes: Buffer.concat(entries), offsets, length: entries.length };
}

function field(rows: readonly Row[], name: string): Row[] {
  return rows.map((row) => (row[name] ?? {}) as Row);
}

function field2(rows: readonly Row[], name: string, inner: string): unknown[] {
  return rows.map((row) => (row[name] as Row[] | undefined)?.map((item) => item[inner]));
}

function values(rows: readonly Row[], name: string): unknown[] {
  return rows.map((row) => row[name]);
}

/** A value of a result in plain form. */
function plain(value: unknown): unknown {
  if (value === null) return undefined;
  if (value instanceof DuckDBTimestampNanosecondsValue) return value.nanos;
  if (value instanceof DuckDBUUIDValue) return value.toString().replaceAll('-', '');
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString('hex');
  if (value instanceof DuckDBListValue) return value.items.map(plain);
  if (value instanceof DuckDBMapValue) return value.entries.map((entry) => [plain(entry.key), plain(entry.value)]);
  if (value instanceof DuckDBStructValue) return plainRow(value.entries);
  return value;
}

/** A row of a result in plain form, without its nulls. */
export function plainRow(row: Row): Row {
  const entries = Object.entries(row).map(([name, value]) => [name, plain(value)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}
