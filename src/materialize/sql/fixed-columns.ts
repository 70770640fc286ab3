/** Columns of values of one width. */
import type { Vector } from '@duckdb/node-bindings';
import { duckdb } from '../duckdb.ts';
import type { ResultColumn } from './columns.ts';
import { bothValid, ValidityBuilder } from './validity.ts';

/** The data of a vector's first `rowCount` rows. A copy: this build of the bindings has no external buffers. */
export function vectorData(vector: Vector, bytes: number): Uint8Array {
  return bytes === 0 ? EMPTY : duckdb.vector_get_data(vector, bytes);
}

/** Valid rows of a vector that are also valid in `mask`; null when all are. */
export function vectorValidity(vector: Vector, rowCount: number, mask: Uint8Array | null): Uint8Array | null {
  if (rowCount === 0) return null;
  const bits: Uint8Array | null = duckdb.vector_get_validity(vector, ((rowCount + 63) >> 6) * 8);
  return bothValid(bits, mask);
}

const EMPTY = new Uint8Array(0);
const BYTES_START = 4096;

/** What all columns share: validity and the rows loaded. */
export abstract class BaseColumn implements ResultColumn {
  protected readonly rows = new ValidityBuilder();
  protected loadedValidity: Uint8Array | null = null;

  get length(): number {
    return this.rows.length;
  }

  get nullCount(): number {
    return this.rows.nullCount;
  }

  get validity(): Uint8Array {
    return this.rows.bits;
  }

  get children(): readonly ResultColumn[] {
    return [];
  }

  abstract get bytes(): number;
  abstract get buffers(): readonly Uint8Array[];
  abstract load(vector: Vector, rowCount: number, mask: Uint8Array | null): void;
  abstract take(start: number, count: number): void;

  reset(): void {
    this.rows.reset();
  }
}

/** Values whose layout DuckDB and Arrow share: rows are copied. */
export class FixedColumn extends BaseColumn {
  readonly width: number;
  data = new Uint8Array(BYTES_START);
  #loaded: Uint8Array = EMPTY;

  constructor(width: number) {
    super();
    this.width = width;
  }

  get bytes(): number {
    return this.length * this.width;
  }

  get buffers(): readonly Uint8Array[] {
    return [this.data.subarray(0, this.bytes)];
  }

  /** The filled part for reading numbers. Valid until the next `take`. */
  get view(): DataView {
    return new DataView(this.data.buffer, 0, this.bytes);
  }

  load(vector: Vector, rowCount: number, mask: Uint8Array | null): void {
    this.#loaded = vectorData(vector, rowCount * this.width);
    this.loadedValidity = vectorValidity(vector, rowCount, mask);
  }

  take(start: number, count: number): void {
    this.append(this.#loaded.subarray(start * this.width, (start + count) * this.width), start, count);
  }

  /** Appends rows whose values are laid out for Arrow already. */
  protected append(values: Uint8Array, start: number, count: number): void {
    const at = this.bytes;
    if (at + values.length > this.data.length) {
      const grown = new Uint8Array(Math.max(this.data.length * 2, at + values.length));
      grown.set(this.data.subarray(0, at));
      this.data = grown;
    }
    this.data.set(values, at);
    this.rows.append(this.loadedValidity, start, count);
  }
}

/** BOOLEAN: a byte in DuckDB, a bit in Arrow. */
export class BooleanColumn extends BaseColumn {
  #bits = new ValidityBuilder();
  #loaded: Uint8Array = EMPTY;

  get bytes(): number {
    return (this.length + 7) >> 3;
  }

