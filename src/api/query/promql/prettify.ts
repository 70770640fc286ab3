import type { Expression } from './ast.ts';
import {
  argumentsOf,
  printAggregateHead,
  printBinaryModifiers,
  printExpression,
  printSubqueryTimes,
} from './printer.ts';

/** Bytes of a line before its expression is broken up. */
const LINE_BYTES_MAX = 100;

/**
 * An expression over as many lines as it needs, letter for letter as Prometheus' `format_query` gives it: what fits a line stays on one, all
 * else has its parts on lines of their own, two spaces deeper.
 */
export function prettify(expression: Expression): string {
  return pretty(expression, 0);
}

function pretty(expression: Expression, level: number): string {
  const indent = '  '.repeat(level);
  switch (expression.kind) {
    case 'number':
    case 'string':
    case 'vector-selector':
    case 'matrix-selector':
      return indent + printExpression(expression);
    case 'unary':
      return indent + expression.operator + pretty(expression.expression, level).trim();
    case 'subquery':
      // Upstream forgets to indent a subquery that fits its line.
      if (fitsLine(expression)) return printExpression(expression);
      return pretty(expression.expression, level) + printSubqueryTimes(expression);
    default:
      return fitsLine(expression) ? indent + printExpression(expression) : split(expression, level, indent);
  }
}

type Splittable = Extract<Expression, { kind: 'aggregate' | 'binary' | 'call' | 'paren' }>;

function split(expression: Splittable, level: number, indent: string): string {
  const inner = (part: Expression): string => pretty(part, level + 1);
  switch (expression.kind) {
    case 'aggregate':
      return `${indent}${printAggregateHead(expression)}(\n${argumentsOf(expression).map(inner).join(',\n')}\n${indent})`;
    case 'call':
      return `${indent}${expression.func.name}(\n${expression.arguments.map(inner).join(',\n')}\n${indent})`;
    case 'paren':
      return `${indent}(\n${inner(expression.expression)}\n${indent})`;
    case 'binary': {
      const operator = expression.operator + printBinaryModifiers(expression);
      return `${inner(expression.left)}\n${indent}${operator}\n${inner(expression.right)}`;
    }
  }
}

function fitsLine(expression: Expression): boolean {
  return Buffer.byteLength(printExpression(expression), 'utf8') <= LINE_BYTES_MAX;
}
