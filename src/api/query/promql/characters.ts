/** Kinds of characters as PromQL knows them; all of ASCII. Every one is false for `undefined`, the end of the text. */
export function isSpace(character: string | undefined): boolean {
  return character === ' ' || character === '\t' || character === '\n' || character === '\r';
}

export function isDigit(character: string | undefined): boolean {
  return character !== undefined && character >= '0' && character <= '9';
}

/** A letter or `_`: what a name may begin with. */
export function isNameStart(character: string | undefined): boolean {
  if (character === undefined) return false;
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') || character === '_';
}

/** What a name may go on with. */
export function isNamePart(character: string | undefined): boolean {
  return isNameStart(character) || isDigit(character);
}

/** Whether a label can stand without quotes. */
export function isPlainName(name: string): boolean {
  return /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name);
}
