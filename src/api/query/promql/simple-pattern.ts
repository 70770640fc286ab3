/**
 * A test for regular expressions that are texts and `.*` or `.+` between them, and alternatives of such: nearly all that people write. Undefined for any other. They
 * match whole values, and `.` every character, as in `regular-expression.ts`; those that are understood here are valid there.
 */
export function simplePatternTest(pattern: string): ((value: string) => boolean) | undefined {
  const alternatives = parse(withoutGroup(pattern));
  if (alternatives === undefined) return undefined;
  const texts = new Set<string>();
  const patterns: Pieces[] = [];
  for (const pieces of alternatives) {
    if (pieces.texts.length === 1) texts.add(pieces.texts[0]!);
    else patterns.push(pieces);
  }
  const [first] = patterns;
  if (first === undefined) return (value) => texts.has(value);
  if (texts.size === 0 && patterns.length === 1) return (value) => matches(first, value);
  return (value) => texts.has(value) || patterns.some((pieces) => matches(pieces, value));
}

/** Texts in their order; between text i and the next any characters, `gaps[i]` of them at least. */
interface Pieces {
  readonly texts: string[];
  readonly gaps: number[];
}

const SPECIAL = /[.+*?()|[\]{}^$]/;
/** Characters of half a code point count as one there. */
const HALF = /[\ud800-\udfff]/;

/** One group around the whole is no more than the whole. */
function withoutGroup(pattern: string): string {
  if (!pattern.startsWith('(') || !pattern.endsWith(')')) return pattern;
  return pattern.slice(pattern.startsWith('(?:') ? 3 : 1, -1);
}

function parse(pattern: string): Pieces[] | undefined {
  if (HALF.test(pattern)) return undefined;
  let current: Pieces = { texts: [''], gaps: [] };
  const alternatives = [current];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]!;
    if (character === '|') {
      current = { texts: [''], gaps: [] };
      alternatives.push(current);
    } else if (character === '.') {
      const repeat = pattern[++at];
      // Characters are counted in halves here, so that a gap behind a gap could begin amid one.
      const isBehindGap = current.texts.length > 1 && current.texts.at(-1) === '';
      if ((repeat !== '*' && repeat !== '+') || isBehindGap) return undefined;
      current.gaps.push(repeat === '+' ? 1 : 0);
      current.texts.push('');
    } else if (character === '\\') {
      const escaped = pattern[++at];
      // Letters and digits behind a backslash are classes of characters and the like.
      if (escaped === undefined || !/[!-/:-@[-`{-~]/.test(escaped)) return undefined;
      current.texts[current.texts.length - 1]! += escaped;
    } else if (SPECIAL.test(character)) return undefined;
    else current.texts[current.texts.length - 1]! += character;
  }
  return alternatives;
}

function matches({ texts, gaps }: Pieces, value: string): boolean {
  const last = texts.length - 1;
  if (!value.startsWith(texts[0]!) || !value.endsWith(texts[last]!)) return false;
  const end = value.length - texts[last]!.length;
  let at = texts[0]!.length;
  for (let piece = 1; piece < last; piece++) {
    // The earliest place leaves most room for what follows.
    const from = at + gaps[piece - 1]!;
    const found = from > end ? -1 : value.indexOf(texts[piece]!, from);
    if (found === -1) return false;
    at = found + texts[piece]!.length;
  }
  return at + gaps[last - 1]! <= end;
}
