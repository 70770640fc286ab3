/**
 * Reads flatbuffers (the metadata of Arrow IPC messages) in place. Positions are absolute in the view. Every access is checked
 * against the buffer's range and its vector, so a malformed buffer throws BatchMalformedError and never makes a read
 * outside the range. Offsets to tables and vectors only point forward: no cycle can be built, but a table may be shared by many
 * parents, so whoever recurses has to bound depth and count.
 *
 * `slot` is the byte offset of a field in the vtable: 4 + 2 * the field's number in the schema (a union takes two numbers).
 */
import { BatchMalformedError } from '../base/index.ts';

/** One flatbuffer within a larger message. */
export interface Flatbuffer {
  readonly bytes: Uint8Array;
  /** Over `bytes` as a whole. */
  readonly view: DataView;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** Position of the root table. */
export function rootTable(buffer: Flatbuffer): number {
  return followOffset(buffer, buffer.start);
}

/**
 * Position of a field's value in `table`, or 0 when the field is absent (no value is ever at 0: a vtable or offset precedes it).
 * `size` is the value's length in bytes.
 */
export function fieldPosition(buffer: Flatbuffer, table: number, slot: number, size: number): number {
  const { view, start, end } = buffer;
  if (table < start || table > end - 4) throw outside(buffer, table);
  const vtable = table - view.getInt32(table, true);
  if (vtable < start || vtable > end - 4) throw outside(buffer, vtable);
  const vtableBytes = view.getUint16(vtable, true);
  if (vtableBytes < 4 || vtable + vtableBytes > end) throw outside(buffer, vtable);
  if (slot + 2 > vtableBytes) return 0;
  const fieldOffset = view.getUint16(vtable + slot, true);
  if (fieldOffset === 0) return 0;
  // The table's size in the vtable bounds nothing: Go's writer shares a vtable among tables of different sizes.
  const position = table + fieldOffset;
  if (fieldOffset < 4 || position + size > end) throw outside(buffer, table);
  return position;
}

/** An unsigned byte, or `absent` when the field is not there (flatbuffers leave out values that equal the default). */
export function readUint8(buffer: Flatbuffer, table: number, slot: number, absent: number): number {
  const position = fieldPosition(buffer, table, slot, 1);
  return position === 0 ? absent : buffer.view.getUint8(position);
}

/** A boolean; `absent` as in `readUint8`. */
export function readBool(buffer: Flatbuffer, table: number, slot: number, absent: boolean): boolean {
  const position = fieldPosition(buffer, table, slot, 1);
  return position === 0 ? absent : buffer.view.getUint8(position) !== 0;
}

/** A signed 16-bit number (enums of Arrow are of this width); `absent` as in `readUint8`. */
export function readInt16(buffer: Flatbuffer, table: number, slot: number, absent: number): number {
  const position = fieldPosition(buffer, table, slot, 2);
  return position === 0 ? absent : buffer.view.getInt16(position, true);
}

/** A signed 32-bit number; `absent` as in `readUint8`. */
export function readInt32(buffer: Flatbuffer, table: number, slot: number, absent: number): number {
  const position = fieldPosition(buffer, table, slot, 4);
  return position === 0 ? absent : buffer.view.getInt32(position, true);
}

/** A signed 64-bit integer; `absent` as in `readUint8`. */
export function readInt64(buffer: Flatbuffer, table: number, slot: number, absent: bigint): bigint {
  const position = fieldPosition(buffer, table, slot, 8);
  return position === 0 ? absent : buffer.view.getBigInt64(position, true);
}

/** A 64-bit length or count, 0 when absent. Throws BatchMalformedError when it is negative or above 2^53 - 1. */
export function readLength(buffer: Flatbuffer, table: number, slot: number): number {
  const position = fieldPosition(buffer, table, slot, 8);
  return position === 0 ? 0 : lengthAt(buffer.view, position);
}

const HIGH_SAFE_MAX = 0x1fffff;
const TWO_POW_32 = 4_294_967_296;

/** The 64-bit length at a position that is known to be inside. Throws BatchMalformedError when it is negative or above 2^53 - 1. */
export function lengthAt(view: DataView, position: number): number {
  const high = view.getInt32(position + 4, true);
  if (high < 0 || high > HIGH_SAFE_MAX) {
    throw new BatchMalformedError(
      `Cannot read Arrow IPC metadata: the length at byte ${position} is ${view.getBigInt64(position, true)}`,
      { position },
    );
  }
  return high * TWO_POW_32 + view.getUint32(position, true);
}

/** Position of the table that a field points to, or 0 when absent. */
export function readTable(buffer: Flatbuffer, table: number, slot: number): number {
  const position = fieldPosition(buffer, table, slot, 4);
  return position === 0 ? 0 : followOffset(buffer, position);
}

/** A vector: `length` elements from `start` on. */
export interface FlatbufferVector {
  readonly start: number;
  readonly length: number;
}

const NO_ELEMENTS: FlatbufferVector = { start: 0, length: 0 };

/** The vector that a field points to, checked to hold all its elements of `elementBytes` each; empty when absent. */
export function readVector(buffer: Flatbuffer, table: number, slot: number, elementBytes: number): FlatbufferVector {
  const position = fieldPosition(buffer, table, slot, 4);
  if (position === 0) return NO_ELEMENTS;
  const vector = followOffset(buffer, position);
  const length = buffer.view.getUint32(vector, true);
  if (length * elementBytes > buffer.end - vector - 4) throw outside(buffer, vector);
  return { start: vector + 4, length };
}

/** Position of the table at `index` of a vector of tables (element size 4). */
export function tableInVector(buffer: Flatbuffer, vector: FlatbufferVector, index: number): number {
  if (index < 0 || index >= vector.length) throw outside(buffer, vector.start + index * 4);
  return followOffset(buffer, vector.start + index * 4);
}

/** A string, or '' when absent. Invalid UTF-8 becomes U+FFFD. */
export function readString(buffer: Flatbuffer, table: number, slot: number): string {
  const { start, length } = readVector(buffer, table, slot, 1);
  if (length === 0) return '';
  return Buffer.from(buffer.bytes.buffer, buffer.bytes.byteOffset + start, length).toString('utf8');
}

/** Where the unsigned 32-bit offset at `position` (known to be inside) points: a place with room for a table or a vector. */
function followOffset(buffer: Flatbuffer, position: number): number {
  if (position > buffer.end - 4) throw outside(buffer, position);
  const offset = buffer.view.getUint32(position, true);
  const target = position + offset;
  if (offset < 4 || target > buffer.end - 4) throw outside(buffer, target);
  return target;
}

function outside(buffer: Flatbuffer, position: number): BatchMalformedError {
  return new BatchMalformedError(
    `Cannot read Arrow IPC metadata: position ${position} breaks out of bytes ${buffer.start} to ${buffer.end}`,
    { position },
  );
}
