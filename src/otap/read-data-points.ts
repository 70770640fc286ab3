/** Data points of all kinds, and their exemplars. */
import type {
  DataPointColumns,
  ExemplarsTable,
  ExpHistogramDataPointsTable,
  HistogramDataPointsTable,
  NumberDataPointsTable,
  SummaryDataPointsTable,
} from './canonical.ts';
import { readDeltaIds, readQuasiDeltaIds } from './read-ids.ts';
import { exemplarRowsEqual } from './row-equality.ts';
import type { TableColumns } from './table-columns.ts';

/** Payload NUMBER_DATA_POINTS. */
export function readNumberDataPoints(table: TableColumns): NumberDataPointsTable {
  return {
    ...readDataPointColumns(table),
    intValue: table.i64('int_value'),
    doubleValue: table.f64('double_value'),
  };
}

/** Payload SUMMARY_DATA_POINTS. */
export function readSummaryDataPoints(table: TableColumns): SummaryDataPointsTable {
  return {
    ...readDataPointColumns(table),
    count: table.u64('count'),
    sum: table.f64('sum'),
    quantiles: table.f64ListMember('quantile', 'quantile'),
    quantileValues: table.f64ListMember('quantile', 'value'),
  };
}

/** Payload HISTOGRAM_DATA_POINTS. */
export function readHistogramDataPoints(table: TableColumns): HistogramDataPointsTable {
  return {
    ...readDataPointColumns(table),
    count: table.u64('count'),
    sum: table.f64('sum'),
    bucketCounts: table.u64List('bucket_counts'),
    explicitBounds: table.f64List('explicit_bounds'),
    min: table.f64('min'),
    max: table.f64('max'),
  };
}

/** Payload EXP_HISTOGRAM_DATA_POINTS. */
export function readExpHistogramDataPoints(table: TableColumns): ExpHistogramDataPointsTable {
  const positive = table.struct('positive');
  const negative = table.struct('negative');
  return {
    ...readDataPointColumns(table),
    count: table.u64('count'),
    sum: table.f64('sum'),
    scale: table.i32('scale'),
    zeroCount: table.u64('zero_count'),
    positiveOffset: positive?.i32('offset') ?? null,
    positiveBucketCounts: positive?.u64List('bucket_counts') ?? null,
    negativeOffset: negative?.i32('offset') ?? null,
    negativeBucketCounts: negative?.u64List('bucket_counts') ?? null,
    min: table.f64('min'),
    max: table.f64('max'),
    zeroThreshold: table.f64('zero_threshold'),
  };
}

/** Payloads of exemplars. */
export function readExemplarsTable(table: TableColumns): ExemplarsTable {
  const intValue = table.i64('int_value');
  const doubleValue = table.f64('double_value');
  const parentId = table.required(table.u32('parent_id'), 'parent_id');
  return {
    rowCount: table.rowCount,
    id: readDeltaIds(table, table.u32('id'), 'id'),
    parentId: readQuasiDeltaIds(table, parentId, 'parent_id', (rule) => exemplarRowsEqual(intValue, doubleValue, rule)),
    timeUnixNano: table.timestamp('time_unix_nano'),
    intValue,
    doubleValue,
    spanId: table.identifier('span_id', 8),
    traceId: table.identifier('trace_id', 16),
  };
}

function readDataPointColumns(table: TableColumns): DataPointColumns {
  const parentId = table.required(readDeltaIds(table, table.u16('parent_id'), 'parent_id'), 'parent_id');
  return {
    rowCount: table.rowCount,
    id: readDeltaIds(table, table.u32('id'), 'id'),
    parentId,
    startTimeUnixNano: table.timestamp('start_time_unix_nano'),
    timeUnixNano: table.timestamp('time_unix_nano'),
    flags: table.u32('flags'),
  };
}
