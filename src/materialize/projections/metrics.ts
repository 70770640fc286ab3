import { AssertionError } from '../../base/index.ts';
import {
  type AttributesTable,
  type CanonicalBatch,
  type DataPointColumns,
  type ExemplarsTable,
  type MetricsBatch,
  type MetricsTable,
  PAYLOAD_TYPES,
  type PayloadName,
} from '../../otap/index.ts';
import { type ComparedForms, physicalName, type ProjectionDefinition } from '../projection.ts';
import type { VectorData } from '../vectors.ts';
import { foldAttributes, ownAttributes } from './attributes.ts';
import { constant, defaulted, NULLS, optional, rowNumbers, texts } from './columns.ts';
import {
  expHistogramColumns,
  histogramColumns,
  idShifts,
  placeColumns,
  pointColumns,
  type PointPlaces,
  summaryColumns,
  valueColumns,
} from './data-points.ts';
import { spanIds, traceIds, ZERO_ID_BITS, type ZeroIds, zeroIdsVector } from './identifiers.ts';
import { NO_PLACES, PLACED_ROWS_MIN, Places, rowPlaces } from './places.ts';
import {
  agingDimensions,
  agingDimensionTables,
  createProjectionWriter,
  dimensionTables,
  type ProjectionWriter,
} from './projection-writer.ts';
import { rootColumns } from './root-columns.ts';
import { indexRows, parentRows } from './row-groups.ts';
import { type BatchMetrics, hashMetrics, type NumberedSeries, resolveSeries } from './series.ts';
import { loadNumbers, openSeriesNumbers, renewNumbering } from './series-numbers.ts';

const VERSION = 1;
const NUMBERS_TABLE = 'series_numbers_v1';
const POINT_TABLES = ['samples_v1', 'histograms_v1', 'exp_histograms_v1', 'summaries_v1'] as const;

/** Rows of large batches have places in place of rows and parents. */
const POINT_FORMS: ComparedForms = {
  columns: ['row_shift', 'row_place', 'row_base', 'parent_id', 'parent_place', 'parent_base'],
  values: [
    'store.point_row(series_number, row_shift, row_place, row_base) AS row',
    'store.placed(parent_id, parent_place, parent_base) AS parent_id',
  ],
};
const METRIC_FORMS: ComparedForms = {
  columns: ['row', 'row_place', 'row_base', 'id', 'id_shift'],
  values: ['store.placed(row, row_place, row_base) AS row', 'store.metric_id(id, row_place, row_base, id_shift) AS id'],
};

/** Metrics, series, data points and exemplars: tables of 0004_metrics_v1.sql, 0010_series_numbers.sql and 0011_places.sql. */
export const METRICS_PROJECTION: ProjectionDefinition = {
  name: 'metrics',
  version: VERSION,
  signal: 'metrics',
  tables: [
    'metrics_v1',
    'series_v1',
    'series_staged_v1',
    NUMBERS_TABLE,
    'series_numbers_staged_v1',
    ...POINT_TABLES,
    'exemplars_v1',
    ...dimensionTables('metrics', VERSION),
  ],
  aging: {
    rows: {
      exemplars_v1: 'time',
      ...Object.fromEntries(POINT_TABLES.map((table) => [table, 'time'])),
      metrics_v1: null,
      ...agingDimensionTables('metrics', VERSION),
    },
    dimensions: [
      {
        table: NUMBERS_TABLE,
        keyColumn: 'series_number',
        referrers: [...POINT_TABLES, 'exemplars_v1'].map((table) => ({
          table,
          column: 'series_number',
          hasOffsets: true,
        })),
        numbers: { column: 'series_id' },
      },
      {
        table: 'series_v1',
        keyColumn: 'series_id',
        referrers: [{ table: NUMBERS_TABLE, column: 'series_id', hasOffsets: false }],
      },
      ...agingDimensions('metrics', VERSION, 'metrics_v1', 'series_v1'),
    ],
  },
  compared: {
    metrics: METRIC_FORMS,
    samples: POINT_FORMS,
    histograms: POINT_FORMS,
    exp_histograms: POINT_FORMS,
    summaries: POINT_FORMS,
  },
  async start(context) {
    const numbers = context.seriesNumbers ?? (await openSeriesNumbers(context));
    const series: NumberedSeries = { numbers, written: await loadNumbers(context, NUMBERS_TABLE, numbers) };
    const writer = await createProjectionWriter(context, {
      prefix: 'metrics',
      version: VERSION,
      tables: this.tables,
      dimensions: {
        metrics_resources: 'resource_key',
        metrics_scopes: 'scope_key',
        series: 'series_id',
        series_numbers: 'series_number',
      },
    });
    const places = new Places();
    const projector = writer.projector((batch) => shapeMetrics(writer, batch, series, places));
    let refilled: (() => void) | null = null;
    return {
      ...projector,
      async beforeCommit() {
        await projector.beforeCommit();
        refilled = await numbers.refill(context);
        if (refilled !== null) await renewNumbering(context);
      },
      afterCommit() {
        projector.afterCommit();
        refilled?.();
        refilled = null;
      },
      afterRollback() {
        projector.afterRollback();
        refilled = null;
        series.written.clear();
      },
      forget(table, keys) {
        if (table === physicalName(context, NUMBERS_TABLE)) for (const key of keys) series.written.delete(Number(key));
        // A series goes after all of its numbers.
        else projector.forget?.(table, keys);
      },
    };
  },
};

