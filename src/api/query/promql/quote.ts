import { isUtf8, strayByte } from './stray-bytes.ts';

/**
 * Text in double quotes as Go's `%q` writes it: what cannot be printed becomes an escape. PromQL reads it back as the same text.
 */
export function quoteText(text: string): string {
  let quoted = '"';
  for (const character of text) quoted += character === '"' ? '\\"' : escapeCharacter(character);
  return `${quoted}"`;
}

/** One character in single quotes as Go's `%q` writes it; `undefined`, the end of the text, as U+FFFD. */
export function quoteCharacter(character: string | undefined): string {
  if (character === undefined) return "'\uFFFD'";
  return character === "'" ? "'\\''" : `'${escapeCharacter(character)}'`;
}

/** `U+0041 'A'`: a character as Go's `%#U` writes it, without the letter where it cannot be printed. */
export function nameCharacter(character: string): string {
  const code = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
  return isPrintable(character) ? `U+${code} '${character}'` : `U+${code}`;
}

const NAMED_ESCAPES: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
};

function escapeCharacter(character: string): string {
  const named = NAMED_ESCAPES[character];
  if (named !== undefined) return named;
  if (isPrintable(character)) return character;
  const code = character.codePointAt(0)!;
  const stray = strayByte(character);
  if (stray !== undefined) return `\\x${stray.toString(16)}`;
  if (!isUtf8(character)) return '\uFFFD';
  if (code < 0x20 || code === 0x7f) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}

/** Letters, marks, numbers, punctuation, symbols and the space of ASCII, as Go counts them. */
function isPrintable(character: string): boolean {
  return character === ' ' || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character);
}
