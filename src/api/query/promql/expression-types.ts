import type { BinaryExpression, Expression, ValueType } from './ast.ts';

/** What an expression, whose types have been checked, evaluates to. */
export function typeOf(expression: Expression): ValueType {
  switch (expression.kind) {
    case 'number':
      return 'scalar';
    case 'string':
      return 'string';
    case 'vector-selector':
    case 'aggregate':
      return 'vector';
    case 'matrix-selector':
    case 'subquery':
      return 'matrix';
    case 'unary':
    case 'paren':
      return typeOf(expression.expression);
    case 'binary':
      return typeOfBinary(expression);
    case 'call':
      return expression.func.returnType;
  }
}

function typeOfBinary(expression: BinaryExpression): ValueType {
  return typeOf(expression.left) === 'scalar' && typeOf(expression.right) === 'scalar' ? 'scalar' : 'vector';
}
