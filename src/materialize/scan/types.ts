/**
 * The scan interface for metrics: what query languages ask of stored metrics, and all that they may. Columns go out, in chunks; names stay OpenTelemetry's. No
 * query language is known here, and no SQL is known there, so another store can stand behind it.
 */
export interface MetricScans {
  /**
   * Series whose ordinal is at least `fromOrdinal`, by ordinal. Ordinals count from 0 in the order in which series came, and stay as long as `epoch` does;
   * when the answer's epoch is another one than the caller knows, all ordinals are new and the caller asks from 0. There is always a first chunk, empty when
   * nothing is new, so that the epoch is told.
   */
  series(request: SeriesRequest): ScanAnswer<SeriesChunk>;
  /**
   * What points of series came since a place in the log: when, and with which bounds. Every series with a point has at least one row over all calls from 0; there is always a
   * first chunk.
   */
  activity(request: ActivityRequest): ScanAnswer<ActivityChunk>;
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
 * TREASURY_ENGINE_UNAVAILABLE when the engine dies or the epoch asked for has ended, and the signal's reason when it is aborted.
 */
export type ScanAnswer<Chunk> = AsyncIterable<Chunk>;

export interface SeriesRequest {
  readonly fromOrdinal: number;
  readonly signal: AbortSignal;
}

export interface ActivityRequest {
  readonly epoch: string;
  /** Entry offset; that of `nextOffset` of the last chunk of the call before, 0 at first. */
  readonly fromOffset: bigint;
  readonly signal: AbortSignal;
}

/** A row for each series and, of histograms and summaries, each list of bounds or quantiles that its points had. A series may have several rows. */
export interface ActivityChunk {
  readonly epoch: string;
  readonly nextOffset: bigint;
  readonly ordinals: Uint32Array;
  readonly firstTimesMs: Float64Array;
  readonly lastTimesMs: Float64Array;
  /** Explicit bounds, or quantiles, of row i: `bounds[boundOffsets[i] .. boundOffsets[i + 1]]`. */
  readonly boundOffsets: Uint32Array;
  readonly bounds: Float64Array;
}

export interface SamplesRequest {
  readonly epoch: string;
  /** Ascending. */
  readonly ordinals: Uint32Array;
  /** Unix milliseconds; both ends belong to the range. Times are stored in nanoseconds and cut to milliseconds. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly withStartTimes: boolean;
  readonly signal: AbortSignal;
}

export interface SeriesChunk {
  readonly epoch: string;
  /** Ordinal of the first; the others follow without a gap. */
  readonly firstOrdinal: number;
  readonly series: readonly StoredSeries[];
}

/** One series as OpenTelemetry has it. Attribute values are strings; others in their JSON form, as in the column `attributes`. */
export interface StoredSeries {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly type: 'gauge' | 'sum' | 'histogram' | 'exponential_histogram' | 'summary';
  readonly temporality: 'unspecified' | 'delta' | 'cumulative';
  readonly isMonotonic: boolean;
  /** Key, value, key, value... */
  readonly attributes: readonly string[];
  /** Which resource and scope: equal numbers are equal ones, within an epoch. */
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

/** What every chunk of points has. All columns are equally long. */
export interface PointColumns {
  readonly ordinals: Uint32Array;
  readonly timesMs: Float64Array;
  /** 0 where none is stored; undefined when none was asked for. */
  readonly startTimesMs: Float64Array | undefined;
  /** OpenTelemetry's data point flags: bit 0 is "no recorded value". */
  readonly flags: Uint32Array;
}

export interface SampleChunk extends PointColumns {
  /** Integers as the nearest double; NaN for a point without a value. */
  readonly values: Float64Array;
}

export interface HistogramChunk extends PointColumns {
  readonly counts: Float64Array;
  /** NaN where none was sent. */
  readonly sums: Float64Array;
  /** Counts of point i: `bucketCounts[bucketOffsets[i] .. bucketOffsets[i + 1]]`, not cumulative; bounds likewise, one fewer. */
  readonly bucketOffsets: Uint32Array;
  readonly bucketCounts: Float64Array;
  readonly boundOffsets: Uint32Array;
  readonly bounds: Float64Array;
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
}

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
