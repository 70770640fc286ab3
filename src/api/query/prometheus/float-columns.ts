import type { PointColumns } from '../../../materialize/index.ts';
import type { FloatColumn } from '../promql/source.ts';
import { markStale } from '../promql/stale.ts';
import type { PointTable } from './point-table.ts';

/** Bit of the flags of a data point: the series has ended here, the point has no value. */
export const NO_RECORDED_VALUE = 1;

export interface FloatColumnOptions {
  /** Points are changes since the one before: they are added up from the first one that was read. */
  readonly isDelta: boolean;
  /** Points before it are added up and not given out. */
  readonly fromMs: number;
  readonly withStartTimes: boolean;
}

/** What a point is worth in a series; undefined when it has no sample there. */
export type ReadPoint<Chunk> = (chunk: Chunk, row: number) => number | undefined;

/** The samples of one series of numbers: those of a slot, each read by `read`. */
export function floatColumn<Chunk extends PointColumns>(
  points: PointTable<Chunk>,
  slot: number,
  read: ReadPoint<Chunk>,
  options: FloatColumnOptions,
): FloatColumn {
  const [from, until] = points.range(slot);
  const timesMs = new Float64Array(until - from);
  const values = new Float64Array(until - from);
  const startTimesMs = options.withStartTimes ? new Float64Array(until - from) : undefined;
  let size = 0;
  let total = 0;
  for (let place = from; place < until; place++) {
    const chunk = points.chunkAt(place);
    const row = points.rowAt(place);
    const isEnd = (chunk.flags[row]! & NO_RECORDED_VALUE) !== 0;
    const value = read(chunk, row);
    // An end, too, is one of those series only that the point has, as Prometheus' receiver has it.
    if (value === undefined) continue;
    if (!isEnd) total += value;
    const timeMs = points.timesMs[place]!;
    if (timeMs < options.fromMs) continue;
    timesMs[size] = timeMs;
    if (isEnd) markStale(values, size);
    else values[size] = options.isDelta ? total : value;
    if (startTimesMs !== undefined) startTimesMs[size] = options.isDelta ? 0 : (chunk.startTimesMs?.[row] ?? 0);
    size++;
  }
  return {
    timesMs: timesMs.subarray(0, size),
    values: values.subarray(0, size),
    startTimesMs: startTimesMs?.subarray(0, size),
  };
}
