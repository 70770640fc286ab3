import type { PositionRange } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { HistogramAccumulator } from './histogram-accumulator.ts';
import type { HistogramColumns } from './histogram-columns.ts';
import { HistogramRun } from './histogram-run.ts';
import type { FloatHistogram, HistogramList } from './histogram.ts';
import type { Labels } from './labels.ts';
import type { Matrix } from './matrix.ts';
import type { RangeSeries, RangeVector } from './range-vector.ts';
import { NumberSlab } from './number-slab.ts';
import { firstTime, lastTime, ROWS_A_TURN, stepReaching } from './select.ts';
import type { Steps } from './steps.ts';

/**
 * What a range function looks at: the samples of one series in one window. One object serves all windows, since it is moved from step to step;
 * samples of index `lo` to `hi` (exclusive) are in the window. Functions write their result through `give` and `giveHistogram`, or give none.
 */
export class Window {
  readonly context: EvaluationContext;
  /** Where annotations say that it is. */
  readonly at: PositionRange;
  readonly isAnchored: boolean;
  readonly isSmoothed: boolean;
  readonly rangeMs: number;
  /** Values of the function's other arguments, by step. */
  readonly parameters: readonly Float64Array[];
  /** Scratch room of the function, kept from window to window. */
  scratch = new Float64Array(64);
  readonly accumulator = new HistogramAccumulator();
  /** Room for counts of histograms that the function gives. */
  readonly slab = new NumberSlab();

  timesMs: Float64Array = NO_NUMBERS;
  values: Float64Array = NO_NUMBERS;
  startTimesMs: Float64Array | undefined;
  lo = 0;
  hi = 0;
  histogramTimesMs: Float64Array = NO_NUMBERS;
  histograms: HistogramList = [];
  histogramStartTimesMs: Float64Array | undefined;
  histogramLo = 0;
  histogramHi = 0;
  run = NO_RUN;

  step = 0;
  /** The time of the step. */
  timeMs = 0;
  /** The range itself, exclusive and inclusive; anchored and smoothed windows hold samples beyond it. */
  fromMs = 0;
  untilMs = 0;

  /** Where floats fell from one to the next, when the function asked for it: indexes of the sample after. */
  resets: number[] = [];
  resetAt = 0;

  #labels!: Labels;
  #output!: Matrix;
  #cell = 0;

  constructor(context: EvaluationContext, range: RangeVector, call: RangeCall) {
    this.context = context;
    this.at = call.at;
    this.isAnchored = range.isAnchored;
    this.isSmoothed = range.isSmoothed;
    this.rangeMs = range.rangeMs;
    this.parameters = call.parameters;
  }

  /** Moves on to another series, at its beginning. */
  enter(series: RangeSeries, output: Matrix): void {
    this.#labels = series.labels;
    this.#output = output;
    this.timesMs = series.timesMs;
    this.values = series.values;
    this.startTimesMs = series.startTimesMs;
    this.histogramTimesMs = series.histogramTimesMs;
    this.histogramStartTimesMs = series.histogramStartTimesMs;
    this.lo = 0;
    this.hi = 0;
    this.histogramLo = 0;
    this.histogramHi = 0;
    this.run = series.histograms.length === 0 ? NO_RUN : new HistogramRun(series.histograms);
    this.histograms = this.run;
  }

  /** Moves on to the samples in (`afterMs`, `untilMs`], which never go back. False when there are none. */
  moveTo(afterMs: number, untilMs: number): boolean {
    const { timesMs, histogramTimesMs } = this;
    let { lo, hi } = this;
    while (hi < timesMs.length && timesMs[hi]! <= untilMs) hi++;
    while (lo < hi && timesMs[lo]! <= afterMs) lo++;
    this.lo = lo;
    this.hi = hi;
    if (histogramTimesMs.length > 0) this.#moveHistograms(afterMs, untilMs);
    return hi > lo || this.histogramHi > this.histogramLo;
  }

