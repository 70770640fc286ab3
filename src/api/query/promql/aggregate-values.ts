import { groupRows } from './aggregate-groups.ts';
import type { AggregateExpression } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { describeHistogram } from './describe-histogram.ts';
import { formatFloat } from './format-float.ts';
import type { Labels } from './labels.ts';
import { ABSENT, HISTOGRAM, type Matrix } from './matrix.ts';
import { ROWS_A_TURN } from './select.ts';

/** `count_values`: one row for each value and group, with how many rows have that value; `valueLabel` holds it. */
export async function countValues(
  context: EvaluationContext,
  expression: AggregateExpression,
  input: Matrix,
  valueLabel: string,
): Promise<Matrix> {
  // The label stands for the value whatever the row had in it, and `without` may take it away again.
  const isGrouped = expression.without && expression.grouping.includes(valueLabel);
  const bare = input.labels.map((labels) => labels.drop(new Set([valueLabel])));
  const groups = groupRows(bare, expression);
  const counts = new Map<string, Counted>();
  const texts = new Map<number, string>();
  const textOf = (value: number): string => {
    let text = texts.get(value);
    if (text === undefined) texts.set(value, (text = formatFloat(value)));
    return text;
  };
  for (let row = 0; row < input.rows; row++) {
    if (row % ROWS_A_TURN === 0) await context.turn();
    const group = groups.groupOf[row]!;
    for (let step = input.from[row]!; step < input.to[row]!; step++) {
      const kind = input.kindAt(row, step);
      if (kind === ABSENT) continue;
      const cell = input.base[row]! + step;
      const text = kind === HISTOGRAM ? describeHistogram(input.histogram(cell)) : textOf(input.values[cell]!);
      const key = isGrouped ? String(group) : `${group}:${text}`;
      let counted = counts.get(key);
      if (counted === undefined) {
        const labels = isGrouped ? groups.labels[group]! : groups.labels[group]!.with(valueLabel, text);
        counted = { labels, byStep: new Map() };
        counts.set(key, counted);
      }
      counted.byStep.set(step, (counted.byStep.get(step) ?? 0) + 1);
    }
  }
  return matrixOf(context, [...counts.values()]);
}

interface Counted {
  readonly labels: Labels;
  readonly byStep: Map<number, number>;
}

function matrixOf(context: EvaluationContext, rows: readonly Counted[]): Matrix {
  const extents = rows.map(({ byStep }) => {
    let from = Infinity;
    let to = 0;
    for (const step of byStep.keys()) {
      from = Math.min(from, step);
      to = Math.max(to, step + 1);
    }
    return { from, to };
  });
  const matrix = context.allocate(
    rows.map((row) => row.labels),
    Int32Array.from(extents, ({ from }) => from),
    Int32Array.from(extents, ({ to }) => to),
  );
  for (const [row, { byStep }] of rows.entries()) {
    for (const [step, count] of byStep) matrix.setFloat(matrix.base[row]! + step, count);
  }
  return matrix;
}
