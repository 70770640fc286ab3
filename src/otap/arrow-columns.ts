/**
 * Arrow columns as the fragment decoder gives them: plain typed arrays, dictionaries of strings kept as indices, all other
 * dictionaries expanded. `validity` is one byte a row (0 = null), null when no row is null, and includes the validity of all
 * structs around the column; the value under a null row is 0, false, or empty.
 */
import type { BytesPool } from './canonical.ts';

/** Integers of any width. */
export type IntArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigInt64Array
  | BigUint64Array;

interface IntArrowColumn {
  readonly kind: 'int';
  readonly length: number;
  readonly validity: Uint8Array | null;
  readonly values: IntArray;
}

interface FloatArrowColumn {
  readonly kind: 'float';
  readonly length: number;
  readonly validity: Uint8Array | null;
  readonly values: Float32Array | Float64Array;
}

/** Values are 0 or 1. */
interface BoolArrowColumn {
  readonly kind: 'bool';
  readonly length: number;
  readonly validity: Uint8Array | null;
  readonly values: Uint8Array;
}

/** Nanoseconds, whatever the unit on the wire; products wrap at 64 bits. */
interface TimeArrowColumn {
  readonly kind: 'timestamp' | 'duration';
  readonly length: number;
  readonly validity: Uint8Array | null;
  readonly values: BigInt64Array;
}

/** Row r is `values[r * width .. (r + 1) * width)`. `opaque` are types that nothing here interprets. */
interface FixedBinaryArrowColumn {
  readonly kind: 'fixedBinary' | 'opaque';
  readonly length: number;
  readonly validity: Uint8Array | null;
  readonly width: number;
  readonly values: Uint8Array;
}

/** As BytesColumn of canonical.ts; the strings of `utf8` are valid UTF-8. */
export interface BytesArrowColumn {
  readonly kind: 'utf8' | 'binary';
  readonly length: number;
  readonly validity: Uint8Array | null;
  readonly pool: BytesPool;
  readonly indices: Uint8Array | Uint16Array | Uint32Array | null;
}

/** Row r is rows `offsets[r]` to `offsets[r + 1]` (exclusive) of `child`. Offsets are monotone and inside the child. */
export interface ListArrowColumn {
  readonly kind: 'list';
  readonly length: number;
  readonly validity: Uint8Array | null;
  readonly offsets: Int32Array | Uint32Array;
  readonly child: ArrowColumn;
}

/** Children are in the order of the field's children, all of the struct's length. */
export interface StructArrowColumn {
  readonly kind: 'struct';
  readonly length: number;
  readonly validity: Uint8Array | null;
  readonly children: readonly ArrowColumn[];
}

/** Row r is row `offsets[r]` (row r when `offsets` is null: sparse) of `children[childIndexes[r]]`. */
export interface UnionArrowColumn {
  readonly kind: 'union';
  readonly length: number;
  readonly validity: Uint8Array | null;
  readonly childIndexes: Uint8Array;
  readonly offsets: Int32Array | null;
  readonly children: readonly ArrowColumn[];
}

/** Every row is null. */
interface NullArrowColumn {
  readonly kind: 'null';
  readonly length: number;
}

export type ArrowColumn =
  | IntArrowColumn
  | FloatArrowColumn
  | BoolArrowColumn
  | TimeArrowColumn
  | FixedBinaryArrowColumn
  | BytesArrowColumn
  | ListArrowColumn
  | StructArrowColumn
  | UnionArrowColumn
  | NullArrowColumn;
