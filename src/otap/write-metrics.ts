import type {
  AttributesTable,
  DataPointColumns,
  ExemplarsTable,
  ExpHistogramDataPointsTable,
  HistogramDataPointsTable,
  MetricsBatch,
  MetricsTable,
  NumberDataPointsTable,
  SummaryDataPointsTable,
} from './canonical.ts';
import { ColumnList, type OutColumn } from './out-columns.ts';
import { outTable, type OutTable } from './out-tables.ts';
import type { PayloadName } from './payload-types.ts';
import type { IdValues } from './transport-ids.ts';
import { exemplarColumns } from './write-exemplars.ts';
import { delta16, IdSpace } from './write-ids.ts';
import {
  attributesTable,
  parents,
  type SharedIds,
  sharedIds,
  sharedTables,
  writeChildIds,
  writeResourceAndScope,
  writeRowIds,
} from './write-root-columns.ts';

/**
 * The tables of a metrics batch, with the attributes of metrics (OTLP's metadata) if `hasMetricAttrs`. Throws BatchTooLargeError when
 * ids do not fit.
 */
export function metricsTables(batch: MetricsBatch, hasMetricAttrs: boolean): OutTable[] {
  const { metrics, numberDataPoints, summaryDataPoints, histogramDataPoints, expHistogramDataPoints } = batch;
  const shared = sharedIds(metrics, batch.resourceAttrs, batch.scopeAttrs);
  const points = [numberDataPoints, summaryDataPoints, histogramDataPoints, expHistogramDataPoints];
  const metricAttrs = hasMetricAttrs ? batch.metricAttrs : null;
  const children = [parents(metricAttrs), ...points.map((table) => table?.parentId ?? null)];
  const rows = new IdSpace('metrics', 16, [metrics.id, ...children]);
  // Upstream's receiver takes a null for the id of the metric before.
  const none = { values: new Uint16Array(metrics.rowCount), validity: new Uint8Array(metrics.rowCount) };
  const ids = rows.numberNulls(metrics.id ?? none, { runs: false });
  return [
    outTable('UNIVARIATE_METRICS', metrics, () => metricColumns(metrics, ids, shared)),
    ...sharedTables(shared, batch.resourceAttrs, batch.scopeAttrs),
    attributesTable('METRIC_ATTRS', metricAttrs, rows, 16),
    ...pointTables(rows, {
      names: ['NUMBER_DATA_POINTS', 'NUMBER_DP_ATTRS', 'NUMBER_DP_EXEMPLARS', 'NUMBER_DP_EXEMPLAR_ATTRS'],
      points: numberDataPoints,
      attributes: batch.numberDpAttrs,
      exemplars: batch.numberDpExemplars,
      exemplarAttributes: batch.numberDpExemplarAttrs,
      columns: listNumberPoints,
    }),
    ...pointTables(rows, {
      names: ['SUMMARY_DATA_POINTS', 'SUMMARY_DP_ATTRS'],
      points: summaryDataPoints,
      attributes: batch.summaryDpAttrs,
      exemplars: null,
      exemplarAttributes: null,
      columns: listSummaryPoints,
    }),
    ...pointTables(rows, {
      names: ['HISTOGRAM_DATA_POINTS', 'HISTOGRAM_DP_ATTRS', 'HISTOGRAM_DP_EXEMPLARS', 'HISTOGRAM_DP_EXEMPLAR_ATTRS'],
      points: histogramDataPoints,
      attributes: batch.histogramDpAttrs,
      exemplars: batch.histogramDpExemplars,
      exemplarAttributes: batch.histogramDpExemplarAttrs,
      columns: listHistogramPoints,
    }),
    ...pointTables(rows, {
      names: [
        'EXP_HISTOGRAM_DATA_POINTS',
        'EXP_HISTOGRAM_DP_ATTRS',
        'EXP_HISTOGRAM_DP_EXEMPLARS',
        'EXP_HISTOGRAM_DP_EXEMPLAR_ATTRS',
      ],
      points: expHistogramDataPoints,
      attributes: batch.expHistogramDpAttrs,
      exemplars: batch.expHistogramDpExemplars,
      exemplarAttributes: batch.expHistogramDpExemplarAttrs,
      columns: listExpHistogramPoints,
    }),
  ];
}

/** Data points of one kind with what belongs to them. */
interface PointTables<Table extends DataPointColumns> {
  /** Of the points, their attributes, their exemplars, the exemplars' attributes. */
  readonly names: readonly [PayloadName, PayloadName] | readonly [PayloadName, PayloadName, PayloadName, PayloadName];
  readonly points: Table | null;
  readonly attributes: AttributesTable | null;
  readonly exemplars: ExemplarsTable | null;
  readonly exemplarAttributes: AttributesTable | null;
  /** Lists the columns of the kind. */
  readonly columns: (list: ColumnList, table: Table) => void;
}

