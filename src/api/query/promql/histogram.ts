/**
 * A native histogram sample. Buckets are sparse: `positive.indexes[i]` is the number of the bucket that holds `positive.counts[i]`
 * observations (not cumulative); indexes ascend, none stands twice, none has a count of 0 once `compact` is done.
 *
 * Of schema s in -4..8, bucket i of the positive side holds (base^(i-1), base^i] with base = 2^(2^-s), mirrored for the negative side; of schema
 * CUSTOM_BUCKETS_SCHEMA, bucket i holds (customValues[i-1], customValues[i]], open at both ends. Source: Prometheus model/histogram/float_histogram.go.
 */
export interface FloatHistogram {
  readonly schema: number;
  /** What is known of this sample against the one before it in its series. */
  readonly counterReset: CounterResetHint;
  /** Half the width of the zero bucket: it holds [-zeroThreshold, zeroThreshold]. */
  readonly zeroThreshold: number;
  readonly zeroCount: number;
  readonly count: number;
  readonly sum: number;
  readonly positive: SparseBuckets;
  readonly negative: SparseBuckets;
  /** Upper bounds of custom buckets, ascending, without +Inf; empty for exponential schemas. */
  readonly customValues: Float64Array;
}

/** Histograms of one series, one after the other: an array of them, or one that makes each when it is asked for. */
export interface HistogramList {
  readonly length: number;
  /** Undefined beyond the end. */
  at(index: number): FloatHistogram | undefined;
}

/** Those of index `from` to `until` (exclusive). */
export function histogramsOf(list: HistogramList, from = 0, until = list.length): FloatHistogram[] {
  return Array.from({ length: until - from }, (_, at) => list.at(from + at)!);
}

export interface SparseBuckets {
  readonly indexes: Int32Array;
  readonly counts: Float64Array;
}

export type CounterResetHint = 'unknown' | 'reset' | 'not_reset' | 'gauge';

/** The schema of histograms with explicit bounds ("NHCB"). */
export const CUSTOM_BUCKETS_SCHEMA = -53;
