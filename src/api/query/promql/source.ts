import type { LabelMatcher } from './ast.ts';
import type { HistogramList } from './histogram.ts';
import type { Labels } from './labels.ts';
import type { MemoryLease } from './memory-budget.ts';

/**
 * Where an evaluation gets its samples: the one seam between PromQL and storage. Stored telemetry implements it, and so do series in memory for the
 * script runner.
 */
export interface SampleSource {
  /**
   * The series that match, with their samples in the range. Series without a sample there may be left out. No label set stands twice.
   * Throws a TreasuryError of kind `limit` when more samples match than `selection.samplesMax`, and the signal's reason when it is aborted.
   */
  select(selection: Selection, signal: AbortSignal): Promise<SelectedSeries[]>;
}

export interface Selection {
  readonly matchers: readonly LabelMatcher[];
  /** Unix milliseconds; both ends belong to the range. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** More samples than these (floats, and histograms by their buckets) are an error and not a cut. */
  readonly samplesMax: number;
  /** Start times of counters are wanted: `startTimesMs` is filled where the storage knows them. */
  readonly withStartTimes: boolean;
  /** Told of what is read before it takes memory; undefined: nobody counts. */
  readonly memory?: MemoryLease | undefined;
}

/**
 * One series in columns. Times are Unix milliseconds, strictly ascending; no time stands in both floats and histograms. A stale marker is a float
 * sample with the bits of `stale.ts`. Arrays may be views into larger ones that many series share: they are read, never written.
 */
export interface SelectedSeries {
  readonly labels: Labels;
  readonly floats: FloatColumn;
  readonly histograms: HistogramColumn;
}

export interface FloatColumn {
  readonly timesMs: Float64Array;
  readonly values: Float64Array;
  /** 0 where no start time is known; undefined when none was asked for or none is known. */
  readonly startTimesMs?: Float64Array | undefined;
}

export interface HistogramColumn {
  readonly timesMs: Float64Array;
  readonly values: HistogramList;
  readonly startTimesMs?: Float64Array | undefined;
}
