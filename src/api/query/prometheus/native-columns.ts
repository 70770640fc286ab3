import type { PointColumns } from '../../../materialize/index.ts';
import { haveEqualBounds } from '../promql/histogram-bounds.ts';
import { HistogramColumns, UNKNOWN } from '../promql/histogram-columns.ts';
import { isReset } from '../promql/histogram-reset.ts';
import { HistogramSlice } from '../promql/histogram-slice.ts';
import { HistogramSum } from '../promql/histogram-sum.ts';
import type { CounterResetHint, FloatHistogram } from '../promql/histogram.ts';
import type { FloatColumn, HistogramColumn } from '../promql/source.ts';
import { markStale } from '../promql/stale.ts';
import { type FloatColumnOptions, NO_RECORDED_VALUE } from './float-columns.ts';
import type { PointTable } from './point-table.ts';

export interface NativeSamples {
  readonly histograms: HistogramColumn;
  /** Markers of the end of the series. */
  readonly floats: FloatColumn;
}

/** Puts native histograms of points at the end of columns. */
export interface HistogramFiller<Chunk> {
  /** False for a point that has no form in Prometheus; the hint is yet to be told. `chunkNumber` is that of the chunk in its table. */
  add(chunkNumber: number, chunk: Chunk, row: number): boolean;
}

/** The native histograms of a table of points, by slot. */
export class NativeColumns<Chunk extends PointColumns> {
  readonly #points: PointTable<Chunk>;
  readonly #options: FloatColumnOptions;
  readonly #columns: HistogramColumns;
  readonly #filler: HistogramFiller<Chunk>;

  constructor(
    points: PointTable<Chunk>,
    options: FloatColumnOptions,
    fillerOf: (columns: HistogramColumns) => HistogramFiller<Chunk>,
  ) {
    this.#points = points;
    this.#options = options;
    this.#columns = new HistogramColumns(points.timesMs.length + 1);
    this.#filler = fillerOf(this.#columns);
  }

  /** Those of a slot. A slot may be asked for once more: its histograms are in the columns twice, then. */
  of(slot: number): NativeSamples {
    const columns = this.#columns;
    const points = this.#points;
    const { fromMs, withStartTimes, isDelta } = this.#options;
    const [from, until] = points.range(slot);
    const first = columns.length;
    const timesMs = new Float64Array(until - from);
    const startTimesMs = withStartTimes ? new Float64Array(until - from) : undefined;
    const endTimesMs: number[] = [];
    let isBehindEnd = true;
    for (let place = from; place < until; place++) {
      const chunk = points.chunkAt(place);
      const row = points.rowAt(place);
      const timeMs = points.timesMs[place]!;
      if ((chunk.flags[row]! & NO_RECORDED_VALUE) !== 0) {
        isBehindEnd = true;
        if (timeMs >= fromMs) endTimesMs.push(timeMs);
        continue;
      }
      if (!this.#filler.add(points.chunkNumberAt(place), chunk, row)) continue;
      const at = columns.length - 1;
      if (isBehindEnd) columns.hints[at] = UNKNOWN;
      isBehindEnd = false;
      timesMs[at - first] = timeMs;
      if (startTimesMs !== undefined && !isDelta) startTimesMs[at - first] = chunk.startTimesMs?.[row] ?? 0;
    }
    const slice = new HistogramSlice(columns, first, columns.length - first);
    const column = {
      timesMs: timesMs.subarray(0, slice.length),
      values: slice,
      startTimesMs: startTimesMs?.subarray(0, slice.length),
    };
    return { histograms: isDelta ? addedUp(column, fromMs) : column, floats: endsAt(endTimesMs) };
  }
}

/** Changes added up; those before `fromMs` are not given out. */
function addedUp(
  { timesMs, values, startTimesMs }: HistogramColumn & { readonly values: HistogramSlice },
  fromMs: number,
): HistogramColumn {
  const totals: FloatHistogram[] = [];
  let sum: HistogramSum | undefined;
  let before: FloatHistogram | undefined;
  let skipped = 0;
  for (let at = 0; at < values.length; at++) {
    const change = values.columns.unhinted(values.first + at);
    if (sum === undefined) sum = new HistogramSum(change);
    else sum.add(change);
    // The first one behind an end of the series.
    const isFirst = values.columns.hints[values.first + at] === UNKNOWN;
    const total = sum.total();
    const histogram = { ...total, counterReset: hintAfter(isFirst ? undefined : before, total) };
    before = histogram;
    if (timesMs[at]! < fromMs) skipped++;
    else totals.push(histogram);
  }
  return { timesMs: timesMs.subarray(skipped), values: totals, startTimesMs: startTimesMs?.subarray(skipped) };
}

function endsAt(timesMs: readonly number[]): FloatColumn {
  const values = new Float64Array(timesMs.length);
  timesMs.forEach((_, at) => {
    markStale(values, at);
  });
  return { timesMs: Float64Array.from(timesMs), values };
}

/**
 * What is known of `histogram` behind `before`, as Prometheus' storage would tell: it keeps counters in chunks without resets and knows nothing of what stands
 * before a chunk. What one chunk cannot hold (another schema, zero bucket or bounds) begins another.
 */
export function hintAfter(before: FloatHistogram | undefined, histogram: FloatHistogram): CounterResetHint {
  if (before === undefined || before.counterReset === 'gauge') return 'unknown';
  const fitsChunk =
    histogram.schema === before.schema &&
    histogram.zeroThreshold === before.zeroThreshold &&
    haveEqualBounds(histogram.customValues, before.customValues);
  if (!fitsChunk) return 'unknown';
  // A reset begins a chunk, too.
  const isUnknown = histogram.counterReset === 'unknown';
  return isReset(isUnknown ? histogram : { ...histogram, counterReset: 'unknown' }, before) ? 'unknown' : 'not_reset';
}
