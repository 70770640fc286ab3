/**
 * The SQL of scans, over the views of `main`. Times leave as milliseconds in doubles, cut from nanoseconds; a range of them is
 * given in nanoseconds. `$ids` is a text of ids with commas between; without it all series are read.
 */
const MS = (time: string): string => `CAST(epoch_ns(${time}) // 1000000 AS DOUBLE)`;

const POINT = `series_id, ${MS('time')}, coalesce(flags, 0)`;
const START = `coalesce(${MS('start_time')}, 0)`;
const NO_NUMBERS = 'CAST([] AS DOUBLE[])';

const activityOf = (table: string, bounds: string): string =>
  `SELECT series_id, min(${MS('time')}), max(${MS('time')}), ${bounds} AS bounds, max(entry_offset)
   FROM ${table} WHERE entry_offset >= CAST($from AS UBIGINT) GROUP BY ALL`;

/** Which points there are from an entry on. */
export const ACTIVITY_QUERY = [
  activityOf('samples', NO_NUMBERS),
  activityOf('histograms', `coalesce(explicit_bounds, ${NO_NUMBERS})`),
  activityOf('exp_histograms', NO_NUMBERS),
  activityOf('summaries', 'list_transform(quantiles, lambda q: q.quantile)'),
].join(' UNION ALL ');

const IDS = "SELECT CAST(unnest(string_split($ids, ',')) AS UBIGINT)";

/** Series by their ids; without attributes of resource and scope, which many share. */
export const SERIES_QUERY = `SELECT series_id, metric_name, unit, description, type, temporality, coalesce(is_monotonic, false), attributes,
  coalesce(resource_key, 0), coalesce(scope_key, 0), scope_name, scope_version, scope_schema_url FROM series`;
export const SOME_SERIES_QUERY = `${SERIES_QUERY} WHERE series_id IN (${IDS})`;

export const RESOURCES_QUERY = `SELECT resource_key, attributes FROM resources WHERE resource_key IN (${IDS})`;
export const SCOPES_QUERY = `SELECT scope_key, attributes FROM scopes WHERE scope_key IN (${IDS})`;

const DOUBLES = (list: string): string => `CAST(coalesce(${list}, []) AS DOUBLE[])`;
const NUMBER = (column: string): string => `coalesce(CAST(${column} AS DOUBLE), CAST('NaN' AS DOUBLE))`;

/** Columns behind those of every point. */
const COLUMNS = {
  samples: NUMBER('value'),
  histograms: `${NUMBER('count')}, ${NUMBER('sum')}, ${DOUBLES('bucket_counts')}, ${DOUBLES('explicit_bounds')}`,
  exp_histograms: `${NUMBER('count')}, ${NUMBER('sum')}, CAST(coalesce(scale, 0) AS INTEGER), CAST(coalesce(zero_count, 0) AS DOUBLE),
    coalesce(zero_threshold, 0), CAST(coalesce(positive_offset, 0) AS INTEGER), ${DOUBLES('positive_bucket_counts')},
    CAST(coalesce(negative_offset, 0) AS INTEGER), ${DOUBLES('negative_bucket_counts')}`,
  summaries: `${NUMBER('count')}, ${NUMBER('sum')}, list_transform(coalesce(quantiles, []), lambda q: q.quantile),
    list_transform(coalesce(quantiles, []), lambda q: q.value)`,
  exemplars: `coalesce(value, CAST(int_value AS DOUBLE), CAST('NaN' AS DOUBLE)), replace(CAST(trace_id AS VARCHAR), '-', ''),
    lpad(lower(to_hex(span_id)), 16, '0'), attributes`,
} as const;

export type PointTable = keyof typeof COLUMNS;

/** Points of a table in a range of times, of the series in `$ids` or of all. */
export function pointsQuery(table: PointTable, isOfAll: boolean, withStartTimes: boolean): string {
  const common = table === 'exemplars' ? `series_id, ${MS('time')}` : `${POINT}${withStartTimes ? `, ${START}` : ''}`;
  const range =
    'time >= make_timestamp_ns(CAST($from AS BIGINT)) AND time <= make_timestamp_ns(CAST($until AS BIGINT))';
  return `SELECT ${common}, ${COLUMNS[table]} FROM ${table} WHERE ${range}${isOfAll ? '' : ` AND series_id IN (${IDS})`}`;
}
