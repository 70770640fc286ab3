/** What the files of tables hold: the query behind each table, its day, and its columns in the types that Delta tables know. */
import type { DuckDBType } from '@duckdb/node-api';
import { type Signal, TreasuryError } from '../base/index.ts';
import type { BatchTableName } from './batch-tables.ts';
import { sqlIdentifier } from './database.ts';
import { DuckDBTypeId } from './duckdb.ts';

interface TableSource {
  readonly signal: Signal;
  /** The event time that days go by. */
  readonly time: string;
  /** All rows with all columns. */
  readonly query: string;
}

const SERIES_COLUMNS = `
  series.metric_name, series.type, series.unit, series.description, series.temporality, series.is_monotonic, series.service_name,
  series.attributes%ATTRIBUTES%, series.resource_attributes, series.scope_attributes, series.scope_name, series.scope_version,
  series.resource_schema_url, series.scope_schema_url`;

function points(table: string, attributesName = ''): TableSource {
  return {
    signal: 'metrics',
    time: 'time',
    query: `SELECT points.*, ${SERIES_COLUMNS.replace('%ATTRIBUTES%', attributesName)}
      FROM main.${table} AS points LEFT JOIN main.series AS series ON series.series_id = points.series_id`,
  };
}

/** Where the rows of each table come from. */
export const TABLE_SOURCES: Readonly<Record<BatchTableName, TableSource>> = {
  logs: { signal: 'logs', time: 'time', query: 'SELECT * FROM main.logs' },
  spans: { signal: 'traces', time: 'start_time', query: 'SELECT * FROM main.spans' },
  samples: points('samples'),
  histograms: points('histograms'),
  exp_histograms: points('exp_histograms'),
  summaries: points('summaries'),
  // Exemplars have attributes of their own.
  exemplars: points('exemplars', ' AS series_attributes'),
};

/** The day of rows without a time, or with one that no calendar has. */
export const NO_DAY = '0000-00-00';

/** The UTC day of a time column as text. A time of 0 is what OTLP has for none. */
export function dayOf(column: string): string {
  return `CASE WHEN ${column} IS NULL OR NOT isfinite(${column}) OR ${column} = make_timestamp_ns(0)
    THEN '${NO_DAY}' ELSE make_timestamp(${microsecondsOf(column)})::DATE::VARCHAR END`;
}

/** The microsecond that a time is in. DuckDB's own casts go towards 1970: before that to the one behind. */
function microsecondsOf(value: string): string {
  return `(epoch_ns(${value}) // 1000 - CASE WHEN epoch_ns(${value}) % 1000 < 0 THEN 1 ELSE 0 END)`;
}

/** A type in the schema of a Delta table. */
export type DeltaType =
  | string
  | { readonly type: 'array'; readonly elementType: DeltaType; readonly containsNull: boolean }
  | {
      readonly type: 'map';
      readonly keyType: DeltaType;
      readonly valueType: DeltaType;
      readonly valueContainsNull: boolean;
    }
  | { readonly type: 'struct'; readonly fields: readonly DeltaField[] };

export interface DeltaField {
  readonly name: string;
  readonly type: DeltaType;
  readonly nullable: true;
  readonly metadata: Readonly<Record<string, never>>;
}

/** A column as a Delta table has it: its field, and the SQL that makes it. */
export interface DeltaColumn {
  readonly field: DeltaField;
  readonly sql: string;
}

/** Span ids, for which a number is no help. */
const SPAN_IDS: ReadonlySet<string> = new Set(['span_id', 'parent_span_id']);
/** Offsets end at 2^52 (`LIMITS.baseOffsetMax`). Other unsigned 64-bit integers may be anything that a sender made up. */
const OFFSETS: ReadonlySet<string> = new Set(['entry_offset']);

const SAME: Partial<Record<DuckDBTypeId, string>> = {
  [DuckDBTypeId.BOOLEAN]: 'boolean',
  [DuckDBTypeId.INTEGER]: 'integer',
  [DuckDBTypeId.BIGINT]: 'long',
  [DuckDBTypeId.DOUBLE]: 'double',
  [DuckDBTypeId.VARCHAR]: 'string',
};