  #moveHistograms(afterMs: number, untilMs: number): void {
    const { histogramTimesMs } = this;
    while (this.histogramHi < histogramTimesMs.length && histogramTimesMs[this.histogramHi]! <= untilMs)
      this.histogramHi++;
    while (this.histogramLo < this.histogramHi && histogramTimesMs[this.histogramLo]! <= afterMs) this.histogramLo++;
  }

  goToStep(step: number, cell: number): void {
    this.step = step;
    this.#cell = cell;
  }

  /** The name of the series, for annotations. */
  get metricName(): string {
    return this.#labels.get('__name__');
  }

  get floatCount(): number {
    return this.hi - this.lo;
  }

  get histogramCount(): number {
    return this.histogramHi - this.histogramLo;
  }

  /** What the window counts for in limits. */
  samples(): number {
    return this.hi - this.lo + this.run.weight(this.histogramLo, this.histogramHi);
  }

  parameter(index: number): number {
    return this.parameters[index]![this.step]!;
  }

  give(value: number): void {
    this.#output.setFloat(this.#cell, value);
  }

  giveHistogram(histogram: FloatHistogram): void {
    this.#output.setHistogram(this.#cell, histogram);
  }

  /** Gives that of an index as it is. */
  pickHistogram(index: number): void {
    this.#output.pickHistogram(this.#cell, this.run.slice ?? this.histograms, index);
  }

  /** Columns for what the function works out. */
  get made(): HistogramColumns {
    return this.#output.heldHistograms.made;
  }

  /** Gives the last one of those. */
  giveMade(): void {
    this.#output.giveMadeHistogram(this.#cell);
  }

  warn(message: string): void {
    this.context.annotations.warn(message, this.at);
  }

  inform(message: string): void {
    this.context.annotations.inform(message, this.at);
  }
}

const NO_NUMBERS = new Float64Array(0);
const NO_RUN = new HistogramRun([]);

/** A function of the samples in a window. */
export interface RangeFunction {
  /** Called for each window that holds a sample. */
  readonly apply: (window: Window) => void;
  /** Called for each series before its windows. */
  readonly enter?: (window: Window) => void;
}

/** A function, and what it is called with beside the range. */
export interface RangeCall {
  readonly func: RangeFunction;
  readonly parameters: readonly Float64Array[];
  readonly at: PositionRange;
  readonly steps: Steps;
}

/** Calls `func` for each series and step. One row for each series; labels are those of the series. */
export async function overWindows(context: EvaluationContext, range: RangeVector, call: RangeCall): Promise<Matrix> {
  const { func, steps } = call;
  const { from, to } = extentsOf(range, steps);
  const output = context.allocate(
    range.series.map((series) => series.labels),
    from,
    to,
  );
  const window = new Window(context, range, call);
  let windowSamplesMax = 0;
  let read = 0;
  let readAtTurn = 0;
  for (const [row, series] of range.series.entries()) {
    if (row % ROWS_A_TURN === 0 || read - readAtTurn > WINDOW_SAMPLES_A_TURN) {
      await context.turn();
      readAtTurn = read;
    }
    window.enter(series, output);
    func.enter?.(window);
    const base = output.base[row]!;
    for (let step = output.from[row]!; step < output.to[row]!; step++) {
      const lookMs = range.times.firstMs + step * range.times.stepMs;
      window.timeMs = steps.startMs + step * steps.stepMs;
      window.fromMs = lookMs - range.rangeMs;
      window.untilMs = lookMs;
      if (!window.moveTo(window.fromMs - range.beforeMs, lookMs + range.afterMs)) continue;
      const samples = window.histogramHi === 0 ? window.hi - window.lo : window.samples();
      read += samples;
      if (samples > windowSamplesMax) windowSamplesMax = samples;
      window.goToStep(step, base + step);
      func.apply(window);
      // Histograms of one series alone may keep the thread for long.
      if (window.histogramHi !== 0 && read - readAtTurn > WINDOW_SAMPLES_A_TURN) {
        await context.turn();
        readAtTurn = read;
      }
    }
  }
  context.countRead(read);
  context.hold(output.samples() + windowSamplesMax);
  return output;
}

/** Samples in windows between two looks at the clock: some milliseconds of work for the slowest functions. */
const WINDOW_SAMPLES_A_TURN = 100_000;

/** The steps whose window may hold samples, for each series. */
function extentsOf(range: RangeVector, steps: Steps): { from: Int32Array; to: Int32Array } {
  const from = new Int32Array(range.series.length);
  const to = new Int32Array(range.series.length);
  for (let row = 0; row < from.length; row++) {
    const { timesMs, histogramTimesMs } = range.series[row]!;
    const firstMs = firstTime(timesMs, histogramTimesMs) - range.afterMs;
    const endMs = lastTime(timesMs, histogramTimesMs) + range.rangeMs + range.beforeMs;
    from[row] = stepReaching(range.times, firstMs, steps.count);
    to[row] = Math.max(from[row]!, stepReaching(range.times, endMs, steps.count));
  }
  return { from, to };
}
