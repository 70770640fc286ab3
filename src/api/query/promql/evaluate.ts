import { matrixValue, rangeValue, vectorValue } from './answer.ts';
import type { Expression } from './ast.ts';
import { EvaluationContext, METADATA_LABELS } from './context.ts';
import type { Evaluation, EvaluationRequest, PromValue } from './evaluation.ts';
import { evaluateExpression } from './evaluator.ts';
import { typeOf } from './expression-types.ts';
import type { Matrix } from './matrix.ts';
import type { MemoryLease } from './memory-budget.ts';
import { prepare } from './prepare.ts';
import { PromqlEvaluationError } from './promql-errors.ts';
import { evaluateInner, type RangeSeries, seriesOf } from './range-vector.ts';
import { rangeSamples } from './range-samples.ts';
import { joinEqualRows } from './rows.ts';
import type { SampleSource } from './source.ts';
import { type Steps, stepsBetween } from './steps.ts';

/**
 * Evaluates an expression over the samples of `source`, as Prometheus does. Throws TREASURY_QUERY_INVALID for what cannot be evaluated,
 * TREASURY_QUERY_LIMIT for too many samples, and the reason of `signal` when it is aborted. Lets go of the thread between chunks of work.
 */
export async function evaluate(
  request: EvaluationRequest,
  source: SampleSource,
  signal: AbortSignal,
): Promise<Evaluation> {
  const memory = request.memory?.open();
  try {
    return await evaluateWith(request, source, { signal, memory });
  } finally {
    memory?.close();
  }
}

async function evaluateWith(
  request: EvaluationRequest,
  source: SampleSource,
  { signal, memory }: { signal: AbortSignal; memory: MemoryLease | undefined },
): Promise<Evaluation> {
  const { expression, invariant, statistics } = prepare(request.expression, request);
  const context = new EvaluationContext({
    request,
    source,
    signal,
    invariant,
    statistics,
    evaluate: evaluateExpression,
    memory,
  });
  const steps = stepsBetween(request.startMs, request.endMs, request.stepMs === 0 ? 1 : request.stepMs);
  const value = await valueOf(context, expression, { request, steps });
  return {
    value,
    warnings: context.annotations.warnings(request.text),
    infos: context.annotations.infos(request.text),
    stats: { samplesTotal: context.samplesTotal, samplesPeak: context.samplesPeak },
  };
}

async function valueOf(
  context: EvaluationContext,
  expression: Expression,
  { request, steps }: { request: EvaluationRequest; steps: Steps },
): Promise<PromValue> {
  const timeMs = request.startMs;
  const isInstant = request.stepMs === 0;
  const bare = unwrapped(expression);
  if (!isInstant) checkRangeType(expression);
  if (bare.kind === 'string') return { type: 'string', timeMs, value: bare.value };
  if (bare.kind === 'matrix-selector') return rangeValue(await rangeSamples(context, bare, steps));
  if (bare.kind === 'subquery') {
    const { matrix, inner } = await evaluateInner(context, bare, steps);
    return rangeValue(await joinedSeries(context, matrix, inner));
  }
  const matrix = await context.evaluate(context, expression, steps);
  if (isInstant && typeOf(expression) === 'scalar') return { type: 'scalar', timeMs, value: matrix.values[0]! };
  const named = withoutDroppedNames(context, matrix, steps.count);
  return isInstant ? vectorValue(named, timeMs) : matrixValue(named, steps);
}

function checkRangeType(expression: Expression): void {
  const type = typeOf(expression);
  if (type !== 'string' && type !== 'matrix') return;
  throw new PromqlEvaluationError(
    `invalid expression type "${type === 'matrix' ? 'range vector' : type}" for range query, must be Scalar or instant Vector`,
  );
}

function joinedSeries(context: EvaluationContext, matrix: Matrix, steps: Steps): Promise<RangeSeries[]> {
  return seriesOf(context, withoutDroppedNames(context, matrix, steps.count), steps);
}

/** With delayed removal, names go now. */
function withoutDroppedNames(context: EvaluationContext, matrix: Matrix, steps: number): Matrix {
  if (!context.settings.delayedNameRemoval) return matrix;
  const labels = matrix.labels.map((own, row) => (matrix.dropName[row] === 1 ? own.drop(METADATA_LABELS) : own));
  return joinEqualRows(matrix.with({ labels }), steps);
}

function unwrapped(expression: Expression): Expression {
  return expression.kind === 'paren' ? unwrapped(expression.expression) : expression;
}
