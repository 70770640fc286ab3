import { BatchMalformedError, LIMITS } from '../base/index.ts';

/** A decoded CBOR value: integers are bigints, floating-point numbers are numbers, `undefined` became null. */
export type CborValue = null | boolean | bigint | number | string | Uint8Array | readonly CborValue[] | CborMap;

/** A map with its entries in wire order; keys may be of any type and occur twice. */
interface CborMap {
  readonly entries: readonly (readonly [key: CborValue, value: CborValue])[];
}

/**
 * Decodes exactly one CBOR data item (RFC 8949), indefinite lengths included. Tags are skipped, invalid UTF-8 in text becomes
 * U+FFFD; byte strings are views into `bytes` unless they came in chunks. Nesting is limited to LIMITS.cborDepthMax.
 * Throws BatchMalformedError for anything that is not well-formed, unassigned simple values and bytes after the item.
 */
export function decodeCbor(bytes: Uint8Array): CborValue {
  const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const cursor: Cursor = { input, at: 0 };
  const value = readItem(cursor, 0);
  if (cursor.at !== input.length) throw malformed(`${input.length - cursor.at} bytes follow the value`, cursor);
  return value;
}

interface Cursor {
  readonly input: Buffer;
  at: number;
}

const BREAK_BYTE = 0xff;
const INDEFINITE = 31;

const MAJOR = { UNSIGNED: 0, NEGATIVE: 1, BYTES: 2, TEXT: 3, ARRAY: 4, MAP: 5, TAG: 6 } as const;

function readItem(cursor: Cursor, depth: number): CborValue {
  if (depth > LIMITS.cborDepthMax) throw malformed(`nesting is deeper than ${LIMITS.cborDepthMax}`, cursor);
  let initial = readInitial(cursor);
  while (initial >> 5 === MAJOR.TAG) {
    readArgument(cursor, initial & 31);
    initial = readInitial(cursor);
  }
  const info = initial & 31;
  switch (initial >> 5) {
    case MAJOR.UNSIGNED:
      return BigInt(readArgument(cursor, info));
    case MAJOR.NEGATIVE:
      return -1n - BigInt(readArgument(cursor, info));
    case MAJOR.BYTES:
      return readString(cursor, info, MAJOR.BYTES);
    case MAJOR.TEXT:
      return readString(cursor, info, MAJOR.TEXT).toString('utf8');
    case MAJOR.ARRAY:
      return readArray(cursor, info, depth);
    case MAJOR.MAP:
      return readMap(cursor, info, depth);
    default:
      return readSimple(cursor, info);
  }
}

function readInitial(cursor: Cursor): number {
  need(cursor, 1);
  return cursor.input[cursor.at++]!;
}

/** The number behind an initial byte: a bigint only when it takes 8 bytes. */
function readArgument(cursor: Cursor, info: number): number | bigint {
  if (info < 24) return info;
  if (info > 27) throw malformed(`additional information is ${info}`, cursor);
  const width = 1 << (info - 24);
  need(cursor, width);
  const { input, at } = cursor;
  cursor.at += width;
  switch (width) {
    case 1:
      return input[at]!;
    case 2:
      return input.readUInt16BE(at);
    case 4:
      return input.readUInt32BE(at);
    default:
      return input.readBigUInt64BE(at);
  }
}

/** A length or count, checked against what is left when every unit takes at least `unitBytes`. */
function readCount(cursor: Cursor, info: number, unitBytes: number): number {
  const count = readArgument(cursor, info);
  const left = cursor.input.length - cursor.at;
  if (Number(count) * unitBytes > left) throw malformed(`a length is ${count}, ${left} bytes are left`, cursor);
  return Number(count);
}

function readString(cursor: Cursor, info: number, major: number): Buffer {
  if (info !== INDEFINITE) return readChunk(cursor, info);
  const chunks: Buffer[] = [];
  while (!readBreak(cursor)) {
    const initial = readInitial(cursor);
    if (initial >> 5 !== major || (initial & 31) === INDEFINITE)
      throw malformed('a string has a foreign chunk', cursor);
    chunks.push(readChunk(cursor, initial & 31));
  }
  return Buffer.concat(chunks);
}

function readChunk(cursor: Cursor, info: number): Buffer {
  const length = readCount(cursor, info, 1);
  cursor.at += length;
  return cursor.input.subarray(cursor.at - length, cursor.at);
}

function readArray(cursor: Cursor, info: number, depth: number): CborValue[] {
  const items: CborValue[] = [];
  if (info === INDEFINITE) {
    while (!readBreak(cursor)) items.push(readItem(cursor, depth + 1));
    return items;
  }
  const count = readCount(cursor, info, 1);
  for (let i = 0; i < count; i++) items.push(readItem(cursor, depth + 1));
  return items;
}

function readMap(cursor: Cursor, info: number, depth: number): CborMap {
  const entries: [CborValue, CborValue][] = [];
  if (info === INDEFINITE) {
    while (!readBreak(cursor)) entries.push([readItem(cursor, depth + 1), readItem(cursor, depth + 1)]);
    return { entries };
  }
  const count = readCount(cursor, info, 2);
  for (let i = 0; i < count; i++) entries.push([readItem(cursor, depth + 1), readItem(cursor, depth + 1)]);
  return { entries };
}

function readSimple(cursor: Cursor, info: number): CborValue {
  switch (info) {
    case 20:
      return false;
    case 21:
      return true;
    case 22:
    case 23:
      return null;
    case 25:
      need(cursor, 2);
      cursor.at += 2;
      return halfPrecision(cursor.input.readUInt16BE(cursor.at - 2));
    case 26:
      need(cursor, 4);
      cursor.at += 4;
      return cursor.input.readFloatBE(cursor.at - 4);
    case 27:
      need(cursor, 8);
      cursor.at += 8;
      return cursor.input.readDoubleBE(cursor.at - 8);
    default:
      throw malformed(`simple value ${info} is not assigned`, cursor);
  }
}

/** IEEE 754 binary16 (RFC 8949 appendix D). */
function halfPrecision(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (fraction + 1024) * 2 ** (exponent - 25);
}

function readBreak(cursor: Cursor): boolean {
  need(cursor, 1);
  if (cursor.input[cursor.at] !== BREAK_BYTE) return false;
  cursor.at++;
  return true;
}

function need(cursor: Cursor, byteCount: number): void {
  if (cursor.at + byteCount > cursor.input.length) throw malformed('the value is cut off', cursor);
}

function malformed(reason: string, cursor: Cursor): BatchMalformedError {
  return new BatchMalformedError(`Cannot decode CBOR: ${reason}`, { position: cursor.at });
}
