import { Buffer } from 'node:buffer';

/** Texts told apart at a time. A text that lands where another is takes its place, so memory stays small however many there are. */
const SLOTS = 8192;
/** Longer ones seldom come again, and looking at each byte takes as long as decoding. */
const LENGTH_MAX = 48;
/** FNV-1a, 32 bits. */
const HASH_BASE = 0x811c9dc5;
const HASH_FACTOR = 0x01000193;
const ASCII_MAX = 0x7f;

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Strings of UTF-8: of texts that come again and again mostly the same string, which is faster than to decode them anew, and is held once. */
export class TextPool {
  readonly #slots: string[] = Array.from({ length: SLOTS }, () => '');

  /** The text of some bytes of a buffer. */
  text(bytes: Buffer, from: number, until: number): string {
    const length = until - from;
    if (length === 0) return '';
    if (length > LENGTH_MAX) return decoder.decode(bytes.subarray(from, until));
    let hash = HASH_BASE;
    let all = 0;
    for (let at = from; at < until; at++) {
      const byte = bytes[at]!;
      all |= byte;
      hash = Math.imul(hash ^ byte, HASH_FACTOR);
    }
    if (all > ASCII_MAX) return decoder.decode(bytes.subarray(from, until));
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const known = this.#slots[slot]!;
    if (isSame(known, bytes, from, length)) return known;
    const text = bytes.toString('latin1', from, until);
    this.#slots[slot] = text;
    return text;
  }
}

function isSame(text: string, bytes: Buffer, from: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let at = 0; at < length; at++) if (text.charCodeAt(at) !== bytes[from + at]) return false;
  return true;
}
