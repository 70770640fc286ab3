/** The columns of a table as an exporter writes them: canonical columns by name, Arrow type and struct, in the order of the schema. */
import type { FieldType } from './arrow-field-types.ts';
import type { BytesColumn, FixedColumn, IdentifierColumn, ListColumn, ValueColumns } from './canonical.ts';
import { VALUE_TYPES } from './canonical.ts';

/** Where the values of a column are. At least one row is not null. */
export type ColumnSource =
  /** Values of the type's width side by side. */
  | { readonly kind: 'fixed'; readonly bytes: Uint8Array; readonly width: number; readonly validity: Uint8Array | null }
  /** One byte a row. */
  | { readonly kind: 'bits'; readonly values: Uint8Array; readonly validity: Uint8Array | null }
  | { readonly kind: 'bytes'; readonly column: BytesColumn; readonly validity: Uint8Array | null }
  | { readonly kind: 'list'; readonly lists: NumberLists; readonly validity: Uint8Array | null }
  /** Lists of pairs: two of the same offsets, either of which may be missing. */
  | {
      readonly kind: 'pairs';
      readonly first: NumberLists | null;
      readonly second: NumberLists | null;
      readonly validity: Uint8Array | null;
    };

/** Lists of 64-bit numbers. */
export type NumberLists = ListColumn<Float64Array> | ListColumn<BigUint64Array>;

export interface OutColumn {
  /** Name of the struct that it is a field of, empty for none. Fields of a struct are neighbours. */
  readonly struct: string;
  readonly name: string;
  readonly type: FieldType;
  readonly isNullable: boolean;
  /** Whether receivers expect a dictionary, as long as one fits. */
  readonly hasDictionary: boolean;
  /** Null where every row is null. */
  readonly source: ColumnSource | null;
  /** In the schema even without a value: receivers want it beside one that has. */
  readonly isWanted: boolean;
}

interface ColumnOptions {
  readonly dictionary?: boolean;
  readonly isNullable?: boolean;
}

/** Lists the columns of a table. Every table of a payload type lists the same ones in the same order, missing ones too. */
export class ColumnList {
  readonly columns: OutColumn[] = [];
  readonly #rowCount: number;
  #struct = '';

  constructor(rowCount: number) {
    this.#rowCount = rowCount;
  }

  /** Lists the fields of a struct. */
  struct(name: string, list: () => void): void {
    this.#struct = name;
    list();
    this.#struct = '';
  }

  /** Lists the fields of a struct that are there together or not at all: receivers do not look for each. */
  together(name: string, list: () => void): void {
    const start = this.columns.length;
    this.struct(name, list);
    const fields = this.columns.splice(start);
    const isWanted = fields.some(isThere);
    this.columns.push(...fields.map((field) => ({ ...field, isWanted })));
  }

  /** Numbers, or what is stored as such. */
  fixed<Values extends ArrayBufferView>(
    name: string,
    type: FieldType,
    column: FixedColumn<Values> | null,
    options: ColumnOptions = {},
  ): void {
    this.#add(name, type, fixedSource(column, this.#rowCount), options);
  }

