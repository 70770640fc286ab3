import type { NumberRange } from './number-ranges.ts';
import { NO_SUM, type SamplesRequest } from './types.ts';

/**
 * The SQL of scans: points from their tables, with the numbers of their series, series from the views of `main`. Times leave as milliseconds in doubles, cut from
 * nanoseconds; a range of them is given in nanoseconds. `$keys` is a text of numbers with commas between; without it all series are read.
 */
const MS = (time: string): string => `CAST(epoch_ns(${time}) // 1000000 AS DOUBLE)`;

const FLAGS = 'coalesce(flags, 0)';
/** Nobody else has the highest bit. */
const FLAGS_WITH_SUM = `CAST((${FLAGS} & ${NO_SUM - 1}) | CASE WHEN sum IS NULL THEN ${NO_SUM} ELSE 0 END AS UINTEGER)`;
const pointOf = (table: PointTable): string =>
  `series_number, ${MS('time')}, ${table === 'histograms' || table === 'summaries' ? FLAGS_WITH_SUM : FLAGS}`;
const START = `coalesce(${MS('start_time')}, 0)`;
const NO_NUMBERS = 'CAST([] AS DOUBLE[])';

const activityOf = (table: string, bounds: string): string =>
  `SELECT series_number, min(${MS('time')}), max(${MS('time')}), ${bounds} AS bounds, max(entry_offset), store.series_numbering()
   FROM store.${table}_v1 WHERE entry_offset >= CAST($from AS UBIGINT) GROUP BY ALL`;

/** Which points there are from an entry on, and the numbering that holds. */
export const ACTIVITY_QUERY = [
  activityOf('samples', NO_NUMBERS),
  activityOf('histograms', `coalesce(explicit_bounds, ${NO_NUMBERS})`),
  activityOf('exp_histograms', NO_NUMBERS),
  activityOf('summaries', 'list_transform(quantiles, lambda q: q.quantile)'),
].join(' UNION ALL ');

const keysAs = (type: string): string => `SELECT CAST(unnest(string_split($keys, ',')) AS ${type})`;
const IDS = keysAs('UBIGINT');
const NUMBERS = keysAs('UINTEGER');

const POINT_TABLES = ['samples', 'histograms', 'exp_histograms', 'summaries'] as const;

const oldestOf = (table: string): string => `SELECT ${MS('min(time)')} AS oldest FROM store.${table}_v1`;

/** The time of the oldest point there is; infinity when there is none. */
export const OLDEST_QUERY = `SELECT coalesce(min(oldest), CAST('Infinity' AS DOUBLE)) FROM (${POINT_TABLES.map(oldestOf).join(' UNION ALL ')})`;

const beginningsOf = (table: string): string =>
  `SELECT series_number, ${MS('min(time)')}, store.series_numbering()
   FROM store.${table}_v1 WHERE time < make_timestamp_ns(CAST($until AS BIGINT)) GROUP BY series_number`;

/** First points of series, of those that have one before a time, and the numbering that holds. */
export const BEGINNINGS_QUERY = POINT_TABLES.map(beginningsOf).join(' UNION ALL ');

/** Which numbering of series holds: other numbers mean other series. */
export const NUMBERING_QUERY = 'SELECT store.series_numbering()';

/** No rows once another numbering holds. */
const under = (numbering: bigint): string => `store.series_numbering() = ${numbering}`;

/** Numbers of series, those in `$keys` or all, and their ids. */
export function numbersQuery(numbering: bigint, isOfAll: boolean): string {
  const some = isOfAll ? '' : ` AND series_number IN (${NUMBERS})`;
  return `SELECT series_number, series_id FROM store.series_numbers_v1 WHERE ${under(numbering)}${some}`;
}

/** Series by their ids; without attributes of resource and scope, which many share. */
export const SERIES_QUERY = `SELECT series_id, metric_name, unit, description, type, temporality, coalesce(is_monotonic, false), attributes,
  coalesce(resource_key, 0), coalesce(scope_key, 0), scope_name, scope_version, scope_schema_url FROM series`;
export const SOME_SERIES_QUERY = `${SERIES_QUERY} WHERE series_id IN (${IDS})`;

export const RESOURCES_QUERY = `SELECT resource_key, attributes FROM resources WHERE resource_key IN (${IDS})`;
export const SCOPES_QUERY = `SELECT scope_key, attributes FROM scopes WHERE scope_key IN (${IDS})`;

const DOUBLES = (list: string): string => `CAST(coalesce(${list}, []) AS DOUBLE[])`;
const NUMBER = (column: string): string => `coalesce(CAST(${column} AS DOUBLE), CAST('NaN' AS DOUBLE))`;
const SUM = 'coalesce(CAST(sum AS DOUBLE), 0)';

/** Columns behind those of every point. */
const COLUMNS = {
  samples: NUMBER('store.number_value(value, int_value)'),
  histograms: `${NUMBER('count')}, ${SUM}, ${DOUBLES('bucket_counts')}, ${DOUBLES('explicit_bounds')}`,
  exp_histograms: `${NUMBER('count')}, ${SUM}, CAST(coalesce(scale, 0) AS INTEGER), CAST(coalesce(zero_count, 0) AS DOUBLE),
    coalesce(zero_threshold, 0), CAST(coalesce(positive_offset, 0) AS INTEGER), ${DOUBLES('positive_bucket_counts')},
    CAST(coalesce(negative_offset, 0) AS INTEGER), ${DOUBLES('negative_bucket_counts')}`,
  summaries: `${NUMBER('count')}, ${SUM}, list_transform(coalesce(quantiles, []), lambda q: q.quantile),
    list_transform(coalesce(quantiles, []), lambda q: q.value)`,
  exemplars: `${NUMBER('store.number_value(value, int_value)')}, replace(CAST(trace_id AS VARCHAR), '-', ''),
    lpad(lower(to_hex(span_id)), 16, '0'), attributes`,
} as const;

export type PointTable = keyof typeof COLUMNS;

/** Points of a table in a range of times, of the series with the numbers in `$keys` or of all. */
export function pointsQuery(
  table: PointTable,
  numbering: bigint,
  { isOfAll, ranges, withStartTimes, fromOffset, untilOffset }: PointsChoice,
): string {
  const common =
    table === 'exemplars' ? `series_number, ${MS('time')}` : `${pointOf(table)}${withStartTimes ? `, ${START}` : ''}`;
  const range =
    'time >= make_timestamp_ns(CAST($from AS BIGINT)) AND time <= make_timestamp_ns(CAST($until AS BIGINT))';
  const some = isOfAll ? '' : ` AND ${ranges === null ? `series_number IN (${NUMBERS})` : withinAny(ranges)}`;
  const from = fromOffset === undefined ? '' : ` AND entry_offset >= ${fromOffset}`;
  const until = untilOffset === undefined ? '' : ` AND entry_offset < ${untilOffset}`;
  return `SELECT ${common}, ${COLUMNS[table]} FROM store.${table}_v1 WHERE ${under(numbering)} AND ${range}${from}${until}${some}`;
}

interface PointsChoice extends Pick<SamplesRequest, 'withStartTimes' | 'fromOffset' | 'untilOffset'> {
  readonly isOfAll: boolean;
  /** Null: the numbers in `$keys`. */
  readonly ranges: readonly NumberRange[] | null;
}

function withinAny(ranges: readonly NumberRange[]): string {
  return `(${ranges.map(([first, last]) => `series_number BETWEEN ${first} AND ${last}`).join(' OR ')})`;
}
