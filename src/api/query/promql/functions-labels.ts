import { RE2JS } from 're2js';
import { LIMITS } from '../../../base/index.ts';
import { expandTemplate } from './expand-template.ts';
import { type InstantCall, type InstantFunction, stringArgument } from './instant-function.ts';
import { isLabelName } from './label-names.ts';
import type { Labels } from './labels.ts';
import type { Matrix } from './matrix.ts';
import { PromqlEvaluationError, tooLongLabel } from './promql-errors.ts';
import { joinEqualRows } from './rows.ts';

/** Functions that change labels and look at no value. */
export const labelFunctions: Readonly<Record<string, InstantFunction>> = {
  label_replace: { call: replaceLabel, takesExpressions: true },
  label_join: { call: joinLabels, takesExpressions: true },
};

async function replaceLabel({ context, expression, steps }: InstantCall): Promise<Matrix> {
  const [target, template, source, pattern] = [1, 2, 3, 4].map((index) => stringArgument(expression, index)) as [
    string,
    string,
    string,
    string,
  ];
  const regex = compile(pattern);
  if (!isLabelName(target))
    throw new PromqlEvaluationError(`invalid destination label name in label_replace(): ${target}`);
  const input = await context.evaluate(context, expression.arguments[0]!, steps);
  return relabel(input, target, steps.count, (labels) => {
    const matcher = regex.matcher(labels.get(source));
    if (!matcher.matches()) return undefined;
    const value = expandTemplate(template, matcher, LIMITS.promqlLabelLengthMax);
    if (value === undefined) throw tooLongLabel(target);
    return labels.with(target, value);
  });
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(`^(?s:${pattern})$`);
  } catch {
    throw new PromqlEvaluationError(`invalid regular expression in label_replace(): ${pattern}`);
  }
}

async function joinLabels({ context, expression, steps }: InstantCall): Promise<Matrix> {
  const target = stringArgument(expression, 1);
  const separator = stringArgument(expression, 2);
  const sources = expression.arguments.slice(3).map((_, index) => stringArgument(expression, index + 3));
  for (const source of sources) {
    if (!isLabelName(source)) throw new PromqlEvaluationError(`invalid source label name in label_join(): ${source}`);
  }
  if (!isLabelName(target))
    throw new PromqlEvaluationError(`invalid destination label name in label_join(): ${target}`);
  const input = await context.evaluate(context, expression.arguments[0]!, steps);
  return relabel(input, target, steps.count, (labels) => {
    const values = sources.map((source) => labels.get(source));
    const length = values.reduce((sum, value) => sum + value.length + separator.length, -separator.length);
    if (length > LIMITS.promqlLabelLengthMax) throw tooLongLabel(target);
    return labels.with(target, values.join(separator));
  });
}

/** A name that is set anew stays, whatever was to become of the old one. */
function relabel(input: Matrix, target: string, steps: number, change: (labels: Labels) => Labels | undefined): Matrix {
  const dropName = input.dropName.slice();
  const labels = input.labels.map((own, row) => {
    const changed = change(own);
    if (changed !== undefined && target === '__name__') dropName[row] = 0;
    return changed ?? own;
  });
  return joinEqualRows(input.with({ labels, dropName }), steps);
}
