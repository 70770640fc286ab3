/** AnyValue columns in their stored form: text, type and, for maps and slices, the CBOR bytes. */
import { type BytesColumn, cborToJson, type ValueColumns, VALUE_TYPES } from '../../otap/index.ts';
import type { GrowableStringArena, PoolStrings } from '../string-arena.ts';

/** Writes values of some columns into the words of string vectors. */
export interface ValueWriter {
  /** The text of the value at `source`: strings as they are, others in their JSON form. Returns false for a value without text. */
  putText(words: Uint32Array, row: number, source: number): boolean;
  /** The CBOR bytes of a map or slice. */
  putSer(words: Uint32Array, row: number, source: number): void;
}

/** `uses` is about how many values will be written. */
export function createValueWriter(columns: ValueColumns, arena: GrowableStringArena, uses: number): ValueWriter {
  const { type, str, int, double, bool, bytes, ser } = columns;
  let strings: PoolStrings | null = null;
  let sers: PoolStrings | null = null;
  const ints = int === null ? null : halves(int.values);
  const strValidity = str?.validity ?? null;
  const strIndices = str?.indices ?? null;

  function putText(words: Uint32Array, row: number, source: number): boolean {
    switch (type[source]) {
      case VALUE_TYPES.STR:
        if (str === null || (strValidity !== null && strValidity[source] === 0)) {
          arena.addEmpty(words, row);
        } else {
          strings ??= arena.addPool(str.pool, uses);
          strings.put(words, row, strIndices === null ? source : strIndices[source]!);
        }
        return true;
      case VALUE_TYPES.INT:
        if (ints === null) arena.addInt64(words, row, 0, 0);
        else arena.addInt64(words, row, ints[2 * source]!, ints[2 * source + 1]!);
        return true;
      case VALUE_TYPES.DOUBLE:
        arena.addDouble(words, row, double === null ? 0 : double.values[source]!);
        return true;
      case VALUE_TYPES.BOOL:
        arena.addBoolean(words, row, bool !== null && bool.values[source] !== 0);
        return true;
      case VALUE_TYPES.BYTES:
        if (!isPresent(bytes, source)) {
          arena.addEmpty(words, row);
        } else {
          const { pool } = bytes;
          const entry = entryOf(bytes, source);
          arena.addBase64(words, row, pool.bytes, pool.offsets[entry]!, pool.offsets[entry + 1]!);
        }
        return true;
      case VALUE_TYPES.MAP:
      case VALUE_TYPES.SLICE:
        arena.addText(words, row, jsonOf(source));
        return true;
      default:
        arena.addEmpty(words, row);
        return false;
    }
  }

  function putSer(words: Uint32Array, row: number, source: number): void {
    if (!isPresent(ser, source)) {
      arena.addEmpty(words, row);
    } else {
      sers ??= arena.addPool(ser.pool, uses);
      sers.put(words, row, entryOf(ser, source));
    }
  }

  function jsonOf(source: number): string {
    if (isPresent(ser, source)) {
      const { pool } = ser;
      const entry = entryOf(ser, source);
      const start = pool.offsets[entry]!;
      const end = pool.offsets[entry + 1]!;
      if (end > start) return cborToJson(pool.bytes.subarray(start, end));
    }
    return type[source] === VALUE_TYPES.MAP ? '{}' : '[]';
  }

  return { putText, putSer };
}

/** Whether a value of this type has CBOR bytes. */
export function isSerialized(type: number): boolean {
  return type === VALUE_TYPES.MAP || type === VALUE_TYPES.SLICE;
}

/** The 32-bit halves of 64-bit values, low half first. */
export function halves(values: BigInt64Array | Float64Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
}

function isPresent(column: BytesColumn | null, row: number): column is BytesColumn {
  return column !== null && (column.validity === null || column.validity[row] !== 0);
}

function entryOf(column: BytesColumn, row: number): number {
  return column.indices === null ? row : column.indices[row]!;
}
