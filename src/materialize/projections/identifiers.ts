/**
 * Trace and span ids as UUID and UBIGINT. OTLP calls an id of zeros invalid: it reads as NULL like an empty one, and a bit in the
 * column `zero_ids` keeps the difference for `normalized`.
 */
import type { IdentifierColumn } from '../../otap/index.ts';
import type { VectorData } from '../vectors.ts';
import { constant, fixed, NULLS } from './columns.ts';
import type { Scratch } from './scratch.ts';

/** Bits of `zero_ids`: which ids were all zeros on the wire. */
export const ZERO_ID_BITS = { TRACE: 1, SPAN: 2, PARENT_SPAN: 4 } as const;

/** Collects `zero_ids` of a table; null until a zero id is seen. */
export interface ZeroIds {
  bits: Uint8Array | null;
}

export function zeroIdsVector(zeroIds: ZeroIds): VectorData {
  return zeroIds.bits === null ? constant(0) : fixed(zeroIds.bits);
}

/** Trace ids as a UUID vector. */
export function traceIds(
  column: IdentifierColumn | null,
  rowCount: number,
  zeroIds: ZeroIds,
  scratch: Scratch,
): VectorData {
  if (column === null) return NULLS;
  const { values } = column;
  let validity = column.validity;
  for (let row = 0; row < rowCount; row++) {
    if (validity !== null && validity[row] === 0) continue;
    let at = 16 * row;
    const end = at + 16;
    while (at < end && values[at] === 0) at++;
    if (at < end) continue;
    if (validity === column.validity) validity = ownValidity(column.validity, rowCount, scratch);
    validity![row] = 0;
    markZero(zeroIds, ZERO_ID_BITS.TRACE, row, rowCount, scratch);
  }
  return { kind: 'uuid', values, validity };
}

/** Span ids, big endian on the wire, as a UBIGINT vector. */
export function spanIds(
  column: IdentifierColumn | null,
  rowCount: number,
  zeroIds: ZeroIds,
  bit: number,
  scratch: Scratch,
): VectorData {
  if (column === null) return NULLS;
  const { values } = column;
  const words = scratch.u32(2 * rowCount);
  let validity = column.validity;
  for (let row = 0, at = 0; row < rowCount; row++, at += 8) {
    if (validity !== null && validity[row] === 0) continue;
    const high = (values[at]! << 24) | (values[at + 1]! << 16) | (values[at + 2]! << 8) | values[at + 3]!;
    const low = (values[at + 4]! << 24) | (values[at + 5]! << 16) | (values[at + 6]! << 8) | values[at + 7]!;
    words[2 * row] = low;
    words[2 * row + 1] = high;
    if (low !== 0 || high !== 0) continue;
    if (validity === column.validity) validity = ownValidity(column.validity, rowCount, scratch);
    validity![row] = 0;
    markZero(zeroIds, bit, row, rowCount, scratch);
  }
  return { kind: 'fixed', values: wordsAsU64(words), validity };
}

/** Pairs of 32-bit words (low, high) as 64-bit values over the same memory; this program runs on little-endian machines only. */
export function wordsAsU64(words: Uint32Array): BigUint64Array {
  return new BigUint64Array(words.buffer, words.byteOffset, words.length / 2);
}

function ownValidity(validity: Uint8Array | null, rowCount: number, scratch: Scratch): Uint8Array {
  const own = scratch.u8(rowCount);
  if (validity === null) own.fill(1);
  else own.set(validity.subarray(0, rowCount));
  return own;
}

function markZero(zeroIds: ZeroIds, bit: number, row: number, rowCount: number, scratch: Scratch): void {
  zeroIds.bits ??= scratch.u8(rowCount);
  zeroIds.bits[row]! |= bit;
}

/** Some rows of an identifier column. */
export function identifiersAt(
  column: IdentifierColumn | null,
  rows: ArrayLike<number>,
  scratch: Scratch,
): IdentifierColumn | null {
  if (column === null) return null;
  const { width } = column;
  const values = scratch.u8(width * rows.length);
  const validity = column.validity === null ? null : scratch.u8(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const from = width * rows[i]!;
    for (let byte = 0; byte < width; byte++) values[width * i + byte] = column.values[from + byte]!;
    if (validity !== null) validity[i] = column.validity![rows[i]!]!;
  }
  return { width, values, validity };
}
