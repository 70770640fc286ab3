/** Single cells of our columns and of apache-arrow's, in one form: for comparing two decoders that share no code. */
import { type Data, DataType, type Vector } from 'apache-arrow';
import type { ArrowColumn } from '../../src/otap/arrow-columns.ts';
import type { ArrowField } from '../../src/otap/arrow-schema.ts';

/** Null, number, bigint (ints of 64 bits, times in nanoseconds), boolean, `x` + hex of strings and bytes, or a list of cells. */
export type Cell = null | number | bigint | boolean | string | readonly Cell[];

/** Reads cell `row` of one of our columns. */
export function ourCell(column: ArrowColumn, field: ArrowField, row: number): Cell {
  if (column.kind === 'null') return null;
  if (column.kind === 'union') {
    const child = column.childIndexes[row]!;
    return ourCell(
      column.children[child]!,
      field.children[child]!,
      column.offsets === null ? row : column.offsets[row]!,
    );
  }
  if (column.validity !== null && column.validity[row] === 0) return null;
  switch (column.kind) {
    case 'int':
    case 'float':
    case 'timestamp':
    case 'duration':
      return column.values[row]!;
    case 'bool':
      return column.values[row] === 1;
    case 'fixedBinary':
    case 'opaque':
      return hex(column.values.subarray(row * column.width, (row + 1) * column.width));
    case 'utf8':
    case 'binary': {
      const { pool, indices } = column;
      const entry = indices === null ? row : indices[row]!;
      return hex(pool.bytes.subarray(pool.offsets[entry], pool.offsets[entry + 1]));
    }
    case 'list': {
      const cells: Cell[] = [];
      for (let at = column.offsets[row]!; at < column.offsets[row + 1]!; at++) {
        cells.push(ourCell(column.child, field.children[0]!, at));
      }
      return cells;
    }
    case 'struct':
      return column.children.map((child, i) => ourCell(child, field.children[i]!, row));
  }
}

/** Reads cell `row` of apache-arrow data. */
export function theirCell(data: Data, row: number): Cell {
  const { type } = data;
  if (DataType.isNull(type)) return null;
  if (DataType.isUnion(type)) {
    const child = type.typeIdToChildIndex[data.typeIds[row] as number]!;
    return theirCell(
      data.children[child]!,
      DataType.isDenseUnion(type) ? (data.valueOffsets as Int32Array)[row]! : row,
    );
  }
  if (data.nullCount > 0 && ((data.nullBitmap[row >> 3]! >> (row & 7)) & 1) === 0) return null;
  if (DataType.isDictionary(type)) return dictionaryCell(data.dictionary!, (data.values as Uint8Array)[row]!);
  if (DataType.isStruct(type)) return data.children.map((child) => theirCell(child, row));
  if (DataType.isList(type) || DataType.isMap(type)) {
    return range(data.children[0]!, data.valueOffsets[row]!, data.valueOffsets[row + 1]!);
  }
  if (DataType.isFixedSizeList(type)) return range(data.children[0]!, row * type.listSize, (row + 1) * type.listSize);
  if (DataType.isBool(type)) return ((data.values[row >> 3] >> (row & 7)) & 1) === 1;
  if (DataType.isFixedSizeBinary(type))
    return hex(data.values.subarray(row * type.byteWidth, (row + 1) * type.byteWidth));
  if (DataType.isUtf8(type) || DataType.isBinary(type) || DataType.isLargeUtf8(type) || DataType.isLargeBinary(type)) {
    return hex(data.values.subarray(Number(data.valueOffsets[row]), Number(data.valueOffsets[row + 1])));
  }
  if (DataType.isDate(type) || DataType.isTime(type) || DataType.isDecimal(type) || DataType.isInterval(type)) {
    const values = data.values as Int32Array;
    const lanes = data.stride;
    const cell = values.subarray(row * lanes, (row + 1) * lanes);
    return hex(new Uint8Array(cell.buffer, cell.byteOffset, cell.byteLength));
  }
  if (DataType.isTimestamp(type) || DataType.isDuration(type)) {
    return BigInt.asIntN(64, (data.values as BigInt64Array)[row]! * NANOS_PER_UNIT[type.unit]!);
  }
  return data.values[row] as number | bigint;
}

/** By TimeUnit. */
const NANOS_PER_UNIT = [1_000_000_000n, 1_000_000n, 1_000n, 1n] as const;

/** Compares cells: NaN equals NaN, -0 differs from 0. */
export function cellsEqual(left: Cell, right: Cell): boolean {
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((cell, i) => cellsEqual(cell as Cell, right[i] as Cell));
  }
  return Object.is(left, right);
}

function dictionaryCell(dictionary: Vector, index: number): Cell {
  let at = index;
  for (const chunk of dictionary.data) {
    if (at < chunk.length) return theirCell(chunk, at);
    at -= chunk.length;
  }
  throw new RangeError(`index ${index} is not in the dictionary`);
}

function range(data: Data, start: number, end: number): Cell[] {
  const cells: Cell[] = [];
  for (let at = start; at < end; at++) cells.push(theirCell(data, at));
  return cells;
}

function hex(bytes: Uint8Array): string {
  return `x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`;
}
