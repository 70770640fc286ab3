/** Validity bitmaps as one byte a row, and values under null rows set to zero. */
import type { ArrowBody } from './arrow-body.ts';

/**
 * Takes the validity buffer of the array that was taken last and combines it with the validity of the structs around it
 * (`outer`). Returns one byte a row, or null when no row is null. The result may be `outer` itself: treat it as read-only.
 */
export function readValidity(
  body: ArrowBody,
  path: string,
  length: number,
  outer: Uint8Array | null,
): Uint8Array | null {
  const { nullCount } = body;
  const bitmap = body.nextBuffer(path);
  if (nullCount === 0 || length === 0) return outer;
  if (bitmap.length * 8 < length) {
    throw body.malformed(path, `its validity has ${bitmap.length} bytes for ${length} rows`);
  }
  body.budget.charge(length + 7);
  const validity = expandBits(bitmap, length);
  if (outer !== null) {
    for (let row = 0; row < length; row++) validity[row]! &= outer[row]!;
  }
  return validity;
}

/** Four bytes of 0 and 1 for each half byte, in memory order. */
const HALF_BYTES = new Uint32Array(16);
for (let bits = 0; bits < 16; bits++) {
  new Uint8Array(HALF_BYTES.buffer).set([bits & 1, (bits >> 1) & 1, (bits >> 2) & 1, bits >> 3], 4 * bits);
}

/** The first `length` bits (least significant first) as bytes of 0 and 1. `bits` must have that many. */
export function expandBits(bits: Uint8Array, length: number): Uint8Array {
  const byteCount = (length + 7) >> 3;
  const expanded = new Uint8Array(byteCount * 8);
  const words = new Uint32Array(expanded.buffer);
  for (let at = 0; at < byteCount; at++) {
    const byte = bits[at]!;
    words[2 * at] = HALF_BYTES[byte & 15]!;
    words[2 * at + 1] = HALF_BYTES[byte >> 4]!;
  }
  return expanded.subarray(0, length);
}

/** Unsigned lanes over aligned bytes: fixed-width values are moved without looking at them. */
export type Lanes = Uint8Array | Uint16Array | Uint32Array;

/** `values` as the widest lanes that values of `width` bytes have. `values` must begin at a multiple of the lane. */
export function lanesOf(values: Uint8Array, width: number): Lanes {
  if (width % 4 === 0) return new Uint32Array(values.buffer, values.byteOffset, values.byteLength >> 2);
  if (width % 2 === 0) return new Uint16Array(values.buffer, values.byteOffset, values.byteLength >> 1);
  return values;
}

/**
 * Fixed-width values with zeros under null rows: the input itself when that is so, else a copy. `width` in bytes; `validity` is 0
 * or 1 in every row. The loops have no branches: attribute columns are mostly null, in no order that a processor could guess.
 */
export function clearNullRows(values: Uint8Array, width: number, validity: Uint8Array | null): Uint8Array {
  if (validity === null || width === 0) return values;
  const lanes = lanesOf(values, width);
  const lanesPerRow = width / lanes.BYTES_PER_ELEMENT;
  if (!hasHiddenValues(lanes, lanesPerRow, validity)) return values;
  const cleared = new Uint8Array(values.byteLength);
  const target = lanesOf(cleared, width);
  if (lanesPerRow === 1) {
    for (let row = 0; row < validity.length; row++) target[row] = lanes[row]! & -validity[row]!;
  } else if (lanesPerRow === 2) {
    for (let row = 0; row < validity.length; row++) {
      const mask = -validity[row]!;
      target[2 * row] = lanes[2 * row]! & mask;
      target[2 * row + 1] = lanes[2 * row + 1]! & mask;
    }
  } else {
    for (let row = 0; row < validity.length; row++) {
      const mask = -validity[row]!;
      const end = (row + 1) * lanesPerRow;
      for (let lane = row * lanesPerRow; lane < end; lane++) target[lane] = lanes[lane]! & mask;
    }
  }
  return cleared;
}

function hasHiddenValues(lanes: Lanes, lanesPerRow: number, validity: Uint8Array): boolean {
  let seen = 0;
  if (lanesPerRow === 1) {
    for (let row = 0; row < validity.length; row++) seen |= lanes[row]! & (validity[row]! - 1);
  } else if (lanesPerRow === 2) {
    for (let row = 0; row < validity.length; row++) {
      seen |= (lanes[2 * row]! | lanes[2 * row + 1]!) & (validity[row]! - 1);
    }
  } else {
    for (let row = 0; row < validity.length; row++) {
      const mask = validity[row]! - 1;
      const end = (row + 1) * lanesPerRow;
      for (let lane = row * lanesPerRow; lane < end; lane++) seen |= lanes[lane]! & mask;
    }
  }
  return seen !== 0;
}
