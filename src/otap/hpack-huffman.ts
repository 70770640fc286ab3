/**
 * The Huffman code of HPACK (RFC 7541, appendix B). It is canonical (codes of one length are consecutive in order of symbol), so
 * the lengths are all there is to know.
 */

/**
 * The text of the Huffman-coded string in `bytes` from `start` to `end` (exclusive), each byte one UTF-16 unit (latin1), or null
 * when it is malformed: the end-of-string symbol inside, or padding that is longer than 7 bits or not all ones (section 5.2).
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string | null {
  const text = Buffer.allocUnsafe(Math.floor(((end - start) * 8) / SHORTEST_CODE_BITS));
  let length = 0;
  let code = 0;
  let codeBits = 0;
  for (let position = start; position < end; position++) {
    const byte = bytes[position]!;
    for (let bit = 7; bit >= 0; bit--) {
      code = (code << 1) | ((byte >> bit) & 1);
      codeBits++;
      const rank = code - FIRST_CODES[codeBits]!;
      if (rank >= COUNTS[codeBits]!) continue;
      const symbol = SYMBOLS[FIRST_RANKS[codeBits]! + rank]!;
      if (symbol === END_OF_STRING) return null;
      text[length++] = symbol;
      code = 0;
      codeBits = 0;
    }
  }
  const isPadded = codeBits < 8 && code === (1 << codeBits) - 1;
  return isPadded ? text.toString('latin1', 0, length) : null;
}

const SHORTEST_CODE_BITS = 5;
const LONGEST_CODE_BITS = 30;
const END_OF_STRING = 256;

/** Bits of the code of each byte, then of the end of string: 16 to a line. */
const CODE_BITS: readonly number[] = `
13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28
28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6
5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10
13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7
7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6
15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5
6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28
20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23
24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23
21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25
19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23
26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
30`
  .trim()
  .split(/\s+/)
  .map(Number);

/** Symbols in order of their codes: by length, then by value. */
const SYMBOLS = CODE_BITS.map((_, symbol) => symbol).sort((a, b) => CODE_BITS[a]! - CODE_BITS[b]! || a - b);
/** By length: how many codes there are, the first of them, and its place in SYMBOLS. */
const COUNTS = new Int32Array(LONGEST_CODE_BITS + 1);
const FIRST_CODES = new Int32Array(LONGEST_CODE_BITS + 1);
const FIRST_RANKS = new Int32Array(LONGEST_CODE_BITS + 1);
for (const bits of CODE_BITS) COUNTS[bits]!++;
for (let bits = 1; bits <= LONGEST_CODE_BITS; bits++) {
  FIRST_CODES[bits] = (FIRST_CODES[bits - 1]! + COUNTS[bits - 1]!) << 1;
  FIRST_RANKS[bits] = FIRST_RANKS[bits - 1]! + COUNTS[bits - 1]!;
}
