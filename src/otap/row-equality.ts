/**
 * Which rows the quasi-delta encodings call equal (reference: decoders of the Go and Rust libraries, 2026-08). Strings and bytes
 * are compared by content, never by dictionary index: a dictionary may hold a value twice.
 */
import {
  type BytesColumn,
  type F64Column,
  type I64Column,
  type IdentifierColumn,
  VALUE_TYPES,
  type ValueColumns,
} from './canonical.ts';
import type { RowEquality } from './transport-ids.ts';

/**
 * Whose rule a table follows. They differ in doubles (Go: IEEE, so NaN differs from itself and -0 equals 0; Rust: by bits) and in
 * null values (Go: the default of the type; Rust: in attributes equal to nothing, elsewhere the default).
 */
export type EqualityRule = 'go' | 'rust';

/** Equality of attribute rows: type, key and the value of that type; maps, slices and empty values equal nothing. */
export function attributeRowsEqual(values: ValueColumns, key: BytesColumn, rule: EqualityRule): RowEquality {
  const nullsEqual = rule === 'go';
  const keysEqual = bytesRowsEqual(key);
  const comparisons: (RowEquality | null)[] = [];
  comparisons[VALUE_TYPES.STR] = valueRowsEqual(values.str, bytesRowsEqual, nullsEqual);
  comparisons[VALUE_TYPES.INT] = valueRowsEqual(values.int, integerRowsEqual, nullsEqual);
  comparisons[VALUE_TYPES.DOUBLE] = valueRowsEqual(
    values.double,
    (column) => doubleRowsEqual(column, rule),
    nullsEqual,
  );
  comparisons[VALUE_TYPES.BOOL] = valueRowsEqual(values.bool, fixedRowsEqual, nullsEqual);
  comparisons[VALUE_TYPES.BYTES] = valueRowsEqual(values.bytes, bytesRowsEqual, nullsEqual);
  const types = values.type;
  return (row, earlierRow) => {
    const type = types[row]!;
    if (type !== types[earlierRow]!) return false;
    const valuesEqual = comparisons[type] ?? null;
    return valuesEqual !== null && keysEqual(row, earlierRow) && valuesEqual(row, earlierRow);
  };
}

/** Equality of exemplar rows: which of the two values is set, and its value. Two rows without a value are equal. */
export function exemplarRowsEqual(int: I64Column | null, double: F64Column | null, rule: EqualityRule): RowEquality {
  const integersEqual = int === null ? always : integerRowsEqual(int);
  const doublesEqual = double === null ? always : doubleRowsEqual(double, rule);
  if (rule === 'rust') return (row, earlier) => integersEqual(row, earlier) && doublesEqual(row, earlier);
  return (row, earlier) => {
    const hasInt = int !== null && isPresent(int.validity, row);
    const hasDouble = double !== null && isPresent(double.validity, row);
    if (hasInt !== (int !== null && isPresent(int.validity, earlier))) return false;
    if (hasDouble !== (double !== null && isPresent(double.validity, earlier))) return false;
    return (!hasInt || integersEqual(row, earlier)) && (!hasDouble || doublesEqual(row, earlier));
  };
}

/** Equality by one column of strings or bytes; a missing column is equal everywhere, a null row is empty. */
export function bytesColumnRowsEqual(column: BytesColumn | null): RowEquality {
  return valueRowsEqual(column, bytesRowsEqual, true) ?? always;
}

/** Equality by one column of identifiers; a missing column is equal everywhere, a null row is all zeros. */
export function identifierRowsEqual(column: IdentifierColumn | null): RowEquality {
  if (column === null) return always;
  const { values, width } = column;
  return (row, earlierRow) => rangesEqual(values, row * width, values, earlierRow * width, width);
}

const always: RowEquality = () => true;

function isPresent(validity: Uint8Array | null, row: number): boolean {
  return validity === null || validity[row] !== 0;
}

function valueRowsEqual<Column extends { readonly validity: Uint8Array | null }>(
  column: Column | null,
  compare: (column: Column) => RowEquality,
  nullsEqual: boolean,
): RowEquality | null {
  if (column === null) return nullsEqual ? always : null;
  const equal = compare(column);
  const validity = column.validity;
  if (validity === null || (nullsEqual && !('pool' in column))) return equal;
  if (!nullsEqual) return (row, earlier) => validity[row] !== 0 && validity[earlier] !== 0 && equal(row, earlier);
  return nullableBytesRowsEqual(column as unknown as BytesColumn, equal, validity);
}

/** A null row of a dictionary column has index 0, whose entry may be anything: it is compared as the empty string. */
function nullableBytesRowsEqual(column: BytesColumn, equal: RowEquality, validity: Uint8Array): RowEquality {
  const { pool, indices } = column;
  const { offsets } = pool;
  const isEmpty = (row: number) => {
    if (validity[row] === 0) return true;
    const entry = indices === null ? row : indices[row]!;
    return offsets[entry] === offsets[entry + 1];
  };
  return (row, earlier) => {
    if (validity[row] !== 0 && validity[earlier] !== 0) return equal(row, earlier);
    return isEmpty(row) && isEmpty(earlier);
  };
}

function fixedRowsEqual(column: { readonly values: Uint8Array }): RowEquality {
  const values = column.values;
  return (row, earlierRow) => values[row] === values[earlierRow];
}

/** Compares 64-bit values as two halves: reading a BigInt64Array allocates. */
function integerRowsEqual(column: I64Column): RowEquality {
  const halves = new Int32Array(column.values.buffer, column.values.byteOffset, column.values.length * 2);
  return (row, earlier) => halves[2 * row] === halves[2 * earlier] && halves[2 * row + 1] === halves[2 * earlier + 1];
}

function doubleRowsEqual(column: F64Column, rule: EqualityRule): RowEquality {
  const values = column.values;
  if (rule === 'go') return (row, earlierRow) => values[row] === values[earlierRow];
  const halves = new Int32Array(values.buffer, values.byteOffset, values.length * 2);
  return (row, earlier) => halves[2 * row] === halves[2 * earlier] && halves[2 * row + 1] === halves[2 * earlier + 1];
}

function bytesRowsEqual(column: BytesColumn): RowEquality {
  const { pool, indices } = column;
  const { bytes, offsets } = pool;
  return (row, earlierRow) => {
    const left = indices === null ? row : indices[row]!;
    const right = indices === null ? earlierRow : indices[earlierRow]!;
    if (left === right) return true;
    const leftStart = offsets[left]!;
    const rightStart = offsets[right]!;
    const length = offsets[left + 1]! - leftStart;
    return length === offsets[right + 1]! - rightStart && rangesEqual(bytes, leftStart, bytes, rightStart, length);
  };
}

function rangesEqual(left: Uint8Array, leftStart: number, right: Uint8Array, rightStart: number, length: number) {
  for (let at = length - 1; at >= 0; at--) {
    if (left[leftStart + at] !== right[rightStart + at]) return false;
  }
  return true;
}
