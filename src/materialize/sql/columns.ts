/**
 * Result columns on their way out of DuckDB: vectors of a chunk go in, Arrow's memory layout comes out. Both the Arrow and the text
 * encoders read these buffers, so every type is decoded in one place and no value becomes a JS object.
 *
 * `load` reads one vector (and its children); `take` appends rows of what was loaded. A vector lives no longer than its chunk.
 */
import type { DuckDBArrayType, DuckDBDecimalType, DuckDBEnumType, DuckDBListType } from '@duckdb/node-api';
import type { DuckDBMapType, DuckDBStructType, DuckDBType } from '@duckdb/node-api';
import type duckdb from '@duckdb/node-bindings';
import { DuckDBTypeId } from '../duckdb.ts';
import { BooleanColumn, DecimalColumn, FixedColumn, IntervalColumn } from './fixed-columns.ts';
import { FixedListColumn, ListColumn, StructColumn } from './nested-columns.ts';
import { EnumColumn, OtherColumn, StringColumn, UuidColumn, WideIntegerColumn } from './text-columns.ts';

/** A column under construction. */
export interface ResultColumn {
  readonly length: number;
  readonly nullCount: number;
  /** Valid rows, least significant bit first. Meaningless when `nullCount` is 0. */
  readonly validity: Uint8Array;
  /** Bytes of data held, children included: what bounds a batch. */
  readonly bytes: number;
  /** Buffers after the validity bitmap, in Arrow's order. */
  readonly buffers: readonly Uint8Array[];
  readonly children: readonly ResultColumn[];
  /** Reads `rowCount` rows of a vector; rows not valid in `mask` are null whatever the vector says, and are never looked at. */
  load(vector: duckdb.Vector, rowCount: number, mask: Uint8Array | null): void;
  /** Appends rows `start` to `start + count` of the loaded vector. */
  take(start: number, count: number): void;
  /** Forgets all rows; keeps the memory. */
  reset(): void;
}

/** An empty column for values of a DuckDB type. Types without an Arrow form of their own become text. */
export function createColumn(type: DuckDBType): ResultColumn {
  const width = FIXED_WIDTHS[type.typeId];
  if (width !== undefined) return new FixedColumn(width);
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN:
      return new BooleanColumn();
    case DuckDBTypeId.DECIMAL:
      return new DecimalColumn((type as DuckDBDecimalType).width);
    case DuckDBTypeId.INTERVAL:
      return new IntervalColumn();
    case DuckDBTypeId.VARCHAR:
    case DuckDBTypeId.BLOB:
      return new StringColumn();
    case DuckDBTypeId.UUID:
      return new UuidColumn();
    case DuckDBTypeId.UHUGEINT:
      return new WideIntegerColumn();
    case DuckDBTypeId.ENUM:
      return new EnumColumn((type as DuckDBEnumType).values);
    case DuckDBTypeId.LIST:
      return new ListColumn(createColumn((type as DuckDBListType).valueType));
    case DuckDBTypeId.MAP: {
      const { keyType, valueType } = type as DuckDBMapType;
      return new ListColumn(new StructColumn([createColumn(keyType), createColumn(valueType)]));
    }
    case DuckDBTypeId.ARRAY: {
      const { valueType, length } = type as DuckDBArrayType;
      return new FixedListColumn(createColumn(valueType), length);
    }
    case DuckDBTypeId.STRUCT:
      return new StructColumn((type as DuckDBStructType).entryTypes.map(createColumn));
    default:
      return new OtherColumn(type);
  }
}

/** Bytes of types whose DuckDB and Arrow layouts are the same. */
const FIXED_WIDTHS: Readonly<Partial<Record<DuckDBTypeId, number>>> = {
  [DuckDBTypeId.TINYINT]: 1,
  [DuckDBTypeId.UTINYINT]: 1,
  [DuckDBTypeId.SMALLINT]: 2,
  [DuckDBTypeId.USMALLINT]: 2,
  [DuckDBTypeId.INTEGER]: 4,
  [DuckDBTypeId.UINTEGER]: 4,
  [DuckDBTypeId.BIGINT]: 8,
  [DuckDBTypeId.UBIGINT]: 8,
  [DuckDBTypeId.HUGEINT]: 16,
  [DuckDBTypeId.FLOAT]: 4,
  [DuckDBTypeId.DOUBLE]: 8,
  [DuckDBTypeId.DATE]: 4,
  [DuckDBTypeId.TIME]: 8,
  [DuckDBTypeId.TIME_NS]: 8,
  [DuckDBTypeId.TIMESTAMP]: 8,
  [DuckDBTypeId.TIMESTAMP_S]: 8,
  [DuckDBTypeId.TIMESTAMP_MS]: 8,
  [DuckDBTypeId.TIMESTAMP_NS]: 8,
  [DuckDBTypeId.TIMESTAMP_TZ]: 8,
};
