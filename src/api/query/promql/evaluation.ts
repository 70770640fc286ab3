import type { Expression } from './ast.ts';
import type { FloatHistogram } from './histogram.ts';
import type { Labels } from './labels.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { FloatColumn, HistogramColumn } from './source.ts';

/** What is evaluated, and over which times. All times are Unix milliseconds. */
export interface EvaluationRequest {
  /** Parsed and type-checked. */
  readonly expression: Expression;
  /** The text of the expression: annotations name positions in it as line and column. */
  readonly text: string;
  readonly startMs: number;
  /** The last step is the last one that does not pass it; equal to `startMs` for an instant query. */
  readonly endMs: number;
  /** 0 for an instant query, whose answer keeps the expression's own type; a range query always gives a matrix. */
  readonly stepMs: number;
  readonly settings: EvaluationSettings;
  /** What all evaluations together may hold in memory, beside the limit that each has of its own; undefined: anything. */
  readonly memory?: MemoryBudget | undefined;
}

export interface EvaluationSettings {
  /** How far back an instant selector looks for a sample; the range is open on its left. */
  readonly lookbackMs: number;
  /** The step of a subquery that names none. */
  readonly subqueryStepMs: number;
  /** The most samples held at a time, as upstream counts them (a histogram counts by its size); more are an error of kind `limit`. */
  readonly samplesMax: number;
  /** `__name__` is dropped at the end and not by each function (upstream's feature `promql-delayed-name-removal`). */
  readonly delayedNameRemoval: boolean;
  /** Labels `__type__` and `__unit__` go with the name wherever the name goes (`type-and-unit-labels`). */
  readonly typeAndUnitLabels: boolean;
  /** Start times tell resets of counters (`use-start-timestamps`, experimental). */
  readonly startTimestamps: boolean;
}

/** The result of an evaluation. */
export interface Evaluation {
  readonly value: PromValue;
  /** Distinct, in upstream's words, with positions as upstream has them, in the order in which they first occurred. */
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
  readonly stats: EvaluationStats;
}

export interface EvaluationStats {
  /** Samples read over all steps, and the most held at a time: `totalQueryableSamples` and `peakSamples` of upstream's stats. */
  readonly samplesTotal: number;
  readonly samplesPeak: number;
}

export type PromValue =
  | { readonly type: 'scalar'; readonly timeMs: number; readonly value: number }
  | { readonly type: 'string'; readonly timeMs: number; readonly value: string }
  | { readonly type: 'vector'; readonly timeMs: number; readonly elements: readonly VectorElement[] }
  | { readonly type: 'matrix'; readonly series: readonly MatrixSeries[] };

/** Either a float or a histogram. `timeMs` is the vector's, as upstream answers. */
export interface VectorElement {
  readonly labels: Labels;
  readonly value: number;
  readonly histogram: FloatHistogram | undefined;
}

/** Never without samples. Sorted by time; series are sorted by labels, but for a vector in the order that `sort` gave. */
export interface MatrixSeries {
  readonly labels: Labels;
  readonly floats: FloatColumn;
  readonly histograms: HistogramColumn;
}
