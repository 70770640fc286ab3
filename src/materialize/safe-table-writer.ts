/**
 * The slow way of rows into a table: every value becomes a JavaScript value and goes through the public API of DuckDB's client.
 * It relies on no memory layout, so it is what the fast way is compared with and what takes over when they differ.
 */
import type { DuckDBAppender, DuckDBConnection, DuckDBType, DuckDBValue } from '@duckdb/node-api';
import { assert } from '../base/index.ts';
import { type ColumnShape, type FixedShape, shapeOfType } from './column-shape.ts';
import {
  blobValue,
  DuckDBDataChunk,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTypeId,
  listValue,
  mapValue,
  structValue,
  uuidValue,
} from './duckdb.ts';
import { INLINE_BYTES_MAX } from './string-arena.ts';
import { checkVector } from './vector-checks.ts';
import type { FixedVector, ListVector, StringArena, StringVector, TableWriter, VectorData } from './vectors.ts';

const CHUNK_ROWS_MAX = 2048;
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Opens a writer on `schema.table`: the contract of `openRawTableWriter`. */
export async function openSafeTableWriter(
  connection: DuckDBConnection,
  schema: string,
  table: string,
): Promise<TableWriter> {
  const appender = await connection.createAppender(table, schema);
  try {
    return new SafeTableWriter(appender, `${schema}.${table}`);
  } catch (error) {
    appender.closeSync();
    throw error;
  }
}

class SafeTableWriter implements TableWriter {
  readonly #appender: DuckDBAppender;
  readonly #name: string;
  readonly #types: readonly DuckDBType[];
  readonly #shapes: readonly ColumnShape[];

  constructor(appender: DuckDBAppender, name: string) {
    this.#appender = appender;
    this.#name = name;
    this.#types = Array.from({ length: appender.columnCount }, (_, i) => appender.columnType(i));
    this.#shapes = this.#types.map((type) => shapeOfType(type));
  }

  append(columns: readonly VectorData[], rowCount: number): void {
    const shapes = this.#shapes;
    assert(columns.length === shapes.length, `Columns must be those of ${this.#name}: count is ${columns.length}`);
    for (const [i, shape] of shapes.entries()) {
      checkVector(shape, columns[i]!, 0, rowCount, `${this.#name}[${i}]`, arenaLength);
    }
    for (let start = 0; start < rowCount; start += CHUNK_ROWS_MAX) {
      const count = Math.min(CHUNK_ROWS_MAX, rowCount - start);
      const chunk = DuckDBDataChunk.create(this.#types, count);
      for (const [i, shape] of shapes.entries()) {
        chunk.setColumnValues(i, valuesOf(shape, columns[i]!, start, count));
      }
      this.#appender.appendDataChunk(chunk);
    }
  }

  flush(): void {
    this.#appender.flushSync();
  }

  discard(): void {
    this.#appender.clear();
  }

  close(): void {
    this.#appender.clear();
    this.#appender.closeSync();
  }
}

function arenaLength(arena: StringArena): number {
  return arena.bytes.length;
}

/** Rows `start` to `start + count` of a checked vector as the values that DuckDB's client takes. */
function valuesOf(shape: ColumnShape, data: VectorData, start: number, count: number): DuckDBValue[] {
  return Array.from({ length: count }, (_, i) => valueOf(shape, data, start + i));
}

function valueOf(shape: ColumnShape, data: VectorData, row: number): DuckDBValue {
  if (data.kind === 'constant') {
    if (data.value === null || shape.kind !== 'fixed') return data.value;
    return storedValue(shape, typeof data.value === 'boolean' ? Number(data.value) : (data.value as number | bigint));
  }
  if (data.validity !== null && data.validity[row] === 0) return null;
  switch (data.kind) {
    case 'fixed':
      return fixedValue(shape as FixedShape, data, row);
    case 'uuid':
      return uuidValue(bigEndian(data.values, 16 * row));
    case 'string': {
      const bytes = stringBytes(data, row);
      return shape.kind === 'string' && shape.isText ? decoder.decode(bytes) : blobValue(bytes);
    }
    case 'list':
      return listOrMap(shape, data, row);
    case 'struct': {
      const { names, children } = shape as Extract<ColumnShape, { kind: 'struct' }>;
      const fields = names.map((name, i) => [name, valueOf(children[i]!, data.children[i]!, row)] as const);
      return structValue(Object.fromEntries(fields));
    }
  }
}

function listOrMap(shape: ColumnShape, data: ListVector, row: number): DuckDBValue {
  assert(shape.kind === 'list', 'A list vector must be of a list column');
  const start = data.offsets[row]!;
  const count = data.offsets[row + 1]! - start;
  if (!shape.isMap) return listValue(valuesOf(shape.child, data.child, start, count));
  assert(shape.child.kind === 'struct' && data.child.kind === 'struct', 'The child of a map must be a struct');
  const [keyShape, valueShape] = shape.child.children;
  const [keyData, valueData] = data.child.children;
  const keys = valuesOf(keyShape!, keyData!, start, count);
  const values = valuesOf(valueShape!, valueData!, start, count);
  return mapValue(keys.map((key, i) => ({ key, value: values[i]! })));
}

function fixedValue(shape: FixedShape, data: FixedVector, row: number): DuckDBValue {
  const { values } = data;
  if (shape.type.typeId === DuckDBTypeId.DOUBLE) {
    return new DataView(values.buffer, values.byteOffset).getFloat64(8 * row, true);
  }
  if (values instanceof Float64Array) {
    return storedValue(shape, new DataView(values.buffer, values.byteOffset).getBigInt64(8 * row, true));
  }
  return storedValue(shape, values[row]!);
}

/** The value of an integer's bits in a type. */
function storedValue(shape: FixedShape, bits: number | bigint): DuckDBValue {
  const { type } = shape;
  const signed = () => BigInt.asIntN(64, BigInt(bits));
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN:
      return Number(bits) === 1;
    case DuckDBTypeId.ENUM:
      return type.values[Number(bits)]!;
    case DuckDBTypeId.TINYINT:
    case DuckDBTypeId.SMALLINT:
    case DuckDBTypeId.INTEGER:
      return Number(BigInt.asIntN(8 * shape.widthBytes, BigInt(bits)));
    case DuckDBTypeId.UTINYINT:
    case DuckDBTypeId.USMALLINT:
    case DuckDBTypeId.UINTEGER:
      return Number(BigInt.asUintN(8 * shape.widthBytes, BigInt(bits)));
    case DuckDBTypeId.UBIGINT:
      return BigInt.asUintN(64, BigInt(bits));
    case DuckDBTypeId.TIMESTAMP:
      return new DuckDBTimestampValue(signed());
    case DuckDBTypeId.TIMESTAMP_TZ:
      return new DuckDBTimestampTZValue(signed());
    case DuckDBTypeId.TIMESTAMP_NS:
      return new DuckDBTimestampNanosecondsValue(signed());
    case DuckDBTypeId.DOUBLE:
      return Number(bits);
    default:
      return signed();
  }
}

function stringBytes(data: StringVector, row: number): Uint8Array {
  const { words, arena } = data;
  const length = words[4 * row]!;
  if (length > INLINE_BYTES_MAX) {
    const position = words[4 * row + 2]!;
    return arena.bytes.slice(position, position + length);
  }
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (words[4 * row + 1 + (i >> 2)]! >>> (8 * (i & 3))) & 0xff;
  return bytes;
}

function bigEndian(bytes: Uint8Array, at: number): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 16);
  return (view.getBigUint64(0) << 64n) | view.getBigUint64(8);
}
