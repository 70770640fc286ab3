/**
 * The scan interface for metrics: what query languages ask of stored metrics, and all that they may. Columns go out, in chunks; names stay OpenTelemetry's. No
 * query language is known here, and no SQL is known there, so another store can stand behind it.
 */
export interface MetricScans {
  /**
   * What came since the call before, and everything at the first: new series, which get the next ordinals (from 0) in the order of the answer, and what points
   * looked like. `haveRowsGone`: rows may have, since the call before; where series begin now is told, too. When it rejects, nothing counts as told. Not to be called
   * while a call is under way.
   */
  changes(signal: AbortSignal, haveRowsGone?: boolean): Promise<SeriesChanges>;
  /** Forgets all series: the next `changes` tells those that have points now, with ordinals from 0. */
  forget(): void;
  /** Number samples of some series in a range of times, in no order but by time within each chunk's series as stored: callers sort. */
  samples(request: SamplesRequest): ScanAnswer<SampleChunk>;
  /** Points of classic histograms. */
  histograms(request: SamplesRequest): ScanAnswer<HistogramChunk>;
  /** Points of exponential histograms. */
  exponentialHistograms(request: SamplesRequest): ScanAnswer<ExponentialHistogramChunk>;
  /** Points of summaries. */
  summaries(request: SamplesRequest): ScanAnswer<SummaryChunk>;
  exemplars(request: SamplesRequest): ScanAnswer<ExemplarChunk>;
}

/**
 * Chunks as they are read; the store reads on only while the caller takes them, and stops when iteration is left or the request's signal is aborted. Iteration throws
 * TREASURY_ENGINE_UNAVAILABLE when the engine dies, and the signal's reason when it is aborted.
 */
export type ScanAnswer<Chunk> = AsyncIterable<Chunk>;

export interface SeriesChanges {
  readonly series: readonly StoredSeries[];
  readonly activity: readonly ActivityChunk[];
  /** Activity is of all points there are: what was told of points before holds no more. */
  readonly isWhole?: boolean;
  /** Holds for what was told of points before. */
  readonly beginnings?: SeriesBeginnings | undefined;
  /** All this is of entries below; of later ones nothing was there. */
  readonly nextOffset: bigint;
}

/** Where series begin after rows have gone: no point is older than `oldestMs`, and series without a row here have none before `untilMs`. A series may have several rows. */
export interface SeriesBeginnings {
  readonly oldestMs: number;
  readonly untilMs: number;
  readonly chunks: readonly { readonly ordinals: Uint32Array; readonly firstTimesMs: Float64Array }[];
}

/** A row for each series and, of histograms and summaries, each list of bounds or quantiles that its points had. A series may have several rows. */
export interface ActivityChunk {
  readonly ordinals: Uint32Array;
  readonly firstTimesMs: Float64Array;
  readonly lastTimesMs: Float64Array;
  /** Explicit bounds, or quantiles, of row i: `bounds[boundOffsets[i] .. boundOffsets[i + 1]]`. */
  readonly boundOffsets: Uint32Array;
  readonly bounds: Float64Array;
}

export interface SamplesRequest {
  /** Ascending. */
  readonly ordinals: Uint32Array;
  /** Unix milliseconds; both ends belong to the range. Times are stored in nanoseconds and cut to milliseconds. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly withStartTimes: boolean;
  /** Points of entries from this one on, and below that one; undefined: of all. */
  readonly fromOffset?: bigint;
  readonly untilOffset?: bigint;
  readonly signal: AbortSignal;
}

/** One series as OpenTelemetry has it. Attribute values are strings; others in their JSON form, as in the column `attributes`. */
export interface StoredSeries {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  /** `unknown`: a type that is none of OpenTelemetry's, or none at all. */
  readonly type: 'gauge' | 'sum' | 'histogram' | 'exponential_histogram' | 'summary' | 'unknown';
  readonly temporality: 'unspecified' | 'delta' | 'cumulative';
  readonly isMonotonic: boolean;
  /** Key, value, key, value... */
  readonly attributes: readonly string[];
  /** One object for all series of the resource or scope. */
  readonly resource: StoredResource;
  readonly scope: StoredScope;
}

export interface StoredResource {
  readonly attributes: readonly string[];
}

export interface StoredScope {
  readonly name: string;
  readonly version: string;
  readonly schemaUrl: string;
  readonly attributes: readonly string[];
}

/** Stands for series that were not asked for: their points may be in a chunk and are to be passed over. */
export const UNKNOWN_ORDINAL = 0xffff_ffff;

/** Among the flags of a point: no sum was sent with it. */
export const NO_SUM = 0x8000_0000;

