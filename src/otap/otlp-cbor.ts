import { ANY_VALUE, MergedValueReader } from './otlp-merged-value.ts';
import { isValidText, type RepairCount, repairText } from './otlp-strings.ts';
import type { OtlpWire } from './otlp-wire.ts';

const BYTES_INITIAL = 1024;
/** An initial byte and an argument of 8 bytes. */
const HEAD_BYTES_MAX = 9;
const MAJOR = { UNSIGNED: 0x00, NEGATIVE: 0x20, BYTES: 0x40, TEXT: 0x60, ARRAY: 0x80, MAP: 0xa0 } as const;
const SIMPLE = { FALSE: 0xf4, TRUE: 0xf5, NULL: 0xf6, DOUBLE: 0xfb } as const;
/** Field number of the elements of ArrayValue and KeyValueList. */
const ELEMENT = 1;
const KEY = 1;
const VALUE = 2;

/**
 * Writes arrays and maps as CBOR (RFC 8949) one behind the other: definite lengths, keys in the order of the wire, numbers exact,
 * null for no value. Invalid UTF-8 is repaired and counted.
 */
export class OtlpCborWriter {
  readonly #wire: OtlpWire;
  readonly #repairs: RepairCount;
  readonly #values: MergedValueReader;
  #buffer = new Uint8Array(BYTES_INITIAL);
  #length = 0;

  constructor(wire: OtlpWire, repairs: RepairCount, values: MergedValueReader) {
    this.#wire = wire;
    this.#repairs = repairs;
    this.#values = values;
  }

  /** What was written so far. A view: valid until the next write. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  get length(): number {
    return this.#length;
  }

  /** Writes the array or map whose pieces are on the stack from `from` to `to`. */
  writeContainer(member: number, from: number, to: number): void {
    const { pieces } = this.#values;
    const wire = this.#wire;
    let count = 0;
    for (let piece = from; piece < to; piece += 2) {
      const end = pieces[piece + 1]!;
      wire.at = pieces[piece]!;
      while (wire.at < end) {
        const tag = wire.tag();
        if (tag >>> 3 === ELEMENT) count++;
        wire.skip(tag);
      }
    }
    this.#head(member === ANY_VALUE.ARRAY ? MAJOR.ARRAY : MAJOR.MAP, count);
    for (let piece = from; piece < to; piece += 2) {
      // The stack may move while elements are written.
      const end = this.#values.pieces[piece + 1]!;
      wire.at = this.#values.pieces[piece]!;
      while (wire.at < end) {
        const tag = wire.tag();
        if (tag >>> 3 !== ELEMENT) {
          wire.skip(tag);
          continue;
        }
        const elementEnd = wire.valueEnd();
        if (member === ANY_VALUE.ARRAY) this.#element(wire.at, elementEnd);
        else this.#entry(wire.at, elementEnd);
        wire.at = elementEnd;
      }
    }
  }

  #element(start: number, end: number): void {
    const base = this.#values.top;
    this.#values.push(start, end);
    this.#value(base);
    this.#values.top = base;
  }

  #entry(start: number, end: number): void {
    const wire = this.#wire;
    const base = this.#values.top;
    let keyStart = start;
    let keyEnd = start;
    wire.at = start;
    while (wire.at < end) {
      const tag = wire.tag();
      if (tag >>> 3 === KEY) {
        keyEnd = wire.valueEnd();
        keyStart = wire.at;
        wire.at = keyEnd;
      } else if (tag >>> 3 === VALUE) {
        const valueEnd = wire.valueEnd();
        this.#values.push(wire.at, valueEnd);
        wire.at = valueEnd;
      } else {
        wire.skip(tag);
      }
    }
    this.#text(keyStart, keyEnd);
    this.#value(base);
    this.#values.top = base;
  }

  /** The AnyValue whose pieces are on top of the stack, from `base`. */
  #value(base: number): void {
    const values = this.#values;
    const wire = this.#wire;
    const end = values.top;
    values.resolve(base, end);
    const { member, valueAt, valueEnd } = values;
    wire.at = valueAt;
    switch (member) {
      case ANY_VALUE.STRING:
        this.#text(valueAt, valueEnd);
        break;
      case ANY_VALUE.BOOL:
        this.#byte(wire.bool() ? SIMPLE.TRUE : SIMPLE.FALSE);
        break;
      case ANY_VALUE.INT:
        wire.int64();
        this.#integer(wire.low, wire.high);
        break;
      case ANY_VALUE.DOUBLE:
        this.#double(valueAt);
        break;
      case ANY_VALUE.ARRAY:
      case ANY_VALUE.KVLIST:
        this.writeContainer(member, end, values.top);
        break;
      case ANY_VALUE.BYTES:
        this.#string(MAJOR.BYTES, wire.bytes, valueAt, valueEnd);
        break;
      default:
        this.#byte(SIMPLE.NULL);
    }
  }

  #text(start: number, end: number): void {
    const { bytes } = this.#wire;
    if (isValidText(bytes, start, end)) {
      this.#string(MAJOR.TEXT, bytes, start, end);
    } else {
      const repaired = repairText(bytes, start, end);
      this.#repairs.repairedStrings++;
      this.#string(MAJOR.TEXT, repaired, 0, repaired.length);
    }
  }

  #string(major: number, source: Uint8Array, start: number, end: number): void {
    this.#head(major, end - start);
    this.#reserve(end - start);
    this.#buffer.set(source.subarray(start, end), this.#length);
    this.#length += end - start;
  }

  #integer(low: number, high: number): void {
    const isNegative = high >>> 31 === 1;
    const major = isNegative ? MAJOR.NEGATIVE : MAJOR.UNSIGNED;
    // -1 - n has the bits of n turned over.
    const lowBits = (isNegative ? ~low : low) >>> 0;
    const highBits = (isNegative ? ~high : high) >>> 0;
    if (highBits === 0) {
      this.#head(major, lowBits);
      return;
    }
    this.#byte(major | 27);
    this.#word(highBits);
    this.#word(lowBits);
  }

  #double(start: number): void {
    this.#byte(SIMPLE.DOUBLE);
    this.#reserve(8);
    const { bytes } = this.#wire;
    for (let at = start + 7; at >= start; at--) this.#buffer[this.#length++] = bytes[at]!;
  }

  /** An initial byte with an argument below 2^32. */
  #head(major: number, argument: number): void {
    this.#reserve(HEAD_BYTES_MAX);
    if (argument < 24) {
      this.#buffer[this.#length++] = major | argument;
    } else if (argument < 0x100) {
      this.#buffer[this.#length++] = major | 24;
      this.#buffer[this.#length++] = argument;
    } else if (argument < 0x10000) {
      this.#buffer[this.#length++] = major | 25;
      this.#buffer[this.#length++] = argument >>> 8;
      this.#buffer[this.#length++] = argument & 0xff;
    } else {
      this.#buffer[this.#length++] = major | 26;
      this.#word(argument);
    }
  }

  #word(value: number): void {
    this.#reserve(4);
    this.#buffer[this.#length++] = value >>> 24;
    this.#buffer[this.#length++] = (value >>> 16) & 0xff;
    this.#buffer[this.#length++] = (value >>> 8) & 0xff;
    this.#buffer[this.#length++] = value & 0xff;
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#buffer.length));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}
