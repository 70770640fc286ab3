/**
 * The views of schema `main` as canonical rows, and expected telemetry in the same form: attributes and bodies as the text that people
 * query (strings as they are, other values in their JSON form), since that is what these views promise.
 */
import type { DuckDBConnection } from '@duckdb/node-api';
import type { Signal } from '../../src/base/index.ts';
import {
  countText,
  doubleOrNull,
  inRange,
  listOf,
  mapOf,
  numberOf,
  type OffsetRange,
  type SqlRow,
  structOf,
  textOf,
  timeText,
} from './duckdb-values.ts';
import { doubleText, type Pair, sortCanonical, type TelemetryRow, type TypedValue } from './telemetry-rows.ts';

const SPAN_KINDS = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'];
const STATUS_CODES = ['unset', 'ok', 'error'];
const BODY_TYPES = { s: 'str', i: 'int', d: 'double', b: 'bool', m: 'map', a: 'slice', x: 'bytes' } as const;
const TEMPORALITIES = ['unspecified', 'delta', 'cumulative'];
const METRIC_KINDS: Readonly<Record<string, string>> = {
  gauge: 'gauge',
  sum: 'sum',
  histogram: 'histogram',
  exponentialHistogram: 'exponential_histogram',
  summary: 'summary',
};

/** Rows of the public views of a signal, by default of all entries. Metrics without data points are in no view of `main`. */
export async function mainRows(
  connection: DuckDBConnection,
  signal: Signal,
  range?: OffsetRange,
): Promise<TelemetryRow[]> {
  if (signal === 'logs') return (await query(connection, `${LOGS} WHERE ${inRange(range)}`)).map(logRow);
  if (signal === 'traces') return (await query(connection, `${SPANS} WHERE ${inRange(range)}`)).map(spanRow);
  const points: TelemetryRow[] = [];
  for (const [view, columns] of Object.entries(POINT_COLUMNS)) {
    const rows = await query(
      connection,
      `SELECT s.* EXCLUDE (series_id), p.time, p.start_time, p.flags, ${columns} FROM ${view} p JOIN series s USING (series_id)
       WHERE ${inRange(range, 'p.')}`,
    );
    points.push(...rows.map((row) => pointRow(view, row)));
  }
  return points;
}

/** Expected rows (expected-rows.ts) in the form of `mainRows`. */
export function expectedMainRows(rows: readonly TelemetryRow[]): TelemetryRow[] {
  return rows
    .filter((row) => row['kind'] !== 'metric')
    .map((row) => expectedOf[row['kind'] as keyof typeof expectedOf](row));
}

const LOGS = `SELECT *, trace_hex(trace_id) AS trace_text, span_hex(span_id) AS span_text FROM logs`;
const SPANS = `SELECT *, trace_hex(trace_id) AS trace_text, span_hex(span_id) AS span_text, span_hex(parent_span_id) AS parent_text,
  list_transform(links, lambda l: trace_hex(l.trace_id)) AS link_traces, list_transform(links, lambda l: span_hex(l.span_id)) AS link_spans FROM spans`;
const POINT_COLUMNS = {
  samples: 'p.value, p.int_value',
  histograms: 'p.count, p.sum, p.min, p.max, p.bucket_counts, p.explicit_bounds',
  exp_histograms: `p.count, p.sum, p.min, p.max, p.scale, p.zero_count, p.zero_threshold, p.positive_offset, p.positive_bucket_counts,
    p.negative_offset, p.negative_bucket_counts`,
  summaries: 'p.count, p.sum, p.quantiles',
};

function logRow(row: SqlRow): TelemetryRow {
  return {
    kind: 'log',
    ...parentColumns(row),
    time: timeText(row['time']),
    observed: timeText(row['observed_time']),
    severity: numberOf(row['severity_number']),
    severity_text: textOf(row['severity_text']),
    body: row['body_type'] === 'str' ? row['body'] : jsonForm(row['body'] as string | null),
    body_type: row['body_type'],
    attributes: attributeTexts(row['attributes']),
    dropped: numberOf(row['dropped_attributes_count']),
    flags: numberOf(row['flags']),
    trace_id: textOf(row['trace_text']),
    span_id: textOf(row['span_text']),
    event_name: textOf(row['event_name']),
  };
}

