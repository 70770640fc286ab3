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
  const reader = new HistogramReader();
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
    if (chunk.scales[row]! < SCALE_MIN) continue;
    let histogram: Made<FloatHistogram> = reader.read(chunk, row);
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

/** Makes histograms of points of one series. Neighbours nearly always have the same buckets: then they share the list of them. */
class HistogramReader {
  #positive = NO_BUCKETS;
  #negative = NO_BUCKETS;

  read(chunk: ExponentialHistogramChunk, row: number): Made<FloatHistogram> {
    const scale = chunk.scales[row]!;
    const merge = Math.max(0, scale - SCALE_MAX);
    const sum = chunk.sums[row]!;
    const { positiveCounts, positiveOffsets, negativeCounts, negativeOffsets } = chunk;
    this.#positive = bucketsOf(
      positiveCounts.subarray(positiveOffsets[row]!, positiveOffsets[row + 1]!),
      { index: chunk.positiveFirstIndexes[row]!, merge },
      this.#positive.indexes,
    );
    if (negativeOffsets[row] === negativeOffsets[row + 1]) this.#negative = NO_BUCKETS;
    else
      this.#negative = bucketsOf(
        negativeCounts.subarray(negativeOffsets[row]!, negativeOffsets[row + 1]!),
        { index: chunk.negativeFirstIndexes[row]!, merge },
        this.#negative.indexes,
      );
    return {
      schema: scale - merge,
      counterReset: 'unknown',
      zeroThreshold: chunk.zeroThresholds[row]! || DEFAULT_ZERO_THRESHOLD,
      zeroCount: chunk.zeroCounts[row]!,
      count: chunk.counts[row]!,
      sum: Number.isNaN(sum) ? 0 : sum,
      positive: this.#positive,
      negative: this.#negative,
      customValues: NO_BOUNDS,
    };
  }
}

const NO_BUCKETS: SparseBuckets = { indexes: new Int32Array(0), counts: new Float64Array(0) };

/** While it is being made. */
type Made<T> = { -readonly [Key in keyof T]: T[Key] };

interface FirstBucket {
  /** OpenTelemetry's number of the first bucket. */
  readonly index: number;
  /** By how many powers of two buckets are merged. */
  readonly merge: number;
}

/**
 * OpenTelemetry's bucket i holds (base^i, base^(i+1)], Prometheus' bucket i + 1 does. Empty buckets are left out; while there is none, counts stay in the memory of the
 * chunk. `indexesBefore` are given again when they are the same.
 */
function bucketsOf(counts: Float64Array, first: FirstBucket, indexesBefore: Int32Array): SparseBuckets {
  if (first.merge > 0 || counts.includes(0)) return sparseBuckets(counts, first, indexesBefore);
  const { length } = counts;
  const lowest = first.index + 1;
  // Indexes ascend, so what lies between two ends as far apart as there are indexes is known.
  const isSame =
    indexesBefore.length === length && indexesBefore[0] === lowest && indexesBefore[length - 1] === lowest + length - 1;
  if (isSame) return { indexes: indexesBefore, counts };
  const indexes = new Int32Array(length);
  for (let at = 0; at < length; at++) indexes[at] = lowest + at;
  return { indexes, counts };
}

function sparseBuckets(counts: Float64Array, first: FirstBucket, indexesBefore: Int32Array): SparseBuckets {
  const factor = 2 ** first.merge;
  const sums = new Float64Array(counts.length);
  const indexes = new Int32Array(counts.length);
  let size = 0;
  let isSame = true;
  for (let at = 0; at < counts.length; at++) {
    const count = counts[at]!;
    if (count === 0) continue;
    const index = Math.floor((first.index + at) / factor) + 1;
    if (size === 0 || indexes[size - 1] !== index) {
      isSame &&= indexesBefore[size] === index;
      indexes[size++] = index;
    }
    sums[size - 1]! += count;
  }
  isSame &&= indexesBefore.length === size;
  return { indexes: isSame ? indexesBefore : indexes.slice(0, size), counts: sums.subarray(0, size) };
}
