import { LIMITS } from '../../../base/index.ts';
import type { BinaryExpression, Expression } from './ast.ts';
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

/** A chain of operators (`a + b + c ...`) from its first operand on: trees are as deep on their left as chains are long, so they are walked without recursion. */
export function chainOf(last: BinaryExpression): { readonly first: Expression; readonly links: BinaryExpression[] } {
  const links: BinaryExpression[] = [];
  let first: Expression = last;
  for (; first.kind === 'binary'; first = first.left) links.push(first);
  return { first, links: links.reverse() };
}

/**
 * Refuses trees that are too deep for those who walk them by recursion. Chains of operators and of subqueries make trees deep whose text nests nothing, so
 * the parser cannot tell while it reads.
 */
export function checkDepth(text: string, root: Expression): void {
  let level: readonly Node[] = [{ expression: root, depth: 1 }];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > LIMITS.promqlChainDepthMax)
      throw new PromqlParseError(text, level[0]!.expression.range, depthError(LIMITS.promqlChainDepthMax));
    const deepest = level.find((node) => node.depth > LIMITS.promqlDepthMax);
    if (deepest !== undefined)
      throw new PromqlParseError(text, deepest.expression.range, depthError(LIMITS.promqlDepthMax));
    level = level.flatMap((node) => childrenOf(node.expression).map((child) => nodeBelow(node, child)));
  }
}

interface Node {
  readonly expression: Expression;
  /** Without the levels of chains. */
  readonly depth: number;
}

function nodeBelow({ expression, depth }: Node, child: Expression): Node {
  const isLink = expression.kind === 'binary' && child === expression.left && child.kind === 'binary';
  return { expression: child, depth: isLink ? depth : depth + 1 };
}