function spanRow(row: SqlRow): TelemetryRow {
  const linkTraces = listOf(row['link_traces']);
  const linkSpans = listOf(row['link_spans']);
  return {
    kind: 'span',
    ...parentColumns(row),
    trace_id: textOf(row['trace_text']),
    span_id: textOf(row['span_text']),
    parent_span_id: textOf(row['parent_text']),
    trace_state: textOf(row['trace_state']),
    name: textOf(row['name']),
    span_kind: row['kind'],
    start: timeText(row['start_time']),
    end: timeText(row['end_time']),
    duration: BigInt.asIntN(64, row['duration_ns'] as bigint).toString(),
    flags: numberOf(row['flags']),
    status: row['status_code'],
    status_message: textOf(row['status_message']),
    attributes: attributeTexts(row['attributes']),
    dropped: numberOf(row['dropped_attributes_count']),
    dropped_events: numberOf(row['dropped_events_count']),
    dropped_links: numberOf(row['dropped_links_count']),
    events: sortCanonical(
      listOf(row['events'])
        .map(structOf)
        .map((event) => ({
          time: timeText(event['time']),
          name: textOf(event['name']),
          attributes: attributeTexts(event['attributes']),
          dropped: numberOf(event['dropped_attributes_count']),
        })),
    ),
    links: sortCanonical(
      listOf(row['links'])
        .map(structOf)
        .map((link, index) => ({
          trace_id: textOf(linkTraces[index]),
          span_id: textOf(linkSpans[index]),
          trace_state: textOf(link['trace_state']),
          flags: numberOf(link['flags']),
          attributes: attributeTexts(link['attributes']),
          dropped: numberOf(link['dropped_attributes_count']),
        })),
    ),
  };
}

function pointRow(view: string, row: SqlRow): TelemetryRow {
  const base = {
    kind: 'point',
    resource: attributeTexts(row['resource_attributes']),
    scope: scopeColumns(row),
    metric: {
      name: row['metric_name'],
      unit: textOf(row['unit']),
      type: row['type'],
      temporality: row['temporality'],
      monotonic: (row['is_monotonic'] as boolean | null) ?? false,
    },
    attributes: attributeTexts(row['attributes']),
    time: timeText(row['time']),
    start: timeText(row['start_time']),
    flags: numberOf(row['flags']),
  };
  if (view === 'samples')
    return {
      ...base,
      value: doubleOrNull(row['value']),
      int_value: row['int_value'] === null ? null : String(row['int_value']),
    };
  const count = countText(row['count']);
  if (view === 'summaries') {
    const quantiles = listOf(row['quantiles']).map(structOf);
    return {
      ...base,
      count,
      sum: doubleText(row['sum'] as number),
      quantiles: quantiles.map((item) => [doubleText(item['quantile'] as number), doubleText(item['value'] as number)]),
    };
  }
  const aggregate = {
    ...base,
    count,
    sum: doubleOrNull(row['sum']),
    min: doubleOrNull(row['min']),
    max: doubleOrNull(row['max']),
  };
  if (view === 'histograms') {
    return {
      ...aggregate,
      buckets: listOf(row['bucket_counts']).map(countText),
      bounds: listOf(row['explicit_bounds']).map((bound) => doubleText(bound as number)),
    };
  }
  return {
    ...aggregate,
    scale: numberOf(row['scale']),
    zero_count: countText(row['zero_count']),
    zero_threshold: doubleText((row['zero_threshold'] as number | null) ?? 0),
    positive: {
      offset: numberOf(row['positive_offset']),
      buckets: listOf(row['positive_bucket_counts']).map(countText),
    },
    negative: {
      offset: numberOf(row['negative_offset']),
      buckets: listOf(row['negative_bucket_counts']).map(countText),
    },
  };
}

function parentColumns(row: SqlRow): TelemetryRow {
  const resource = attributeTexts(row['resource_attributes']);
  return {
    service: textOf(row['service_name']),
    resource,
    resource_schema_url: textOf(row['resource_schema_url']),
    scope: scopeColumns(row),
    scope_schema_url: textOf(row['scope_schema_url']),
  };
}

function scopeColumns(row: SqlRow): TelemetryRow {
  return {
    name: textOf(row['scope_name']),
    version: textOf(row['scope_version']),
    attributes: attributeTexts(row['scope_attributes']),
  };
}

function attributeTexts(value: unknown): unknown[] {
  return sortCanonical(mapOf(value).map(([key, text]) => [key, textForm(text)]));
}

type Row = Readonly<Record<string, any>>; // oxlint-disable-line typescript/no-explicit-any -- rows of unknown shape from expected-rows.ts