  get buffers(): readonly Uint8Array[] {
    return [this.#bits.bits.subarray(0, this.bytes)];
  }

  load(vector: Vector, rowCount: number, mask: Uint8Array | null): void {
    const values = vectorData(vector, rowCount);
    this.loadedValidity = vectorValidity(vector, rowCount, mask);
    const bits = new Uint8Array((rowCount + 7) >> 3);
    for (let row = 0; row < rowCount; row++) {
      if (values[row] !== 0) bits[row >> 3] = (bits[row >> 3] as number) | (1 << (row & 7));
    }
    this.#loaded = bits;
  }

  take(start: number, count: number): void {
    this.#bits.append(this.#loaded, start, count);
    this.rows.append(this.loadedValidity, start, count);
  }

  override reset(): void {
    super.reset();
    this.#bits.reset();
  }
}

/** Digits up to which DuckDB stores a DECIMAL in 16, 32 and 64 bits; wider ones take 128. */
const DECIMAL_DIGITS = { short: 4, integer: 9, long: 18 } as const;

/** DECIMAL: 2 to 16 bytes in DuckDB, 16 in Arrow. */
export class DecimalColumn extends FixedColumn {
  readonly #storedWidth: number;
  #loaded: Uint8Array = EMPTY;

  constructor(digits: number) {
    super(16);
    const { short, integer, long } = DECIMAL_DIGITS;
    this.#storedWidth = digits <= short ? 2 : digits <= integer ? 4 : digits <= long ? 8 : 16;
  }

  override load(vector: Vector, rowCount: number, mask: Uint8Array | null): void {
    const values = vectorData(vector, rowCount * this.#storedWidth);
    this.loadedValidity = vectorValidity(vector, rowCount, mask);
    this.#loaded = this.#storedWidth === 16 ? values : widened(values, this.#storedWidth, rowCount);
  }

  override take(start: number, count: number): void {
    this.append(this.#loaded.subarray(start * 16, (start + count) * 16), start, count);
  }
}

function widened(values: Uint8Array, width: number, rowCount: number): Uint8Array {
  const source = new DataView(values.buffer, values.byteOffset, values.byteLength);
  const words = new Int32Array(rowCount * 4);
  for (let row = 0, to = 0; row < rowCount; row++, to += 4) {
    const low = width === 2 ? source.getInt16(row * 2, true) : source.getInt32(row * width, true);
    const high = width === 8 ? source.getInt32(row * 8 + 4, true) : low >> 31;
    words[to] = low;
    words[to + 1] = high;
    words[to + 2] = words[to + 3] = high >> 31;
  }
  return new Uint8Array(words.buffer);
}

const MICROS_PER_DAY = 86_400_000_000n;
const NANOS_PER_MICRO = 1_000n;
/** Microseconds that still fit 64 bits as nanoseconds. */
const INTERVAL_MICROS_MAX = 9_223_372_036_854_775n;

/**
 * INTERVAL: months, days and microseconds in DuckDB; months, days and nanoseconds in Arrow. A time part of more than 292 years does
 * not fit nanoseconds: its whole days go to the days, which DuckDB holds to be equal.
 */
export class IntervalColumn extends FixedColumn {
  #loaded: Uint8Array = EMPTY;

  constructor() {
    super(16);
  }

  override load(vector: Vector, rowCount: number, mask: Uint8Array | null): void {
    const values = vectorData(vector, rowCount * 16).slice();
    this.loadedValidity = vectorValidity(vector, rowCount, mask);
    const view = new DataView(values.buffer);
    for (let at = 0; at < values.length; at += 16) {
      let micros = view.getBigInt64(at + 8, true);
      if (micros > INTERVAL_MICROS_MAX || micros < -INTERVAL_MICROS_MAX) {
        view.setInt32(at + 4, view.getInt32(at + 4, true) + Number(micros / MICROS_PER_DAY), true);
        micros %= MICROS_PER_DAY;
      }
      view.setBigInt64(at + 8, micros * NANOS_PER_MICRO, true);
    }
    this.#loaded = values;
  }

  override take(start: number, count: number): void {
    this.append(this.#loaded.subarray(start * 16, (start + count) * 16), start, count);
  }
}
