import type { Expression, SubqueryExpression } from './ast.ts';
import { typeOf } from './expression-types.ts';

/** The time that a selector looks at: `timestampMs - offsetMs`, or the step less the offset. */
export interface ReferenceTime {
  readonly timestampMs: number | undefined;
  readonly offsetMs: number;
}

/**
 * The one time that all vectors under `expression` look at, where `info` looks for its info series, too; undefined when they look at several,
 * or some part of it looks at no series.
 */
export function uniformInfoTime(expression: Expression): ReferenceTime | undefined {
  const found: ReferenceTime[] = [];
  const areSelected = collect(expression, [], found);
  const [first] = found;
  return first !== undefined && areSelected && found.every((time) => isSameTime(time, first)) ? first : undefined;
}

/** Adds the times of all selectors to `found`; false when some vector under `expression` has no selector below it. */
function collect(expression: Expression, outer: readonly SubqueryExpression[], found: ReferenceTime[]): boolean {
  const type = typeOf(expression);
  if (type !== 'vector' && type !== 'matrix') return true;
  if (expression.kind === 'vector-selector') {
    found.push(timeOf(expression, outer));
    return true;
  }
  const inner = expression.kind === 'subquery' ? [...outer, expression] : outer;
  let hasVector = false;
  let areSelected = true;
  for (const child of vectorChildren(expression)) {
    hasVector = true;
    areSelected = collect(child, inner, found) && areSelected;
  }
  return hasVector && areSelected;
}

function timeOf(selector: ReferenceTime, outer: readonly SubqueryExpression[]): ReferenceTime {
  let { timestampMs, offsetMs } = selector;
  // Offsets of the subqueries around it add up, until an @ settles the time.
  for (let depth = outer.length - 1; timestampMs === undefined && depth >= 0; depth--) {
    offsetMs += outer[depth]!.offsetMs;
    timestampMs = outer[depth]!.timestampMs;
  }
  return { timestampMs, offsetMs };
}

function vectorChildren(expression: Expression): Expression[] {
  return childrenOf(expression).filter((child) => ['vector', 'matrix'].includes(typeOf(child)));
}

function childrenOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case 'matrix-selector':
      return [expression.selector];
    case 'subquery':
    case 'paren':
    case 'unary':
      return [expression.expression];
    case 'aggregate':
      return expression.parameter === undefined
        ? [expression.expression]
        : [expression.expression, expression.parameter];
    case 'binary':
      return [expression.left, expression.right];
    case 'call':
      return expression.func.name === 'info' ? expression.arguments.slice(0, 1) : expression.arguments;
    case 'number':
    case 'string':
    case 'vector-selector':
      return [];
  }
}

function isSameTime(left: ReferenceTime, right: ReferenceTime): boolean {
  if (left.timestampMs === undefined || right.timestampMs === undefined)
    return left.timestampMs === right.timestampMs && left.offsetMs === right.offsetMs;
  return left.timestampMs - left.offsetMs === right.timestampMs - right.offsetMs;
}
