import type { VectorSelector } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { firstOfRows, FloatRows, lastOfRows } from './float-rows.ts';

import type { Matrix } from './matrix.ts';
import type { FloatColumn, HistogramColumn, SelectedSeries } from './source.ts';
import { StaleMarks } from './stale.ts';
import { lastStepMs, type Steps } from './steps.ts';

/** Which part of a sample an instant selector gives. */
export type SamplePart = 'value' | 'time' | 'start-time';

/** The times that a selector looks at: `firstMs` at the first step, `stepMs` later at each following one. */
export interface LookTimes {
  readonly firstMs: number;
  /** 0 with `@`: every step looks at the same time. */
  readonly stepMs: number;
  readonly lastMs: number;
}

export function lookTimes(modifiers: { timestampMs: number | undefined; offsetMs: number }, steps: Steps): LookTimes {
  const { timestampMs, offsetMs } = modifiers;
  if (timestampMs !== undefined) return { firstMs: timestampMs - offsetMs, stepMs: 0, lastMs: timestampMs - offsetMs };
  return { firstMs: steps.startMs - offsetMs, stepMs: steps.stepMs, lastMs: lastStepMs(steps) - offsetMs };
}

/**
 * An instant selector: at each step the last sample that is not older than the lookback, unless it is a stale marker. With `part` 'time', the
 * seconds of the sample's time in place of its value; with 'start-time', of its start time, 0 where it is not known.
 */
export async function selectInstant(
  context: EvaluationContext,
  selector: VectorSelector,
  steps: Steps,
  part: SamplePart = 'value',
): Promise<Matrix> {
  const times = lookTimes(selector, steps);
  const { lookbackMs } = context.settings;
  return context.reading(async () => {
    const series = await context.selectFor(selector, {
      fromMs: times.firstMs - lookbackMs + 1,
      untilMs: times.lastMs,
      withStartTimes: part === 'start-time',
    });
    return lookAt(context, series, { times, steps, part });
  });
}

/** The same over series at hand. Rows without samples are left out. */
export async function lookAt(
  context: EvaluationContext,
  series: readonly SelectedSeries[],
  look: { times: LookTimes; steps: Steps; part: SamplePart },
): Promise<Matrix> {
  const { times, steps, part } = look;
  const { lookbackMs } = context.settings;
  const from = new Int32Array(series.length);
  const to = new Int32Array(series.length);
  for (let row = 0; row < series.length; row++) {
    const { floats, histograms } = series[row]!;
    const isRows = floats instanceof FloatRows && histograms.timesMs.length === 0;
    const firstMs = isRows ? firstOfRows(floats) : firstTime(floats.timesMs, histograms.timesMs);
    const lastMs = isRows ? lastOfRows(floats) : lastTime(floats.timesMs, histograms.timesMs);
    from[row] = stepReaching(times, firstMs, steps.count);
    to[row] = Math.max(from[row]!, stepReaching(times, lastMs + lookbackMs, steps.count));
  }
  const matrix = context.allocate(
    series.map((one) => one.labels),
    from,
    to,
  );
  for (let row = 0; row < series.length; row++) {
    if (row % ROWS_A_TURN === 0) await context.turn();
    const { floats, histograms } = series[row]!;
    if (floats instanceof FloatRows && part === 'value' && histograms.timesMs.length === 0)
      fillRows(matrix, row, floats, { times, lookbackMs });
    else if (histograms.timesMs.length === 0) fillFloats(matrix, row, floats, { times, lookbackMs, part });
    else fillMixed(matrix, row, floats, histograms, { times, lookbackMs, part });
  }
  const samples = matrix.samples();
  context.hold(samples);
  context.countRead(samples);
  return matrix.withoutEmptyRows();
}

/** The first time of two columns, Infinity when both are empty. */
export function firstTime(left: Float64Array, right: Float64Array): number {
  const first = left.length === 0 ? Infinity : left[0]!;
  return right.length === 0 || right[0]! > first ? first : right[0]!;
}

/** The last time of two columns, -Infinity when both are empty. */
export function lastTime(left: Float64Array, right: Float64Array): number {
  const last = left.length === 0 ? -Infinity : left[left.length - 1]!;
  return right.length === 0 || right[right.length - 1]! < last ? last : right[right.length - 1]!;
}

/** Rows between two looks at the clock: far below a millisecond of work for short rows. */
export const ROWS_A_TURN = 64;

