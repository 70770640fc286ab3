import type { DurationExpression, DurationOperand } from './ast.ts';
import { power } from './float-math.ts';
import { PromqlEvaluationError } from './promql-errors.ts';

/** What durations are worked out from: those of the whole query, in ms. */
export interface QueryTimes {
  readonly startMs: number;
  readonly endMs: number;
  /** 0 for an instant query. */
  readonly stepMs: number;
}

/** Works a duration out, in whole ms. Offsets may be negative or 0, ranges and steps not. */
export function durationMs(expression: DurationExpression, query: QueryTimes, mayBeNegative: boolean): number {
  const seconds = secondsOf(expression, query);
  if (!Number.isFinite(seconds)) fail(expression, 'duration is NaN or infinite');
  if (seconds <= 0 && !mayBeNegative) fail(expression, 'duration must be greater than 0');
  if (Math.abs(seconds) > SECONDS_MAX) fail(expression, 'duration is out of range');
  return Math.trunc(seconds * 1000);
}

/** What fits an int64 of nanoseconds, as upstream keeps durations. */
const SECONDS_MAX = 2 ** 63 / 1e9;

function secondsOf(operand: DurationOperand, query: QueryTimes): number {
  if (operand.kind === 'number') return operand.value;
  switch (operand.operation) {
    case 'step':
      return query.stepMs / 1000;
    case 'range':
      return (query.endMs - query.startMs) / 1000;
    case 'min_of':
      return Math.min(secondsOf(operand.left, query), secondsOf(operand.right, query));
    case 'max_of':
      return Math.max(secondsOf(operand.left, query), secondsOf(operand.right, query));
    case 'unary': {
      const seconds = secondsOf(operand.operand, query);
      return operand.operator === '-' ? -seconds : seconds;
    }
    case 'binary':
      return binary(operand, query);
  }
}

function binary(expression: DurationExpression & { operation: 'binary' }, query: QueryTimes): number {
  const left = secondsOf(expression.left, query);
  const right = secondsOf(expression.right, query);
  switch (expression.operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return right === 0 ? fail(expression, 'division by zero') : left / right;
    case '%':
      return right === 0 ? fail(expression, 'modulo by zero') : left % right;
    case '^':
      return power(left, right);
  }
}

/** Upstream gives the range in bytes of the text, not line and column. */
function fail(expression: DurationExpression, reason: string): never {
  throw new PromqlEvaluationError(`${expression.range.start}:${expression.range.end}: ${reason}`);
}
