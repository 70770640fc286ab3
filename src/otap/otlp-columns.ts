/**
 * Columns while they are filled row by row. Each allocates for `capacity` rows at its first value that is not the default, and is
 * null when there was none. Setting a row again replaces what it had: the last value of a field counts.
 */
import type {
  BoolColumn,
  F64Column,
  I32Column,
  I64Column,
  IdentifierColumn,
  ListColumn,
  U32Column,
  U64Column,
} from './canonical.ts';
import type { OtlpWire } from './otlp-wire.ts';

export class U32Filler {
  readonly #capacity: number;
  #values: Uint32Array | null = null;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  set(row: number, value: number): void {
    if (this.#values === null) {
      if (value === 0) return;
      this.#values = new Uint32Array(this.#capacity);
    }
    this.#values[row] = value;
  }

  /** The same value in rows `from` to `to` (exclusive). */
  fill(from: number, to: number, value: number): void {
    if (value === 0) return;
    this.#values ??= new Uint32Array(this.#capacity);
    this.#values.fill(value, from, to);
  }

  finish(rowCount: number): U32Column | null {
    return this.#values === null ? null : { values: this.#values.subarray(0, rowCount), validity: null };
  }

  /** Signed numbers, set by their low 32 bits. */
  finishSigned(rowCount: number): I32Column | null {
    const values = this.#values;
    if (values === null) return null;
    return { values: new Int32Array(values.buffer, values.byteOffset, rowCount), validity: null };
  }
}

export class U8Filler {
  readonly #capacity: number;
  #values: Uint8Array | null = null;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  set(row: number, value: number): void {
    if (this.#values === null) {
      if (value === 0) return;
      this.#values = new Uint8Array(this.#capacity);
    }
    this.#values[row] = value;
  }

  finish(rowCount: number): BoolColumn | null {
    return this.#values === null ? null : { values: this.#values.subarray(0, rowCount), validity: null };
  }
}

