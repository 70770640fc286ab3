import type { CallExpression } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { FLOAT, type Matrix } from './matrix.ts';
import { haveOneName, joinEqualRows, withoutNames } from './rows.ts';
import { ROWS_A_TURN } from './select.ts';
import type { Steps } from './steps.ts';

/** A call whose arguments are evaluated: vectors and scalars, an empty matrix in place of a string. */
export interface InstantCall {
  readonly context: EvaluationContext;
  readonly expression: CallExpression;
  readonly steps: Steps;
  readonly arguments: readonly Matrix[];
}

/** A function of vectors and scalars. */
export interface InstantFunction {
  readonly call: (call: InstantCall) => Promise<Matrix>;
  /** It evaluates its arguments itself. */
  readonly takesExpressions?: boolean;
}

/** A function of each float of its first argument; histograms are left out, and names with them. */
export function ofFloats(operate: (value: number) => number): InstantFunction {
  return { call: (call) => mapFloats(call, () => operate) };
}

/** The same, where the function differs from step to step. */
export async function mapFloats(
  { context, steps, arguments: [input] }: InstantCall,
  operationAt: (step: number) => (value: number) => number,
): Promise<Matrix> {
  const matrix = input!;
  const values = new Float64Array(matrix.values.length);
  const kinds = matrix.histograms === undefined ? matrix.kinds : new Uint8Array(matrix.kinds.length);
  for (let row = 0; row < matrix.rows; row++) {
    if (row % ROWS_A_TURN === 0) await context.turn();
    const base = matrix.base[row]!;
    for (let step = matrix.from[row]!; step < matrix.to[row]!; step++) {
      if (matrix.kinds[base + step] !== FLOAT) continue;
      kinds[base + step] = FLOAT;
      values[base + step] = operationAt(step)(matrix.values[base + step]!);
    }
  }
  const result = matrix.with({ values, kinds, histograms: undefined });
  return dropNames(context, matrix.histograms === undefined ? result : result.withoutEmptyRows(), steps);
}

/** Takes the names off, and joins rows whose labels come out equal. */
export function dropNames(context: EvaluationContext, matrix: Matrix, steps: Steps): Matrix {
  const named = withoutNames(context, matrix);
  if (context.settings.delayedNameRemoval || haveOneName(matrix.labels)) return named;
  return joinEqualRows(named, steps.count);
}

/** The text of an argument that is a string. */
export function stringArgument(call: CallExpression, index: number): string {
  const argument = call.arguments[index];
  return argument?.kind === 'string' ? argument.value : '';
}