/** What belongs to the data points of one kind. */
interface PointKind<Points extends DataPointColumns> {
  readonly table: string;
  readonly points: Points | null;
  readonly attrs: AttributesTable | null;
  readonly attrsPayload: PayloadName;
  columns(points: Points): VectorData[];
  readonly exemplars?: {
    readonly table: ExemplarsTable | null;
    readonly attrs: AttributesTable | null;
    readonly payload: 'NUMBER_DP_EXEMPLARS' | 'HISTOGRAM_DP_EXEMPLARS' | 'EXP_HISTOGRAM_DP_EXEMPLARS';
    readonly attrsPayload: PayloadName;
  };
}

function shapeMetrics(writer: ProjectionWriter, batch: CanonicalBatch, series: NumberedSeries, places: Places): void {
  if (batch.signal !== 'metrics') {
    throw new AssertionError(`A metrics projection must get metrics: signal is ${batch.signal}`);
  }
  const { scratch } = writer;
  const { metrics } = batch;
  const dimensions = writer.putRootDimensions(metrics, batch);
  const index = indexRows(metrics.id, metrics.rowCount, scratch);
  const states = hashMetrics(metrics, dimensions, scratch);
  const batchMetrics: BatchMetrics = { metrics, index, dimensions, states };
  const base = places.take('metrics', metrics.rowCount);
  const put = <Points extends DataPointColumns>(kind: PointKind<Points>, firstExemplar: number): number => {
    const rowCount = kind.points?.rowCount ?? 0;
    const rowBase = places.take(kind.table, rowCount);
    const isPlaced = rowCount >= PLACED_ROWS_MIN;
    const pointPlaces: PointPlaces = {
      rowBase: isPlaced ? rowBase : null,
      parentBase: isPlaced && metrics.rowCount > 1 ? base : null,
    };
    return putPoints(writer, kind, series, batchMetrics, pointPlaces, firstExemplar);
  };
  putMetrics(writer, metrics, batch.metricAttrs, batchMetrics, base);
  let exemplarCount = put(numberKind(batch, writer), 0);
  exemplarCount += put(histogramKind(batch, writer), exemplarCount);
  put(expHistogramKind(batch, writer), exemplarCount);
  put(summaryKind(batch, writer), 0);
}

function putMetrics(
  writer: ProjectionWriter,
  metrics: MetricsTable,
  attrs: AttributesTable | null,
  { dimensions, index }: BatchMetrics,
  base: number,
): void {
  const { arena, scratch } = writer;
  const { rowCount } = metrics;
  const owned = ownAttributes(attrs, metrics.id, rowCount, scratch, index);
  const isPlaced = rowCount >= PLACED_ROWS_MIN;
  const [entryOffset, row, id, ...keys] = rootColumns(writer, metrics, dimensions);
  const columns = [
    entryOffset!,
    isPlaced ? NULLS : row!,
    isPlaced ? NULLS : id!,
    ...keys,
    defaulted(metrics.metricType, 0),
    texts(metrics.name, rowCount, arena),
    texts(metrics.description, rowCount, arena),
    texts(metrics.unit, rowCount, arena),
    defaulted(metrics.aggregationTemporality, 0),
    defaulted(metrics.isMonotonic, false),
    ...foldAttributes(owned.table, owned.groups, arena, scratch),
    ...(isPlaced ? rowPlaces(base, rowCount, scratch) : NO_PLACES),
    isPlaced ? idShifts(metrics.id, rowCount, scratch) : NULLS,
  ];
  writer.put('metrics', columns, rowCount);
  writer.putOrphans('METRIC_ATTRS', owned);
}

