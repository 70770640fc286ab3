import type {
  BinaryExpression,
  CallExpression,
  Expression,
  MatrixSelector,
  SubqueryExpression,
  VectorSelector,
} from './ast.ts';
import { durationMs, type QueryTimes } from './durations.ts';
import { uniformInfoTime } from './info-times.ts';
import { statisticsSelectors } from './statistics-selectors.ts';
import { chainOf } from './tree.ts';

/** An expression made ready for evaluation. */
export interface Prepared {
  /** Durations, `@ start()` and `@ end()` worked out, calls of `start()`, `end()`, `range()` and `step()` replaced by numbers. */
  readonly expression: Expression;
  /** Parts that give the same at every step, so one step of them will do. Only the outermost ones. */
  readonly invariant: ReadonlySet<Expression>;
  /** Selectors of whose histograms only count and sum are asked for. */
  readonly statistics: ReadonlySet<VectorSelector>;
}

export function prepare(expression: Expression, query: QueryTimes): Prepared {
  const resolved = resolve(expression, query);
  const invariant = new Set<Expression>();
  if (markInvariant(resolved, invariant).mayWrap) invariant.add(resolved);
  return { expression: resolved, invariant, statistics: statisticsSelectors(resolved) };
}

/** Functions that give something else at another step though their arguments do not change. */
const STEP_BOUND = new Set([
  'days_in_month',
  'day_of_month',
  'day_of_week',
  'day_of_year',
  'hour',
  'minute',
  'month',
  'year',
  'predict_linear',
  'time',
  'timestamp',
]);

function resolve(expression: Expression, query: QueryTimes): Expression {
  switch (expression.kind) {
    case 'number':
    case 'string':
      return expression;
    case 'vector-selector':
      return resolveSelector(expression, query);
    case 'matrix-selector':
      return resolveRange(expression, query);
    case 'subquery':
      return resolveSubquery(expression, query);
    case 'paren':
    case 'unary':
      return { ...expression, expression: resolve(expression.expression, query) };
    case 'binary': {
      const { first, links } = chainOf(expression);
      let left = resolve(first, query);
      for (const link of links) left = { ...link, left, right: resolve(link.right, query) };
      return left;
    }
    case 'aggregate': {
      const { parameter } = expression;
      return {
        ...expression,
        expression: unwrapped(resolve(expression.expression, query)),
        parameter: parameter === undefined ? undefined : unwrapped(resolve(parameter, query)),
      };
    }
    case 'call':
      return resolveCall(expression, query);
  }
}

function resolveSelector(selector: VectorSelector, query: QueryTimes): VectorSelector {
  return { ...selector, ...resolveTimes(selector, query) };
}

function resolveTimes<T extends VectorSelector | SubqueryExpression>(
  node: T,
  query: QueryTimes,
): Pick<T, 'offsetMs' | 'timestampMs'> {
  const { offsetExpression, startOrEnd } = node;
  const edge = startOrEnd === 'start' ? query.startMs : query.endMs;
  return {
    offsetMs: offsetExpression === undefined ? node.offsetMs : durationMs(offsetExpression, query, true),
    timestampMs: startOrEnd === undefined ? node.timestampMs : edge,
  };
}

function resolveRange(node: MatrixSelector, query: QueryTimes): MatrixSelector {
  const { rangeExpression } = node;
  return {
    ...node,
    selector: resolveSelector(node.selector, query),
    rangeMs: rangeExpression === undefined ? node.rangeMs : durationMs(rangeExpression, query, false),
  };
}

function resolveSubquery(node: SubqueryExpression, query: QueryTimes): SubqueryExpression {
  const { rangeExpression, stepExpression } = node;
  return {
    ...node,
    ...resolveTimes(node, query),
    stepMs: stepExpression === undefined ? node.stepMs : durationMs(stepExpression, query, false),
    rangeMs: rangeExpression === undefined ? node.rangeMs : durationMs(rangeExpression, query, false),
    expression: resolve(node.expression, query),
  };
}

function resolveCall(call: CallExpression, query: QueryTimes): Expression {
  const seconds = queryConstant(call.func.name, query);
  if (seconds !== undefined) return { kind: 'number', value: seconds, isDuration: false, range: call.range };
  return { ...call, arguments: call.arguments.map((argument) => unwrapped(resolve(argument, query))) };
}

function queryConstant(name: string, { startMs, endMs, stepMs }: QueryTimes): number | undefined {
  switch (name) {
    case 'start':
      return startMs / 1000;
    case 'end':
      return endMs / 1000;
    case 'range':
      return (endMs - startMs) / 1000;
    case 'step':
      return startMs === endMs ? 0 : stepMs / 1000;
    default:
      return undefined;
  }
}

function unwrapped(expression: Expression): Expression {
  return expression.kind === 'paren' ? unwrapped(expression.expression) : expression;
}

interface Invariance {
  readonly isInvariant: boolean;
  /** It is worth evaluating once: no literal, and nothing that its function evaluates itself. */
  readonly mayWrap: boolean;
}

const VARIES: Invariance = { isInvariant: false, mayWrap: false };
const INVARIANT: Invariance = { isInvariant: true, mayWrap: true };
const INVARIANT_IN_PLACE: Invariance = { isInvariant: true, mayWrap: false };

/** Whether `expression` gives the same at every step; its invariant parts are put into `invariant` when it does not. */
function markInvariant(expression: Expression, invariant: Set<Expression>): Invariance {
  switch (expression.kind) {
    case 'number':
    case 'string':
      return INVARIANT_IN_PLACE;
    case 'vector-selector':
      return expression.timestampMs === undefined ? VARIES : INVARIANT;
    case 'matrix-selector':
      return expression.selector.timestampMs === undefined ? VARIES : INVARIANT_IN_PLACE;
    case 'subquery':
      if (markInvariant(expression.expression, invariant).isInvariant) invariant.add(expression.expression);
      return expression.timestampMs === undefined ? VARIES : INVARIANT_IN_PLACE;
    case 'paren':
    case 'unary':
    case 'aggregate':
      // The parameter of an aggregation does not count upstream, either.
      return markInvariant(expression.expression, invariant);
    case 'binary': {
      const { first, links } = chainOf(expression);
      let left = markInvariant(first, invariant);
      for (const link of links) left = markLink(link, left, invariant);
      return left;
    }
    case 'call':
      return markCall(expression, invariant);
  }
}

/** An operator whose left side has been looked at. */
function markLink(link: BinaryExpression, left: Invariance, invariant: Set<Expression>): Invariance {
  const right = markInvariant(link.right, invariant);
  if (left.isInvariant && right.isInvariant) return INVARIANT;
  if (left.mayWrap) invariant.add(link.left);
  if (right.mayWrap) invariant.add(link.right);
  return VARIES;
}

function markCall(call: CallExpression, invariant: Set<Expression>): Invariance {
  const isInfo = call.func.name === 'info';
  // The second argument of info is read, not evaluated.
  const parts = (isInfo ? call.arguments.slice(0, 1) : call.arguments).map((argument) => ({
    argument,
    ...markInvariant(argument, invariant),
  }));
  const areInvariant = parts.every((part) => part.isInvariant);
  const isBound =
    call.func.name === 'timestamp'
      ? parts[0]?.argument.kind !== 'vector-selector'
      : STEP_BOUND.has(call.func.name) || (isInfo && uniformInfoTime(call.arguments[0]!) === undefined);
  if (areInvariant && !isBound) return INVARIANT;
  for (const { argument, mayWrap } of parts) if (mayWrap) invariant.add(argument);
  return VARIES;
}
