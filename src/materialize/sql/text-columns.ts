/** Columns of strings and bytes, and of the types that leave as text. */
import type { DuckDBType } from '@duckdb/node-api';
import type duckdb from '@duckdb/node-bindings';
import { TreasuryError } from '../../base/index.ts';
import { DuckDBVector } from '../duckdb.ts';
import { BaseColumn, vectorData, vectorValidity } from './fixed-columns.ts';
import { OffsetsBuilder } from './offsets.ts';
import { createStringSource, type StringSource } from './string-source.ts';
import { valueText } from './value-text.ts';
import { isValid } from './validity.ts';

const BYTES_START = 64 * 1024;
/** One column of one batch: 256 KiB in each row of a slice. Text of it is made in the worker's heap, a few times over. */
const COLUMN_BYTES_MAX = 64 * 1024 * 1024;

/** Rows of bytes end to end. */
export abstract class BytesColumn extends BaseColumn {
  readonly offsets = new OffsetsBuilder();
  data: Buffer = Buffer.allocUnsafeSlow(BYTES_START);
  protected end = 0;

  get bytes(): number {
    return this.end + this.length * 4;
  }

  get buffers(): readonly Uint8Array[] {
    return [this.offsets.bytes(), this.data.subarray(0, this.end)];
  }

  /** The bytes of a row. Valid until the next `take`. */
  row(row: number): Buffer {
    return this.data.subarray(this.offsets.values[row], this.offsets.values[row + 1]);
  }

  /** The text of a row. */
  text(row: number): string {
    return this.data.toString('utf8', this.offsets.values[row], this.offsets.values[row + 1]);
  }

  override reset(): void {
    super.reset();
    this.offsets.reset();
    this.end = 0;
  }

  protected reserve(count: number): void {
    const needed = this.end + count;
    if (needed <= this.data.length) return;
    if (needed > COLUMN_BYTES_MAX) {
      throw new TreasuryError(
        'TREASURY_QUERY_LIMIT',
        `Cannot send values of ${needed} bytes in one piece: select less of them, such as left(column, 1000)`,
        {
          facts: { bytesMax: COLUMN_BYTES_MAX },
        },
      );
    }
    const grown = Buffer.allocUnsafeSlow(Math.min(COLUMN_BYTES_MAX, Math.max(this.data.length * 2, needed)));
    this.data.copy(grown, 0, 0, this.end);
    this.data = grown;
  }
}

/** VARCHAR and BLOB. */
export class StringColumn extends BytesColumn {
  #source: StringSource | null = null;

  load(vector: duckdb.Vector, rowCount: number, mask: Uint8Array | null): void {
    this.loadedValidity = vectorValidity(vector, rowCount, mask);
    this.#source = createStringSource(vectorData(vector, rowCount * 16), this.loadedValidity);
  }

  take(start: number, count: number): void {
    const source = this.#source as StringSource;
    this.reserve(source.bytesOf(start, count));
    this.end = source.copy(start, count, this.data, this.end, this.offsets);
    this.rows.append(this.loadedValidity, start, count);
  }
}

const UUID_BYTES = 36;
const HEX_DIGITS = Buffer.from('0123456789abcdef');
const HYPHEN = 0x2d;
/** Positions after which a hyphen stands, counted in bytes of the UUID. */
const HYPHEN_AFTER = new Set([3, 5, 7, 9]);

/** UUID, as text: what pandas, Grafana and people compare with. Stored as a 128-bit integer with its top bit flipped. */
export class UuidColumn extends BytesColumn {
  #loaded: Uint8Array = new Uint8Array(0);

  load(vector: duckdb.Vector, rowCount: number, mask: Uint8Array | null): void {
    this.#loaded = vectorData(vector, rowCount * 16);
    this.loadedValidity = vectorValidity(vector, rowCount, mask);
  }