/** What every chunk of points has. All columns are equally long. */
export interface PointColumns {
  readonly ordinals: Uint32Array;
  readonly timesMs: Float64Array;
  /** 0 where none is stored; undefined when none was asked for. */
  readonly startTimesMs: Float64Array | undefined;
  /** OpenTelemetry's data point flags: bit 0 is "no recorded value". Of classic histograms and summaries also `NO_SUM`. */
  readonly flags: Uint32Array;
}

export interface SampleChunk extends PointColumns {
  /** Integers as the nearest double; NaN for a point without a value. */
  readonly values: Float64Array;
  /** Where the samples of each series lie, when that is known: rows beside them do not count. Undefined: all rows do, in any order. */
  readonly rows?: SeriesRows | undefined;
}

/** Rows of a chunk by series: those of `ordinals[i]` are `from[i]` to `until[i]` (exclusive), by time, no time twice. */
export interface SeriesRows {
  /** All that were asked for, ascending; some may have no row. */
  readonly ordinals: Uint32Array;
  readonly from: Uint32Array;
  readonly until: Uint32Array;
  /** No row of the chunk has a flag, or a value that is no number. */
  readonly isPlain: boolean;
  /** By series: 1 where a value may be below the one before. */
  readonly mayFall: Uint8Array;
}

export interface HistogramChunk extends PointColumns {
  readonly counts: Float64Array;
  /** 0 where none was sent, which the flags tell. */
  readonly sums: Float64Array;
  /** Counts of point i: `bucketCounts[bucketOffsets[i] .. bucketOffsets[i + 1]]`, not cumulative; bounds likewise, one fewer. */
  readonly bucketOffsets: Uint32Array;
  readonly bucketCounts: Float64Array;
  readonly boundOffsets: Uint32Array;
  readonly bounds: Float64Array;
  /** Its buckets and those of all chunks of the same answer added up, when that is known: none of the others has them, then. */
  readonly totals?: BucketTotals | undefined;
}

/** Counts of classic histograms at most each bound, by series: those of `ordinals[i]` are rows `from[i]` to `until[i]` (exclusive), by time, no time twice. */
export interface BucketTotals {
  /** All that were asked for, ascending; some may have no row. */
  readonly ordinals: Uint32Array;
  readonly from: Uint32Array;
  readonly until: Uint32Array;
  /** Those of points beyond the range that was asked for, too. */
  readonly rowsFrom: Uint32Array;
  readonly rowsUntil: Uint32Array;
  /** By row. */
  readonly timesMs: Float64Array;
  /** What all points of a series have, one list for series with the same; undefined: points differ, or lack a value, and are to be read one by one. */
  readonly bounds: readonly (Float64Array | undefined)[];
  /** The columns of series i begin at `valuesFrom[i]`, one for each bound and that of +Inf behind them, each with a value for all its rows. */
  readonly values: Float64Array;
  readonly valuesFrom: Float64Array;
  /** By column, those of series i from `mayFallFrom[i]` on: 1 where a value is below the one before. */
  readonly mayFall: Uint8Array;
  readonly mayFallFrom: Uint32Array;
}

export interface ExponentialHistogramChunk extends PointColumns {
  readonly scales: Int32Array;
  readonly counts: Float64Array;
  readonly sums: Float64Array;
  readonly zeroCounts: Float64Array;
  readonly zeroThresholds: Float64Array;
  readonly positiveFirstIndexes: Int32Array;
  readonly positiveOffsets: Uint32Array;
  readonly positiveCounts: Float64Array;
  readonly negativeFirstIndexes: Int32Array;
  readonly negativeOffsets: Uint32Array;
  readonly negativeCounts: Float64Array;
  /** By row, where chunks are kept: what a comparison with the row before found, a sum of `COMPARED` and others; 0 where none was made. */
  readonly changes?: Uint8Array | undefined;
}

/** The row before is of the same series, scale, zero threshold and buckets. */
export const COMPARED = 4;

/** A count was higher in the row before. */
export const FELL = 1;

/** A bucket is empty in one of both rows only. */
export const OTHER_BUCKETS_USED = 2;

export interface SummaryChunk extends PointColumns {
  readonly counts: Float64Array;
  readonly sums: Float64Array;
  readonly quantileOffsets: Uint32Array;
  readonly quantiles: Float64Array;
  readonly quantileValues: Float64Array;
}

export interface ExemplarChunk {
  readonly ordinals: Uint32Array;
  readonly timesMs: Float64Array;
  readonly values: Float64Array;
  /** 32 hex digits, '' for none. */
  readonly traceIds: readonly string[];
  /** 16 hex digits, '' for none. */
  readonly spanIds: readonly string[];
  /** Key, value, key, value... of each. */
  readonly attributes: readonly (readonly string[])[];
}
