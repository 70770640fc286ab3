import type { Expression, TimeModifiers } from '../../src/api/query/promql/ast.ts';

/** Functions whose result varies with the time of evaluation though their arguments do not. */
const TIME_BOUND = new Set([
  'days_in_month',
  'day_of_month',
  'day_of_week',
  'day_of_year',
  'end',
  'hour',
  'minute',
  'month',
  'year',
  'predict_linear',
  'range',
  'start',
  'step',
  'time',
  'timestamp',
]);

/**
 * The expression with `@ timeMs` on every selector and subquery that has none of its own and lies in no subquery that has; undefined when the result depends on
 * the time of evaluation even so.
 */
export function atTime(expression: Expression, timeMs: number): Expression | undefined {
  let isTimeBound = false;
  const pinned = <T extends TimeModifiers>(node: T): T =>
    node.timestampMs === undefined ? { ...node, timestampMs: timeMs, startOrEnd: undefined } : node;
  const mapped = (node: Expression): Expression => {
    switch (node.kind) {
      case 'number':
      case 'string':
        return node;
      case 'vector-selector':
        return pinned(node);
      case 'matrix-selector':
        return { ...node, selector: pinned(node.selector) };
      case 'subquery':
        // Upstream goes on below a subquery that it has just pinned: the pin stands in the path, so nothing below is touched.
        return pinned(node);
      case 'unary':
      case 'paren':
        return { ...node, expression: mapped(node.expression) };
      case 'binary':
        return { ...node, left: mapped(node.left), right: mapped(node.right) };
      case 'aggregate':
        return {
          ...node,
          expression: mapped(node.expression),
          parameter: node.parameter === undefined ? undefined : mapped(node.parameter),
        };
      case 'call':
        isTimeBound ||= TIME_BOUND.has(node.func.name);
        return { ...node, arguments: node.arguments.map(mapped) };
    }
  };
  const result = mapped(expression);
  return isTimeBound ? undefined : result;
}
