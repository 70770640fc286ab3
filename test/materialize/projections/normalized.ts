/** Compares the views of schema `normalized` with the plain rows that went in. */
import assert from 'node:assert/strict';
import type { openStore } from './store.ts';
import type { Row, Rows } from './rows.ts';

const ROOT = {
  resource: { schema_url: '', dropped_attributes_count: 0 },
  scope: { name: '', version: '', dropped_attributes_count: 0 },
  schema_url: '',
};
const ATTRIBUTE = { key: '', type: 0 };
const POINT = { time_unix_nano: 0n, start_time_unix_nano: 0n, flags: 0 };
const EXEMPLAR = { time_unix_nano: 0n };

/** What OTLP's defaults add to a row that leaves fields out. Fields of other structs merge by name. */
const DEFAULTS: Rows[string] extends readonly (infer R)[] ? Readonly<Record<string, R>> : never = {
  resource_attrs: ATTRIBUTE,
  scope_attrs: ATTRIBUTE,
  logs: {
    ...ROOT,
    time_unix_nano: 0n,
    observed_time_unix_nano: 0n,
    severity_number: 0,
    severity_text: '',
    body: { type: 0 },
    dropped_attributes_count: 0,
    flags: 0,
    event_name: '',
  },
  log_attrs: ATTRIBUTE,
  spans: {
    ...ROOT,
    start_time_unix_nano: 0n,
    duration_time_unix_nano: 0n,
    trace_state: '',
    name: '',
    kind: 0,
    dropped_attributes_count: 0,
    dropped_events_count: 0,
    dropped_links_count: 0,
    status: { code: 0, status_message: '' },
    flags: 0,
  },
  span_attrs: ATTRIBUTE,
  span_events: { time_unix_nano: 0n, name: '', dropped_attributes_count: 0 },
  span_event_attrs: ATTRIBUTE,
  span_links: { trace_state: '', dropped_attributes_count: 0, flags: 0 },
  span_link_attrs: ATTRIBUTE,
  univariate_metrics: {
    ...ROOT,
    metric_type: 0,
    name: '',
    description: '',
    unit: '',
    aggregation_temporality: 0,
    is_monotonic: false,
  },
  metric_attrs: ATTRIBUTE,
  number_data_points: POINT,
  summary_data_points: { ...POINT, count: 0n, sum: 0, quantile: [] },
  histogram_data_points: { ...POINT, count: 0n, bucket_counts: [], explicit_bounds: [] },
  exp_histogram_data_points: {
    ...POINT,
    count: 0n,
    scale: 0,
    zero_count: 0n,
    zero_threshold: 0,
    positive: { offset: 0, bucket_counts: [] },
    negative: { offset: 0, bucket_counts: [] },
  },
  number_dp_attrs: ATTRIBUTE,
  summary_dp_attrs: ATTRIBUTE,
  histogram_dp_attrs: ATTRIBUTE,
  exp_histogram_dp_attrs: ATTRIBUTE,
  number_dp_exemplars: EXEMPLAR,
  histogram_dp_exemplars: EXEMPLAR,
  exp_histogram_dp_exemplars: EXEMPLAR,
  number_dp_exemplar_attrs: ATTRIBUTE,
  histogram_dp_exemplar_attrs: ATTRIBUTE,
  exp_histogram_dp_exemplar_attrs: ATTRIBUTE,
};

/** Names of all views of the schema. */
const NORMALIZED_VIEWS = Object.keys(DEFAULTS);

const VALUE_DEFAULTS: Readonly<Record<number, Row>> = {
  1: { str: '' },
  2: { int: 0n },
  3: { double: 0 },
  4: { bool: false },
  5: { ser: '' },
  6: { ser: '' },
  7: { bytes: '' },
};

/** Asserts that every view holds exactly the rows of `rows` (by view name), in any order. Views without rows must be empty. */
export async function assertNormalized(
  store: Awaited<ReturnType<typeof openStore>>,
  rows: Rows,
  offset = 7n,
): Promise<void> {
  for (const view of NORMALIZED_VIEWS) {
    const found = await store.rows(`SELECT * FROM normalized.${view} WHERE entry_offset = ${offset}`);
    const expected = (rows[view] ?? []).map((row) => ({ entry_offset: offset, ...withDefaults(view, row) }));
    assert.deepEqual(lines(found.map(withoutRow)), lines(expected), view);
  }
}

function withDefaults(view: string, row: Row): Row {
  const filled = withSpanIds(merge(DEFAULTS[view]!, row));
  if (view.endsWith('attrs')) return withValue(filled);
  return view === 'logs' ? { ...filled, body: withValue(filled['body'] as Row) } : filled;
}

/** The views show span ids as numbers. */
function withSpanIds(row: Row): Row {
  const ids = ['span_id', 'parent_span_id'].filter((name) => typeof row[name] === 'string');
  return { ...row, ...Object.fromEntries(ids.map((name) => [name, BigInt(`0x${row[name] as string}`)])) };
}

function withValue(row: Row): Row {
  return { ...VALUE_DEFAULTS[row['type'] as number], ...row };
}

function merge(defaults: Row, row: Row): Row {
  const merged: Record<string, unknown> = { ...defaults };
  for (const [name, value] of Object.entries(row)) {
    const fallback = defaults[name];
    merged[name] = isStruct(value) && isStruct(fallback) ? merge(fallback, value) : value;
  }
  return merged;
}

function isStruct(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function withoutRow({ row: _row, ...rest }: Row): Row {
  return rest;
}

function lines(rows: readonly Row[]): string[] {
  return rows.map((row) => JSON.stringify(row, sorted)).toSorted();
}

function sorted(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number' && (Object.is(value, -0) || !Number.isFinite(value)))
    return `number ${1 / value} ${value}`;
  if (!isStruct(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
