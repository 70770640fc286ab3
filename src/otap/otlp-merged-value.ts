import type { OtlpWire } from './otlp-wire.ts';

/** Field numbers of AnyValue's oneof; NONE when no member is set. */
export const ANY_VALUE = { NONE: 0, STRING: 1, BOOL: 2, INT: 3, DOUBLE: 4, ARRAY: 5, KVLIST: 6, BYTES: 7 } as const;

/** Pieces of a message whose field occurred several times: two words each on a stack that all nesting levels share. */
const PIECES_INITIAL = 64;

/**
 * Reads AnyValues of any form, as protobuf merges them: a message that comes in pieces is the fields of all pieces one after the
 * other, the last member of the oneof counts, and of arrays and maps that follow each other all elements do. Pieces are
 * kept as pairs (start, end) on a stack: a level pushes, reads and pops. Nothing is copied.
 */
export class MergedValueReader {
  readonly wire: OtlpWire;
  /** Starts and ends of pieces, in turns. */
  pieces = new Uint32Array(PIECES_INITIAL);
  /** Words of `pieces` in use. */
  top = 0;
  /** The member that `resolve` found: ANY_VALUE. */
  member = 0;
  /** Where the value of a scalar member begins: behind the tag, and for strings and bytes behind the length. */
  valueAt = 0;
  /** End of a string or bytes. */
  valueEnd = 0;

  constructor(wire: OtlpWire) {
    this.wire = wire;
  }

  /** Puts a piece on the stack; empty ones say nothing. */
  push(start: number, end: number): void {
    if (start === end) return;
    if (this.top === this.pieces.length) {
      const grown = new Uint32Array(2 * this.pieces.length);
      grown.set(this.pieces);
      this.pieces = grown;
    }
    this.pieces[this.top++] = start;
    this.pieces[this.top++] = end;
  }

  /** Pushes the content of each occurrence of the singular message field `number` in `start` to `end`. */
  pushOccurrences(number: number, start: number, end: number): void {
    const { wire } = this;
    wire.at = start;
    while (wire.at < end) {
      const tag = wire.tag();
      if (tag >>> 3 === number) {
        const valueEnd = wire.valueEnd();
        this.push(wire.at, valueEnd);
        wire.at = valueEnd;
      } else {
        wire.skip(tag);
      }
    }
  }

  /**
   * Finds the member that counts in the AnyValue whose pieces are on the stack from `from` to `to`. For an array or map the pieces
   * of its content are on the stack from `to` to `top` then.
   */
  resolve(from: number, to: number): void {
    const { wire } = this;
    this.member = ANY_VALUE.NONE;
    for (let piece = from; piece < to; piece += 2) {
      const end = this.pieces[piece + 1]!;
      wire.at = this.pieces[piece]!;
      while (wire.at < end) this.#take(wire.tag(), to);
    }
  }

  #take(tag: number, base: number): void {
    const { wire } = this;
    const number = tag >>> 3;
    if (number < ANY_VALUE.STRING || number > ANY_VALUE.BYTES) {
      wire.skip(tag);
      return;
    }
    if (number !== this.member) this.top = base;
    this.member = number;
    if (number === ANY_VALUE.BOOL || number === ANY_VALUE.INT || number === ANY_VALUE.DOUBLE) {
      this.valueAt = wire.at;
      wire.skip(tag);
      return;
    }
    this.valueEnd = wire.valueEnd();
    this.valueAt = wire.at;
    if (number === ANY_VALUE.ARRAY || number === ANY_VALUE.KVLIST) this.push(this.valueAt, this.valueEnd);
    wire.at = this.valueEnd;
  }
}
