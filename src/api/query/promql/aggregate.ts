import { reduceGroups, quantileGroups } from './aggregate-floats.ts';
import { groupRows } from './aggregate-groups.ts';
import { firstRows, hasCount, ratioRows, topRows } from './aggregate-picks.ts';
import { sumGroups } from './aggregate-sums.ts';
import { countValues } from './aggregate-values.ts';
import type { AggregateExpression } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { formatShort } from './format-float.ts';
import { isLabelName } from './label-names.ts';
import { Matrix } from './matrix.ts';
import { invalidQuantile } from './messages.ts';
import { PromqlEvaluationError } from './promql-errors.ts';
import { isInstant, type Steps } from './steps.ts';

/** An aggregation over groups of rows, step by step. */
export async function aggregate(
  context: EvaluationContext,
  expression: AggregateExpression,
  steps: Steps,
): Promise<Matrix> {
  const { operator, parameter } = expression;
  if (operator === 'count_values') return aggregateValues(context, expression, steps);
  const parameters = parameter === undefined ? undefined : (await context.evaluate(context, parameter, steps)).values;
  const input = await context.evaluate(context, expression.expression, steps);
  const result = await (parameters === undefined
    ? aggregatePlain(context, expression, input)
    : aggregateByParameter(context, expression, input, { parameters, isInstant: isInstant(steps) }));
  return result.withoutEmptyRows();
}

function aggregatePlain(context: EvaluationContext, expression: AggregateExpression, input: Matrix): Promise<Matrix> {
  const groups = groupRows(input.labels, expression);
  return expression.operator === 'sum' || expression.operator === 'avg'
    ? sumGroups(context, expression, input, groups)
    : reduceGroups(context, expression, input, groups);
}

async function aggregateByParameter(
  context: EvaluationContext,
  expression: AggregateExpression,
  input: Matrix,
  options: { parameters: Float64Array; isInstant: boolean },
): Promise<Matrix> {
  const { parameters } = options;
  const groups = groupRows(input.labels, expression);
  const pick = { ...options, groups };
  switch (expression.operator) {
    case 'quantile':
      warnOfQuantiles(context, expression, parameters);
      return quantileGroups(context, expression, input, { groups, quantiles: parameters });
    case 'limit_ratio':
      return isAnyRatio(context, expression, parameters) ? ratioRows(context, input, pick) : Matrix.empty;
    case 'limitk':
      return hasCount(parameters) ? firstRows(context, input, pick) : Matrix.empty;
    default:
      return hasCount(parameters) ? topRows(context, expression, input, pick) : Matrix.empty;
  }
}

async function aggregateValues(
  context: EvaluationContext,
  expression: AggregateExpression,
  steps: Steps,
): Promise<Matrix> {
  const { parameter } = expression;
  const valueLabel = parameter?.kind === 'string' ? parameter.value : '';
  // As written: bytes that are no text cannot be said otherwise.
  if (!isLabelName(valueLabel))
    throw new PromqlEvaluationError(
      `invalid label name ${context.text.slice(parameter!.range.start, parameter!.range.end)}`,
    );
  const input = await context.evaluate(context, expression.expression, steps);
  return countValues(context, expression, input, valueLabel);
}

function warnOfQuantiles(context: EvaluationContext, expression: AggregateExpression, quantiles: Float64Array): void {
  const at = expression.parameter!.range;
  if (quantiles.some(Number.isNaN)) context.annotations.warn(invalidQuantile(NaN), at);
  const { least, greatest } = bounds(quantiles);
  if (greatest > 1) context.annotations.warn(invalidQuantile(greatest), at);
  if (least < 0) context.annotations.warn(invalidQuantile(least), at);
}

/** False when no step takes anything. */
function isAnyRatio(context: EvaluationContext, expression: AggregateExpression, ratios: Float64Array): boolean {
  const { least, greatest } = bounds(ratios);
  if (least === 0 && greatest === 0) return false;
  if (ratios.some(Number.isNaN)) throw new PromqlEvaluationError('Ratio value is NaN');
  const warn = (ratio: number, cap: number): void =>
    context.annotations.warn(
      `PromQL warning: ratio value should be between -1 and 1, got ${formatShort(ratio)}, capping to ${cap}`,
      expression.parameter!.range,
    );
  if (greatest > 1) warn(greatest, 1);
  if (least < -1) warn(least, -1);
  return true;
}

function bounds(numbers: Float64Array): { least: number; greatest: number } {
  let least = Number.MAX_VALUE;
  let greatest = -Number.MAX_VALUE;
  for (const number of numbers) {
    least = Math.min(least, number);
    greatest = Math.max(greatest, number);
  }
  return { least, greatest };
}