/**
 * What a column becomes: itself in a type that Delta has, and for times, which Delta has in microseconds, a second column with the
 * nanoseconds. `value` is the SQL of the column. Throws TREASURY_STORE for types that no view of ours has.
 */
export function deltaColumns(
  name: string,
  type: DuckDBType,
  value: string = sqlIdentifier(name),
  depth = 0,
): DeltaColumn[] {
  if (type.typeId === DuckDBTypeId.TIMESTAMP_NS) {
    return [
      column(name, 'timestamp', `CASE WHEN isfinite(${value}) THEN make_timestamptz(${microsecondsOf(value)}) END`),
      column(`${name}_unix_nano`, 'long', `epoch_ns(${value})`),
    ];
  }
  const { deltaType, sql } = converted(name, type, value, depth);
  return [column(name, deltaType, sql)];
}

function column(name: string, type: DeltaType, sql: string): DeltaColumn {
  return { field: { name, type, nullable: true, metadata: {} }, sql };
}

interface Converted {
  readonly deltaType: DeltaType;
  readonly sql: string;
}

function converted(name: string, type: DuckDBType, value: string, depth: number): Converted {
  const same = SAME[type.typeId];
  if (same !== undefined) return { deltaType: same, sql: value };
  switch (type.typeId) {
    case DuckDBTypeId.UUID:
      return { deltaType: 'string', sql: `main.trace_hex(${value})` };
    case DuckDBTypeId.UTINYINT:
    case DuckDBTypeId.USMALLINT:
      return { deltaType: 'integer', sql: `${value}::INTEGER` };
    case DuckDBTypeId.UINTEGER:
      return { deltaType: 'long', sql: `${value}::BIGINT` };
    case DuckDBTypeId.UBIGINT:
      if (SPAN_IDS.has(name)) return { deltaType: 'string', sql: `main.span_hex(${value})` };
      if (OFFSETS.has(name)) return { deltaType: 'long', sql: `${value}::BIGINT` };
      return { deltaType: 'decimal(20,0)', sql: `${value}::DECIMAL(20, 0)` };
    case DuckDBTypeId.MAP:
      return convertedMap(name, type as MapType, value);
    case DuckDBTypeId.LIST:
      return convertedList(name, (type as ListType).valueType, value, depth);
    case DuckDBTypeId.STRUCT:
      return convertedStruct(type as StructType, value, depth);
    default:
      throw new TreasuryError(
        'TREASURY_STORE',
        `Cannot write column ${name} to a Delta table: type is ${String(type)}`,
      );
  }
}

type MapType = DuckDBType & { readonly keyType: DuckDBType; readonly valueType: DuckDBType };
type ListType = DuckDBType & { readonly valueType: DuckDBType };
type StructType = DuckDBType & { readonly entryNames: readonly string[]; readonly entryTypes: readonly DuckDBType[] };

function convertedMap(name: string, { keyType, valueType }: MapType, value: string): Converted {
  const key = SAME[keyType.typeId];
  const of = SAME[valueType.typeId];
  if (key === undefined || of === undefined) {
    throw new TreasuryError(
      'TREASURY_STORE',
      `Cannot write column ${name} to a Delta table: map is not of plain values`,
    );
  }
  return { deltaType: { type: 'map', keyType: key, valueType: of, valueContainsNull: true }, sql: value };
}

function convertedList(name: string, elementType: DuckDBType, value: string, depth: number): Converted {
  const element = `element_${depth}`;
  const { deltaType, sql } = converted(name, elementType, element, depth + 1);
  return {
    deltaType: { type: 'array', elementType: deltaType, containsNull: true },
    sql: sql === element ? value : `[${sql} FOR ${element} IN ${value}]`,
  };
}

function convertedStruct({ entryNames, entryTypes }: StructType, value: string, depth: number): Converted {
  const columns = entryTypes.flatMap((type, i) => {
    const name = entryNames[i]!;
    return deltaColumns(name, type, `${value}.${sqlIdentifier(name)}`, depth);
  });
  const members = columns.map(({ field, sql }) => `${sqlIdentifier(field.name)}: ${sql}`).join(', ');
  return {
    deltaType: { type: 'struct', fields: columns.map(({ field }) => field) },
    sql: `CASE WHEN ${value} IS NOT NULL THEN {${members}} END`,
  };
}
