import type { PointColumns } from '../../../materialize/index.ts';
import { haveEqualBounds } from '../promql/histogram-bounds.ts';
import { isReset } from '../promql/histogram-reset.ts';
import { HistogramSum } from '../promql/histogram-sum.ts';
import type { CounterResetHint, FloatHistogram } from '../promql/histogram.ts';
import type { FloatColumn, HistogramColumn } from '../promql/source.ts';
import { markStale } from '../promql/stale.ts';
import { type FloatColumnOptions, NO_RECORDED_VALUE } from './float-columns.ts';
import type { PointTable } from './point-table.ts';

export interface NativeColumns {
  readonly histograms: HistogramColumn;
  /** Markers of the end of the series. */
  readonly floats: FloatColumn;
}

/** While it is being made. */
export type MadeHistogram = { -readonly [Key in keyof FloatHistogram]: FloatHistogram[Key] };

/** Makes histograms of points of one series. Neighbours nearly always have the same buckets: then they may share the list of them. */
export interface HistogramReader<Chunk> {
  /** Undefined for a point that has no form in Prometheus; the hint is unknown. */
  read(chunk: Chunk, row: number): MadeHistogram | undefined;
}

/** The native histograms of a slot, each read by `reader`. */
export function nativeColumns<Chunk extends PointColumns>(
  points: PointTable<Chunk>,
  slot: number,
  reader: HistogramReader<Chunk>,
  options: FloatColumnOptions,
): NativeColumns {
  const [from, until] = points.range(slot);
  const timesMs: number[] = [];
  const startTimesMs: number[] = [];
  const endTimesMs: number[] = [];
  const values: FloatHistogram[] = [];
  let total: HistogramSum | undefined;
  let before: FloatHistogram | undefined;
  for (let place = from; place < until; place++) {
    const chunk = points.chunkAt(place);
    const row = points.rowAt(place);
    const timeMs = points.timesMs[place]!;
    if ((chunk.flags[row]! & NO_RECORDED_VALUE) !== 0) {
      before = undefined;
      if (timeMs >= options.fromMs) endTimesMs.push(timeMs);
      continue;
    }
    let histogram = reader.read(chunk, row);
    if (histogram === undefined) continue;
    if (options.isDelta) {
      if (total === undefined) total = new HistogramSum(histogram);
      else total.add(histogram);
      histogram = total.total();
    }
    histogram.counterReset = hintAfter(before, histogram);
    before = histogram;
    if (timeMs < options.fromMs) continue;
    timesMs.push(timeMs);
    values.push(histogram);
    if (options.withStartTimes) startTimesMs.push(options.isDelta ? 0 : (chunk.startTimesMs?.[row] ?? 0));
  }
  const ends = new Float64Array(endTimesMs.length);
  endTimesMs.forEach((_, at) => {
    markStale(ends, at);
  });
  return {
    histograms: {
      timesMs: Float64Array.from(timesMs),
      values,
      startTimesMs: options.withStartTimes ? Float64Array.from(startTimesMs) : undefined,
    },
    floats: { timesMs: Float64Array.from(endTimesMs), values: ends },
  };
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
