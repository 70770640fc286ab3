import type { BinaryExpression } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { ABSENT, type Matrix } from './matrix.ts';
import { copyRow, joinEqualRows } from './rows.ts';
import { markOccupied, matchRows } from './signatures.ts';

/** `and`, `or` and `unless`, step by step. */
export async function operateOnSets(
  context: EvaluationContext,
  expression: BinaryExpression,
  operands: { left: Matrix; right: Matrix; steps: number },
): Promise<Matrix> {
  const { left, right, steps } = operands;
  const groups = matchRows(left, right, expression.matching!);
  if (expression.operator === 'or') return unite(context, operands, groups);
  const isAnd = expression.operator === 'and';
  const kinds = new Uint8Array(left.kinds.length);
  const occupied = new Uint8Array(steps);
  for (const [index, group] of groups.entries()) {
    if (index % GROUPS_A_TURN === 0) await context.turn();
    occupied.fill(0);
    for (const row of group.right) markOccupied(right, row, occupied);
    for (const row of group.left) {
      const base = left.base[row]!;
      for (let step = left.from[row]!; step < left.to[row]!; step++) {
        if ((occupied[step] === 1) === isAnd) kinds[base + step] = left.kinds[base + step]!;
      }
    }
  }
  return left.with({ kinds }).withoutEmptyRows();
}

const GROUPS_A_TURN = 64;

/** All of the left, and of the right what no row of the left matches at the same step. */
async function unite(
  context: EvaluationContext,
  { left, right, steps }: { left: Matrix; right: Matrix; steps: number },
  groups: readonly { left: readonly number[]; right: readonly number[] }[],
): Promise<Matrix> {
  const kinds = right.kinds.slice();
  const occupied = new Uint8Array(steps);
  for (const [index, group] of groups.entries()) {
    if (index % GROUPS_A_TURN === 0) await context.turn();
    if (group.left.length === 0 || group.right.length === 0) continue;
    occupied.fill(0);
    for (const row of group.left) markOccupied(left, row, occupied);
    for (const row of group.right) {
      const base = right.base[row]!;
      for (let step = right.from[row]!; step < right.to[row]!; step++) {
        if (occupied[step] === 1) kinds[base + step] = ABSENT;
      }
    }
  }
  const rest = right.with({ kinds }).withoutEmptyRows();
  return joinEqualRows(stack(context, left, rest), steps);
}

/** The rows of both, those of `above` first. */
function stack(context: EvaluationContext, above: Matrix, below: Matrix): Matrix {
  if (below.rows === 0) return above;
  if (above.rows === 0) return below;
  const labels = [...above.labels, ...below.labels];
  const matrix = context.allocate(labels, joined(above.from, below.from), joined(above.to, below.to));
  for (let row = 0; row < labels.length; row++) {
    const isAbove = row < above.rows;
    const source = isAbove ? above : below;
    const sourceRow = isAbove ? row : row - above.rows;
    matrix.dropName[row] = source.dropName[sourceRow]!;
    copyRow(source, sourceRow, matrix, row);
  }
  return matrix;
}

function joined(first: Int32Array, second: Int32Array): Int32Array {
  const both = new Int32Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
