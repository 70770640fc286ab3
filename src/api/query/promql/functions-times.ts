import { absentLabels } from './absent-labels.ts';
import { scalar } from './functions-math.ts';
import { dropNames, type InstantCall, type InstantFunction } from './instant-function.ts';
import { ABSENT, FLOAT, Matrix } from './matrix.ts';
import { occupiedSteps } from './signatures.ts';
import { selectInstant } from './select.ts';
import type { Steps } from './steps.ts';

/** Functions of the times of steps and samples, and of what is absent. */
export const timeFunctions: Readonly<Record<string, InstantFunction>> = {
  time: { call: (call) => scalar(call, (step) => (call.steps.startMs + step * call.steps.stepMs) / 1000) },
  timestamp: { call: timestamps, takesExpressions: true },
  start_timestamp: { call: startTimestamps, takesExpressions: true },
  absent: { call: (call) => Promise.resolve(absent(call)) },
};

/** The time of a sample where a selector is given, else that of the step. */
async function timestamps({ context, expression, steps }: InstantCall): Promise<Matrix> {
  const [argument] = expression.arguments;
  if (argument?.kind === 'vector-selector') {
    const times = await selectInstant(context, argument, steps, 'time');
    return dropNames(context, times, steps);
  }
  const input = await context.evaluate(context, argument!, steps);
  return dropNames(context, stepTimes(input, steps), steps);
}

function stepTimes(input: Matrix, steps: Steps): Matrix {
  const values = new Float64Array(input.values.length);
  const kinds = new Uint8Array(input.kinds.length);
  for (let row = 0; row < input.rows; row++) {
    for (let step = input.from[row]!; step < input.to[row]!; step++) {
      const cell = input.base[row]! + step;
      if (input.kinds[cell] === ABSENT) continue;
      kinds[cell] = FLOAT;
      values[cell] = (steps.startMs + step * steps.stepMs) / 1000;
    }
  }
  return input.with({ values, kinds, histograms: undefined });
}

/** Of selectors only, and only with start times switched on. */
async function startTimestamps({ context, expression, steps }: InstantCall): Promise<Matrix> {
  const [argument] = expression.arguments;
  if (argument?.kind === 'vector-selector' && context.settings.startTimestamps) {
    const times = await selectInstant(context, argument, steps, 'start-time');
    return dropNames(context, times, steps);
  }
  await context.evaluate(context, argument!, steps);
  return Matrix.empty;
}

function absent({ expression, steps, arguments: [input] }: InstantCall): Matrix {
  const occupied = occupiedSteps(input!, steps.count);
  const matrix = Matrix.dense([absentLabels(expression.arguments[0]!)], steps.count);
  for (let step = 0; step < steps.count; step++) if (occupied[step] === 0) matrix.setFloat(step, 1);
  return matrix.withoutEmptyRows();
}
