import type { CanonicalBatch, IdColumn, MetricsBatch, RootColumns } from './canonical.ts';
import { BatchSelector, POINT_TABLES, type PointRows } from './batch-selector.ts';
import { idAt } from './child-rows.ts';
import { parentsWith } from './attribute-matches.ts';

/** Rows for which all that is given holds. Values are compared by their text, as the MAP columns of the tables show them. */
export interface RowFilter {
  /** Attributes of the resource. */
  readonly resource?: Readonly<Record<string, string>>;
  /** Attributes of the log record, span or data point itself. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/**
 * The log records, spans or data points of a batch that pass a filter, with all that belongs to them; metrics without such points go. The
 * batch itself when all pass, null when none does. Ids stay as they are, and strings are shared with the batch.
 */
export function filterBatch(batch: CanonicalBatch, filter: RowFilter): CanonicalBatch | null {
  if (!hasConditions(filter.resource) && !hasConditions(filter.attributes)) return batch;
  if (batch.signal === 'metrics') return filterMetrics(batch, filter);
  const root = batch.signal === 'logs' ? batch.logs : batch.spans;
  const attributes = batch.signal === 'logs' ? batch.logAttrs : batch.spanAttrs;
  const isOfResource = rowTest(root.resourceId, batch.resourceAttrs, filter.resource);
  const hasAttributes = rowTest(root.id, attributes, filter.attributes);
  const rows = rowsThat(root.rowCount, (row) => isOfResource(row) && hasAttributes(row));
  if (rows.length === root.rowCount) return batch;
  if (rows.length === 0) return null;
  return batch.signal === 'logs' ? new BatchSelector(batch).logs(rows) : new BatchSelector(batch).spans(rows);
}

function filterMetrics(batch: MetricsBatch, filter: RowFilter): MetricsBatch | null {
  const { metrics } = batch;
  const isOfResource = rowTest(metrics.resourceId, batch.resourceAttrs, filter.resource);
  const metricIds = passingIds(metrics, isOfResource);
  const points: PointRows = {
    numberDataPoints: passingPoints(batch.numberDataPoints, batch.numberDpAttrs, metricIds, filter),
    summaryDataPoints: passingPoints(batch.summaryDataPoints, batch.summaryDpAttrs, metricIds, filter),
    histogramDataPoints: passingPoints(batch.histogramDataPoints, batch.histogramDpAttrs, metricIds, filter),
    expHistogramDataPoints: passingPoints(batch.expHistogramDataPoints, batch.expHistogramDpAttrs, metricIds, filter),
  };
  const withPoints = new Set<number>();
  for (const name of POINT_TABLES) {
    for (const row of points[name]) withPoints.add(idAt(batch[name]!.parentId, row));
  }
  const rows = rowsThat(metrics.rowCount, (row) => isOfResource(row) && withPoints.has(idAt(metrics.id, row)));
  if (rows.length === 0) return null;
  const isWhole = POINT_TABLES.every((name) => points[name].length === (batch[name]?.rowCount ?? 0));
  if (isWhole && rows.length === metrics.rowCount) return batch;
  return new BatchSelector(batch).metrics(rows, points);
}

/** The ids of metrics that pass. */
function passingIds(metrics: RootColumns, passes: (row: number) => boolean): ReadonlySet<number> {
  const ids = new Set<number>();
  for (let row = 0; row < metrics.rowCount; row++) {
    const id = idAt(metrics.id, row);
    if (id >= 0 && passes(row)) ids.add(id);
  }
  return ids;
}

function passingPoints(
  table: MetricsBatch[(typeof POINT_TABLES)[number]],
  attributes: MetricsBatch['numberDpAttrs'],
  metricIds: ReadonlySet<number>,
  filter: RowFilter,
): Uint32Array {
  if (table === null) return new Uint32Array(0);
  const hasAttributes = rowTest(table.id, attributes, filter.attributes);
  return rowsThat(table.rowCount, (row) => metricIds.has(idAt(table.parentId, row)) && hasAttributes(row));
}

/** Whether a row has an id with all the wanted attributes. */
function rowTest(
  ids: IdColumn | null,
  attributes: CanonicalBatch['resourceAttrs'],
  wanted: Readonly<Record<string, string>> | undefined,
): (row: number) => boolean {
  if (!hasConditions(wanted)) return () => true;
  const parents = parentsWith(attributes, Object.entries(wanted));
  return (row) => parents.has(idAt(ids, row));
}

function hasConditions(wanted: Readonly<Record<string, string>> | undefined): wanted is Record<string, string> {
  return wanted !== undefined && Object.keys(wanted).length > 0;
}

function rowsThat(rowCount: number, passes: (row: number) => boolean): Uint32Array {
  const rows = new Uint32Array(rowCount);
  let count = 0;
  for (let row = 0; row < rowCount; row++) if (passes(row)) rows[count++] = row;
  return rows.subarray(0, count);
}
