import type { BinaryExpression } from './ast.ts';
import { changesMetric, elementOperation, floatOperation, isComparison } from './binary-elements.ts';
import type { EvaluationContext } from './context.ts';
import { ABSENT, FLOAT, HISTOGRAM, type Matrix } from './matrix.ts';
import { haveOneName, joinEqualRows, withoutNames } from './rows.ts';
import { ROWS_A_TURN } from './select.ts';
import { StepNotes } from './step-notes.ts';

/** An operator between two scalars. */
export function operateOnScalars(expression: BinaryExpression, left: Matrix, right: Matrix): Matrix {
  const operate = floatOperation(expression.operator);
  const values = left.values.map((value, step) => operate(value, right.values[step]!));
  return left.with({ values });
}

/** An operator between a vector and a scalar; `isSwapped`: the scalar stands on the left. */
export async function operateWithScalar(
  context: EvaluationContext,
  expression: BinaryExpression,
  operands: { vector: Matrix; scalars: Float64Array; isSwapped: boolean },
): Promise<Matrix> {
  const { vector } = operands;
  const values = new Float64Array(vector.values.length);
  const kinds = new Uint8Array(vector.kinds.length);
  const result = vector.with({ values, kinds, histograms: undefined });
  const rows = new ScalarRows(context, expression, operands, result);
  for (let row = 0; row < vector.rows; row++) {
    if (row % ROWS_A_TURN === 0) await context.turn();
    if (isComparison(expression.operator)) rows.compare(row);
    else rows.operate(row);
  }
  rows.giveNotes();
  const kept =
    isComparison(expression.operator) || vector.histograms !== undefined || rows.refusesFloats
      ? result.withoutEmptyRows()
      : result;
  if (!changesMetric(expression.operator) && !expression.returnBool) return kept;
  const named = withoutNames(context, kept);
  return haveOneName(kept.labels) ? named : joinEqualRows(named, operands.scalars.length);
}

class ScalarRows {
  readonly #expression: BinaryExpression;
  readonly #vector: Matrix;
  readonly #scalars: Float64Array;
  readonly #isSwapped: boolean;
  readonly #result: Matrix;
  readonly #operate: (left: number, right: number) => number;
  readonly refusesFloats: boolean;
  readonly #notes: StepNotes;

  constructor(
    context: EvaluationContext,
    expression: BinaryExpression,
    operands: { vector: Matrix; scalars: Float64Array; isSwapped: boolean },
    result: Matrix,
  ) {
    this.#expression = expression;
    this.#vector = operands.vector;
    this.#scalars = operands.scalars;
    this.#isSwapped = operands.isSwapped;
    this.#result = result;
    this.#operate = floatOperation(expression.operator);
    this.refusesFloats = ['</', '>/'].includes(expression.operator);
    this.#notes = new StepNotes(context, expression.range);
  }

  operate(row: number): void {
    const base = this.#vector.base[row]!;
    for (let step = this.#vector.from[row]!; step < this.#vector.to[row]!; step++) {
      const cell = base + step;
      const kind = this.#vector.kinds[cell]!;
      if (kind === ABSENT) continue;
      if (kind === HISTOGRAM || this.refusesFloats) {
        this.#operateOnElement(row, step);
        continue;
      }
      const value = this.#vector.values[cell]!;
      const scalar = this.#scalars[step]!;
      this.#result.kinds[cell] = FLOAT;
      this.#result.values[cell] = this.#isSwapped ? this.#operate(scalar, value) : this.#operate(value, scalar);
    }
  }

  compare(row: number): void {
    const base = this.#vector.base[row]!;
    for (let step = this.#vector.from[row]!; step < this.#vector.to[row]!; step++) {
      const cell = base + step;
      const kind = this.#vector.kinds[cell]!;
      if (kind === ABSENT) continue;
      if (kind === HISTOGRAM) {
        this.#operateOnElement(row, step);
        continue;
      }
      const value = this.#vector.values[cell]!;
      const scalar = this.#scalars[step]!;
      const holds = this.#isSwapped ? this.#operate(scalar, value) : this.#operate(value, scalar);
      if (this.#expression.returnBool) this.#result.setFloat(cell, holds);
      else if (holds === 1) this.#result.setFloat(cell, value);
    }
  }

  #operateOnElement(row: number, step: number): void {
    const cell = this.#vector.base[row]! + step;
    const histogram = this.#vector.kinds[cell] === HISTOGRAM ? this.#vector.histogram(cell) : undefined;
    const element = { value: this.#vector.values[cell]!, histogram };
    const scalar = { value: this.#scalars[step]!, histogram: undefined };
    const [left, right] = this.#isSwapped ? [scalar, element] : [element, scalar];
    const result = elementOperation(this.#expression.operator, left, right);
    if (result.isRefused) this.#notes.note(step, row, result);
    else if (result.histogram !== undefined) this.#result.setHistogram(cell, result.histogram);
  }

  giveNotes(): void {
    this.#notes.give();
  }
}