/** 64-bit values by their halves. */
export class WordsFiller {
  readonly #capacity: number;
  #words: Uint32Array | null = null;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  set(row: number, low: number, high: number): void {
    if (this.#words === null) {
      if ((low | high) === 0) return;
      this.#words = new Uint32Array(2 * this.#capacity);
    }
    this.#words[2 * row] = low;
    this.#words[2 * row + 1] = high;
  }

  /** Reads 8 bytes behind their tag. */
  read(wire: OtlpWire, row: number): void {
    wire.fixed64();
    this.set(row, wire.low, wire.high);
  }

  finishSigned(rowCount: number): I64Column | null {
    return this.#words === null ? null : { values: new BigInt64Array(this.#words.buffer, 0, rowCount), validity: null };
  }

  finishUnsigned(rowCount: number): U64Column | null {
    return this.#words === null
      ? null
      : { values: new BigUint64Array(this.#words.buffer, 0, rowCount), validity: null };
  }

  finishDouble(rowCount: number): F64Column | null {
    return this.#words === null ? null : { values: new Float64Array(this.#words.buffer, 0, rowCount), validity: null };
  }
}

/** 64-bit values that a row may lack: 0 is not the same as none. */
export class OptionalWordsFiller {
  readonly #capacity: number;
  #words: Uint32Array | null = null;
  #validity: Uint8Array | null = null;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Reads 8 bytes behind their tag. */
  read(wire: OtlpWire, row: number): void {
    wire.fixed64();
    this.#words ??= new Uint32Array(2 * this.#capacity);
    this.#validity ??= new Uint8Array(this.#capacity);
    this.#words[2 * row] = wire.low;
    this.#words[2 * row + 1] = wire.high;
    this.#validity[row] = 1;
  }

  /** Takes back what the row had: another member of its oneof came later. */
  clear(row: number): void {
    if (this.#words === null || this.#validity === null) return;
    this.#words[2 * row] = 0;
    this.#words[2 * row + 1] = 0;
    this.#validity[row] = 0;
  }

  finishSigned(rowCount: number): I64Column | null {
    const validity = presence(this.#validity, rowCount);
    if (this.#words === null || validity === NONE) return null;
    return { values: new BigInt64Array(this.#words.buffer, 0, rowCount), validity };
  }

  finishDouble(rowCount: number): F64Column | null {
    const validity = presence(this.#validity, rowCount);
    if (this.#words === null || validity === NONE) return null;
    return { values: new Float64Array(this.#words.buffer, 0, rowCount), validity };
  }
}

/** Trace or span ids: no bytes are no id, zeros are one. */
export class IdentifierFiller {
  readonly #capacity: number;
  readonly #width: 8 | 16;
  #values: Uint8Array | null = null;
  #validity: Uint8Array | null = null;

  constructor(capacity: number, width: 8 | 16) {
    this.#capacity = capacity;
    this.#width = width;
  }

  /** Reads an id behind its tag. */
  read(wire: OtlpWire, row: number): void {
    const end = wire.valueEnd();
    const { bytes, at: start } = wire;
    wire.at = end;
    if (start === end && this.#values === null) return;
    this.#values ??= new Uint8Array(this.#capacity * this.#width);
    this.#validity ??= new Uint8Array(this.#capacity);
    const values = this.#values;
    let to = row * this.#width;
    if (start === end) {
      values.fill(0, to, to + this.#width);
      this.#validity[row] = 0;
      return;
    }
    for (let from = start; from < end; from++, to++) values[to] = bytes[from]!;
    this.#validity[row] = 1;
  }

  finish(rowCount: number): IdentifierColumn | null {
    const validity = presence(this.#validity, rowCount);
    if (this.#values === null || validity === NONE) return null;
    return { width: this.#width, values: this.#values.subarray(0, rowCount * this.#width), validity };
  }
}

/** Lists of 64-bit numbers; the elements of a row are added before those of the next one. */
export class ListFiller {
  readonly #words: Uint32Array;
  readonly #offsets: Uint32Array;
  #length = 0;
  #rows = 0;

  /** `elements` is the number of elements in all rows. */
  constructor(capacity: number, elements: number) {
    this.#words = new Uint32Array(2 * elements);
    this.#offsets = new Uint32Array(capacity + 1);
  }

  add(row: number, low: number, high: number): void {
    // Rows without elements in between end where this one begins.
    while (this.#rows < row) this.#offsets[++this.#rows] = this.#length;
    this.#words[2 * this.#length] = low;
    this.#words[2 * this.#length + 1] = high;
    this.#length++;
  }

  /** Reads one number of 8 bytes, or several that are packed, behind `tag`. */
  readFixed64(wire: OtlpWire, row: number, tag: number): void {
    const end = (tag & 7) === 2 ? wire.valueEnd() : wire.at + 8;
    while (wire.at < end) {
      wire.fixed64();
      this.add(row, wire.low, wire.high);
    }
  }

  /** Reads one varint, or several that are packed, behind `tag`. */
  readVarints(wire: OtlpWire, row: number, tag: number): void {
    const end = (tag & 7) === 2 ? wire.valueEnd() : wire.at + 1;
    while (wire.at < end) {
      wire.int64();
      this.add(row, wire.low, wire.high);
    }
  }

  finishUnsigned(rowCount: number): ListColumn<BigUint64Array> | null {
    const offsets = this.#close(rowCount);
    return offsets === null
      ? null
      : { offsets, values: new BigUint64Array(this.#words.buffer, 0, this.#length), validity: null };
  }

  finishDouble(rowCount: number): ListColumn<Float64Array> | null {
    const offsets = this.#close(rowCount);
    return offsets === null
      ? null
      : { offsets, values: new Float64Array(this.#words.buffer, 0, this.#length), validity: null };
  }

  #close(rowCount: number): Uint32Array | null {
    if (this.#length === 0) return null;
    while (this.#rows < rowCount) this.#offsets[++this.#rows] = this.#length;
    return this.#offsets.subarray(0, rowCount + 1);
  }
}

/** Row numbers as ids. */
export function rowNumbers(rowCount: number): U32Column {
  const values = new Uint32Array(rowCount);
  for (let row = 0; row < rowCount; row++) values[row] = row;
  return { values, validity: null };
}

const NONE = 'none';

/** The validity of a column: null when every row is present, NONE when no row is. */
function presence(validity: Uint8Array | null, rowCount: number): Uint8Array | null | typeof NONE {
  if (validity === null) return NONE;
  let present = 0;
  for (let row = 0; row < rowCount; row++) present += validity[row]!;
  if (present === 0) return NONE;
  return present === rowCount ? null : validity.subarray(0, rowCount);
}
