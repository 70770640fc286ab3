import type { CallExpression, Expression } from './ast.ts';
import { callRange } from './call-range.ts';
import type { EvaluationContext } from './context.ts';
import { instantFunctions } from './instant-functions.ts';
import { Matrix } from './matrix.ts';
import { isRange } from './range-vector.ts';
import type { Steps } from './steps.ts';

/** Calls a function at all steps. */
export async function call(context: EvaluationContext, expression: CallExpression, steps: Steps): Promise<Matrix> {
  const heldBefore = context.samplesHeld;
  if (!expression.arguments.some(isRange)) return callInstant(context, expression, steps, heldBefore);
  const result = await context.reading(() => callRange(context, expression, steps));
  context.holdOnly(heldBefore, result.samples());
  return result;
}

async function callInstant(
  context: EvaluationContext,
  expression: CallExpression,
  steps: Steps,
  heldBefore: number,
): Promise<Matrix> {
  const { name } = expression.func;
  const func = instantFunctions.get(name);
  if (func === undefined) throw new TypeError(`Cannot call ${name}: there is no such function`);
  if (func.takesExpressions === true) {
    const result = await func.call({ context, expression, steps, arguments: [] });
    context.holdOnly(heldBefore, result.samples(), name === 'info' ? { gathered: 0 } : undefined);
    return result;
  }
  const values: Matrix[] = [];
  for (const argument of expression.arguments) values.push(await evaluateArgument(context, argument, steps));
  const result = await func.call({ context, expression, steps, arguments: values });
  const gathered = values.reduce((rows, value) => rows + value.rows, 0);
  context.holdOnly(heldBefore, result.samples(), { gathered });
  return result;
}

/** Strings are read from the expression by the functions that take them. */
function evaluateArgument(context: EvaluationContext, argument: Expression, steps: Steps): Promise<Matrix> {
  return argument.kind === 'string' ? Promise.resolve(Matrix.empty) : context.evaluate(context, argument, steps);
}
