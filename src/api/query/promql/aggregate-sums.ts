import { type Groups, outputFor } from './aggregate-groups.ts';
import type { AggregateExpression } from './ast.ts';
import { compensationOf } from './compensated-sum.ts';
import type { EvaluationContext } from './context.ts';
import { histogramAverage, histogramTotal } from './histogram-aggregate.ts';
import { areCompatible } from './histogram-bounds.ts';
import type { FloatHistogram } from './histogram.ts';
import { ABSENT, FLOAT, HISTOGRAM, type Matrix } from './matrix.ts';
import { MIXED_IN_AGGREGATION, mixedSchemas } from './messages.ts';
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
  if (sums.histograms.length > 0) await giveHistograms(context, expression, sums, output);
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
  /** By cell. */
  readonly histograms: Collected[] = [];

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
      if (kind === ABSENT) continue;
      const cell = from + shift;
      if (kind === HISTOGRAM) {
        this.#collect(cell, input, row, from);
        continue;
      }
      const value = input.values[from]!;
      if (kinds[cell] === ABSENT) {
        const beside = this.histograms[cell];
        if (beside !== undefined) beside.membersBeforeFloat = beside.members.length;
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

  #collect(cell: number, input: Matrix, row: number, from: number): void {
    const membersBeforeFloat = this.#output.kinds[cell] === FLOAT ? 0 : Infinity;
    this.histograms[cell] ??= { members: [], metricName: '', membersBeforeFloat };
    this.histograms[cell].members.push(input.histogram(from));
    this.histograms[cell].metricName = input.labels[row]!.get('__name__');
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

interface Collected {
  readonly members: FloatHistogram[];
  metricName: string;
  /** How many histograms there were when the first float came. */
  membersBeforeFloat: number;
}

async function giveHistograms(
  context: EvaluationContext,
  expression: AggregateExpression,
  sums: Sums,
  output: Matrix,
): Promise<void> {
  const { annotations } = context;
  const at = expression.expression.range;
  const aggregate = expression.operator === 'avg' ? histogramAverage : histogramTotal;
  for (const [index, key] of Object.keys(sums.histograms).entries()) {
    if (index % ROWS_A_TURN === 0) await context.turn();
    const cell = Number(key);
    const { members, metricName, membersBeforeFloat } = sums.histograms[cell]!;
    if (output.kinds[cell] === FLOAT) {
      output.kinds[cell] = ABSENT;
      // As upstream: histograms behind a float are not looked at, and nothing is behind two that do not fit each other.
      const clash = membersBeforeFloat === 0 ? -1 : members.findIndex((other) => !areCompatible(other, members[0]!));
      if (clash !== -1) annotations.warn(mixedSchemas(metricName), at);
      if (clash === -1 || clash >= membersBeforeFloat) annotations.warn(MIXED_IN_AGGREGATION, at);
      continue;
    }
    const result = aggregate(members, { annotations, at, metricName });
    if (result !== undefined) output.setHistogram(cell, result);
  }
}
