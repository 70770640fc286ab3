import { isDigit, isNamePart } from './characters.ts';

/** A place in a text that moves on over whole characters; what a lexer reads with. Offsets are UTF-16. */
export class TextCursor {
  readonly text: string;
  position: number;

  constructor(text: string, position = 0) {
    this.text = text;
    this.position = position;
  }

  /** The character ahead, surrogate pairs whole, `undefined` at the end. */
  peek(): string | undefined {
    const code = this.text.codePointAt(this.position);
    if (code === undefined) return undefined;
    return code > 0xffff ? String.fromCodePoint(code) : this.text[this.position];
  }

  /** Takes the character ahead. */
  next(): string | undefined {
    const character = this.peek();
    if (character !== undefined) this.position += character.length;
    return character;
  }

  /** Takes the character ahead if it is one of `characters`. */
  accept(characters: string): boolean {
    const character = this.text[this.position];
    if (character === undefined || !characters.includes(character)) return false;
    this.position += 1;
    return true;
  }

  /** Whether the character ahead is one of `characters`. */
  isAt(characters: string): boolean {
    const character = this.text[this.position];
    return character !== undefined && characters.includes(character);
  }

  /** Takes characters while they are what `isWanted` says. */
  acceptWhile(isWanted: (character: string | undefined) => boolean): void {
    while (this.position < this.text.length && isWanted(this.text[this.position])) this.position += 1;
  }

  atEnd(): boolean {
    return this.position >= this.text.length;
  }
}

const DECIMAL = '0123456789';
const HEXADECIMAL = '0123456789abcdefABCDEF';

/** How numbers of series descriptions differ: no hexadecimal ones, and an `x` may follow (it repeats the value). */
export interface NumberRules {
  readonly isSeries: boolean;
}

/**
 * Moves over what looks like a number and tells whether it may be one; `parseNumber` judges the rest. After false the cursor stands where the
 * look of a number ended, so that a duration can go on from there.
 */
export function scanNumber(cursor: TextCursor, rules: NumberRules): boolean {
  const start = cursor.position;
  let digits = DECIMAL;
  if (!rules.isSeries && cursor.accept('0') && cursor.accept('xX')) {
    cursor.accept('_');
    digits = HEXADECIMAL;
  }
  cursor.accept('.');
  cursor.accept(digits);
  if (!scanNumberRest(cursor, digits) || cursor.position === start) return false;
  if (rules.isSeries && cursor.isAt('x')) return true;
  return !isNamePart(cursor.peek());
}

/** Digits, one dot, one exponent and separators, in the places where they may stand. */
function scanNumberRest(cursor: TextCursor, digits: string): boolean {
  let hasDot = false;
  let hasExponent = false;
  while (cursor.isAt(`${digits}._eE`)) {
    if (cursor.accept('.')) {
      if (hasDot || cursor.accept('_.') || digits === HEXADECIMAL) return false;
      hasDot = true;
    } else if (cursor.accept('eE')) {
      // An `e` of a hexadecimal number counts as an exponent too: so upstream reads it.
      if (hasExponent) return false;
      hasExponent = true;
      cursor.accept('+-');
      if (cursor.accept('._eE') || cursor.atEnd()) return false;
    } else if (cursor.accept('_')) {
      if (cursor.accept('._eE') || cursor.atEnd()) return false;
    } else {
      cursor.acceptWhile((character) => character !== undefined && digits.includes(character));
    }
  }
  return true;
}

/** Goes on behind digits over the units and digits of a duration; `parseDuration` judges their order. */
export function scanDurationRest(cursor: TextCursor): boolean {
  if (!cursor.accept('smhdwy')) return false;
  cursor.accept('s');
  while (isDigit(cursor.peek())) {
    cursor.acceptWhile(isDigit);
    if (!cursor.accept('smhdw')) return false;
    cursor.accept('s');
  }
  if (!isNamePart(cursor.peek())) return true;
  // Errors show the character that is too much.
  cursor.next();
  return false;
}
