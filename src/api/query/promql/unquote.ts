import { assert } from '../../../base/index.ts';
import { textOfBytes } from './stray-bytes.ts';

/**
 * The text that a string of PromQL stands for. `literal` carries its quotes (one of `"`, `'` and the backquote) and was accepted by the lexer, so
 * every escape in it is whole. Escapes of bytes (`\xff`, `\377`) that together are no UTF-8 become stray bytes (stray-bytes.ts).
 */
export function unquote(literal: string): string {
  const inner = literal.slice(1, -1);
  if (literal.startsWith('`') || !inner.includes('\\')) return inner;
  const pieces: Buffer[] = [];
  for (let at = 0; at < inner.length; ) {
    if (inner[at] !== '\\') {
      const next = inner.indexOf('\\', at);
      const end = next === -1 ? inner.length : next;
      pieces.push(Buffer.from(inner.slice(at, end), 'utf8'));
      at = end;
      continue;
    }
    const escape = readEscape(inner, at + 1);
    pieces.push(escape.bytes);
    at = escape.end;
  }
  return textOfBytes(Buffer.concat(pieces));
}

const SINGLE: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 };

/** Digits that follow a letter, for escapes by number. */
const HEXADECIMAL_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** Reads what stands behind a backslash. */
function readEscape(text: string, at: number): { bytes: Buffer; end: number } {
  const letter = text[at];
  assert(letter !== undefined, 'a string ends in no half of an escape');
  const single = SINGLE[letter];
  if (single !== undefined) return { bytes: Buffer.from([single]), end: at + 1 };
  const digits = HEXADECIMAL_DIGITS[letter];
  if (digits !== undefined) {
    const end = at + 1 + digits;
    const code = Number.parseInt(text.slice(at + 1, end), 16);
    return { bytes: letter === 'x' ? Buffer.from([code]) : Buffer.from(String.fromCodePoint(code), 'utf8'), end };
  }
  if (letter >= '0' && letter <= '7') {
    return { bytes: Buffer.from([Number.parseInt(text.slice(at, at + 3), 8)]), end: at + 3 };
  }
  return { bytes: Buffer.from(letter, 'utf8'), end: at + 1 };
}