  bool(name: string, column: FixedColumn<Uint8Array> | null): void {
    const has = column !== null && hasValue(column.validity, this.#rowCount);
    this.#add(name, 'bool', has ? { kind: 'bits', values: column.values, validity: column.validity } : null, {});
  }

  /** Strings or bytes, with a dictionary as long as one fits. */
  bytes(name: string, type: 'utf8' | 'binary', column: BytesColumn | null, isNullable = true): void {
    const has = column !== null && hasValue(column.validity, this.#rowCount);
    const source: ColumnSource | null = has ? { kind: 'bytes', column, validity: column.validity } : null;
    this.#add(name, type, source, { dictionary: true, isNullable });
  }

  /** Trace or span ids. */
  identifier(name: string, column: IdentifierColumn | null, width: 8 | 16, options: ColumnOptions = {}): void {
    this.fixed(name, width === 8 ? 'fixed8' : 'fixed16', column, options);
  }

  /** Trace or span ids where receivers refuse null: no id is the id of zeros, as in OTLP. */
  identifierOrZeros(
    name: string,
    column: IdentifierColumn | null,
    width: 8 | 16,
    options: Pick<ColumnOptions, 'dictionary'> = {},
  ): void {
    const values = column?.values ?? new Uint8Array(this.#rowCount * width);
    this.identifier(name, { width, values, validity: null }, width, { ...options, isNullable: false });
  }

  list(name: string, type: 'u64List' | 'f64List', lists: NumberLists | null): void {
    const has = lists !== null && hasValue(lists.validity, this.#rowCount);
    const source: ColumnSource | null = has ? { kind: 'list', lists, validity: lists.validity } : null;
    this.#add(name, type, source, {});
  }

  pairs(name: string, first: ListColumn<Float64Array> | null, second: ListColumn<Float64Array> | null): void {
    const validity = (first ?? second)?.validity ?? null;
    const has = (first ?? second) !== null && hasValue(validity, this.#rowCount);
    this.#add(name, 'quantileList', has ? { kind: 'pairs', first, second, validity } : null, {});
  }

  /** The columns of an AnyValue; each has a value of its own type in every row of that type. */
  values(values: ValueColumns | null): void {
    const type = values === null ? null : { values: values.type, validity: null };
    this.fixed('type', 'u8', type, { isNullable: this.#struct !== '' });
    this.bytes('str', 'utf8', values?.str ?? null);
    this.fixed('int', 'i64', values?.int ?? null, { dictionary: true });
    this.fixed('double', 'f64', values?.double ?? null);
    this.bool('bool', values?.bool ?? null);
    this.bytes('bytes', 'binary', values?.bytes ?? null);
    this.bytes('ser', 'binary', values === null ? null : wholeContainers(values, this.#rowCount));
  }

  #add(
    name: string,
    type: FieldType,
    source: ColumnSource | null,
    { dictionary = false, isNullable = true }: ColumnOptions,
  ): void {
    const struct = this.#struct;
    this.columns.push({ struct, name, type, isNullable, hasDictionary: dictionary, source, isWanted: false });
  }
}

/** Whether a column of the schema that a table needs is this one. */
export function isThere(column: OutColumn): boolean {
  return column.source !== null || column.isWanted;
}

/** Whether any row has a value. */
export function hasValue(validity: Uint8Array | null, rowCount: number): boolean {
  if (validity === null) return rowCount > 0;
  for (let row = 0; row < rowCount; row++) {
    if (validity[row] !== 0) return true;
  }
  return false;
}

function fixedSource<Values extends ArrayBufferView>(
  column: (FixedColumn<Values> & { readonly width?: number }) | null,
  rowCount: number,
): ColumnSource | null {
  if (column === null || !hasValue(column.validity, rowCount)) return null;
  const { values, validity, width } = column;
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { kind: 'fixed', bytes, width: width ?? values.byteLength / rowCount, validity };
}

/** In CBOR. */
const EMPTY_MAP = Uint8Array.of(0xa0);
const EMPTY_SLICE = Uint8Array.of(0x80);
const EMPTY = new Uint8Array(0);

/** Maps and slices without their CBOR are empty ones, which receivers want to see written. */
function wholeContainers({ type, ser }: ValueColumns, rowCount: number): BytesColumn | null {
  let isWhole = true;
  for (let row = 0; row < rowCount && isWhole; row++) {
    const isContainer = type[row] === VALUE_TYPES.MAP || type[row] === VALUE_TYPES.SLICE;
    isWhole = !isContainer || (ser !== null && length(ser, row) > 0);
  }
  return isWhole ? ser : filledContainers(type, ser, rowCount);
}

function filledContainers(type: Uint8Array, ser: BytesColumn | null, rowCount: number): BytesColumn {
  const parts: Uint8Array[] = [];
  const offsets = new Uint32Array(rowCount + 1);
  const validity = new Uint8Array(rowCount);
  for (let row = 0; row < rowCount; row++) {
    const part = container(type[row]!, ser, row);
    parts.push(part);
    offsets[row + 1] = offsets[row]! + part.length;
    validity[row] = part.length === 0 ? 0 : 1;
  }
  return { kind: 'binary', pool: { bytes: Buffer.concat(parts), offsets, length: rowCount }, indices: null, validity };
}

function container(type: number, ser: BytesColumn | null, row: number): Uint8Array {
  if (ser !== null && length(ser, row) > 0) {
    const { pool, indices } = ser;
    const entry = indices === null ? row : indices[row]!;
    return pool.bytes.subarray(pool.offsets[entry], pool.offsets[entry + 1]);
  }
  if (type === VALUE_TYPES.MAP) return EMPTY_MAP;
  return type === VALUE_TYPES.SLICE ? EMPTY_SLICE : EMPTY;
}

function length({ pool, indices, validity }: BytesColumn, row: number): number {
  if (validity !== null && validity[row] === 0) return 0;
  const entry = indices === null ? row : indices[row]!;
  return pool.offsets[entry + 1]! - pool.offsets[entry]!;
}
