import type { LabelMatcher } from '../promql/ast.ts';
import type { Labels } from '../promql/labels.ts';
import type { SampleSource } from '../promql/source.ts';

/**
 * Stored metrics as Prometheus sees them: what its API asks for beside samples. Answers are of the state at the call; every method throws the signal's reason when
 * it is aborted.
 */
export interface MetricsView extends SampleSource {
  /** Label sets with a sample in the range, sorted; of those that match any of `selectors`, of all when there is none. At most `limit`. */
  series(range: SeriesRange, signal: AbortSignal): Promise<Limited<Labels>>;
  /** Names of labels of those series, sorted. */
  labelNames(range: SeriesRange, signal: AbortSignal): Promise<Limited<string>>;
  /** Values of one label of those series, sorted. */
  labelValues(name: string, range: SeriesRange, signal: AbortSignal): Promise<Limited<string>>;
  /** Type, unit and help of metrics by their names; of `metric` alone when it is given. */
  metadata(options: MetadataOptions, signal: AbortSignal): Promise<ReadonlyMap<string, readonly MetricMetadata[]>>;
  /** Exemplars of the series that match any of `selectors`, by time. */
  exemplars(range: SeriesRange, signal: AbortSignal): Promise<readonly SeriesExemplars[]>;
}

export interface SeriesRange {
  /** Each a list of matchers that must all hold. */
  readonly selectors: readonly (readonly LabelMatcher[])[];
  /** Unix milliseconds; both ends belong to the range. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly limit: number;
}

export interface MetadataOptions {
  readonly metric: string | undefined;
  readonly metricsMax: number;
  readonly perMetricMax: number;
}

/** A list, and whether the limit cut it. */
export interface Limited<T> {
  readonly items: readonly T[];
  readonly isCut: boolean;
}

export interface MetricMetadata {
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary' | 'unknown';
  readonly unit: string;
  readonly help: string;
}

export interface SeriesExemplars {
  readonly labels: Labels;
  readonly exemplars: readonly Exemplar[];
}

export interface Exemplar {
  readonly labels: Labels;
  readonly value: number;
  readonly timeMs: number;
}
