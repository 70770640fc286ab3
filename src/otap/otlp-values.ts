/** AnyValue columns while they are filled: log bodies, and the values of attributes. */
import { type BytesColumn, type ValueColumns, VALUE_TYPES } from './canonical.ts';
import { U8Filler, WordsFiller } from './otlp-columns.ts';
import { OtlpCborWriter } from './otlp-cbor.ts';
import type { OtlpFill } from './otlp-fill.ts';
import { ANY_VALUE, MergedValueReader } from './otlp-merged-value.ts';
import { StringFiller } from './otlp-strings.ts';
import type { OtlpWire } from './otlp-wire.ts';

export class ValueFiller {
  readonly #fill: OtlpFill;
  readonly #wire: OtlpWire;
  readonly #capacity: number;
  readonly #type: Uint8Array;
  readonly #str: StringFiller;
  readonly #int: WordsFiller;
  readonly #double: WordsFiller;
  readonly #bool: U8Filler;
  readonly #bytes: StringFiller;
  #serialized: SerializedFiller | null = null;

  constructor(fill: OtlpFill, capacity: number) {
    this.#fill = fill;
    this.#wire = fill.wire;
    this.#capacity = capacity;
    this.#type = new Uint8Array(capacity);
    this.#str = new StringFiller(fill.wire.bytes, capacity);
    this.#int = new WordsFiller(capacity);
    this.#double = new WordsFiller(capacity);
    this.#bool = new U8Filler(capacity);
    this.#bytes = new StringFiller(fill.wire.bytes, capacity);
  }

  /** Reads the AnyValue from `start` to `end` into a row that has none yet. */
  read(row: number, start: number, end: number): void {
    if (start === end) return;
    const wire = this.#wire;
    wire.at = start;
    const number = wire.tag() >>> 3;
    switch (number) {
      case ANY_VALUE.STRING: {
        const valueEnd = wire.valueEnd();
        if (valueEnd !== end) break;
        this.#type[row] = VALUE_TYPES.STR;
        this.#str.set(row, wire.at, end);
        return;
      }
      case ANY_VALUE.INT:
        wire.int64();
        if (wire.at !== end) break;
        this.#type[row] = VALUE_TYPES.INT;
        this.#int.set(row, wire.low, wire.high);
        return;
      case ANY_VALUE.DOUBLE:
        wire.fixed64();
        if (wire.at !== end) break;
        this.#type[row] = VALUE_TYPES.DOUBLE;
        this.#double.set(row, wire.low, wire.high);
        return;
      case ANY_VALUE.BOOL: {
        const isTrue = wire.bool();
        if (wire.at !== end) break;
        this.#type[row] = VALUE_TYPES.BOOL;
        this.#bool.set(row, isTrue ? 1 : 0);
        return;
      }
      default:
    }
    const { values } = this.#serializedFiller();
    values.push(start, end);
    this.#readPieces(row, values);
  }

  /** Reads the AnyValue that is field `number` of the message from `start` to `end`, several times. */
  readOccurrences(row: number, number: number, start: number, end: number): void {
    const { values } = this.#serializedFiller();
    values.pushOccurrences(number, start, end);
    this.#readPieces(row, values);
  }

  /** Whether any of the rows has a value. */
  hasValues(rowCount: number): boolean {
    return this.#type.subarray(0, rowCount).some((type) => type !== VALUE_TYPES.EMPTY);
  }

  finish(rowCount: number): ValueColumns {
    const { repairs } = this.#fill;
    return {
      type: this.#type.subarray(0, rowCount),
      str: this.#str.finishText(rowCount, repairs),
      int: this.#int.finishSigned(rowCount),
      double: this.#double.finishDouble(rowCount),
      bool: this.#bool.finish(rowCount),
      bytes: this.#bytes.finishBytes(rowCount),
      ser: this.#serialized?.finish(rowCount) ?? null,
    };
  }

  /** Reads the value whose pieces are all that is on the stack. */
  #readPieces(row: number, values: MergedValueReader): void {
    const end = values.top;
    values.resolve(0, end);
    const { member, valueAt, valueEnd } = values;
    const wire = this.#wire;
    wire.at = valueAt;
    switch (member) {
      case ANY_VALUE.STRING:
        this.#type[row] = VALUE_TYPES.STR;
        this.#str.set(row, valueAt, valueEnd);
        break;
      case ANY_VALUE.BOOL:
        this.#type[row] = VALUE_TYPES.BOOL;
        this.#bool.set(row, wire.bool() ? 1 : 0);
        break;
      case ANY_VALUE.INT:
        wire.int64();
        this.#type[row] = VALUE_TYPES.INT;
        this.#int.set(row, wire.low, wire.high);
        break;
      case ANY_VALUE.DOUBLE:
        wire.fixed64();
        this.#type[row] = VALUE_TYPES.DOUBLE;
        this.#double.set(row, wire.low, wire.high);
        break;
      case ANY_VALUE.ARRAY:
      case ANY_VALUE.KVLIST:
        this.#type[row] = member === ANY_VALUE.ARRAY ? VALUE_TYPES.SLICE : VALUE_TYPES.MAP;
        this.#serializedFiller().write(row, member, end);
        break;
      case ANY_VALUE.BYTES:
        this.#type[row] = VALUE_TYPES.BYTES;
        this.#bytes.set(row, valueAt, valueEnd);
        break;
      default:
    }
    values.top = 0;
  }

  #serializedFiller(): SerializedFiller {
    this.#serialized ??= new SerializedFiller(this.#fill, this.#capacity);
    return this.#serialized;
  }
}

/** Maps and slices as CBOR: a pool of its own, entry 0 empty. */
class SerializedFiller {
  readonly values: MergedValueReader;
  readonly #writer: OtlpCborWriter;
  readonly #capacity: number;
  #offsets: Uint32Array | null = null;
  #indices: Uint32Array | null = null;
  #length = 1;

  constructor({ wire, repairs }: OtlpFill, capacity: number) {
    this.values = new MergedValueReader(wire);
    this.#writer = new OtlpCborWriter(wire, repairs, this.values);
    this.#capacity = capacity;
  }

  /** Writes the array or map whose pieces are on the stack from `from` to its top. */
  write(row: number, member: number, from: number): void {
    this.#offsets ??= new Uint32Array(this.#capacity + 2);
    this.#indices ??= new Uint32Array(this.#capacity);
    this.#writer.writeContainer(member, from, this.values.top);
    this.#indices[row] = this.#length++;
    this.#offsets[this.#length] = this.#writer.length;
  }

  finish(rowCount: number): BytesColumn | null {
    if (this.#offsets === null || this.#indices === null) return null;
    const offsets = this.#offsets.subarray(0, this.#length + 1);
    const pool = { bytes: this.#writer.bytes, offsets, length: this.#length };
    return { kind: 'binary', pool, indices: this.#indices.subarray(0, rowCount), validity: null };
  }
}
