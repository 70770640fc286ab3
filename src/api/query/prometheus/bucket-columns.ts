import type { HistogramChunk } from '../../../materialize/index.ts';
import type { FloatColumn } from '../promql/source.ts';
import { markStale } from '../promql/stale.ts';
import { type FloatColumnOptions, NO_RECORDED_VALUE } from './float-columns.ts';
import type { PointTable } from './point-table.ts';

/**
 * Bucket series of one classic histogram, for each of `bounds` (texts of `le`, each once): how many observations are at most that. A point has samples in the series of
 * its own bounds only, and in that of `+Inf`. All are made in one walk over the points, and share their times where no point lacks a bound.
 */
export function bucketColumns(
  points: PointTable<HistogramChunk>,
  slot: number,
  bounds: readonly string[],
  options: FloatColumnOptions,
): FloatColumn[] {
  const [from, until] = points.range(slot);
  const columns = new Columns(bounds.length, until - from, options.withStartTimes);
  const totals = new Float64Array(bounds.length);
  let layout = new Layout(new Float64Array(0), bounds);
  for (let place = from; place < until; place++) {
    const chunk = points.chunkAt(place);
    const row = points.rowAt(place);
    const boundsFrom = chunk.boundOffsets[row]!;
    const countsFrom = chunk.bucketOffsets[row]!;
    const length = Math.min(chunk.boundOffsets[row + 1]! - boundsFrom, chunk.bucketOffsets[row + 1]! - countsFrom);
    if (!layout.isOf(chunk.bounds, boundsFrom, length))
      layout = new Layout(chunk.bounds.slice(boundsFrom, boundsFrom + length), bounds);
    const timeMs = points.timesMs[place]!;
    const isGiven = timeMs >= options.fromMs;
    const isEnd = (chunk.flags[row]! & NO_RECORDED_VALUE) !== 0;
    if (isGiven) columns.next(timeMs, options.isDelta ? 0 : (chunk.startTimesMs?.[row] ?? 0), layout.absent);
    let below = 0;
    for (let at = 0; at <= length; at++) {
      below = at === length ? chunk.counts[row]! : below + chunk.bucketCounts[countsFrom + at]!;
      const column = layout.columnOf[at]!;
      if (column === -1) continue;
      if (options.isDelta && !isEnd) totals[column]! += below;
      if (isGiven) columns.give(column, options.isDelta ? totals[column]! : below, isEnd);
    }
  }
  return columns.done();
}

/** Where the buckets of a list of bounds go; points of a series nearly always have the same list. */
class Layout {
  /** The column of each bound, and of +Inf behind them; -1 for a bound that is not asked for or stands twice. */
  readonly columnOf: Int32Array;
  /** Columns of bounds that are not in the list. */
  readonly absent: readonly number[];
  readonly #bounds: Float64Array;

  constructor(own: Float64Array, wanted: readonly string[]) {
    this.#bounds = own;
    this.columnOf = new Int32Array(own.length + 1).fill(-1);
    const absent: number[] = [];
    for (const [column, text] of wanted.entries()) {
      const at = text === '+Inf' ? own.length : own.findIndex((bound) => Object.is(bound, Number(text)));
      if (at === -1) absent.push(column);
      else this.columnOf[at] = column;
    }
    this.absent = absent;
  }

  isOf(bounds: Float64Array, from: number, length: number): boolean {
    const own = this.#bounds;
    if (own.length !== length) return false;
    for (let at = 0; at < length; at++) if (own[at] !== bounds[from + at]) return false;
    return true;
  }
}

/** Columns that grow side by side. */
class Columns {
  readonly #timesMs: Float64Array;
  readonly #startTimesMs: Float64Array | undefined;
  readonly #values: Float64Array[] = [];
  readonly #sizes: Uint32Array;
  /** By column: the points that it has, once it lacks one. */
  readonly #own = new Map<number, Uint32Array>();
  #points = 0;

  constructor(width: number, pointsMax: number, withStartTimes: boolean) {
    this.#timesMs = new Float64Array(pointsMax);
    this.#startTimesMs = withStartTimes ? new Float64Array(pointsMax) : undefined;
    for (let column = 0; column < width; column++) this.#values.push(new Float64Array(pointsMax));
    this.#sizes = new Uint32Array(width);
  }

  /** Begins a point that gives nothing to the columns `absent`. */
  next(timeMs: number, startTimeMs: number, absent: readonly number[]): void {
    for (const column of absent) {
      if (this.#own.has(column)) continue;
      this.#own.set(
        column,
        new Uint32Array(this.#timesMs.length).map((_, at) => at),
      );
    }
    this.#timesMs[this.#points] = timeMs;
    if (this.#startTimesMs !== undefined) this.#startTimesMs[this.#points] = startTimeMs;
    this.#points++;
  }

  give(column: number, value: number, isEnd: boolean): void {
    const at = this.#sizes[column]!++;
    if (isEnd) markStale(this.#values[column]!, at);
    else this.#values[column]![at] = value;
    if (this.#own.size > 0) this.#note(column, at);
  }

  #note(column: number, at: number): void {
    const own = this.#own.get(column);
    if (own !== undefined) own[at] = this.#points - 1;
  }

  done(): FloatColumn[] {
    const timesMs = this.#timesMs.subarray(0, this.#points);
    const startTimesMs = this.#startTimesMs?.subarray(0, this.#points);
    return this.#values.map((values, column) => {
      const size = this.#sizes[column]!;
      const own = this.#own.get(column)?.subarray(0, size);
      const pick = (all: Float64Array): Float64Array =>
        own === undefined ? all : Float64Array.from(own, (at) => all[at]!);
      return {
        timesMs: pick(timesMs),
        values: values.subarray(0, size),
        startTimesMs: startTimesMs === undefined ? undefined : pick(startTimesMs),
      };
    });
  }
}
