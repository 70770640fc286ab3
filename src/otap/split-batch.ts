import { assert } from '../base/index.ts';
import { BatchSelector, POINT_TABLES, type PointRows } from './batch-selector.ts';
import type { CanonicalBatch, MetricsBatch } from './canonical.ts';
import { idAt } from './child-rows.ts';
import { countItems } from './count-items.ts';

/** What the 16 bits of OTAP's ids number: of rows, resources and scopes. */
const IDS_MAX = 65_535;

/**
 * A batch in pieces of at most `itemsMax` records, spans or data points, and at most 65,535 rows that need an id: the batch itself when
 * it is no larger. Records and spans stay whole, a metric with many points comes in several pieces; the order is kept. Rows whose parent
 * is not there are in no piece. Pieces share the strings of the batch.
 */
export function splitBatch(batch: CanonicalBatch, itemsMax: number): CanonicalBatch[] {
  assert(itemsMax >= 1, 'a piece must have room for an item');
  const max = Math.min(itemsMax, IDS_MAX);
  if (batch.signal === 'metrics') return countRepairsOnce(splitMetrics(batch, max));
  if (countItems(batch) <= max) return [batch];
  const pieces: CanonicalBatch[] = [];
  if (batch.signal === 'logs') {
    const selector = new BatchSelector(batch);
    for (const rows of ranges(batch.logs.rowCount, max)) pieces.push(selector.logs(rows));
  } else {
    const selector = new BatchSelector(batch);
    for (const rows of ranges(batch.spans.rowCount, max)) pieces.push(selector.spans(rows));
  }
  return countRepairsOnce(pieces);
}

function* ranges(rowCount: number, max: number): Generator<Uint32Array> {
  for (let from = 0; from < rowCount; from += max) {
    const rows = new Uint32Array(Math.min(max, rowCount - from));
    for (let i = 0; i < rows.length; i++) rows[i] = from + i;
    yield rows;
  }
}

function splitMetrics(batch: MetricsBatch, max: number): MetricsBatch[] {
  const { metrics } = batch;
  if (countItems(batch) <= max && metrics.rowCount <= IDS_MAX) return [batch];
  const selector = new BatchSelector(batch);
  const pieces: MetricsBatch[] = [];
  let piece = new MetricsPiece(max);
  for (let row = 0; row < metrics.rowCount; row++) {
    if (piece.isFull) {
      pieces.push(piece.select(selector));
      piece = new MetricsPiece(max);
    }
    piece.addMetric(row);
    for (const name of POINT_TABLES) {
      const table = batch[name];
      if (table === null) continue;
      const points = selector.childRows(table);
      if (!points.find(idAt(metrics.id, row))) continue;
      for (let at = points.from; at < points.to; at++) {
        if (piece.isFull) {
          pieces.push(piece.select(selector));
          piece = new MetricsPiece(max);
          piece.addMetric(row);
        }
        piece.addPoint(name, points.rows[at]!);
      }
    }
  }
  if (!piece.isEmpty) pieces.push(piece.select(selector));
  return pieces;
}

/** The rows of a piece while it is filled. */
class MetricsPiece {
  readonly #max: number;
  readonly #metrics: number[] = [];
  readonly #points: Record<(typeof POINT_TABLES)[number], number[]> = {
    numberDataPoints: [],
    summaryDataPoints: [],
    histogramDataPoints: [],
    expHistogramDataPoints: [],
  };
  #items = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get isEmpty(): boolean {
    return this.#metrics.length === 0;
  }

  /** Whether a point or another metric is too much. */
  get isFull(): boolean {
    return this.#items === this.#max || this.#metrics.length === IDS_MAX;
  }

  addMetric(row: number): void {
    this.#metrics.push(row);
  }

  addPoint(table: (typeof POINT_TABLES)[number], row: number): void {
    this.#points[table].push(row);
    this.#items++;
  }

  select(selector: BatchSelector<MetricsBatch>): MetricsBatch {
    const points: PointRows = {
      numberDataPoints: Uint32Array.from(this.#points.numberDataPoints),
      summaryDataPoints: Uint32Array.from(this.#points.summaryDataPoints),
      histogramDataPoints: Uint32Array.from(this.#points.histogramDataPoints),
      expHistogramDataPoints: Uint32Array.from(this.#points.expHistogramDataPoints),
    };
    return selector.metrics(Uint32Array.from(this.#metrics), points);
  }
}

/** The first piece tells what decoding the batch repaired. */
function countRepairsOnce(pieces: readonly CanonicalBatch[]): CanonicalBatch[] {
  return pieces.map((piece, i) => (i === 0 || piece.repairedStrings === 0 ? piece : { ...piece, repairedStrings: 0 }));
}
