/** AnyValues and attributes as OTLP messages. */
import { BatchMalformedError } from '../base/index.ts';
import { type AttributesTable, type BoolColumn, type ValueColumns, VALUE_TYPES } from './canonical.ts';
import { type CborValue, decodeCbor } from './cbor.ts';
import { cborKeyText, isArray } from './cbor-json.ts';
import { ChildRows } from './child-rows.ts';
import { putText, putTextMember, tagOf, TextSource, Words } from './otlp-encode-fields.ts';
import type { BackwardOutput } from './protobuf-backward-output.ts';

const ANY_VALUE = {
  STRING: tagOf(1, 'BYTES'),
  BOOL: tagOf(2, 'VARINT'),
  INT: tagOf(3, 'VARINT'),
  DOUBLE: tagOf(4, 'FIXED64'),
  ARRAY: tagOf(5, 'BYTES'),
  KVLIST: tagOf(6, 'BYTES'),
  BYTES: tagOf(7, 'BYTES'),
} as const;
/** Of ArrayValue and KeyValueList. */
const ELEMENT = tagOf(1, 'BYTES');
const KEY = tagOf(1, 'BYTES');
const VALUE = tagOf(2, 'BYTES');

/** The values of some columns as contents of AnyValues. */
export class ValueEncoder {
  readonly #output: BackwardOutput;
  readonly #type: Uint8Array;
  readonly #str: TextSource | null;
  readonly #int: Words | null;
  readonly #double: Words | null;
  readonly #bool: BoolColumn | null;
  readonly #bytes: TextSource | null;
  readonly #ser: TextSource | null;

  constructor(output: BackwardOutput, columns: ValueColumns) {
    this.#output = output;
    this.#type = columns.type;
    this.#str = TextSource.of(columns.str);
    this.#int = Words.of(columns.int);
    this.#double = Words.of(columns.double);
    this.#bool = columns.bool;
    this.#bytes = TextSource.of(columns.bytes);
    this.#ser = TextSource.of(columns.ser);
  }

  isEmpty(row: number): boolean {
    return this.#type[row] === VALUE_TYPES.EMPTY;
  }

  /** Nothing for a row without a value. */
  put(row: number): void {
    const output = this.#output;
    switch (this.#type[row]) {
      case VALUE_TYPES.STR:
        putTextMember(output, ANY_VALUE.STRING, this.#str, row);
        return;
      case VALUE_TYPES.INT:
        if (this.#int === null) output.putVarint(0);
        else output.putVarint64(this.#int.halves[2 * row + 1]!, this.#int.halves[2 * row]!);
        output.putVarint(ANY_VALUE.INT);
        return;
      case VALUE_TYPES.DOUBLE:
        if (this.#double === null) output.putFixed64(0, 0);
        else output.putFixed64(this.#double.halves[2 * row + 1]!, this.#double.halves[2 * row]!);
        output.putVarint(ANY_VALUE.DOUBLE);
        return;
      case VALUE_TYPES.BOOL:
        output.putVarint(this.#bool === null || this.#bool.values[row] === 0 ? 0 : 1);
        output.putVarint(ANY_VALUE.BOOL);
        return;
      case VALUE_TYPES.BYTES:
        putTextMember(output, ANY_VALUE.BYTES, this.#bytes, row);
        return;
      case VALUE_TYPES.MAP:
        this.#putSerialized(row, ANY_VALUE.KVLIST);
        return;
      case VALUE_TYPES.SLICE:
        this.#putSerialized(row, ANY_VALUE.ARRAY);
        return;
      default:
    }
  }

  /** What is not CBOR goes out as the bytes that it is; no bytes are an empty map or array, by `tag`. */
  #putSerialized(row: number, tag: number): void {
    const source = this.#ser;
    const entry = source === null ? -1 : source.entry(row);
    const start = entry < 0 ? 0 : source!.offsets[entry]!;
    const end = entry < 0 ? 0 : source!.offsets[entry + 1]!;
    if (start === end) {
      this.#output.putVarint(0);
      this.#output.putVarint(tag);
      return;
    }
    let value: CborValue;
    try {
      value = decodeCbor(source!.bytes.subarray(start, end));
    } catch (error) {
      if (!(error instanceof BatchMalformedError)) throw error;
      putTextMember(this.#output, ANY_VALUE.BYTES, source, row);
      return;
    }
    putCbor(this.#output, value);
  }
}

/** An attributes table as lists of KeyValues. */
export class AttributesEncoder {
  readonly #output: BackwardOutput;
  readonly #children: ChildRows;
  readonly #key: TextSource | null;
  readonly #values: ValueEncoder;

  private constructor(output: BackwardOutput, table: AttributesTable) {
    this.#output = output;
    this.#children = ChildRows.of(table);
    this.#key = TextSource.of(table.key);
    this.#values = new ValueEncoder(output, table);
  }

  static of(output: BackwardOutput, table: AttributesTable | null): AttributesEncoder | null {
    return table === null ? null : new AttributesEncoder(output, table);
  }

  /** Attributes that no row came for. */
  get orphanRows(): number {
    return this.#children.untakenRows;
  }

  /** The attributes of a parent; a negative id has none. */
  put(tag: number, parent: number): void {
    const children = this.#children;
    if (!children.take(parent)) return;
    const output = this.#output;
    const { rows, from } = children;
    for (let i = children.to - 1; i >= from; i--) {
      const row = rows[i]!;
      const before = output.length;
      this.#values.put(row);
      output.close(before, VALUE);
      putText(output, KEY, this.#key, row);
      output.close(before, tag);
    }
  }
}

const INT64_MAX = 2n ** 63n - 1n;
const LOW_WORD = 0xffff_ffffn;

/** A decoded value as the content of an AnyValue. An integer that 64 bits do not hold becomes its decimal digits. */
function putCbor(output: BackwardOutput, value: CborValue): void {
  if (value === null) return;
  switch (typeof value) {
    case 'string':
      putString(output, ANY_VALUE.STRING, value);
      return;
    case 'number':
      output.putDouble(value);
      output.putVarint(ANY_VALUE.DOUBLE);
      return;
    case 'boolean':
      output.putVarint(value ? 1 : 0);
      output.putVarint(ANY_VALUE.BOOL);
      return;
    case 'bigint':
      if (value > INT64_MAX || value < -INT64_MAX - 1n) {
        putString(output, ANY_VALUE.STRING, String(value));
      } else {
        output.putVarint64(Number((value >> 32n) & LOW_WORD), Number(value & LOW_WORD));
        output.putVarint(ANY_VALUE.INT);
      }
      return;
    default:
  }
  const before = output.length;
  if (value instanceof Uint8Array) {
    output.putField(ANY_VALUE.BYTES, value, 0, value.length);
  } else if (!isArray(value)) {
    for (let i = value.entries.length - 1; i >= 0; i--) {
      const [key, item] = value.entries[i]!;
      const entry = output.length;
      putCbor(output, item);
      output.close(entry, VALUE);
      const keyText = cborKeyText(key);
      if (keyText !== '') putString(output, KEY, keyText);
      output.close(entry, ELEMENT);
    }
    output.close(before, ANY_VALUE.KVLIST);
  } else {
    for (let i = value.length - 1; i >= 0; i--) {
      const element = output.length;
      putCbor(output, value[i]!);
      output.close(element, ELEMENT);
    }
    output.close(before, ANY_VALUE.ARRAY);
  }
}

function putString(output: BackwardOutput, tag: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  output.putField(tag, bytes, 0, bytes.length);
}