const expectedOf = {
  log: (row: Row): TelemetryRow => ({
    kind: 'log',
    ...expectedParents(row),
    time: row['time'] === '0' ? row['observed'] : row['time'],
    observed: row['observed'],
    severity: row['severity'],
    severity_text: row['severity_text'],
    body: row['body'] === null ? null : 's' in row['body'] ? row['body'].s : jsonForm(valueText(row['body'])),
    body_type: row['body'] === null ? 'empty' : BODY_TYPES[Object.keys(row['body'])[0] as keyof typeof BODY_TYPES],
    attributes: expectedTexts(row['attributes']),
    dropped: row['dropped'],
    flags: row['flags'],
    trace_id: row['trace_id'],
    span_id: row['span_id'],
    event_name: row['event_name'],
  }),
  span: (row: Row): TelemetryRow => ({
    kind: 'span',
    ...expectedParents(row),
    trace_id: row['trace_id'],
    span_id: row['span_id'],
    parent_span_id: row['parent_span_id'],
    trace_state: row['trace_state'],
    name: row['name'],
    span_kind: SPAN_KINDS[row['span_kind']] ?? String(row['span_kind']),
    start: row['start'],
    end: row['end'],
    duration: BigInt.asIntN(64, BigInt(row['end']) - BigInt(row['start'])).toString(),
    flags: row['flags'],
    status: STATUS_CODES[row['status']] ?? String(row['status']),
    status_message: row['status_message'],
    attributes: expectedTexts(row['attributes']),
    dropped: row['dropped'],
    dropped_events: row['dropped_events'],
    dropped_links: row['dropped_links'],
    events: sortCanonical(
      (row['events'] as Row[]).map((event) => ({ ...event, attributes: expectedTexts(event['attributes']) })),
    ),
    links: sortCanonical(
      (row['links'] as Row[]).map((link) => ({ ...link, attributes: expectedTexts(link['attributes']) })),
    ),
  }),
  point: (row: Row): TelemetryRow => {
    const { exemplars: _exemplars, attributes, value, ...point } = row['point'] as Row;
    const { type, temporality, description: _description, metadata: _metadata, ...metric } = row['metric'] as Row;
    const number = value === undefined ? {} : expectedNumber(value as TypedValue);
    return {
      kind: 'point',
      resource: expectedTexts(row['resource'].attributes),
      scope: {
        name: row['scope'].name,
        version: row['scope'].version,
        attributes: expectedTexts(row['scope'].attributes),
      },
      metric: { ...metric, type: METRIC_KINDS[type], temporality: TEMPORALITIES[temporality] ?? String(temporality) },
      attributes: expectedTexts(attributes),
      ...point,
      ...number,
    };
  },
};

function expectedParents(row: Row): TelemetryRow {
  const service = (row['resource'].attributes as Pair[]).find(([key]) => key === 'service.name')?.[1] ?? null;
  return {
    service: service === null ? '' : 's' in service ? service.s : valueText(service),
    resource: expectedTexts(row['resource'].attributes),
    resource_schema_url: row['resource'].schema_url,
    scope: {
      name: row['scope'].name,
      version: row['scope'].version,
      attributes: expectedTexts(row['scope'].attributes),
    },
    scope_schema_url: row['scope'].schema_url,
  };
}

function expectedNumber(value: TypedValue): TelemetryRow {
  if (value === null) return { value: null, int_value: null };
  if ('i' in value) return { value: doubleText(Number(value.i)), int_value: value.i };
  return { value: (value as { d: string }).d, int_value: null };
}

function expectedTexts(pairs: Pair[]): unknown[] {
  return sortCanonical(
    pairs.map(([key, value]) => [key, textForm(value === null ? null : 's' in value ? value.s : valueText(value))]),
  );
}

/** JSON text of a value as the views promise it. */
function valueText(value: TypedValue): string {
  if (value === null) return 'null';
  if ('s' in value) return JSON.stringify(value.s);
  if ('i' in value) return value.i;
  if ('b' in value) return String(value.b);
  if ('x' in value) return Buffer.from(value.x, 'hex').toString('base64');
  if ('d' in value) return doubleJson(value.d);
  if ('a' in value) return `[${value.a.map(nestedText).join(',')}]`;
  return `{${value.m.map(([key, item]) => `${JSON.stringify(key)}:${nestedText(item)}`).join(',')}}`;
}

/** Inside JSON, bytes and numbers that JSON does not have are strings. */
function nestedText(value: TypedValue): string {
  if (value !== null && 'x' in value) return JSON.stringify(valueText(value));
  if (value !== null && 'd' in value && !/^-?[\d.]/.test(doubleJson(value.d)))
    return JSON.stringify(doubleJson(value.d));
  return valueText(value);
}

function doubleJson(bits: string): string {
  if (bits === 'nan') return 'NaN';
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(`0x${bits}`));
  const value = view.getFloat64(0);
  return Object.is(value, -0) ? '-0' : String(value);
}

/** Text that is a JSON map or array compares with its keys sorted; all other text compares as it is. */
function textForm(text: string | null): unknown {
  return text !== null && /^[[{]/.test(text) ? jsonForm(text) : text;
}

function jsonForm(text: string | null): unknown {
  if (text === null || !/^[[{]/.test(text)) return text;
  try {
    return { json: sortedJson(JSON.parse(exactNumbers(text))) };
  } catch {
    return text;
  }
}

/** Puts numbers into strings, so that JSON.parse keeps every digit and the sign of zero. */
function exactNumbers(text: string): string {
  return text.replaceAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
    token.startsWith('"') ? token : `"#${token}"`,
  );
}

function sortedJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedJson);
  if (value === null || typeof value !== 'object') return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, item]) => [key, sortedJson(item)]);
}

async function query(connection: DuckDBConnection, sql: string): Promise<SqlRow[]> {
  return (await connection.runAndReadAll(sql)).getRowObjects() as SqlRow[];
}