interface Look {
  readonly times: LookTimes;
  readonly lookbackMs: number;
  readonly part: SamplePart;
}

/** The first step that looks at `timeMs` or later; `count` when none does. */
export function stepReaching(times: LookTimes, timeMs: number, count: number): number {
  if (timeMs <= times.firstMs) return 0;
  if (times.stepMs === 0) return count;
  return Math.min(count, Math.ceil((timeMs - times.firstMs) / times.stepMs));
}

/** The same as `fillFloats`, of values among which no marker is. */
function fillRows(matrix: Matrix, row: number, rows: FloatRows, { times, lookbackMs }: Omit<Look, 'part'>): void {
  const { first, end, shift } = rows;
  const { timesMs, values } = rows.columns;
  const base = matrix.base[row]!;
  const to = matrix.to[row]!;
  const from = matrix.from[row]!;
  let at = startingAt(timesMs, times.firstMs + from * times.stepMs, { first, end });
  for (let step = from; step < to; step++) {
    const lookMs = times.firstMs + step * times.stepMs;
    while (at + 1 < end && timesMs[at + 1]! <= lookMs) at++;
    if (at >= first && timesMs[at]! > lookMs - lookbackMs) matrix.setFloat(base + step, values[at + shift]!);
  }
}

function fillFloats(matrix: Matrix, row: number, floats: FloatColumn, look: Look): void {
  const { timesMs, values } = floats;
  const { times, lookbackMs, part } = look;
  const base = matrix.base[row]!;
  const to = matrix.to[row]!;
  let stale: StaleMarks | undefined;
  let at = startingAt(timesMs, times.firstMs + matrix.from[row]! * times.stepMs, { first: 0, end: timesMs.length });
  for (let step = matrix.from[row]!; step < to; step++) {
    const lookMs = times.firstMs + step * times.stepMs;
    while (at + 1 < timesMs.length && timesMs[at + 1]! <= lookMs) at++;
    if (at < 0 || timesMs[at]! <= lookMs - lookbackMs) continue;
    const value = values[at]!;
    if (Number.isNaN(value)) {
      stale ??= new StaleMarks(values);
      if (stale.at(at)) continue;
    }
    matrix.setFloat(base + step, part === 'value' ? value : partOf(floats, at, part));
  }
}

/** The last of some samples at or before `timeMs`, the one before the first when there is none: where a walk over later steps begins. */
function startingAt(timesMs: Float64Array, timeMs: number, { first, end }: Pick<FloatRows, 'first' | 'end'>): number {
  let low = first;
  let high = end;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (timesMs[middle]! <= timeMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Whichever of float and histogram is the later counts. */
function fillMixed(matrix: Matrix, row: number, floats: FloatColumn, histograms: HistogramColumn, look: Look): void {
  const { times, lookbackMs, part } = look;
  const base = matrix.base[row]!;
  const stale = new StaleMarks(floats.values);
  let floatAt = -1;
  let histogramAt = -1;
  for (let step = matrix.from[row]!; step < matrix.to[row]!; step++) {
    const lookMs = times.firstMs + step * times.stepMs;
    while (floatAt + 1 < floats.timesMs.length && floats.timesMs[floatAt + 1]! <= lookMs) floatAt++;
    while (histogramAt + 1 < histograms.timesMs.length && histograms.timesMs[histogramAt + 1]! <= lookMs) histogramAt++;
    const floatMs = floatAt < 0 ? -Infinity : floats.timesMs[floatAt]!;
    const histogramMs = histogramAt < 0 ? -Infinity : histograms.timesMs[histogramAt]!;
    if (Math.max(floatMs, histogramMs) <= lookMs - lookbackMs) continue;
    if (floatMs >= histogramMs) {
      if (stale.at(floatAt)) continue;
      matrix.setFloat(base + step, part === 'value' ? floats.values[floatAt]! : partOf(floats, floatAt, part));
    } else if (part === 'value') matrix.pickHistogram(base + step, histograms.values, histogramAt);
    else matrix.setFloat(base + step, partOf(histograms, histogramAt, part));
  }
}

function partOf(column: FloatColumn | HistogramColumn, at: number, part: SamplePart): number {
  return (part === 'time' ? column.timesMs[at]! : (column.startTimesMs?.[at] ?? 0)) / 1000;
}
