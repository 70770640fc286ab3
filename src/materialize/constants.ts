/** Constants of column data in the form in which DuckDB stores one value. */
import { assert } from '../base/index.ts';
import type { ColumnShape, FixedShape } from './column-shape.ts';
import { DuckDBTypeId } from './duckdb.ts';
import { INLINE_BYTES_MAX } from './string-arena.ts';

const encoder = new TextEncoder();

/** Puts bytes where DuckDB may point at them while a chunk is appended. Answers their address. */
export type TextAddress = (text: string, bytes: Uint8Array) => number;

/** The bytes of one value: 1 to 8 for fixed types, 16 for strings. The constant has passed `checkVector`. */
export function encodeConstant(
  shape: ColumnShape,
  value: number | bigint | boolean | string,
  textAddress: TextAddress,
): Uint8Array {
  if (shape.kind === 'string' && typeof value === 'string') return encodeText(value, textAddress);
  assert(shape.kind === 'fixed', `A constant must be of a fixed or string type: shape is ${shape.kind}`);
  return encodeFixed(shape, typeof value === 'boolean' ? Number(value) : value);
}

function encodeText(text: string, textAddress: TextAddress): Uint8Array {
  const bytes = encoder.encode(text);
  const encoded = new Uint8Array(16);
  const view = new DataView(encoded.buffer);
  view.setUint32(0, bytes.length, true);
  if (bytes.length <= INLINE_BYTES_MAX) {
    encoded.set(bytes, 4);
  } else {
    encoded.set(bytes.subarray(0, 4), 4);
    view.setBigUint64(8, BigInt(textAddress(text, bytes)), true);
  }
  return encoded;
}

function encodeFixed(shape: FixedShape, value: number | bigint | string): Uint8Array {
  const encoded = new Uint8Array(shape.widthBytes);
  const view = new DataView(encoded.buffer);
  if (shape.type.typeId === DuckDBTypeId.DOUBLE) view.setFloat64(0, Number(value), true);
  else if (shape.widthBytes === 8) view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
  else if (shape.widthBytes === 4) view.setUint32(0, Number(value), true);
  else if (shape.widthBytes === 2) view.setUint16(0, Number(value), true);
  else view.setUint8(0, Number(value));
  return encoded;
}
