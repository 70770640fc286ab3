import { LIMITS } from '../../../base/index.ts';
import { HistogramColumns } from './histogram-columns.ts';

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
  if (columns.ownBytes() > LIMITS.promqlSpareColumnsBytesMax) return;
  columns.clear();
  spare = columns;
}
