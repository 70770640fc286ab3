import { type Groups, outputFor } from './aggregate-groups.ts';
import { sumHistograms } from './aggregate-histograms.ts';
import type { AggregateExpression } from './ast.ts';
import { compensationOf } from './compensated-sum.ts';
import type { EvaluationContext } from './context.ts';
import { ABSENT, FLOAT, type Matrix } from './matrix.ts';
import { ROWS_A_TURN } from './select.ts';

/** `sum` and `avg`, of floats or of histograms; a step that mixes both gives nothing. */
export async function sumGroups(
  context: EvaluationContext,
  expression: AggregateExpression,
  input: Matrix,
  groups: Groups,
): Promise<Matrix> {
  const isAverage = expression.operator === 'avg';
  const output = outputFor(input, groups);
  const sums = new Sums(output, isAverage);
  for (let row = 0; row < input.rows; row++) {
    if (row % ROWS_A_TURN === 0) await context.turn();
    sums.addRow(input, row, groups.groupOf[row]!);
  }
  if (isAverage) sums.divide();
  else sums.finish();
  if (input.histograms !== undefined) await sumHistograms(context, expression, { input, groups, output });
  return output;
}

/** Running sums of all cells of an output. */
class Sums {
  readonly #output: Matrix;
  readonly #compensations: Float64Array;
  /** How many samples went into a cell; only means ask for it. */
  readonly #counts: Float64Array | undefined;
  /** Cells whose sum would have become infinite: their value is a running mean. */
  #isMean: Uint8Array | undefined;

  constructor(output: Matrix, isAverage: boolean) {
    this.#output = output;
    this.#compensations = new Float64Array(output.values.length);
    this.#counts = isAverage ? new Float64Array(output.values.length) : undefined;
  }

  addRow(input: Matrix, row: number, group: number): void {
    const { values, kinds } = this.#output;
    const compensations = this.#compensations;
    const counts = this.#counts;
    const shift = this.#output.base[group]! - input.base[row]!;
    const end = input.base[row]! + input.to[row]!;
    for (let from = input.base[row]! + input.from[row]!; from < end; from++) {
      const kind = input.kinds[from]!;
      if (kind !== FLOAT) continue;
      const cell = from + shift;
      const value = input.values[from]!;
      if (kinds[cell] === ABSENT) {
        kinds[cell] = FLOAT;
        values[cell] = value;
        if (counts !== undefined) counts[cell] = 1;
        continue;
      }
      const sum = values[cell]!;
      const total = sum + value;
      if (counts !== undefined) {
        counts[cell]! += 1;
        if (this.#isMean?.[cell] === 1 || total === Infinity || total === -Infinity) {
          this.#addToMean(cell, value);
          continue;
        }
      }
      compensations[cell] = compensationOf(sum, value, total, compensations[cell]!);
      values[cell] = total;
    }
  }

  #addToMean(cell: number, value: number): void {
    const { values } = this.#output;
    const count = this.#counts![cell]!;
    this.#isMean ??= new Uint8Array(values.length);
    if (this.#isMean[cell] === 0) {
      this.#isMean[cell] = 1;
      values[cell]! /= count - 1;
      this.#compensations[cell]! /= count - 1;
    }
    const share = (count - 1) / count;
    const before = values[cell]! * share;
    const total = before + value / count;
    this.#compensations[cell] = compensationOf(before, value / count, total, this.#compensations[cell]! * share);
    values[cell] = total;
  }

  finish(): void {
    const { values } = this.#output;
    // A sum of -0 stays what it is.
    for (let cell = 0; cell < values.length; cell++) {
      const compensation = this.#compensations[cell]!;
      if (compensation !== 0) values[cell]! += compensation;
    }
  }

  divide(): void {
    const { values, kinds } = this.#output;
    for (let cell = 0; cell < values.length; cell++) {
      if (kinds[cell] === ABSENT) continue;
      const count = this.#isMean?.[cell] === 1 ? 1 : this.#counts![cell]!;
      values[cell] = values[cell]! / count + this.#compensations[cell]! / count;
    }
  }
}