  take(start: number, count: number): void {
    this.reserve(count * UUID_BYTES);
    const { data } = this;
    let to = this.end;
    for (let row = start; row < start + count; row++) {
      if (isValid(this.loadedValidity, row)) {
        for (let byte = 0, from = row * 16 + 15; byte < 16; byte++, from--) {
          const value = byte === 0 ? (this.#loaded[from] as number) ^ 0x80 : (this.#loaded[from] as number);
          data[to++] = HEX_DIGITS[value >> 4] as number;
          data[to++] = HEX_DIGITS[value & 15] as number;
          if (byte < 10 && HYPHEN_AFTER.has(byte)) data[to++] = HYPHEN;
        }
      }
      this.offsets.push(to);
    }
    this.end = to;
    this.rows.append(this.loadedValidity, start, count);
  }
}

/** Types that leave as text, row by row. */
abstract class FormattedColumn extends BytesColumn {
  take(start: number, count: number): void {
    for (let row = start; row < start + count; row++) {
      if (isValid(this.loadedValidity, row)) {
        const text = this.format(row);
        this.reserve(text.length);
        this.data.set(text, this.end);
        this.end += text.length;
      }
      this.offsets.push(this.end);
    }
    this.rows.append(this.loadedValidity, start, count);
  }

  protected abstract format(row: number): Uint8Array;
}

/** UHUGEINT: no Arrow integer is that wide, and its 39 digits exceed the 38 of a 128-bit decimal. */
export class WideIntegerColumn extends FormattedColumn {
  #view: DataView = new DataView(new ArrayBuffer(0));

  load(vector: duckdb.Vector, rowCount: number, mask: Uint8Array | null): void {
    const values = vectorData(vector, rowCount * 16);
    this.#view = new DataView(values.buffer, values.byteOffset, values.byteLength);
    this.loadedValidity = vectorValidity(vector, rowCount, mask);
  }

  protected format(row: number): Uint8Array {
    const low = this.#view.getBigUint64(row * 16, true);
    return Buffer.from(String((this.#view.getBigUint64(row * 16 + 8, true) << 64n) | low));
  }
}

/** ENUM: the text of each value. */
export class EnumColumn extends FormattedColumn {
  readonly #values: readonly Uint8Array[];
  readonly #width: 1 | 2 | 4;
  #view: DataView = new DataView(new ArrayBuffer(0));

  constructor(values: readonly string[]) {
    super();
    this.#values = values.map((value) => Buffer.from(value));
    this.#width = values.length <= 0xff ? 1 : values.length <= 0xffff ? 2 : 4;
  }

  load(vector: duckdb.Vector, rowCount: number, mask: Uint8Array | null): void {
    const values = vectorData(vector, rowCount * this.#width);
    this.#view = new DataView(values.buffer, values.byteOffset, values.byteLength);
    this.loadedValidity = vectorValidity(vector, rowCount, mask);
  }

  protected format(row: number): Uint8Array {
    const at = row * this.#width;
    const index =
      this.#width === 1
        ? this.#view.getUint8(at)
        : this.#width === 2
          ? this.#view.getUint16(at, true)
          : this.#view.getUint32(at, true);
    return this.#values[index] as Uint8Array;
  }
}

/** Rare types (UNION, BIT, TIME WITH TIME ZONE, BIGNUM, VARIANT, …): read value by value through the public API. */
export class OtherColumn extends FormattedColumn {
  readonly #type: DuckDBType;
  #vector: DuckDBVector | null = null;

  constructor(type: DuckDBType) {
    super();
    this.#type = type;
  }

  load(vector: duckdb.Vector, rowCount: number, mask: Uint8Array | null): void {
    this.loadedValidity = vectorValidity(vector, rowCount, mask);
    this.#vector = DuckDBVector.create(vector, rowCount, this.#type);
  }

  protected format(row: number): Uint8Array {
    return Buffer.from(valueText((this.#vector as DuckDBVector).getItem(row)));
  }
}
