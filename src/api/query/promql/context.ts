import { LIMITS } from '../../../base/index.ts';
import { Annotations } from './annotations.ts';
import type { Expression, VectorSelector } from './ast.ts';
import type { EvaluationRequest, EvaluationSettings } from './evaluation.ts';
import type { Labels } from './labels.ts';
import { Matrix } from './matrix.ts';
import type { MemoryLease } from './memory-budget.ts';
import { tooManySamples } from './promql-errors.ts';
import type { SampleSource, SelectedSeries, Selection } from './source.ts';
import { statisticsOf } from './statistics-selectors.ts';
import type { Steps } from './steps.ts';

/** Labels that say what a metric is: they go when a result is no longer that metric. */
export const METADATA_LABELS: ReadonlySet<string> = new Set(['__name__', '__type__', '__unit__']);

/** How many cells may be held for each sample that may be: most cells of most series hold one. */
const CELLS_A_SAMPLE = 2;

/** A number and its kind, for each of those cells. */
const HELD_SAMPLE_BYTES = 9 * CELLS_A_SAMPLE;

/** What all parts of one evaluation share: settings, annotations, the count of samples held, and the turns given to others. */
export class EvaluationContext {
  readonly settings: EvaluationSettings;
  readonly annotations = new Annotations();
  /** The text of the expression. */
  readonly text: string;
  readonly signal: AbortSignal;
  readonly invariant: ReadonlySet<Expression>;
  readonly #statistics: ReadonlySet<VectorSelector>;
  /** Evaluates a part of the expression; set by the evaluator, so that files of functions need not import it. */
  readonly evaluate: Evaluate;
  readonly #source: SampleSource;
  readonly #memory: MemoryLease | undefined;
  #samplesHeld = 0;
  #samplesPeak = 0;
  #samplesTotal = 0;
  #workedSinceMs = performance.now();

  constructor(options: {
    request: EvaluationRequest;
    source: SampleSource;
    signal: AbortSignal;
    invariant: ReadonlySet<Expression>;
    statistics: ReadonlySet<VectorSelector>;
    evaluate: Evaluate;
    memory?: MemoryLease | undefined;
  }) {
    this.settings = options.request.settings;
    this.text = options.request.text;
    this.signal = options.signal;
    this.invariant = options.invariant;
    this.#statistics = options.statistics;
    this.evaluate = options.evaluate;
    this.#source = options.source;
    this.#memory = options.memory;
  }

  get samplesPeak(): number {
    return this.#samplesPeak;
  }

  get samplesTotal(): number {
    return this.#samplesTotal;
  }

  /** Samples held now; to be given to `holdOnly` when what was held meanwhile has become one result. */
  get samplesHeld(): number {
    return this.#samplesHeld;
  }

  /** Counts `samples` as held; throws when they are too many. */
  hold(samples: number): void {
    this.#samplesHeld += samples;
    this.#samplesPeak = Math.max(this.#samplesPeak, this.#samplesHeld);
    if (this.#samplesHeld > this.settings.samplesMax) throw tooManySamples();
    this.#memory?.holdCells(HELD_SAMPLE_BYTES * this.#samplesHeld);
  }

  /** Does work with series that `select` gives and that nobody looks at behind it. */
  async reading<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#memory?.readBytes ?? 0;
    const result = await work();
    this.#memory?.forgetRead(before);
    return result;
  }

  /**
   * Inputs have become one result of `samples`: only what was held before them, and the result, is held from here on. Where upstream makes results
   * step by step beside the inputs, `besides` says what of inputs it then holds twice.
   */
  holdOnly(heldBefore: number, samples: number, besides?: { readonly gathered: number }): void {
    if (besides !== undefined) this.hold(samples + besides.gathered);
    this.#samplesHeld = heldBefore;
    this.hold(samples);
  }

  countRead(samples: number): void {
    this.#samplesTotal += samples;
  }

  /** Rows of absent cells. Throws when there are far more of them than samples may be held: gaps take room, too. */
  allocate(labels: readonly Labels[], from: Int32Array, to: Int32Array): Matrix {
    let cells = 0;
    for (let row = 0; row < labels.length; row++) cells += to[row]! - from[row]!;
    if (cells > CELLS_A_SAMPLE * this.settings.samplesMax) throw tooManySamples();
    return Matrix.allocate(labels, from, to);
  }

  /** Does work whose reading is counted elsewhere, as upstream counts. */
  async uncounted<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#samplesTotal;
    const result = await work();
    this.#samplesTotal = before;
    return result;
  }

  /** The series of a selector with their samples in a range; `withStartTimes` asks for start times of counters. */
  async selectFor(
    selector: VectorSelector,
    range: { fromMs: number; untilMs: number; withStartTimes: boolean },
  ): Promise<SelectedSeries[]> {
    const series = await this.select({ ...range, matchers: selector.matchers });
    return this.#statistics.has(selector) ? series.map(statisticsOf) : series;
  }

  async select(selection: Omit<Selection, 'samplesMax' | 'memory'>): Promise<SelectedSeries[]> {
    const { samplesMax } = this.settings;
    this.#memory?.asks();
    try {
      return await this.#source.select({ ...selection, samplesMax, memory: this.#memory }, this.signal);
    } finally {
      this.#memory?.answered();
    }
  }

  /** Between chunks of work: lets others have the thread when it has been kept for long, and ends what was aborted. */
  async turn(): Promise<void> {
    if (performance.now() - this.#workedSinceMs >= LIMITS.promqlSliceMs) {
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
      this.#workedSinceMs = performance.now();
    }
    this.signal.throwIfAborted();
  }

  /** The labels of a result that is no longer the metric of `labels`; with delayed removal they stay for now. */
  withoutName(labels: Labels): Labels {
    return this.settings.delayedNameRemoval ? labels : labels.drop(METADATA_LABELS);
  }
}

/** Evaluates an expression at some steps: a vector as rows, a scalar as one row without labels. */
export type Evaluate = (context: EvaluationContext, expression: Expression, steps: Steps) => Promise<Matrix>;
