import type { NumberLiteral } from './ast.ts';
import { parseDurationMs, parseNumber } from './numbers.ts';
import type { TokenStream } from './token-stream.ts';

/** A number, or a duration as its seconds. Check `isNumberAhead` before. */
export function parseNumberLiteral(tokens: TokenStream): NumberLiteral {
  const token = tokens.take();
  const range = { start: token.start, end: token.end };
  const isDuration = token.kind === 'duration';
  const parsed = isDuration ? parseDurationMs(token.text) : parseNumber(token.text);
  if ('error' in parsed) tokens.fail(range, parsed.error);
  return { kind: 'number', range, value: isDuration ? secondsOf(parsed.value) : parsed.value, isDuration };
}

/** Whole seconds and the rest apart, as upstream adds them: the sum may be another float than the quotient. */
function secondsOf(ms: number): number {
  return Math.floor(ms / 1000) + ((ms % 1000) * 1e6) / 1e9;
}

export function isNumberAhead(tokens: TokenStream): boolean {
  return tokens.at('number') || tokens.at('duration');
}

/** A number with or without a sign, `undefined` when there is none behind the sign or at all. */
export function parseSignedNumber(tokens: TokenStream): NumberLiteral | undefined {
  const sign = tokens.takeIf('+') ?? tokens.takeIf('-');
  if (!isNumberAhead(tokens)) return undefined;
  const literal = parseNumberLiteral(tokens);
  if (sign === undefined) return literal;
  return {
    ...literal,
    range: { start: sign.start, end: literal.range.end },
    value: sign.kind === '-' ? -literal.value : literal.value,
  };
}
