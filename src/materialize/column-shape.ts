/**
 * How values of a DuckDB type lie in memory, as far as column writers need it: worked out once per table, so that the hot path
 * switches over a handful of shapes.
 */
import type { DuckDBType } from '@duckdb/node-api';
import { TreasuryError } from '../base/index.ts';
import { DuckDBTypeId } from './duckdb.ts';

export type ColumnShape = FixedShape | UuidShape | StringShape | ListShape | StructShape;

export interface FixedShape {
  readonly kind: 'fixed';
  readonly type: DuckDBType;
  readonly widthBytes: 1 | 2 | 4 | 8;
  /** Values must be below: 2 for BOOLEAN, the member count for ENUM. DuckDB trusts them blindly. */
  readonly valueBound: number | null;
}

interface UuidShape {
  readonly kind: 'uuid';
}

interface StringShape {
  readonly kind: 'string';
  /** VARCHAR and not BLOB. */
  readonly isText: boolean;
}

/** LIST, and MAP as the list of STRUCT(key, value) that it is. */
interface ListShape {
  readonly kind: 'list';
  readonly isMap: boolean;
  readonly child: ColumnShape;
}

interface StructShape {
  readonly kind: 'struct';
  readonly names: readonly string[];
  readonly children: readonly ColumnShape[];
}

const FIXED_WIDTHS: Partial<Record<DuckDBTypeId, 1 | 2 | 4 | 8>> = {
  [DuckDBTypeId.BOOLEAN]: 1,
  [DuckDBTypeId.TINYINT]: 1,
  [DuckDBTypeId.UTINYINT]: 1,
  [DuckDBTypeId.SMALLINT]: 2,
  [DuckDBTypeId.USMALLINT]: 2,
  [DuckDBTypeId.INTEGER]: 4,
  [DuckDBTypeId.UINTEGER]: 4,
  [DuckDBTypeId.BIGINT]: 8,
  [DuckDBTypeId.UBIGINT]: 8,
  [DuckDBTypeId.DOUBLE]: 8,
  [DuckDBTypeId.TIMESTAMP]: 8,
  [DuckDBTypeId.TIMESTAMP_TZ]: 8,
  [DuckDBTypeId.TIMESTAMP_NS]: 8,
};

/** The shape of a type. Throws TREASURY_STORE for types that no table of ours may have. */
export function shapeOfType(type: DuckDBType): ColumnShape {
  switch (type.typeId) {
    case DuckDBTypeId.UUID:
      return { kind: 'uuid' };
    case DuckDBTypeId.VARCHAR:
    case DuckDBTypeId.BLOB:
      return { kind: 'string', isText: type.typeId === DuckDBTypeId.VARCHAR };
    case DuckDBTypeId.LIST:
      return { kind: 'list', isMap: false, child: shapeOfType(type.valueType) };
    case DuckDBTypeId.MAP: {
      const children = [shapeOfType(type.keyType), shapeOfType(type.valueType)];
      return { kind: 'list', isMap: true, child: { kind: 'struct', names: ['key', 'value'], children } };
    }
    case DuckDBTypeId.STRUCT:
      return { kind: 'struct', names: type.entryNames, children: type.entryTypes.map((entry) => shapeOfType(entry)) };
    case DuckDBTypeId.ENUM: {
      const widthBytes = FIXED_WIDTHS[type.internalTypeId];
      if (widthBytes !== undefined) return { kind: 'fixed', type, widthBytes, valueBound: type.values.length };
      break;
    }
    default: {
      const widthBytes = FIXED_WIDTHS[type.typeId];
      const valueBound = type.typeId === DuckDBTypeId.BOOLEAN ? 2 : null;
      if (widthBytes !== undefined) return { kind: 'fixed', type, widthBytes, valueBound };
    }
  }
  throw new TreasuryError('TREASURY_STORE', `Cannot write columns of type ${type.toString()}`);
}
