/**
 * Copies column data into the vectors of a DuckDB data chunk by memcpy: no native call a value. Everything here is unsafe by
 * nature; `checkVector` has looked at the data before, and `writer-self-test.ts` at the layouts this file relies on:
 * string_t (length, prefix or bytes, pointer), list entries (u64 offset, u64 length), validity bits, the sign bit of UUIDs.
 */
import type { Vector } from '@duckdb/node-bindings';
import type { ColumnShape, FixedShape } from './column-shape.ts';
import { encodeConstant, type TextAddress } from './constants.ts';
import { duckdb } from './duckdb.ts';
import { INLINE_BYTES_MAX } from './string-arena.ts';
import type { FixedVector, ListVector, StringArena, StringVector, StructVector, VectorData } from './vectors.ts';

/** Holds copies of string bytes in DuckDB's memory while an append runs and tells where. Addresses are below 2^53. */
export interface BlockHolder {
  /** The address of the first byte of the arena's copy. */
  addressOf(arena: StringArena): number;
  /** The same for a constant of more than 12 bytes. */
  addressOfText: TextAddress;
}

const TWO_32 = 4294967296;
const STRING_BYTES = 16;
const LIST_ENTRY_BYTES = 16;
/** Scratch memory that a huge list grew beyond this many bytes is given back. */
const SCRATCH_RETAINED_BYTES_MAX = 4 * 1024 * 1024;
const SCRATCH_INITIAL_BYTES = 2048 * STRING_BYTES;

let scratch = new ArrayBuffer(SCRATCH_INITIAL_BYTES);

/**
 * Writes rows `start` to `start + count` of `data` into rows 0 to `count` of `vector`, a vector of an empty chunk whose type has
 * the shape. `outer` is the validity of the struct around it, by the same rows: under a null struct its fields are null.
 */
export function writeVector(
  vector: Vector,
  shape: ColumnShape,
  data: VectorData,
  start: number,
  count: number,
  outer: Uint8Array | null,
  holder: BlockHolder,
): void {
  if (count === 0) return;
  switch (data.kind) {
    case 'constant':
      if (data.value === null) {
        writeNulls(vector, shape, count);
        return;
      }
      writeRepeated(vector, encodeConstant(shape, data.value, holder.addressOfText), count);
      writeValidity(vector, null, outer, start, count);
      return;
    case 'fixed':
      writeFixed(vector, shape as FixedShape, data, start, count);
      break;
    case 'uuid':
      writeUuids(vector, data.values, start, count);
      break;
    case 'string':
      writeStrings(vector, data, start, count, holder.addressOf(data.arena));
      break;
    case 'list':
      if (shape.kind === 'list') writeLists(vector, shape.child, data, start, count, outer, holder);
      break;
    case 'struct':
      if (shape.kind === 'struct') writeFields(vector, shape.children, data, start, count, outer, holder);
  }
  writeValidity(vector, data.validity, outer, start, count);
}

/** Gives back scratch memory that unusual rows needed. */
export function trimScratch(): void {
  if (scratch.byteLength > SCRATCH_RETAINED_BYTES_MAX) scratch = new ArrayBuffer(SCRATCH_INITIAL_BYTES);
}

function scratchOf(byteCount: number): ArrayBuffer {
  if (scratch.byteLength < byteCount) scratch = new ArrayBuffer(Math.max(byteCount, 2 * scratch.byteLength));
  return scratch;
}

function writeFixed(vector: Vector, shape: FixedShape, data: FixedVector, start: number, count: number): void {
  const { values } = data;
  const from = values.byteOffset + start * shape.widthBytes;
  const byteCount = count * shape.widthBytes;
  if (values.buffer instanceof ArrayBuffer) {
    duckdb.copy_data_to_vector(vector, 0, values.buffer, from, byteCount);
    return;
  }
  // The binding refuses SharedArrayBuffer.
  const copy = scratchOf(byteCount);
  new Uint8Array(copy).set(new Uint8Array(values.buffer, from, byteCount));
  duckdb.copy_data_to_vector(vector, 0, copy, 0, byteCount);
}

function writeUuids(vector: Vector, values: Uint8Array, start: number, count: number): void {
  const buffer = scratchOf(count * STRING_BYTES);
  const words = new Uint32Array(buffer, 0, 4 * count);
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  for (let to = 0, from = 16 * start; to < words.length; to += 4, from += 16) {
    // A UUID is a little-endian 128-bit integer whose sign bit is flipped, so that it sorts like its text.
    words[to] = view.getUint32(from + 12);
    words[to + 1] = view.getUint32(from + 8);
    words[to + 2] = view.getUint32(from + 4);
    words[to + 3] = view.getUint32(from) ^ 0x80000000;
  }
  duckdb.copy_data_to_vector(vector, 0, buffer, 0, count * STRING_BYTES);
}

function writeStrings(vector: Vector, data: StringVector, start: number, count: number, address: number): void {
  const buffer = scratchOf(count * STRING_BYTES);
  placeStrings(new Uint32Array(buffer, 0, 4 * count), data.words.subarray(4 * start), address);
  duckdb.copy_data_to_vector(vector, 0, buffer, 0, count * STRING_BYTES);
}

