import { LIMITS } from '../../../base/index.ts';
import type { Expression } from './ast.ts';
import { PromqlParseError } from './parse-error.ts';
import { depthError } from './token-stream.ts';

/** The expressions right inside one, in the order of upstream (the vector of an aggregation before its parameter). */
export function childrenOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case 'number':
    case 'string':
    case 'vector-selector':
      return [];
    case 'matrix-selector':
      return [expression.selector];
    case 'subquery':
    case 'unary':
    case 'paren':
      return [expression.expression];
    case 'binary':
      return [expression.left, expression.right];
    case 'aggregate':
      return expression.parameter === undefined
        ? [expression.expression]
        : [expression.expression, expression.parameter];
    case 'call':
      return expression.arguments;
  }
}

/**
 * Refuses trees that are too deep for those who walk them by recursion. Chains (`a + b + c ...`) make trees deep whose text nests nothing, so
 * the parser cannot tell while it reads.
 */
export function checkDepth(text: string, root: Expression): void {
  let level: readonly Expression[] = [root];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > LIMITS.promqlDepthMax) throw new PromqlParseError(text, level[0]!.range, depthError());
    level = level.flatMap(childrenOf);
  }
}
