import type { CallExpression } from './ast.ts';
import { type InstantCall, type InstantFunction, stringArgument } from './instant-function.ts';
import { compareLabels } from './labels.ts';
import { FLOAT, type Matrix } from './matrix.ts';
import { compareNaturally } from './natural-order.ts';
import { isInstant } from './steps.ts';

/** Functions that order a vector; a range has no order. */
export const sortFunctions: Readonly<Record<string, InstantFunction>> = {
  sort: { call: (call) => Promise.resolve(sortByValue(call, 1)) },
  sort_desc: { call: (call) => Promise.resolve(sortByValue(call, -1)) },
  sort_by_label: { call: (call) => Promise.resolve(sortByLabel(call, 1)) },
  sort_by_label_desc: { call: (call) => Promise.resolve(sortByLabel(call, -1)) },
};

/** NaN comes last either way; histograms are left out. */
function sortByValue(call: InstantCall, sign: 1 | -1): Matrix {
  const floats = onlyFloats(call.arguments[0]!);
  if (warnOfRange(call)) return floats;
  const valueOf = (row: number) => floats.values[floats.base[row]!]!;
  return ordered(floats, (left, right) => {
    const a = valueOf(left);
    const b = valueOf(right);
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    return a === b ? 0 : sign * (a < b ? -1 : 1);
  });
}

function sortByLabel(call: InstantCall, sign: 1 | -1): Matrix {
  const input = call.arguments[0]!;
  if (warnOfRange(call)) return input;
  const names = labelNames(call.expression);
  return ordered(input, (left, right) => {
    const a = input.labels[left]!;
    const b = input.labels[right]!;
    for (const name of names) {
      const order = compareNaturally(a.get(name), b.get(name));
      if (order !== 0) return sign * order;
    }
    return sign * compareLabels(a, b);
  });
}

function labelNames(expression: CallExpression): string[] {
  return expression.arguments.slice(1).map((_, index) => stringArgument(expression, index + 1));
}

function ordered(matrix: Matrix, compare: (left: number, right: number) => number): Matrix {
  return matrix.pick(matrix.labels.map((_, row) => row).sort(compare));
}

function onlyFloats(matrix: Matrix): Matrix {
  if (matrix.histograms === undefined) return matrix;
  const kinds = matrix.kinds.map((kind) => (kind === FLOAT ? FLOAT : 0));
  return matrix.with({ kinds, histograms: undefined }).withoutEmptyRows();
}

function warnOfRange({ context, expression, steps }: InstantCall): boolean {
  if (isInstant(steps)) return false;
  context.annotations.warn(
    'PromQL warning: sort is ineffective for range queries since results are always ordered by labels',
    expression.range,
  );
  return true;
}
