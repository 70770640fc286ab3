import { HistogramColumns } from './histogram-columns.ts';

/** A range query over 1,000 series makes so much for each of its functions; what is larger is not worth keeping from one query to the next. */
const SPARE_BYTES_MAX = 32 * 1024 * 1024;

/** Of this thread: columns that a query made and is done with. */
let spare: HistogramColumns | undefined;

/** Empty columns, with the room of those given back last: fresh memory costs more than what is worked out in it. */
export function takeColumns(): HistogramColumns {
  const columns = spare ?? new HistogramColumns();
  spare = undefined;
  return columns;
}

/** Takes back columns of which nothing is looked at any more, neither in them nor in histograms made out of them. */
export function giveBackColumns(columns: HistogramColumns): void {
  if (columns.ownBytes() > SPARE_BYTES_MAX) return;
  columns.clear();
  spare = columns;
}
