import type { CanonicalBatch, IdColumn, LogsBatch, MetricsBatch, RootColumns, TracesBatch } from './canonical.ts';
import { ChildRows, type ChildTable } from './child-rows.ts';
import { takeRows } from './take-rows.ts';

/** Tables of data points. */
export const POINT_TABLES = [
  'numberDataPoints',
  'summaryDataPoints',
  'histogramDataPoints',
  'expHistogramDataPoints',
] as const;

/** Rows of data points, by their tables. */
export type PointRows = Readonly<Record<(typeof POINT_TABLES)[number], Uint32Array>>;

/**
 * Parts of a batch: some records, spans or points with all that belongs to them, and with the resources and scopes that they are of. Ids
 * stay as they are. Children whose parent is in no part are left out.
 */
export class BatchSelector<Batch extends CanonicalBatch> {
  readonly #batch: Batch;
  readonly #children = new Map<ChildTable, ChildRows>();

  constructor(batch: Batch) {
    this.#batch = batch;
  }

  /** The children of a table by their parents. */
  childRows(table: ChildTable): ChildRows {
    let children = this.#children.get(table);
    if (children === undefined) {
      children = ChildRows.of(table);
      this.#children.set(table, children);
    }
    return children;
  }

  logs(this: BatchSelector<LogsBatch>, rows: Uint32Array): LogsBatch {
    const batch = this.#batch;
    const { logs } = batch;
    return {
      ...batch,
      ...this.#owners(logs, rows),
      logs: takeRows(logs, rows),
      logAttrs: this.#taken(batch.logAttrs, logs.id, rows),
    };
  }

  spans(this: BatchSelector<TracesBatch>, rows: Uint32Array): TracesBatch {
    const batch = this.#batch;
    const { spans, spanEvents, spanLinks } = batch;
    const eventRows = this.#rowsOf(spanEvents, spans.id, rows);
    const linkRows = this.#rowsOf(spanLinks, spans.id, rows);
    return {
      ...batch,
      ...this.#owners(spans, rows),
      spans: takeRows(spans, rows),
      spanAttrs: this.#taken(batch.spanAttrs, spans.id, rows),
      spanEvents: take(spanEvents, eventRows),
      spanLinks: take(spanLinks, linkRows),
      spanEventAttrs: this.#taken(batch.spanEventAttrs, spanEvents?.id ?? null, eventRows),
      spanLinkAttrs: this.#taken(batch.spanLinkAttrs, spanLinks?.id ?? null, linkRows),
    };
  }

  metrics(this: BatchSelector<MetricsBatch>, rows: Uint32Array, points: PointRows): MetricsBatch {
    const batch = this.#batch;
    const { metrics, numberDataPoints, summaryDataPoints, histogramDataPoints, expHistogramDataPoints } = batch;
    const numberIds = numberDataPoints?.id ?? null;
    const summaryIds = summaryDataPoints?.id ?? null;
    const histogramIds = histogramDataPoints?.id ?? null;
    const expIds = expHistogramDataPoints?.id ?? null;
    const { numberDpExemplars, histogramDpExemplars, expHistogramDpExemplars } = batch;
    const numberExemplars = this.#rowsOf(numberDpExemplars, numberIds, points.numberDataPoints);
    const histogramExemplars = this.#rowsOf(histogramDpExemplars, histogramIds, points.histogramDataPoints);
    const expExemplars = this.#rowsOf(expHistogramDpExemplars, expIds, points.expHistogramDataPoints);
    return {
      ...batch,
      ...this.#owners(metrics, rows),
      metrics: takeRows(metrics, rows),
      metricAttrs: this.#taken(batch.metricAttrs, metrics.id, rows),
      numberDataPoints: take(numberDataPoints, points.numberDataPoints),
      summaryDataPoints: take(summaryDataPoints, points.summaryDataPoints),
      histogramDataPoints: take(histogramDataPoints, points.histogramDataPoints),
      expHistogramDataPoints: take(expHistogramDataPoints, points.expHistogramDataPoints),
      numberDpAttrs: this.#taken(batch.numberDpAttrs, numberIds, points.numberDataPoints),
      summaryDpAttrs: this.#taken(batch.summaryDpAttrs, summaryIds, points.summaryDataPoints),
      histogramDpAttrs: this.#taken(batch.histogramDpAttrs, histogramIds, points.histogramDataPoints),
      expHistogramDpAttrs: this.#taken(batch.expHistogramDpAttrs, expIds, points.expHistogramDataPoints),
      numberDpExemplars: take(numberDpExemplars, numberExemplars),
      histogramDpExemplars: take(histogramDpExemplars, histogramExemplars),
      expHistogramDpExemplars: take(expHistogramDpExemplars, expExemplars),
      numberDpExemplarAttrs: this.#taken(batch.numberDpExemplarAttrs, numberDpExemplars?.id ?? null, numberExemplars),
      histogramDpExemplarAttrs: this.#taken(
        batch.histogramDpExemplarAttrs,
        histogramDpExemplars?.id ?? null,
        histogramExemplars,
      ),
      expHistogramDpExemplarAttrs: this.#taken(
        batch.expHistogramDpExemplarAttrs,
        expHistogramDpExemplars?.id ?? null,
        expExemplars,
      ),
    };
  }

  #owners(root: RootColumns, rows: Uint32Array): Pick<CanonicalBatch, 'resourceAttrs' | 'scopeAttrs'> {
    return {
      resourceAttrs: this.#taken(this.#batch.resourceAttrs, root.resourceId, rows),
      scopeAttrs: this.#taken(this.#batch.scopeAttrs, root.scopeId, rows),
    };
  }

  /** The rows of a table whose parents are these rows. */
  #rowsOf(table: ChildTable | null, parents: IdColumn | null, rows: Uint32Array): Uint32Array {
    return table === null ? new Uint32Array(0) : this.childRows(table).childrenOf(parents, rows);
  }

  #taken<Table extends ChildTable>(table: Table | null, parents: IdColumn | null, rows: Uint32Array): Table | null {
    return take(table, this.#rowsOf(table, parents, rows));
  }
}

/** Null for no rows, as for a table that was not there. */
function take<Table extends { readonly rowCount: number }>(table: Table | null, rows: Uint32Array): Table | null {
  return table === null || rows.length === 0 ? null : takeRows(table, rows);
}
