import type { ExponentialHistogramChunk } from '../../../materialize/index.ts';
import { haveEqualBounds } from '../promql/histogram-bounds.ts';
import { isReset } from '../promql/histogram-reset.ts';
import { HistogramSum } from '../promql/histogram-sum.ts';
import type { CounterResetHint, FloatHistogram, SparseBuckets } from '../promql/histogram.ts';
import type { FloatColumn, HistogramColumn } from '../promql/source.ts';
import { markStale } from '../promql/stale.ts';
import { type FloatColumnOptions, NO_RECORDED_VALUE } from './float-columns.ts';
import type { PointTable } from './point-table.ts';

/** Scales of OpenTelemetry that Prometheus has as schemas. Finer ones are merged down, coarser ones have no form. */
const SCALE_MIN = -4;
const SCALE_MAX = 8;

/** The zero bucket of a point that names no width (upstream's defaultZeroThreshold). */
const DEFAULT_ZERO_THRESHOLD = 1e-128;

const NO_BOUNDS = new Float64Array(0);

export interface NativeColumns {
  readonly histograms: HistogramColumn;
  /** Markers of the end of the series. */
  readonly floats: FloatColumn;
}

/** The native histograms of a slot. Points too coarse for Prometheus are left out. Source: prometheusremotewrite/histograms.go. */
export function nativeColumns(
  points: PointTable<ExponentialHistogramChunk>,
  slot: number,
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
    if (points.isRepeated(place, until)) continue;
    const chunk = points.chunkAt(place);
    const row = points.rowAt(place);
    const timeMs = chunk.timesMs[row]!;
    if ((chunk.flags[row]! & NO_RECORDED_VALUE) !== 0) {
      before = undefined;
      if (timeMs >= options.fromMs) endTimesMs.push(timeMs);
      continue;
    }
    if (chunk.scales[row]! < SCALE_MIN) continue;
    let histogram = histogramAt(chunk, row);
    if (options.isDelta) {
      if (total === undefined) total = new HistogramSum(histogram);
      else total.add(histogram);
      histogram = total.total();
    }
    histogram = { ...histogram, counterReset: hintAfter(before, histogram) };
    before = histogram;
    if (timeMs < options.fromMs) continue;
    timesMs.push(timeMs);
    values.push(histogram);
    startTimesMs.push(options.isDelta ? 0 : (chunk.startTimesMs?.[row] ?? 0));
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
  return isReset({ ...histogram, counterReset: 'unknown' }, before) ? 'unknown' : 'not_reset';
}

function histogramAt(chunk: ExponentialHistogramChunk, row: number): FloatHistogram {
  const scale = chunk.scales[row]!;
  const merge = Math.max(0, scale - SCALE_MAX);
  const sum = chunk.sums[row]!;
  return {
    schema: scale - merge,
    counterReset: 'unknown',
    zeroThreshold: chunk.zeroThresholds[row]! || DEFAULT_ZERO_THRESHOLD,
    zeroCount: chunk.zeroCounts[row]!,
    count: chunk.counts[row]!,
    sum: Number.isNaN(sum) ? 0 : sum,
    positive: bucketsOf(chunk.positiveCounts, chunk.positiveOffsets, row, chunk.positiveFirstIndexes[row]!, merge),
    negative: bucketsOf(chunk.negativeCounts, chunk.negativeOffsets, row, chunk.negativeFirstIndexes[row]!, merge),
    customValues: NO_BOUNDS,
  };
}

/** OpenTelemetry's bucket i holds (base^i, base^(i+1)], Prometheus' bucket i + 1 does. Empty buckets are left out. */
function bucketsOf(
  counts: Float64Array,
  offsets: Uint32Array,
  row: number,
  firstIndex: number,
  merge: number,
): SparseBuckets {
  const indexes: number[] = [];
  const merged: number[] = [];
  for (let at = offsets[row]!; at < offsets[row + 1]!; at++) {
    const count = counts[at]!;
    if (count === 0) continue;
    const index = Math.floor((firstIndex + at - offsets[row]!) / 2 ** merge) + 1;
    if (indexes.at(-1) === index) merged[merged.length - 1]! += count;
    else {
      indexes.push(index);
      merged.push(count);
    }
  }
  return { indexes: Int32Array.from(indexes), counts: Float64Array.from(merged) };
}
