/** Small batches whose rows have names and times, and the rows of the tables by name. */
import type { CanonicalBatch } from '../../src/otap/index.ts';
import { logsBatch, metricsBatch, type Row, tracesBatch } from '../materialize/projections/rows.ts';
import type { RetainedTables } from './retained-tables.ts';

/** A log, a span or a sample. */
export interface NamedRow {
  readonly name: string;
  readonly time: bigint;
}

/** Logs of one resource and one scope. */
export function namedLogs(resource: string, rows: readonly NamedRow[]): CanonicalBatch {
  return logsBatch({
    logs: rows.map(({ name, time }, id) => ({
      id,
      resource: { id: 0 },
      scope: { id: 0, name: `scope of ${resource}` },
      time_unix_nano: time,
      body: { type: 1, str: name },
    })),
    resource_attrs: [{ parent_id: 0, key: 'service.name', type: 1, str: resource }],
  });
}

/** Spans that end at their times. */
export function namedSpans(
  resource: string,
  rows: readonly (NamedRow & { readonly start?: bigint })[],
): CanonicalBatch {
  return tracesBatch({
    spans: rows.map(({ name, time, start = time }, id) => ({
      id,
      resource: { id: 0 },
      scope: { id: 0, name: `scope of ${resource}` },
      start_time_unix_nano: start,
      duration_time_unix_nano: time - start,
      name,
    })),
    resource_attrs: [{ parent_id: 0, key: 'service.name', type: 1, str: resource }],
  });
}

/** Samples of one gauge, each of a series of its own by its name, and an exemplar at the time of each. */
export function namedSamples(resource: string, rows: readonly NamedRow[]): CanonicalBatch {
  return metricsBatch({
    univariate_metrics: [
      { id: 0, resource: { id: 0 }, scope: { id: 0, name: `scope of ${resource}` }, metric_type: 1, name: 'gauge' },
    ],
    resource_attrs: [{ parent_id: 0, key: 'service.name', type: 1, str: resource }],
    number_data_points: rows.map(({ time }, id) => ({ id, parent_id: 0, time_unix_nano: time, double_value: 1 })),
    number_dp_attrs: rows.map(({ name }, id) => ({ parent_id: id, key: 'name', type: 1, str: name })),
    number_dp_exemplars: rows.map(({ time }, id) => ({ id, parent_id: id, time_unix_nano: time, double_value: 1 })),
  });
}

/** Sorted names of the rows in the views: `log a`, `span b`, `sample c`. */
export async function visibleNames(tables: RetainedTables): Promise<string[]> {
  const rows = await tables.rows(`
    SELECT 'log ' || body AS name FROM main.logs UNION ALL
    SELECT 'span ' || name FROM main.spans UNION ALL
    SELECT 'sample ' || attributes['name'] FROM main.metrics ORDER BY ALL`);
  return rows.map((row) => String(row['name']));
}

/** Everything in the views that a replay has to find again, whatever the order in the tables. */
export async function visibleRows(tables: RetainedTables): Promise<unknown[]> {
  const views = ['logs', 'spans', 'metrics', 'exemplars', 'series', 'resources', 'scopes'];
  const found: unknown[] = [];
  for (const view of views) {
    const rows = await tables.rows(`SELECT CAST(v AS VARCHAR) AS text FROM main.${view} AS v ORDER BY ALL`);
    found.push([view, rows.map((row: Row) => row['text'])]);
  }
  return found;
}

const DIMENSIONS: Readonly<Record<string, readonly [string, string, readonly string[]]>> = {
  logs_resources_v1: ['resource_key', 'resource_key', ['logs_v1', 'logs_batch_resources_v1']],
  logs_scopes_v1: ['scope_key', 'scope_key', ['logs_v1', 'logs_batch_scopes_v1']],
  traces_resources_v1: ['resource_key', 'resource_key', ['spans_v1', 'traces_batch_resources_v1']],
  traces_scopes_v1: ['scope_key', 'scope_key', ['spans_v1', 'traces_batch_scopes_v1']],
  metrics_resources_v1: ['resource_key', 'resource_key', ['metrics_v1', 'metrics_batch_resources_v1', 'series_v1']],
  metrics_scopes_v1: ['scope_key', 'scope_key', ['metrics_v1', 'metrics_batch_scopes_v1', 'series_v1']],
  series_v1: ['series_id', 'series_id', ['series_numbers_v1']],
  series_numbers_v1: [
    'series_number',
    'series_number',
    ['samples_v1', 'histograms_v1', 'exp_histograms_v1', 'summaries_v1', 'exemplars_v1'],
  ],
};

/** Rows that refer to a resource, scope or series that is not there, and of those that nothing refers to, by table. */
export async function brokenReferences(
  tables: RetainedTables,
): Promise<{ dangling: string[]; unreferenced: string[] }> {
  const dangling: string[] = [];
  const unreferenced: string[] = [];
  for (const [table, [key, column, referrers]] of Object.entries(DIMENSIONS)) {
    const references = referrers.map((name) => `SELECT ${column} AS key FROM store.${name}`).join(' UNION ');
    const missing = await tables.rows(
      `SELECT count(*) AS n FROM (${references}) WHERE key IS NOT NULL AND key NOT IN (SELECT ${key} FROM store.${table})`,
    );
    if (Number(missing[0]!['n']) > 0) dangling.push(table);
    const spare = await tables.rows(
      `SELECT count(*) AS n FROM store.${table} WHERE ${key} NOT IN (SELECT key FROM (${references}) WHERE key IS NOT NULL)`,
    );
    if (Number(spare[0]!['n']) > 0) unreferenced.push(table);
  }
  return { dangling, unreferenced };
}
