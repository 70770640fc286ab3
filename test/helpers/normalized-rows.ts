/** The tables of schema `normalized`, joined back into canonical telemetry rows: must equal what the wire carried, type by type. */
import type { DuckDBConnection } from '@duckdb/node-api';
import type { Signal } from '../../src/base/index.ts';
import {
  countText,
  doubleOrNull,
  idText,
  inRange,
  listOf,
  numberOf,
  type OffsetRange,
  type SqlRow,
  structOf,
  textOf,
  timeText,
  typedValueOf,
} from './duckdb-values.ts';
import {
  doubleText,
  type Pair,
  sortCanonical,
  sortPairs,
  type TelemetryRow,
  type TypedValue,
  unsignedText,
} from './telemetry-rows.ts';

type ChildRows = Map<string, SqlRow[]>;
type Attributes = (entryOffset: unknown, id: unknown) => Pair[];

const METRIC_TYPES = ['empty', 'gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'];

export interface NormalizedRowsOptions {
  /** Entries that count; default all. */
  readonly range?: OffsetRange;
  /** Gives metrics their `metadata`, as expected rows have them when they are exact. */
  readonly exact?: boolean;
}

/** What rows are read from. */
interface Source extends NormalizedRowsOptions {
  readonly connection: DuckDBConnection;
}

/** The rows of a signal. */
export async function normalizedRows(
  connection: DuckDBConnection,
  signal: Signal,
  options: NormalizedRowsOptions = {},
): Promise<TelemetryRow[]> {
  const source = { connection, ...options };
  if (signal === 'logs') return logRows(source);
  return signal === 'traces' ? spanRows(source) : pointRows(source);
}

async function logRows(source: Source): Promise<TelemetryRow[]> {
  const parents = await parentsOf(source);
  const attributes = await attributesOf(source, 'log_attrs');
  const rows = await table(source, 'logs');
  return rows.map((row) => ({
    kind: 'log',
    ...parents(row),
    time: timeText(row['time_unix_nano']),
    observed: timeText(row['observed_time_unix_nano']),
    severity: numberOf(row['severity_number']),
    severity_text: textOf(row['severity_text']),
    body: sortedValue(typedValueOf(structOf(row['body']))),
    attributes: attributes(row['entry_offset'], row['id']),
    dropped: numberOf(row['dropped_attributes_count']),
    flags: numberOf(row['flags']),
    trace_id: idText(row['trace_id'], 32),
    span_id: idText(row['span_id'], 16),
    event_name: textOf(row['event_name']),
  }));
}

async function spanRows(source: Source): Promise<TelemetryRow[]> {
  const parents = await parentsOf(source);
  const attributes = await attributesOf(source, 'span_attrs');
  const eventAttributes = await attributesOf(source, 'span_event_attrs');
  const linkAttributes = await attributesOf(source, 'span_link_attrs');
  const events = await childRows(source, 'span_events');
  const links = await childRows(source, 'span_links');
  const rows = await table(source, 'spans');
  return rows.map((row) => {
    const status = structOf(row['status']);
    const start = BigInt(timeText(row['start_time_unix_nano']));
    return {
      kind: 'span',
      ...parents(row),
      trace_id: idText(row['trace_id'], 32),
      span_id: idText(row['span_id'], 16),
      parent_span_id: idText(row['parent_span_id'], 16),
      trace_state: textOf(row['trace_state']),
      name: textOf(row['name']),
      span_kind: numberOf(row['kind']),
      start: String(start),
      end: unsignedText(start + BigInt(timeText(row['duration_time_unix_nano']))),
      flags: numberOf(row['flags']),
      status: numberOf(status['code']),
      status_message: textOf(status['status_message']),
      attributes: attributes(row['entry_offset'], row['id']),
      dropped: numberOf(row['dropped_attributes_count']),
      dropped_events: numberOf(row['dropped_events_count']),
      dropped_links: numberOf(row['dropped_links_count']),
      events: sortCanonical(
        childrenOf(events, row).map((event) => ({
          time: timeText(event['time_unix_nano']),
          name: textOf(event['name']),
          attributes: eventAttributes(event['entry_offset'], event['id']),
          dropped: numberOf(event['dropped_attributes_count']),
        })),
      ),
      links: sortCanonical(
        childrenOf(links, row).map((link) => ({
          trace_id: idText(link['trace_id'], 32),
          span_id: idText(link['span_id'], 16),
          trace_state: textOf(link['trace_state']),
          flags: numberOf(link['flags']),
          attributes: linkAttributes(link['entry_offset'], link['id']),
          dropped: numberOf(link['dropped_attributes_count']),
        })),
      ),
    };
  });
}

interface PointTables {
  rows: ChildRows;
  attributes: Attributes;
  exemplars: (point: SqlRow) => TelemetryRow[];
}

async function pointRows(source: Source): Promise<TelemetryRow[]> {
  const parents = await parentsOf(source);
  const kinds = {
    number: await pointTables(source, 'number', true),
    histogram: await pointTables(source, 'histogram', true),
    exp_histogram: await pointTables(source, 'exp_histogram', true),
    summary: await pointTables(source, 'summary', false),
  };
  const metadata = source.exact === true ? await attributesOf(source, 'metric_attrs') : null;
  const metrics = await table(source, 'univariate_metrics');
  return metrics.flatMap((metric) => {
    const parent = {
      ...parents(metric),
      metric: {
        name: textOf(metric['name']),
        description: textOf(metric['description']),
        unit: textOf(metric['unit']),
        type: METRIC_TYPES[numberOf(metric['metric_type'])],
        temporality: numberOf(metric['aggregation_temporality']),
        monotonic: (metric['is_monotonic'] as boolean | null) ?? false,
        ...(metadata === null ? {} : { metadata: metadata(metric['entry_offset'], metric['id']) }),
      },
    };
    const points = Object.entries(kinds).flatMap(([kind, tables]) =>
      childrenOf(tables.rows, metric).map((point) => pointRow(kind, point, tables)),
    );
    if (points.length === 0) return [{ kind: 'metric', ...parent }];
    return points.map((point) => ({ kind: 'point', ...parent, point }));
  });
}

