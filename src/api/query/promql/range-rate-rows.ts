import type { EvaluationContext } from './context.ts';
import type { FloatRows } from './float-rows.ts';
import { FLOAT, type Matrix } from './matrix.ts';
import { GAP_FACTOR } from './range-rate.ts';
import { RangeRows, type RangeVector } from './range-vector.ts';
import { ROWS_A_TURN, stepReaching } from './select.ts';
import type { Steps } from './steps.ts';

/** Functions that are worked out of rows, and what they are. */
const RATES: ReadonlyMap<string, Rate> = new Map([
  ['rate', { isCounter: true, isRate: true }],
  ['increase', { isCounter: true, isRate: false }],
  ['delta', { isCounter: false, isRate: false }],
]);

interface Rate {
  readonly isCounter: boolean;
  readonly isRate: boolean;
}

/**
 * `rate`, `increase` and `delta` of series that are nothing but rows of numbers, which nearly all are: the same numbers as `range-rate.ts` gives, without a call for each
 * window. Undefined for other functions and series.
 */
export async function ratesOfRows(
  context: EvaluationContext,
  name: string,
  range: RangeVector,
  steps: Steps,
): Promise<Matrix | undefined> {
  const rate = RATES.get(name);
  if (rate === undefined || range.isAnchored || range.isSmoothed) return undefined;
  const rows = rowsOf(range);
  if (rows === undefined) return undefined;
  const { from, to } = extentsOf(rows, range, steps);
  const output = context.allocate(
    range.series.map(({ labels }) => labels),
    from,
    to,
  );
  const found: Found = { windowSamplesMax: 0, read: 0, floats: 0 };
  for (let row = 0; row < rows.length; row++) {
    if (row % ROWS_A_TURN === 0) await context.turn();
    fillRow(output, row, rows[row]!, { range, rate, found });
  }
  context.countRead(found.read);
  context.hold(found.floats + found.windowSamplesMax);
  return output;
}

interface Found {
  windowSamplesMax: number;
  /** Samples in all windows. */
  read: number;
  /** Results. */
  floats: number;
}

function rowsOf({ series }: RangeVector): FloatRows[] | undefined {
  const rows: FloatRows[] = [];
  for (const one of series) {
    if (!(one instanceof RangeRows)) return undefined;
    rows.push(one.floats);
  }
  return rows;
}

/** The steps whose window may hold samples, for each series. */
function extentsOf(
  rows: readonly FloatRows[],
  { times, rangeMs }: RangeVector,
  steps: Steps,
): { from: Int32Array; to: Int32Array } {
  const from = new Int32Array(rows.length);
  const to = new Int32Array(rows.length);
  for (let row = 0; row < rows.length; row++) {
    const { columns, first, end } = rows[row]!;
    if (first === end) continue;
    from[row] = stepReaching(times, columns.timesMs[first]!, steps.count);
    to[row] = Math.max(from[row]!, stepReaching(times, columns.timesMs[end - 1]! + rangeMs, steps.count));
  }
  return { from, to };
}

const NO_FALLS: readonly number[] = [];

interface RowWork {
  readonly range: RangeVector;
  readonly rate: Rate;
  readonly found: Found;
}

/** See `extrapolateFloats` for what is worked out; the order of its operations is kept, so that results have the same bits. */
function fillRow(output: Matrix, row: number, rows: FloatRows, { range, rate, found }: RowWork): void {
  const { firstMs, stepMs } = range.times;
  const { rangeMs } = range;
  const rangeSeconds = rangeMs / 1000;
  const { isCounter, isRate } = rate;
  const { end, shift } = rows;
  const { timesMs, values } = rows.columns;
  const falls = isCounter && rows.mayFall ? fallsOf(rows) : NO_FALLS;
  let fallAt = 0;
  const { values: results, kinds } = output;
  const base = output.base[row]!;
  const toStep = output.to[row]!;
  let { windowSamplesMax, read, floats } = found;
  let lo = rows.first;
  let hi = lo;
  for (let step = output.from[row]!; step < toStep; step++) {
    const untilMs = firstMs + step * stepMs;
    const fromMs = untilMs - rangeMs;
    while (hi < end && timesMs[hi]! <= untilMs) hi++;
    while (lo < hi && timesMs[lo]! <= fromMs) lo++;
    const samples = hi - lo;
    read += samples;
    if (samples > windowSamplesMax) windowSamplesMax = samples;
    if (samples < 2) continue;
    const first = values[lo + shift]!;
    let increase = values[hi - 1 + shift]! - first;
    // What the counter stood at before each fall in the window.
    while (fallAt < falls.length && falls[fallAt]! <= lo + shift) fallAt++;
    for (let at = fallAt; at < falls.length && falls[at]! < hi + shift; at++) increase += values[falls[at]! - 1]!;
    const startMs = timesMs[lo]!;
    const endMs = timesMs[hi - 1]!;
    const sampled = (endMs - startMs) / 1000;
    const average = sampled / (samples - 1);
    const threshold = average * GAP_FACTOR;
    let toStart = (startMs - fromMs) / 1000;
    let toEnd = (untilMs - endMs) / 1000;
    if (toStart >= threshold) toStart = average / 2;
    // Where the quotient is 1 or more the product cannot be less than the gap.
    if (isCounter && increase > 0 && first >= 0 && (first < increase || toStart > sampled)) {
      const toZero = sampled * (first / increase);
      if (toZero < toStart) toStart = toZero;
    }
    if (toEnd >= threshold) toEnd = average / 2;
    let factor = sampled === 0 ? 1 : (sampled + toStart + toEnd) / sampled;
    if (isRate) factor /= rangeSeconds;
    results[base + step] = increase * factor;
    kinds[base + step] = FLOAT;
    floats++;
  }
  found.windowSamplesMax = windowSamplesMax;
  found.read = read;
  found.floats = floats;
}

/** Rows of values below the one before. */
function fallsOf({ columns, first, end, shift }: FloatRows): number[] {
  const { values } = columns;
  const falls: number[] = [];
  for (let at = first + shift + 1; at < end + shift; at++) if (values[at]! < values[at - 1]!) falls.push(at);
  return falls;
}
