/** Canonical columns as vectors. A column that was not on the wire becomes a constant, which costs nothing per row. */
import type {
  BoolColumn,
  BytesColumn,
  F64Column,
  I32Column,
  I64Column,
  IdColumn,
  ListColumn,
  U8Column,
  U16Column,
  U32Column,
  U64Column,
} from '../../otap/index.ts';
import type { GrowableStringArena } from '../string-arena.ts';
import type { ConstantVector, FixedVector, ListVector, StringVector, VectorData } from '../vectors.ts';
import type { Scratch } from './scratch.ts';

export const NULLS: ConstantVector = { kind: 'constant', value: null };

type NumberColumn = U8Column | U16Column | U32Column | I32Column | I64Column | U64Column | F64Column | BoolColumn;

/** The same value in every row. */
export function constant(value: ConstantVector['value']): ConstantVector {
  return { kind: 'constant', value };
}

/** Values of which none is null. */
export function fixed(values: FixedVector['values']): FixedVector {
  return { kind: 'fixed', values, validity: null };
}

/** A column whose nulls stay null: optional fields and ids of 32 bits. */
export function optional(column: NumberColumn | null): VectorData {
  return column === null ? NULLS : { kind: 'fixed', values: column.values, validity: column.validity };
}

/** An id column: tables have 32 bits for ids, OTAP 16 (nulls stay null). */
export function ids(column: IdColumn | null, scratch: Scratch): VectorData {
  if (column === null || column.values instanceof Uint32Array) return optional(column);
  const wide = scratch.u32(column.values.length);
  wide.set(column.values);
  return { kind: 'fixed', values: wide, validity: column.validity };
}

/** A column whose nulls are the default of the type: OTLP fields without presence. `zero` is that default (0, 0n or false). */
export function defaulted(column: NumberColumn | null, zero: 0 | 0n | false): VectorData {
  return column === null ? constant(zero) : fixed(column.values);
}

/** A string column; null rows are empty strings. */
export function texts(column: BytesColumn | null, rowCount: number, arena: GrowableStringArena): VectorData {
  if (column === null) return constant('');
  const vector = arena.gather(column, rowCount);
  return { ...vector, validity: null };
}

/** Some rows of a string column; -1 and null rows are empty strings. */
export function textsAt(
  column: BytesColumn | null,
  rows: ArrayLike<number>,
  arena: GrowableStringArena,
): ConstantVector | StringVector {
  if (column === null) return constant('');
  const { pool, indices, validity } = column;
  const words = arena.takeWords(rows.length);
  const strings = arena.addPool(pool, rows.length);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    if (row < 0 || (validity !== null && validity[row] === 0)) arena.addEmpty(words, i);
    else strings.put(words, i, indices === null ? row : indices[row]!);
  }
  return { kind: 'string', arena, words, validity: null };
}

/** Some rows of a column of numbers up to 32 bits; -1 and null rows are 0. */
export function numbersAt(
  column: U8Column | U16Column | U32Column | I32Column | BoolColumn | null,
  rows: ArrayLike<number>,
  values: Uint8Array | Uint16Array | Uint32Array | Int32Array,
): FixedVector {
  if (column !== null) {
    for (let i = 0; i < rows.length; i++) values[i] = rows[i]! < 0 ? 0 : column.values[rows[i]!]!;
  }
  return fixed(values);
}

/** Row numbers from `first` on. */
export function rowNumbers(rowCount: number, first: number, scratch: Scratch): FixedVector {
  const values = scratch.u32(rowCount);
  for (let row = 0; row < rowCount; row++) values[row] = first + row;
  return fixed(values);
}

/** A list of numbers; null lists are empty, as in OTLP. `none` is an empty array of the element type. */
export function numberLists(
  column: ListColumn<BigUint64Array | Float64Array> | null,
  none: BigUint64Array | Float64Array,
  rowCount: number,
  scratch: Scratch,
): ListVector {
  if (column === null) return { kind: 'list', offsets: scratch.u32(rowCount + 1), child: fixed(none), validity: null };
  const { offsets, values, validity } = column;
  const last = offsets[rowCount] ?? 0;
  const first = offsets[0] ?? 0;
  if (validity === null && first === 0) {
    return { kind: 'list', offsets, child: fixed(values.subarray(0, last)), validity: null };
  }
  // A null row may span values on the wire, and the first offset of a slice need not be 0.
  return {
    kind: 'list',
    offsets: compactOffsets(offsets, validity, rowCount, scratch),
    child: fixed(compactValues(column, rowCount)),
    validity: null,
  };
}

function compactOffsets(
  offsets: Int32Array | Uint32Array,
  validity: Uint8Array | null,
  rowCount: number,
  scratch: Scratch,
): Uint32Array {
  const compact = scratch.u32(rowCount + 1);
  for (let row = 0; row < rowCount; row++) {
    const length = validity !== null && validity[row] === 0 ? 0 : offsets[row + 1]! - offsets[row]!;
    compact[row + 1] = compact[row]! + length;
  }
  return compact;
}

function compactValues<Values extends BigUint64Array | Float64Array>(
  column: ListColumn<Values>,
  rowCount: number,
): Values {
  const { offsets, values, validity } = column;
  const kept = values.slice() as Values;
  let next = 0;
  for (let row = 0; row < rowCount; row++) {
    if (validity !== null && validity[row] === 0) continue;
    kept.set(values.subarray(offsets[row]!, offsets[row + 1]!) as BigUint64Array & Float64Array, next);
    next += offsets[row + 1]! - offsets[row]!;
  }
  return kept.subarray(0, next) as Values;
}

/** Some rows of an id column, nulls kept. */
export function idsAt(column: IdColumn | null, rows: ArrayLike<number>, scratch: Scratch): VectorData {
  if (column === null) return NULLS;
  const vector = numbersAt(column, rows, scratch.u32(rows.length));
  if (column.validity === null) return vector;
  const validity = scratch.u8(rows.length);
  for (let i = 0; i < rows.length; i++) validity[i] = column.validity[rows[i]!]!;
  return { ...vector, validity };
}
