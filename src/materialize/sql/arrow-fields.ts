/** The Arrow field of each DuckDB type. */
import type { DuckDBArrayType, DuckDBDecimalType, DuckDBListType } from '@duckdb/node-api';
import type { DuckDBMapType, DuckDBStructType, DuckDBType } from '@duckdb/node-api';
import { type FlatField, i16, i32, i8 } from '../../base/index.ts';
import { DuckDBTypeId } from '../duckdb.ts';

/**
 * A Field table. Choices that a reader sees:
 * - HUGEINT (what `sum()` returns) is a decimal of 38 digits, as DuckDB itself exports it: exact, the two highest values of 39 digits
 *   included, though a reader may refuse those; UHUGEINT is text.
 * - UUID and ENUM are text: what people filter by.
 * - INTERVAL is months, days and nanoseconds.
 * - Types that Arrow lacks (BIT, TIME WITH TIME ZONE, BIGNUM, UNION, VARIANT, …) are DuckDB's text.
 */
export function arrowField(name: string, type: DuckDBType, nullable = true): FlatField[] {
  const { code, fields, children } = arrowType(type);
  return [
    { kind: 'string', value: name },
    i8(nullable ? 1 : 0),
    i8(code),
    { kind: 'table', fields },
    null,
    { kind: 'tables', items: children },
  ];
}

/** Type codes of Schema.fbs. */
const TYPE = {
  INT: 2,
  FLOAT: 3,
  BINARY: 4,
  UTF8: 5,
  BOOL: 6,
  DECIMAL: 7,
  DATE: 8,
  TIME: 9,
  TIMESTAMP: 10,
  INTERVAL: 11,
  LIST: 12,
  STRUCT: 13,
  FIXED_SIZE_LIST: 16,
  MAP: 17,
} as const;

const UNIT = { SECOND: 0, MILLI: 1, MICRO: 2, NANO: 3 } as const;
const PRECISION = { SINGLE: 1, DOUBLE: 2 } as const;
const DATE_UNIT_DAY = 0;
const INTERVAL_MONTH_DAY_NANO = 2;
const HUGEINT_DIGITS = 38;
const DECIMAL_BITS = 128;

interface ArrowType {
  readonly code: number;
  readonly fields: readonly FlatField[];
  readonly children: readonly FlatField[][];
}

function arrowType(type: DuckDBType): ArrowType {
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN:
      return leaf(TYPE.BOOL);
    case DuckDBTypeId.TINYINT:
      return integer(8, true);
    case DuckDBTypeId.SMALLINT:
      return integer(16, true);
    case DuckDBTypeId.INTEGER:
      return integer(32, true);
    case DuckDBTypeId.BIGINT:
      return integer(64, true);
    case DuckDBTypeId.UTINYINT:
      return integer(8, false);
    case DuckDBTypeId.USMALLINT:
      return integer(16, false);
    case DuckDBTypeId.UINTEGER:
      return integer(32, false);
    case DuckDBTypeId.UBIGINT:
      return integer(64, false);
    case DuckDBTypeId.FLOAT:
      return leaf(TYPE.FLOAT, i16(PRECISION.SINGLE));
    case DuckDBTypeId.DOUBLE:
      return leaf(TYPE.FLOAT, i16(PRECISION.DOUBLE));
    case DuckDBTypeId.HUGEINT:
      return decimal(HUGEINT_DIGITS, 0);
    case DuckDBTypeId.DECIMAL: {
      const { width, scale } = type as DuckDBDecimalType;
      return decimal(width, scale);
    }
    case DuckDBTypeId.BLOB:
      return leaf(TYPE.BINARY);
    case DuckDBTypeId.DATE:
      return leaf(TYPE.DATE, i16(DATE_UNIT_DAY));
    case DuckDBTypeId.TIME:
      return leaf(TYPE.TIME, i16(UNIT.MICRO), i32(64));
    case DuckDBTypeId.TIME_NS:
      return leaf(TYPE.TIME, i16(UNIT.NANO), i32(64));
    case DuckDBTypeId.INTERVAL:
      return leaf(TYPE.INTERVAL, i16(INTERVAL_MONTH_DAY_NANO));
    default:
      return timestampType(type) ?? nestedType(type) ?? leaf(TYPE.UTF8);
  }
}

function timestampType(type: DuckDBType): ArrowType | undefined {
  switch (type.typeId) {
    case DuckDBTypeId.TIMESTAMP_S:
      return leaf(TYPE.TIMESTAMP, i16(UNIT.SECOND));
    case DuckDBTypeId.TIMESTAMP_MS:
      return leaf(TYPE.TIMESTAMP, i16(UNIT.MILLI));
    case DuckDBTypeId.TIMESTAMP:
      return leaf(TYPE.TIMESTAMP, i16(UNIT.MICRO));
    case DuckDBTypeId.TIMESTAMP_NS:
      return leaf(TYPE.TIMESTAMP, i16(UNIT.NANO));
    case DuckDBTypeId.TIMESTAMP_TZ:
      return leaf(TYPE.TIMESTAMP, i16(UNIT.MICRO), { kind: 'string', value: 'UTC' });
    default:
      return undefined;
  }
}

function nestedType(type: DuckDBType): ArrowType | undefined {
  switch (type.typeId) {
    case DuckDBTypeId.LIST:
      return parent(TYPE.LIST, [], [arrowField('item', (type as DuckDBListType).valueType)]);
    case DuckDBTypeId.ARRAY: {
      const { valueType, length } = type as DuckDBArrayType;
      return parent(TYPE.FIXED_SIZE_LIST, [i32(length)], [arrowField('item', valueType)]);
    }
    case DuckDBTypeId.STRUCT: {
      const { entryNames, entryTypes } = type as DuckDBStructType;
      const children = entryTypes.map((child, index) => arrowField(entryNames[index] as string, child));
      return parent(TYPE.STRUCT, [], children);
    }
    case DuckDBTypeId.MAP:
      return parent(TYPE.MAP, [], [mapEntries(type as DuckDBMapType)]);
    default:
      return undefined;
  }
}

function mapEntries({ keyType, valueType }: DuckDBMapType): FlatField[] {
  return [
    { kind: 'string', value: 'entries' },
    i8(0),
    i8(TYPE.STRUCT),
    { kind: 'table', fields: [] },
    null,
    { kind: 'tables', items: [arrowField('key', keyType, false), arrowField('value', valueType)] },
  ];
}

function leaf(code: number, ...fields: FlatField[]): ArrowType {
  return { code, fields, children: [] };
}

function parent(code: number, fields: readonly FlatField[], children: readonly FlatField[][]): ArrowType {
  return { code, fields, children };
}

function integer(bits: number, signed: boolean): ArrowType {
  return leaf(TYPE.INT, i32(bits), i8(signed ? 1 : 0));
}

function decimal(digits: number, scale: number): ArrowType {
  return leaf(TYPE.DECIMAL, i32(digits), i32(scale), i32(DECIMAL_BITS));
}
