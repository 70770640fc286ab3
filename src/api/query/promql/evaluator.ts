import type { AggregateExpression, BinaryExpression, Expression, UnaryExpression } from './ast.ts';
import { aggregate } from './aggregate.ts';
import { operateOnScalars, operateWithScalar } from './binary-scalar.ts';
import { operateOnSets } from './binary-sets.ts';
import { operateOnVectors } from './binary-vectors.ts';
import { call } from './call.ts';
import type { EvaluationContext } from './context.ts';
import { typeOf } from './expression-types.ts';
import { multiplyHistogram } from './histogram-math.ts';
import { Labels } from './labels.ts';
import { ABSENT, HISTOGRAM, Matrix } from './matrix.ts';
import { HistogramWeights } from './histogram-weight.ts';
import { haveOneName, joinEqualRows, withoutNames } from './rows.ts';
import { selectInstant } from './select.ts';
import { smoothedInstant } from './select-smoothed.ts';
import { firstStep, type Steps } from './steps.ts';

/** Evaluates an expression at all steps: a vector as rows, a scalar as one row. Ranges and strings are evaluated by what takes them. */
export async function evaluateExpression(
  context: EvaluationContext,
  expression: Expression,
  steps: Steps,
): Promise<Matrix> {
  if (steps.count === 0) return Matrix.empty;
  await context.turn();
  if (!context.invariant.has(expression)) return evaluateEachStep(context, expression, steps);
  const readBefore = context.samplesTotal;
  const once = await evaluateEachStep(context, expression, firstStep(steps));
  // Counted as if read at each step, as upstream counts.
  context.countRead((context.samplesTotal - readBefore) * (steps.count - 1));
  return repeat(context, once, steps.count);
}

function evaluateEachStep(context: EvaluationContext, expression: Expression, steps: Steps): Promise<Matrix> {
  switch (expression.kind) {
    case 'number':
      context.hold(steps.count);
      return Promise.resolve(Matrix.ofRow(Labels.empty, new Float64Array(steps.count).fill(expression.value)));
    case 'vector-selector':
      return expression.smoothed
        ? smoothedInstant(context, expression, steps)
        : selectInstant(context, expression, steps);
    case 'paren':
      return evaluateEachStep(context, expression.expression, steps);
    case 'unary':
      return evaluateUnary(context, expression, steps);
    case 'binary':
      return evaluateBinary(context, expression, steps);
    case 'aggregate':
      return evaluateAggregate(context, expression, steps);
    case 'call':
      return call(context, expression, steps);
    default:
      throw new TypeError(`Cannot evaluate a ${expression.kind} as a vector`);
  }
}

async function evaluateUnary(context: EvaluationContext, unary: UnaryExpression, steps: Steps): Promise<Matrix> {
  const operand = await context.evaluate(context, unary.expression, steps);
  if (unary.operator === '+') return operand;
  const values = operand.values.map((value) => -value);
  const negated = operand.with({ values, histograms: undefined });
  if (operand.histograms !== undefined) negateHistograms(operand, negated);
  if (typeOf(unary) === 'scalar') return negated;
  const named = withoutNames(context, negated);
  return haveOneName(operand.labels) ? named : joinEqualRows(named, steps.count);
}

function negateHistograms(operand: Matrix, negated: Matrix): void {
  for (let row = 0; row < operand.rows; row++) {
    for (let step = operand.from[row]!; step < operand.to[row]!; step++) {
      const cell = operand.base[row]! + step;
      if (operand.kinds[cell] === HISTOGRAM) negated.setHistogram(cell, multiplyHistogram(operand.histogram(cell), -1));
    }
  }
}

async function evaluateBinary(context: EvaluationContext, binary: BinaryExpression, steps: Steps): Promise<Matrix> {
  const heldBefore = context.samplesHeld;
  const left = await context.evaluate(context, binary.left, steps);
  const right = await context.evaluate(context, binary.right, steps);
  const isLeftScalar = typeOf(binary.left) === 'scalar';
  const isRightScalar = typeOf(binary.right) === 'scalar';
  let result: Matrix;
  if (isLeftScalar && isRightScalar) result = operateOnScalars(binary, left, right);
  else if (isRightScalar)
    result = await operateWithScalar(context, binary, { vector: left, scalars: right.values, isSwapped: false });
  else if (isLeftScalar)
    result = await operateWithScalar(context, binary, { vector: right, scalars: left.values, isSwapped: true });
  else if (binary.operator === 'and' || binary.operator === 'or' || binary.operator === 'unless')
    result = await operateOnSets(context, binary, { left, right, steps: steps.count });
  else result = await operateOnVectors(context, binary, { left, right, steps: steps.count });
  context.holdOnly(heldBefore, result.samples(), { gathered: left.rows + right.rows });
  return result;
}

async function evaluateAggregate(
  context: EvaluationContext,
  expression: AggregateExpression,
  steps: Steps,
): Promise<Matrix> {
  const heldBefore = context.samplesHeld;
  const result = await aggregate(context, expression, steps);
  const isBeside = expression.operator === 'count_values';
  context.holdOnly(heldBefore, result.samples(), isBeside ? { gathered: 0 } : undefined);
  return result;
}

/** The one step of `once` at every step. */
function repeat(context: EvaluationContext, once: Matrix, steps: number): Matrix {
  if (steps === 1) return once;
  const from = new Int32Array(once.rows);
  const to = new Int32Array(once.rows).fill(steps);
  const repeated = context.allocate(once.labels, from, to).with({ dropName: once.dropName });
  let added = 0;
  const weights = new HistogramWeights();
  for (let row = 0; row < once.rows; row++) {
    if (once.kindAt(row, 0) === ABSENT) continue;
    const cell = once.base[row]!;
    const base = repeated.base[row]!;
    if (once.kinds[cell] === HISTOGRAM) {
      const histogram = once.histogram(cell);
      for (let step = 0; step < steps; step++) repeated.setHistogram(base + step, histogram);
      added += weights.of(histogram) * (steps - 1);
    } else {
      repeated.kinds.fill(once.kinds[cell]!, base, base + steps);
      repeated.values.fill(once.values[cell]!, base, base + steps);
      added += steps - 1;
    }
  }
  context.hold(added);
  return repeated;
}
