/**
 * The figures of a capture's `.summary.json`, computed by SQL over the tables: the check for captures that are too large to compare
 * row by row. Groups are named as in the file; each has one statement that returns (key, value) pairs.
 */
import type { DuckDBConnection } from '@duckdb/node-api';

export interface Summary {
  counts: Record<string, Record<string, number>>;
  distinct: Record<string, number>;
  sums: Record<string, string>;
}

const VALUE_TYPES = `['Empty', 'Str', 'Int', 'Double', 'Bool', 'Map', 'Slice', 'Bytes'][type + 1]`;

const COUNTS: Readonly<Record<string, string>> = {
  logs: `SELECT 'rows', count(*) FROM logs`,
  'log service.name': 'SELECT service_name, count(*) FROM logs GROUP BY 1',
  'log scope': 'SELECT scope_name, count(*) FROM logs GROUP BY 1',
  'log severity_text': 'SELECT severity_text, count(*) FROM logs GROUP BY 1',
  spans: `SELECT 'rows', count(*) FROM spans`,
  'span service.name': 'SELECT service_name, count(*) FROM spans GROUP BY 1',
  'span name': 'SELECT name, count(*) FROM spans GROUP BY 1',
  'span kind': 'SELECT coalesce(kind, 0), count(*) FROM normalized.spans GROUP BY 1',
  'span status': 'SELECT coalesce(status.code, 0), count(*) FROM normalized.spans GROUP BY 1',
  points: `SELECT * FROM (SELECT 'number', count(*) FROM normalized.number_data_points
    UNION ALL SELECT 'histogram', count(*) FROM normalized.histogram_data_points)`,
  'point metric':
    'SELECT metric_name, count(*) FROM (SELECT series_id FROM samples UNION ALL SELECT series_id FROM histograms) JOIN series USING (series_id) GROUP BY 1',
  'metric type': `SELECT ['Empty', 'Gauge', 'Sum', 'Histogram', 'ExponentialHistogram', 'Summary'][metric_type + 1], count(*)
    FROM normalized.univariate_metrics GROUP BY 1`,
  ...attributeCounts('log attribute', ['log_attrs']),
  ...attributeCounts('span attribute', ['span_attrs']),
  ...attributeCounts('event attribute', ['span_event_attrs']),
  ...attributeCounts('point attribute', ['number_dp_attrs', 'histogram_dp_attrs']),
};

const SUMS: Readonly<Record<string, string>> = {
  'log time_unix_nano': 'SELECT sum(epoch_ns(time)::HUGEINT) FROM logs',
  'log observed_time_unix_nano': 'SELECT sum(epoch_ns(observed_time)::HUGEINT) FROM logs',
  'log body length': 'SELECT sum(strlen(body)) FROM logs',
  'span start_time_unix_nano': 'SELECT sum(epoch_ns(start_time)::HUGEINT) FROM spans',
  'span end_time_unix_nano': 'SELECT sum(epoch_ns(end_time)::HUGEINT) FROM spans',
  'span events': 'SELECT sum(len(events)) FROM spans',
  'span links': 'SELECT sum(len(links)) FROM spans',
  'point time_unix_nano': `SELECT sum(t) FROM (SELECT epoch_ns(time)::HUGEINT AS t FROM samples UNION ALL SELECT epoch_ns(time)::HUGEINT FROM histograms)`,
  'point int_value': 'SELECT sum(int_value::HUGEINT) FROM samples',
  'histogram count': 'SELECT sum(count::HUGEINT) FROM histograms',
  exemplars: 'SELECT count(*) FROM exemplars',
  ...attributeSums('log attribute', ['log_attrs']),
  ...attributeSums('span attribute', ['span_attrs']),
  ...attributeSums('event attribute', ['span_event_attrs']),
  ...attributeSums('point attribute', ['number_dp_attrs', 'histogram_dp_attrs']),
};

const DISTINCT: Readonly<Record<string, string>> = {
  'log trace_id': `SELECT count(DISTINCT coalesce(trace_hex(trace_id), '')) FROM logs`,
  'span trace_id': `SELECT count(DISTINCT coalesce(trace_hex(trace_id), '')) FROM spans`,
};

/** The summary of what the tables hold, for the groups that `expected` names. Throws for a group that has no statement here. */
export async function summarize(connection: DuckDBConnection, expected: Summary): Promise<Summary> {
  const summary: Summary = { counts: {}, distinct: {}, sums: {} };
  for (const group of Object.keys(expected.counts)) {
    const rows = await query(connection, statement(COUNTS, group));
    summary.counts[group] = Object.fromEntries(rows.map(([key, value]) => [String(key ?? ''), Number(value)]));
  }
  for (const name of Object.keys(expected.distinct))
    summary.distinct[name] = Number(await scalar(connection, statement(DISTINCT, name)));
  for (const name of Object.keys(expected.sums)) {
    const bucket = /^histogram bucket (\d+)$/.exec(name);
    const sql =
      bucket === null
        ? statement(SUMS, name)
        : `SELECT sum(bucket_counts[${Number(bucket[1]) + 1}]::HUGEINT) FROM histograms`;
    summary.sums[name] = String(await scalar(connection, sql));
  }
  return summary;
}

function attributeCounts(group: string, tables: readonly string[]): Record<string, string> {
  const rows = union(tables, 'key, type');
  return {
    [`${group} key`]: `SELECT key, count(*) FROM (${rows}) GROUP BY 1`,
    [`${group} type`]: `SELECT ${VALUE_TYPES}, count(*) FROM (${rows}) GROUP BY 1`,
  };
}

function attributeSums(group: string, tables: readonly string[]): Record<string, string> {
  const rows = union(tables, 'type, str, int');
  return {
    [`${group} int`]: `SELECT sum(int::HUGEINT) FROM (${rows}) WHERE type = 2`,
    [`${group} string length`]: `SELECT sum(strlen(str)) FROM (${rows}) WHERE type = 1`,
  };
}

function union(tables: readonly string[], columns: string): string {
  return tables.map((table) => `SELECT ${columns} FROM normalized.${table}`).join(' UNION ALL ');
}

function statement(statements: Readonly<Record<string, string>>, name: string): string {
  const sql = statements[name];
  if (sql === undefined) throw new Error(`Cannot summarize ${name}: there is no statement for it`);
  return sql;
}

async function scalar(connection: DuckDBConnection, sql: string): Promise<unknown> {
  return (await query(connection, sql))[0]![0];
}

async function query(connection: DuckDBConnection, sql: string): Promise<unknown[][]> {
  return (await connection.runAndReadAll(sql)).getRows();
}
