import type { BinaryOperator } from './ast.ts';
import type { TokenKind } from './tokens.ts';

/** How tight powers bind: tighter than a sign, and to the right. */
export const POWER_PRECEDENCE = 6;

const PRECEDENCES: Readonly<Record<BinaryOperator, number>> = {
  or: 1,
  and: 2,
  unless: 2,
  '==': 3,
  '!=': 3,
  '>': 3,
  '<': 3,
  '>=': 3,
  '<=': 3,
  '</': 3,
  '>/': 3,
  '+': 4,
  '-': 4,
  '*': 5,
  '/': 5,
  '%': 5,
  atan2: 5,
  '^': POWER_PRECEDENCE,
};

/** The binary operator that a token is, with how tight it binds; `undefined` when it is none. */
export function binaryPrecedence(kind: TokenKind): { operator: BinaryOperator; precedence: number } | undefined {
  return isBinaryOperator(kind) ? { operator: kind, precedence: PRECEDENCES[kind] } : undefined;
}

function isBinaryOperator(kind: string): kind is BinaryOperator {
  return Object.hasOwn(PRECEDENCES, kind);
}