/** Collects points, their series and their exemplars; returns the number of exemplars. `firstExemplar` is the row of the first one. */
function putPoints<Points extends DataPointColumns>(
  writer: ProjectionWriter,
  kind: PointKind<Points>,
  series: NumberedSeries,
  metrics: BatchMetrics,
  places: PointPlaces,
  firstExemplar: number,
): number {
  const { scratch } = writer;
  const { points, exemplars } = kind;
  const rowCount = points?.rowCount ?? 0;
  const index = indexRows(points?.id ?? null, rowCount, scratch);
  const owned = ownAttributes(kind.attrs, points?.id ?? null, rowCount, scratch, index);
  writer.putOrphans(kind.attrsPayload, owned);
  let seriesNumbers = scratch.u32(0);
  if (points !== null && rowCount > 0) {
    seriesNumbers = resolveSeries(writer, points, owned, series, metrics);
    const columns = [
      ...pointColumns(writer, points, seriesNumbers, places),
      ...kind.columns(points),
      ...placeColumns(points, places, scratch),
    ];
    writer.put(kind.table, columns, rowCount);
  }
  if (exemplars === undefined) return 0;
  const exemplarCount = exemplars.table?.rowCount ?? 0;
  const exemplarAttrs = ownAttributes(exemplars.attrs, exemplars.table?.id ?? null, exemplarCount, scratch);
  writer.putOrphans(exemplars.attrsPayload, exemplarAttrs);
  if (exemplars.table === null || exemplarCount === 0) return 0;
  const pointRows = parentRows(exemplars.table.parentId, exemplarCount, index, scratch);
  const columns = [
    constant(writer.entryOffset),
    rowNumbers(exemplarCount, firstExemplar, scratch),
    constant(PAYLOAD_TYPES[exemplars.payload]),
    ...exemplarColumns(writer, exemplars.table, pointRows, seriesNumbers),
    ...foldAttributes(exemplarAttrs.table, exemplarAttrs.groups, writer.arena, scratch),
  ];
  writer.put('exemplars', columns, exemplarCount);
  return exemplarCount;
}

/** id, parent_id, series_number, time, value, int_value, trace_id, span_id, zero_ids. */
function exemplarColumns(
  { scratch }: ProjectionWriter,
  exemplars: ExemplarsTable,
  pointRows: Int32Array,
  seriesNumbers: Uint32Array,
): VectorData[] {
  const { rowCount } = exemplars;
  const series = scratch.u32(rowCount);
  const hasPoint = scratch.u8(rowCount);
  for (let row = 0; row < rowCount; row++) {
    const point = pointRows[row]!;
    if (point < 0) continue;
    hasPoint[row] = 1;
    series[row] = seriesNumbers[point]!;
  }
  const zeroIds: ZeroIds = { bits: null };
  return [
    optional(exemplars.id),
    optional(exemplars.parentId),
    { kind: 'fixed', values: series, validity: hasPoint },
    defaulted(exemplars.timeUnixNano, 0n),
    ...valueColumns(exemplars, scratch),
    traceIds(exemplars.traceId, rowCount, zeroIds, scratch),
    spanIds(exemplars.spanId, rowCount, zeroIds, ZERO_ID_BITS.SPAN, scratch),
    zeroIdsVector(zeroIds),
  ];
}

function numberKind(batch: MetricsBatch, { scratch }: ProjectionWriter) {
  return {
    table: 'samples',
    points: batch.numberDataPoints,
    attrs: batch.numberDpAttrs,
    attrsPayload: 'NUMBER_DP_ATTRS',
    columns: (points) => valueColumns(points, scratch),
    exemplars: {
      table: batch.numberDpExemplars,
      attrs: batch.numberDpExemplarAttrs,
      payload: 'NUMBER_DP_EXEMPLARS',
      attrsPayload: 'NUMBER_DP_EXEMPLAR_ATTRS',
    },
  } satisfies PointKind<NonNullable<MetricsBatch['numberDataPoints']>>;
}

function histogramKind(batch: MetricsBatch, { scratch }: ProjectionWriter) {
  return {
    table: 'histograms',
    points: batch.histogramDataPoints,
    attrs: batch.histogramDpAttrs,
    attrsPayload: 'HISTOGRAM_DP_ATTRS',
    columns: (points) => histogramColumns(points, scratch),
    exemplars: {
      table: batch.histogramDpExemplars,
      attrs: batch.histogramDpExemplarAttrs,
      payload: 'HISTOGRAM_DP_EXEMPLARS',
      attrsPayload: 'HISTOGRAM_DP_EXEMPLAR_ATTRS',
    },
  } satisfies PointKind<NonNullable<MetricsBatch['histogramDataPoints']>>;
}

function expHistogramKind(batch: MetricsBatch, { scratch }: ProjectionWriter) {
  return {
    table: 'exp_histograms',
    points: batch.expHistogramDataPoints,
    attrs: batch.expHistogramDpAttrs,
    attrsPayload: 'EXP_HISTOGRAM_DP_ATTRS',
    columns: (points) => expHistogramColumns(points, scratch),
    exemplars: {
      table: batch.expHistogramDpExemplars,
      attrs: batch.expHistogramDpExemplarAttrs,
      payload: 'EXP_HISTOGRAM_DP_EXEMPLARS',
      attrsPayload: 'EXP_HISTOGRAM_DP_EXEMPLAR_ATTRS',
    },
  } satisfies PointKind<NonNullable<MetricsBatch['expHistogramDataPoints']>>;
}

function summaryKind(batch: MetricsBatch, { scratch }: ProjectionWriter) {
  return {
    table: 'summaries',
    points: batch.summaryDataPoints,
    attrs: batch.summaryDpAttrs,
    attrsPayload: 'SUMMARY_DP_ATTRS',
    columns: (points) => summaryColumns(points, scratch),
  } satisfies PointKind<NonNullable<MetricsBatch['summaryDataPoints']>>;
}