/** Copies the words of strings to fill `target`, turning positions in the arena into pointers: `address` is below 2^53. */
export function placeStrings(target: Uint32Array, source: Uint32Array, address: number): void {
  const addressHigh = Math.floor(address / TWO_32);
  const addressLow = address - addressHigh * TWO_32;
  for (let at = 0; at < target.length; at += 4) {
    const length = source[at]!;
    target[at] = length;
    target[at + 1] = source[at + 1]!;
    if (length <= INLINE_BYTES_MAX) {
      target[at + 2] = source[at + 2]!;
      target[at + 3] = source[at + 3]!;
    } else {
      const low = addressLow + source[at + 2]!;
      target[at + 2] = low;
      target[at + 3] = low >= TWO_32 ? addressHigh + 1 : addressHigh;
    }
  }
}

function writeLists(
  vector: Vector,
  child: ColumnShape,
  data: ListVector,
  start: number,
  count: number,
  outer: Uint8Array | null,
  holder: BlockHolder,
): void {
  const { offsets, validity } = data;
  const first = offsets[start]!;
  const childCount = offsets[start + count]! - first;
  const buffer = scratchOf(count * LIST_ENTRY_BYTES);
  const entries = new Uint32Array(buffer, 0, 4 * count);
  for (let to = 0, row = start; to < entries.length; to += 4, row++) {
    const isNull = (validity !== null && validity[row] === 0) || (outer !== null && outer[row] === 0);
    const offset = offsets[row]!;
    entries[to] = offset - first;
    entries[to + 1] = 0;
    entries[to + 2] = isNull ? 0 : offsets[row + 1]! - offset;
    entries[to + 3] = 0;
  }
  duckdb.copy_data_to_vector(vector, 0, buffer, 0, count * LIST_ENTRY_BYTES);
  duckdb.list_vector_reserve(vector, childCount);
  duckdb.list_vector_set_size(vector, childCount);
  if (childCount === 0) return;
  writeVector(duckdb.list_vector_get_child(vector), child, data.child, first, childCount, null, holder);
}

function writeFields(
  vector: Vector,
  children: readonly ColumnShape[],
  data: StructVector,
  start: number,
  count: number,
  outer: Uint8Array | null,
  holder: BlockHolder,
): void {
  const around = bothValid(data.validity, outer, start, count);
  for (let i = 0; i < children.length; i++) {
    const field = duckdb.struct_vector_get_child(vector, i);
    writeVector(field, children[i]!, data.children[i]!, start, count, around, holder);
  }
}

function bothValid(one: Uint8Array | null, other: Uint8Array | null, start: number, count: number): Uint8Array | null {
  if (one === null || other === null) return one ?? other;
  const both = new Uint8Array(start + count);
  for (let row = start; row < start + count; row++) both[row] = one[row] === 0 || other[row] === 0 ? 0 : 1;
  return both;
}

/** An empty chunk has all rows valid, so nothing is written unless a row is null. */
function writeValidity(
  vector: Vector,
  one: Uint8Array | null,
  other: Uint8Array | null,
  start: number,
  count: number,
): void {
  const first = one ?? other;
  if (first === null) return;
  const second = one === null || other === null ? first : other;
  const byteCount = Math.ceil(count / 8);
  const buffer = scratchOf(byteCount);
  const bytes = new Uint8Array(buffer, 0, byteCount);
  let nullCount = 0;
  for (let to = 0, row = start; to < byteCount; to++) {
    let bits = 0;
    const end = Math.min(row + 8, start + count);
    for (let bit = 1; row < end; row++, bit <<= 1) {
      if (first[row] !== 0 && second[row] !== 0) bits |= bit;
      else nullCount++;
    }
    bytes[to] = bits;
  }
  if (nullCount === 0) return;
  duckdb.vector_ensure_validity_writable(vector);
  duckdb.copy_data_to_vector_validity(vector, 0, buffer, 0, byteCount);
}

/** All rows null, fields of structs included, with harmless bytes under them where DuckDB could follow a pointer. */
function writeNulls(vector: Vector, shape: ColumnShape, count: number): void {
  if (shape.kind === 'struct') {
    for (const [i, child] of shape.children.entries()) {
      writeNulls(duckdb.struct_vector_get_child(vector, i), child, count);
    }
  } else if (shape.kind === 'string' || shape.kind === 'list') {
    const byteCount = count * STRING_BYTES;
    const buffer = scratchOf(byteCount);
    new Uint8Array(buffer, 0, byteCount).fill(0);
    duckdb.copy_data_to_vector(vector, 0, buffer, 0, byteCount);
    if (shape.kind === 'list') duckdb.list_vector_set_size(vector, 0);
  }
  const byteCount = Math.ceil(count / 8);
  const buffer = scratchOf(byteCount);
  new Uint8Array(buffer, 0, byteCount).fill(0);
  duckdb.vector_ensure_validity_writable(vector);
  duckdb.copy_data_to_vector_validity(vector, 0, buffer, 0, byteCount);
}

function writeRepeated(vector: Vector, value: Uint8Array, count: number): void {
  const byteCount = value.length * count;
  const buffer = scratchOf(byteCount);
  const bytes = new Uint8Array(buffer, 0, byteCount);
  bytes.set(value);
  for (let filled = value.length; filled < byteCount; filled *= 2) bytes.copyWithin(filled, 0, filled);
  duckdb.copy_data_to_vector(vector, 0, buffer, 0, byteCount);
}
