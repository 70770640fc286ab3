/**
 * A decoded record batch as the readers of the canonical tables ask for it: by column name and expected type. A column that is not
 * there, or has Arrow's null type, is null; one of another type is a BatchMalformedError that names payload and column.
 */
import { columnMalformed } from './arrow-body.ts';
import type { ArrowColumn } from './arrow-columns.ts';
import type { ArrowField } from './arrow-schema.ts';
import type {
  BoolColumn,
  BytesColumn,
  F64Column,
  I32Column,
  I64Column,
  IdentifierColumn,
  ListColumn,
  U8Column,
  U16Column,
  U32Column,
  U64Column,
} from './canonical.ts';
import type { DecodeBudget } from './decode-budget.ts';
import { readIdentifier } from './identifier-columns.ts';
import { numberList, structListMember } from './list-columns.ts';

/** Columns of a record batch, or of a struct in it (whose validity is already in that of its columns). */
export interface TableColumns {
  readonly rowCount: number;
  /** Payload type and columns, for errors. */
  readonly payload: string;
  u8(name: string): U8Column | null;
  u16(name: string): U16Column | null;
  u32(name: string): U32Column | null;
  /** Whether a column is there as u32. */
  hasU32(name: string): boolean;
  i32(name: string): I32Column | null;
  i64(name: string): I64Column | null;
  u64(name: string): U64Column | null;
  f64(name: string): F64Column | null;
  bool(name: string): BoolColumn | null;
  timestamp(name: string): I64Column | null;
  duration(name: string): I64Column | null;
  utf8(name: string): BytesColumn | null;
  binary(name: string): BytesColumn | null;
  /** Fixed-size binary of this width; also plain or dictionary binary whose values all have it (empty ones are null). */
  identifier(name: string, width: 8 | 16): IdentifierColumn | null;
  u64List(name: string): ListColumn<BigUint64Array> | null;
  f64List(name: string): ListColumn<Float64Array> | null;
  /** Member `member` (doubles) of a list of structs; zeros when the struct does not have it. */
  f64ListMember(name: string, member: string): ListColumn<Float64Array> | null;
  struct(name: string): TableColumns | null;
  /** Metadata `encoding` of the column, '' when it has none. */
  encoding(name: string): string;
  /** Throws when a column that no table can do without is null. */
  required<Column>(column: Column | null, name: string): Column;
  malformed(name: string, reason: string): Error;
}

/** Access to `columns`, which `fields` describe in the same order. */
export function tableColumns(
  payload: string,
  rowCount: number,
  fields: readonly ArrowField[],
  columns: readonly ArrowColumn[],
  budget: DecodeBudget,
): TableColumns {
  function find(name: string): number {
    return fields.findIndex((field) => field.name === name);
  }

  function malformed(name: string, reason: string): Error {
    return columnMalformed(payload, fields[find(name)]?.path ?? name, reason);
  }

  function get(name: string): ArrowColumn | null {
    const column = columns[find(name)];
    return column === undefined || column.kind === 'null' ? null : column;
  }

  function wrongType(name: string, column: ArrowColumn, expected: string): Error {
    const actual = 'values' in column ? `${column.kind} (${column.values.constructor.name})` : column.kind;
    return malformed(name, `its type is ${actual} instead of ${expected}`);
  }

  /** An integer column whose values are of this typed array. */
  function integers<Values extends ArrayBufferView>(
    name: string,
    type: abstract new (...args: never[]) => Values,
    expected: string,
  ): { values: Values; validity: Uint8Array | null } | null {
    const column = get(name);
    if (column === null) return null;
    const values: unknown = column.kind === 'int' ? column.values : null;
    if (column.kind !== 'int' || !(values instanceof type)) throw wrongType(name, column, expected);
    return { values, validity: column.validity };
  }

  function time(name: string, kind: 'timestamp' | 'duration'): I64Column | null {
    const column = get(name);
    if (column === null) return null;
    if (column.kind !== kind) throw wrongType(name, column, kind);
    return column as I64Column;
  }

  function bytes(name: string, kind: 'utf8' | 'binary'): BytesColumn | null {
    const column = get(name);
    if (column === null) return null;
    if (column.kind !== kind) throw wrongType(name, column, kind);
    return column as BytesColumn;
  }

  function list(name: string) {
    const column = get(name);
    if (column === null) return null;
    if (column.kind !== 'list') throw wrongType(name, column, 'list');
    return column;
  }

  return {
    rowCount,
    payload,
    malformed,
    u8: (name) => integers(name, Uint8Array, 'u8'),
    u16: (name) => integers(name, Uint16Array, 'u16'),
    u32: (name) => integers(name, Uint32Array, 'u32'),
    hasU32(name) {
      const column = get(name);
      return column?.kind === 'int' && column.values instanceof Uint32Array;
    },
    i32: (name) => integers(name, Int32Array, 'i32'),
    i64: (name) => integers(name, BigInt64Array, 'i64'),
    u64: (name) => integers(name, BigUint64Array, 'u64'),
    f64(name) {
      const column = get(name);
      if (column === null) return null;
      if (column.kind !== 'float' || !(column.values instanceof Float64Array)) throw wrongType(name, column, 'f64');
      return { values: column.values, validity: column.validity };
    },
    bool(name) {
      const column = get(name);
      if (column === null) return null;
      if (column.kind !== 'bool') throw wrongType(name, column, 'bool');
      return column;
    },
    timestamp: (name) => time(name, 'timestamp'),
    duration: (name) => time(name, 'duration'),
    utf8: (name) => bytes(name, 'utf8'),
    binary: (name) => bytes(name, 'binary'),
    identifier(name, width) {
      const column = get(name);
      if (column === null) return null;
      const identifiers = readIdentifier(column, width, budget);
      if (identifiers === null) throw wrongType(name, column, `binary of ${width} bytes`);
      return identifiers;
    },
    u64List(name) {
      const column = list(name);
      if (column === null) return null;
      const values = numberList(column, BigUint64Array, budget);
      if (values === null) throw wrongType(name, column.child, 'list of u64');
      return values;
    },
    f64List(name) {
      const column = list(name);
      if (column === null) return null;
      const values = numberList(column, Float64Array, budget);
      if (values === null) throw wrongType(name, column.child, 'list of f64');
      return values;
    },
    f64ListMember(name, member) {
      const column = list(name);
      if (column === null) return null;
      const memberFields = fields[find(name)]!.children[0]!.children;
      const values = structListMember(column, memberFields, member, budget);
      if (values === null) throw wrongType(name, column.child, `list of structs with ${member} f64`);
      return values;
    },
    struct(name) {
      const column = get(name);
      if (column === null) return null;
      if (column.kind !== 'struct') throw wrongType(name, column, 'struct');
      return tableColumns(payload, rowCount, fields[find(name)]!.children, column.children, budget);
    },
    encoding: (name) => fields[find(name)]?.encoding ?? '',
    required(column, name) {
      if (column === null) throw malformed(name, 'it is missing');
      return column;
    },
  };
}
