/** Characters and bytes of JSON text: tables for the reader, and pieces of text for messages. */

/** Marks bytes in HEX_VALUES that are no hex digit. */
export const NOT_HEX = 0xff;

/** The value of a hex digit in either case, by its byte. */
export const HEX_VALUES: Uint8Array = new Uint8Array(256).fill(NOT_HEX);
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16);
  HEX_VALUES[digit.charCodeAt(0)] = value;
  HEX_VALUES[digit.toUpperCase().charCodeAt(0)] = value;
}

/** What a name or a value from the wire is cut to in a message: enough to find it. */
const EXCERPT_BYTES_MAX = 64;
const FIRST_PRINTABLE = 0x20;
const LAST_PRINTABLE = 0x7e;
const ZERO = 0x30;
const NINE = 0x39;

/** 1 for each of the characters in `characters`, by their bytes. */
export function byteSet(characters: string): Uint8Array {
  const set = new Uint8Array(256);
  for (const character of characters) set[character.charCodeAt(0)] = 1;
  return set;
}

/** Whether a byte is one of 0 to 9. */
export function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

/** The beginning of a text. */
export function shorten(text: Buffer, start: number, end: number): string {
  const shown = text.toString('utf8', start, Math.min(end, start + EXCERPT_BYTES_MAX));
  return end - start > EXCERPT_BYTES_MAX ? `${shown}…` : shown;
}

/** A byte for messages. */
export function describeByte(byte: number): string {
  if (byte > FIRST_PRINTABLE && byte <= LAST_PRINTABLE) return String.fromCharCode(byte);
  return `byte 0x${byte.toString(16).padStart(2, '0')}`;
}

/** Whether a UTF-16 code unit is half of a pair. */
export function isSurrogate(unit: number): boolean {
  return (unit & 0xf800) === 0xd800;
}

/** Whether it is the half that comes first. */
export function isHighSurrogate(unit: number): boolean {
  return (unit & 0xfc00) === 0xd800;
}

/** The character of a pair. */
export function joinSurrogates(high: number, low: number): number {
  return 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
}

/** Writes a character to `bytes` in UTF-8; returns where it ends. */
export function putUtf8(bytes: Uint8Array, start: number, character: number): number {
  let at = start;
  if (character < 0x80) {
    bytes[at++] = character;
  } else if (character < 0x800) {
    bytes[at++] = 0xc0 | (character >>> 6);
    bytes[at++] = 0x80 | (character & 0x3f);
  } else if (character < 0x10000) {
    bytes[at++] = 0xe0 | (character >>> 12);
    bytes[at++] = 0x80 | ((character >>> 6) & 0x3f);
    bytes[at++] = 0x80 | (character & 0x3f);
  } else {
    bytes[at++] = 0xf0 | (character >>> 18);
    bytes[at++] = 0x80 | ((character >>> 12) & 0x3f);
    bytes[at++] = 0x80 | ((character >>> 6) & 0x3f);
    bytes[at++] = 0x80 | (character & 0x3f);
  }
  return at;
}