async function pointTables(source: Source, kind: string, hasExemplars: boolean): Promise<PointTables> {
  const rows = await childRows(source, `${kind}_data_points`);
  const attributes = await attributesOf(source, `${kind}_dp_attrs`);
  if (!hasExemplars) return { rows, attributes, exemplars: () => [] };
  const exemplars = await childRows(source, `${kind}_dp_exemplars`);
  const exemplarAttributes = await attributesOf(source, `${kind}_dp_exemplar_attrs`);
  return {
    rows,
    attributes,
    exemplars: (point) =>
      sortCanonical(
        childrenOf(exemplars, point).map((exemplar) => ({
          time: timeText(exemplar['time_unix_nano']),
          value: numberValue(exemplar),
          trace_id: idText(exemplar['trace_id'], 32),
          span_id: idText(exemplar['span_id'], 16),
          attributes: exemplarAttributes(exemplar['entry_offset'], exemplar['id']),
        })),
      ),
  };
}

function pointRow(kind: string, point: SqlRow, tables: PointTables): TelemetryRow {
  const base = {
    attributes: tables.attributes(point['entry_offset'], point['id']),
    start: timeText(point['start_time_unix_nano']),
    time: timeText(point['time_unix_nano']),
    flags: numberOf(point['flags']),
  };
  if (kind === 'number') return { ...base, value: numberValue(point), exemplars: tables.exemplars(point) };
  const count = countText(point['count']);
  if (kind === 'summary') {
    const quantiles = listOf(point['quantile']).map((item) => {
      const { quantile, value } = structOf(item);
      return [doubleText(quantile as number), doubleText(value as number)];
    });
    return { ...base, count, sum: doubleText((point['sum'] as number | null) ?? 0), quantiles };
  }
  const aggregate = {
    ...base,
    count,
    sum: doubleOrNull(point['sum']),
    min: doubleOrNull(point['min']),
    max: doubleOrNull(point['max']),
    exemplars: tables.exemplars(point),
  };
  if (kind === 'histogram') {
    return {
      ...aggregate,
      buckets: listOf(point['bucket_counts']).map(countText),
      bounds: listOf(point['explicit_bounds']).map((bound) => doubleText(bound as number)),
    };
  }
  return {
    ...aggregate,
    scale: numberOf(point['scale']),
    zero_count: countText(point['zero_count']),
    zero_threshold: doubleText((point['zero_threshold'] as number | null) ?? 0),
    positive: buckets(structOf(point['positive'])),
    negative: buckets(structOf(point['negative'])),
  };
}

function buckets(struct: SqlRow): TelemetryRow {
  return { offset: numberOf(struct['offset']), buckets: listOf(struct['bucket_counts']).map(countText) };
}

function numberValue(row: SqlRow): TypedValue {
  if (row['int_value'] !== null) return { i: String(row['int_value']) };
  return row['double_value'] === null ? null : { d: doubleText(row['double_value'] as number) };
}

/** Resource and scope of a root row. */
async function parentsOf(source: Source): Promise<(row: SqlRow) => TelemetryRow> {
  const resourceAttributes = await attributesOf(source, 'resource_attrs');
  const scopeAttributes = await attributesOf(source, 'scope_attrs');
  return (row) => {
    const resource = structOf(row['resource']);
    const scope = structOf(row['scope']);
    return {
      resource: {
        attributes: resourceAttributes(row['entry_offset'], resource['id']),
        dropped: numberOf(resource['dropped_attributes_count']),
        schema_url: textOf(resource['schema_url']),
      },
      scope: {
        name: textOf(scope['name']),
        version: textOf(scope['version']),
        attributes: scopeAttributes(row['entry_offset'], scope['id']),
        dropped: numberOf(scope['dropped_attributes_count']),
        schema_url: textOf(row['schema_url']),
      },
    };
  };
}

async function attributesOf(source: Source, name: string): Promise<Attributes> {
  const rows = await childRows(source, name);
  return (entryOffset, id) => {
    if (id === null || id === undefined) return [];
    const found = rows.get(`${entryOffset}:${id}`) ?? [];
    return sortPairs(found.map((row) => [textOf(row['key']), typedValueOf(row)] as Pair));
  };
}

async function childRows(source: Source, name: string): Promise<ChildRows> {
  const groups: ChildRows = new Map();
  for (const row of await table(source, name)) {
    const key = `${row['entry_offset']}:${row['parent_id']}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return groups;
}

function childrenOf(rows: ChildRows, parent: SqlRow): SqlRow[] {
  return parent['id'] === null ? [] : (rows.get(`${parent['entry_offset']}:${parent['id']}`) ?? []);
}

async function table(source: Source, name: string): Promise<SqlRow[]> {
  const sql = `SELECT * FROM normalized.${name} WHERE ${inRange(source.range)}`;
  return (await source.connection.runAndReadAll(sql)).getRowObjects() as SqlRow[];
}

/** Map entries in a body compare order-free, like those in attributes. */
function sortedValue(value: TypedValue): TypedValue {
  return sortPairs([['', value]])[0]![1];
}