function pointTables<Table extends DataPointColumns>(metrics: IdSpace, tables: PointTables<Table>): OutTable[] {
  const { names, points, attributes, exemplars, exemplarAttributes } = tables;
  const exemplarParents = exemplars?.parentId ?? null;
  const pointIds = new IdSpace('data points', 32, [points?.id ?? null, parents(attributes), exemplarParents]);
  const pointsOfExemplars = exemplarParents === null ? null : pointIds.orphanNulls(exemplarParents);
  const exemplarIds = new IdSpace('exemplars', 32, [exemplars?.id ?? null, parents(exemplarAttributes)]);
  const parentIds = points === null ? null : metrics.orphanNulls(points.parentId);
  const written = [
    outTable(names[0], points, (table) => {
      const list = new ColumnList(table.rowCount);
      listPoint(list, table, parentIds!);
      tables.columns(list, table);
      return list.columns;
    }),
    attributesTable(names[1], attributes, pointIds, 32),
  ];
  if (names.length === 2) return written;
  return [
    ...written,
    outTable(names[2], exemplars, (table) => exemplarColumns(table, pointsOfExemplars!)),
    attributesTable(names[3], exemplarAttributes, exemplarIds, 32),
  ];
}

function metricColumns(metrics: MetricsTable, ids: IdValues, shared: SharedIds): OutColumn[] {
  const list = new ColumnList(metrics.rowCount);
  writeRowIds(list, { values: ids, validity: null });
  writeResourceAndScope(list, metrics, shared);
  list.bytes('schema_url', 'utf8', metrics.schemaUrl);
  list.fixed('metric_type', 'u8', metrics.metricType, { isNullable: false });
  list.bytes('name', 'utf8', metrics.name);
  list.bytes('description', 'utf8', metrics.description);
  list.bytes('unit', 'utf8', metrics.unit);
  list.fixed('aggregation_temporality', 'i32', metrics.aggregationTemporality, { dictionary: true });
  list.bool('is_monotonic', metrics.isMonotonic);
  return list.columns;
}

function listPoint(list: ColumnList, points: DataPointColumns, parentIds: IdValues): void {
  writeChildIds(list, points.id);
  list.fixed('parent_id', 'u16', { values: delta16(parentIds, null), validity: null }, { isNullable: false });
  list.fixed('start_time_unix_nano', 'timestamp', points.startTimeUnixNano);
  list.fixed('time_unix_nano', 'timestamp', points.timeUnixNano);
  list.fixed('flags', 'u32', points.flags);
}

function listNumberPoints(list: ColumnList, points: NumberDataPointsTable): void {
  list.fixed('int_value', 'i64', points.intValue);
  list.fixed('double_value', 'f64', points.doubleValue);
}

function listSummaryPoints(list: ColumnList, points: SummaryDataPointsTable): void {
  list.fixed('count', 'u64', points.count);
  list.fixed('sum', 'f64', points.sum);
  list.pairs('quantile', points.quantiles, points.quantileValues);
}

function listHistogramPoints(list: ColumnList, points: HistogramDataPointsTable): void {
  list.fixed('count', 'u64', points.count);
  list.fixed('sum', 'f64', points.sum);
  list.list('bucket_counts', 'u64List', points.bucketCounts);
  list.list('explicit_bounds', 'f64List', points.explicitBounds);
  list.fixed('min', 'f64', points.min);
  list.fixed('max', 'f64', points.max);
}

function listExpHistogramPoints(list: ColumnList, points: ExpHistogramDataPointsTable): void {
  list.fixed('count', 'u64', points.count);
  list.fixed('sum', 'f64', points.sum);
  list.fixed('scale', 'i32', points.scale);
  list.fixed('zero_count', 'u64', points.zeroCount);
  list.together('positive', () => {
    list.fixed('offset', 'i32', points.positiveOffset);
    list.list('bucket_counts', 'u64List', points.positiveBucketCounts);
  });
  list.together('negative', () => {
    list.fixed('offset', 'i32', points.negativeOffset);
    list.list('bucket_counts', 'u64List', points.negativeBucketCounts);
  });
  list.fixed('min', 'f64', points.min);
  list.fixed('max', 'f64', points.max);
  list.fixed('zero_threshold', 'f64', points.zeroThreshold);
}
