import { type Groups, membersOf, outputFor } from './aggregate-groups.ts';
import type { AggregateExpression } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { quantileOf } from './float-math.ts';
import { ABSENT, FLOAT, type Matrix } from './matrix.ts';
import { histogramIgnored } from './messages.ts';
import { ROWS_A_TURN } from './select.ts';

/** `min`, `max`, `stddev` and `stdvar`, of floats; `count` and `group`, of anything. */
export async function reduceGroups(
  context: EvaluationContext,
  expression: AggregateExpression,
  input: Matrix,
  groups: Groups,
): Promise<Matrix> {
  const output = outputFor(input, groups);
  const reduce = reducerOf(expression, output);
  for (let row = 0; row < input.rows; row++) {
    if (row % ROWS_A_TURN === 0) await context.turn();
    const shift = output.base[groups.groupOf[row]!]! - input.base[row]!;
    reduce.addRow(input, row, shift);
  }
  reduce.finish?.();
  if (reduce.ignoresHistograms) noteIgnored(context, expression, input);
  return output;
}

/** `quantile`, of floats. `quantiles` holds the parameter by step. */
export async function quantileGroups(
  context: EvaluationContext,
  expression: AggregateExpression,
  input: Matrix,
  options: { groups: Groups; quantiles: Float64Array },
): Promise<Matrix> {
  const { groups, quantiles } = options;
  const output = outputFor(input, groups);
  const numbers = new Float64Array(input.rows);
  for (const [group, members] of membersOf(groups).entries()) {
    await context.turn();
    for (let step = output.from[group]!; step < output.to[group]!; step++) {
      let count = 0;
      for (const row of members) {
        if (input.kindAt(row, step) === FLOAT) numbers[count++] = input.values[input.base[row]! + step]!;
      }
      if (count > 0) output.setFloat(output.base[group]! + step, quantileOf(quantiles[step]!, numbers, count));
    }
  }
  noteIgnored(context, expression, input);
  return output;
}

/** Tells of histograms that an aggregation of floats passes over. */
function noteIgnored(context: EvaluationContext, expression: AggregateExpression, input: Matrix): void {
  if (input.histograms === undefined || input.samples() === countFloats(input)) return;
  context.annotations.inform(histogramIgnored(expression.operator), expression.expression.range);
}

export function countFloats(input: Matrix): number {
  let floats = 0;
  for (let row = 0; row < input.rows; row++) {
    for (let step = input.from[row]!; step < input.to[row]!; step++) {
      if (input.kinds[input.base[row]! + step] === FLOAT) floats++;
    }
  }
  return floats;
}

interface Reducer {
  /** `shift` leads from cells of the row to cells of its group. */
  addRow(input: Matrix, row: number, shift: number): void;
  finish?(): void;
  readonly ignoresHistograms: boolean;
}

function reducerOf(expression: AggregateExpression, output: Matrix): Reducer {
  switch (expression.operator) {
    case 'count':
      return counting(output);
    case 'group':
      return grouping(output);
    case 'max':
      return extreme(output, 1);
    case 'min':
      return extreme(output, -1);
    case 'stddev':
      return spread(output, Math.sqrt);
    default:
      return spread(output, (variance) => variance);
  }
}

function counting(output: Matrix): Reducer {
  return {
    ignoresHistograms: false,
    addRow(input, row, shift) {
      const end = input.base[row]! + input.to[row]!;
      for (let from = input.base[row]! + input.from[row]!; from < end; from++) {
        if (input.kinds[from] === ABSENT) continue;
        output.kinds[from + shift] = FLOAT;
        output.values[from + shift]! += 1;
      }
    },
  };
}

function grouping(output: Matrix): Reducer {
  return {
    ignoresHistograms: false,
    addRow(input, row, shift) {
      const end = input.base[row]! + input.to[row]!;
      for (let from = input.base[row]! + input.from[row]!; from < end; from++) {
        if (input.kinds[from] !== ABSENT) output.setFloat(from + shift, 1);
      }
    },
  };
}

/** `sign` 1 for the greatest, -1 for the least; NaN gives way to any number. */
function extreme(output: Matrix, sign: 1 | -1): Reducer {
  return {
    ignoresHistograms: true,
    addRow(input, row, shift) {
      const { kinds, values } = output;
      const end = input.base[row]! + input.to[row]!;
      for (let from = input.base[row]! + input.from[row]!; from < end; from++) {
        if (input.kinds[from] !== FLOAT) continue;
        const value = input.values[from]!;
        const cell = from + shift;
        if (kinds[cell] === ABSENT || sign * values[cell]! < sign * value || Number.isNaN(values[cell]!)) {
          kinds[cell] = FLOAT;
          values[cell] = value;
        }
      }
    },
  };
}

/** Welford's running variance. */
function spread(output: Matrix, finishOne: (variance: number) => number): Reducer {
  const means = new Float64Array(output.values.length);
  const counts = new Float64Array(output.values.length);
  return {
    ignoresHistograms: true,
    addRow(input, row, shift) {
      const { kinds, values } = output;
      const end = input.base[row]! + input.to[row]!;
      for (let from = input.base[row]! + input.from[row]!; from < end; from++) {
        if (input.kinds[from] !== FLOAT) continue;
        const value = input.values[from]!;
        const cell = from + shift;
        counts[cell]! += 1;
        if (kinds[cell] === ABSENT) {
          kinds[cell] = FLOAT;
          means[cell] = value;
          values[cell] = Number.isFinite(value) ? 0 : NaN;
          continue;
        }
        const delta = value - means[cell]!;
        means[cell]! += delta / counts[cell]!;
        values[cell]! += delta * (value - means[cell]!);
      }
    },
    finish() {
      const { kinds, values } = output;
      for (let cell = 0; cell < values.length; cell++) {
        if (kinds[cell] === FLOAT) values[cell] = finishOne(values[cell]! / counts[cell]!);
      }
    },
  };
}
