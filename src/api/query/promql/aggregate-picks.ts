import { type Groups, membersOf } from './aggregate-groups.ts';
import { countFloats } from './aggregate-floats.ts';
import type { AggregateExpression } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { hashRatio } from './label-hash.ts';
import { ABSENT, HISTOGRAM, type Matrix } from './matrix.ts';
import { histogramIgnored } from './messages.ts';
import { PromqlEvaluationError } from './promql-errors.ts';
import { TopRows } from './top-rows.ts';

/** How `topk`, `bottomk`, `limitk` and `limit_ratio` are called. */
export interface Pick {
  readonly groups: Groups;
  /** By step. */
  readonly parameters: Float64Array;
  /** One time asked for: the order of the result counts. */
  readonly isInstant: boolean;
}

/** `topk` and `bottomk`, of floats: the rows with the greatest or least values of each group, step by step. */
export async function topRows(
  context: EvaluationContext,
  expression: AggregateExpression,
  input: Matrix,
  pick: Pick,
): Promise<Matrix> {
  const isTop = expression.operator === 'topk';
  const kept = new Kept(input, pick.isInstant);
  const top = new TopRows(isTop);
  for (const members of membersOf(pick.groups)) {
    await context.turn();
    const { from, to } = extentOf(input, members);
    for (let step = from; step < to; step++) {
      const limit = Math.min(Math.trunc(pick.parameters[step]!), input.rows);
      if (limit < 1) continue;
      top.begin(limit);
      for (const row of members) {
        const kind = input.kindAt(row, step);
        if (kind !== ABSENT && kind !== HISTOGRAM) top.offer(row, input.values[input.base[row]! + step]!);
      }
      for (const row of top.sorted()) kept.keep(row, step);
    }
  }
  if (input.histograms !== undefined && input.samples() !== countFloats(input))
    context.annotations.inform(histogramIgnored(expression.operator), expression.range);
  return kept.result();
}

/** `limitk`: the first rows of each group, step by step. */
export async function firstRows(context: EvaluationContext, input: Matrix, pick: Pick): Promise<Matrix> {
  const kept = new Kept(input, pick.isInstant);
  for (const members of membersOf(pick.groups)) {
    await context.turn();
    const { from, to } = extentOf(input, members);
    for (let step = from; step < to; step++) {
      let room = Math.min(Math.trunc(pick.parameters[step]!), input.rows);
      for (const row of members) {
        if (room < 1) break;
        if (input.kindAt(row, step) === ABSENT) continue;
        kept.keep(row, step);
        room--;
      }
    }
  }
  return kept.result();
}

/** `limit_ratio`: rows whose labels hash below the ratio, or into the rest when it is negative. */
export async function ratioRows(context: EvaluationContext, input: Matrix, pick: Pick): Promise<Matrix> {
  const kept = new Kept(input, pick.isInstant);
  for (const members of membersOf(pick.groups)) {
    await context.turn();
    for (const row of members) {
      const offset = hashRatio(input.labels[row]!);
      for (let step = input.from[row]!; step < input.to[row]!; step++) {
        const ratio = Math.max(-1, Math.min(1, pick.parameters[step]!));
        const isIn = ratio >= 0 ? offset < ratio : offset >= 1 + ratio;
        if (isIn && input.kindAt(row, step) !== ABSENT) kept.keep(row, step);
      }
    }
  }
  return kept.result();
}

/** The least and greatest parameter of all steps; false when no step picks anything. Throws for what is no count. */
export function hasCount(parameters: Float64Array): boolean {
  let least = Number.MAX_VALUE;
  let greatest = -Number.MAX_VALUE;
  let hasNaN = false;
  for (const parameter of parameters) {
    least = Math.min(least, parameter);
    greatest = Math.max(greatest, parameter);
    hasNaN ||= Number.isNaN(parameter);
  }
  if (greatest < 1) return false;
  if (hasNaN) throw new PromqlEvaluationError('Parameter value is NaN');
  if (least <= INT64_MIN) throw new PromqlEvaluationError(`Scalar value ${scalarText(least)} underflows int64`);
  if (greatest >= INT64_MAX) throw new PromqlEvaluationError(`Scalar value ${scalarText(greatest)} overflows int64`);
  return true;
}

const INT64_MIN = -9223372036854775808;
/** The greatest double below 2^63. */
const INT64_MAX = 9223372036854774784;

function scalarText(value: number): string {
  return Number.isFinite(value) ? value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2') : value > 0 ? '+Inf' : '-Inf';
}

function extentOf(input: Matrix, rows: readonly number[]): { from: number; to: number } {
  let from = Infinity;
  let to = 0;
  for (const row of rows) {
    from = Math.min(from, input.from[row]!);
    to = Math.max(to, input.to[row]!);
  }
  return { from, to };
}

/** Cells of an input that stay; values are shared with it. */
class Kept {
  readonly #input: Matrix;
  readonly #kinds: Uint8Array;
  /** The order in which rows were kept, where it counts. */
  readonly #order: number[] | undefined;

  constructor(input: Matrix, isInstant: boolean) {
    this.#input = input;
    this.#kinds = new Uint8Array(input.kinds.length);
    this.#order = isInstant ? [] : undefined;
  }

  keep(row: number, step: number): void {
    const cell = this.#input.base[row]! + step;
    this.#kinds[cell] = this.#input.kinds[cell]!;
    this.#order?.push(row);
  }

  result(): Matrix {
    const kept = this.#input.with({ kinds: this.#kinds });
    return this.#order === undefined ? kept.withoutEmptyRows() : kept.pick(this.#order);
  }
}
