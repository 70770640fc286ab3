/** Values of node-api rows in the canonical form of telemetry-rows.ts, and a small CBOR reader that shares nothing with the server's. */
import {
  DuckDBBlobValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBUUIDValue,
} from '@duckdb/node-api';
import { doubleText, type Pair, type TypedValue, unsignedText } from './telemetry-rows.ts';

export type SqlRow = Record<string, unknown>;

/** Log offsets from `from` to below `to`. */
export interface OffsetRange {
  readonly from: bigint;
  readonly to: bigint;
}

/** The condition that entries are in the range; `alias` qualifies the column. */
export function inRange(range: OffsetRange | undefined, alias = ''): string {
  const column = `${alias}entry_offset`;
  return range === undefined ? 'true' : `${column} >= ${range.from} AND ${column} < ${range.to}`;
}

/** 64 bits of a time or duration as an unsigned decimal; null counts as 0, the wire's default. */
export function timeText(value: unknown): string {
  if (value === null || value === undefined) return '0';
  if (value instanceof DuckDBTimestampNanosecondsValue) return unsignedText(value.nanos);
  return unsignedText(value as bigint);
}

/** Hex of an id whatever type holds it; empty when it is null or all zeros, which OTLP takes as unset. */
export function idText(value: unknown, hexDigits: 16 | 32): string {
  if (value === null || value === undefined) return '';
  const text =
    value instanceof DuckDBBlobValue
      ? Buffer.from(value.bytes).toString('hex')
      : value instanceof DuckDBUUIDValue
        ? value.toString().replaceAll('-', '')
        : typeof value === 'string'
          ? value
          : (value as bigint).toString(16).padStart(hexDigits, '0');
  return /^0*$/.test(text) ? '' : text;
}

export function numberOf(value: unknown): number {
  return Number(value ?? 0);
}

export function textOf(value: unknown): string {
  return (value as string | null) ?? '';
}

export function countText(value: unknown): string {
  return unsignedText((value as bigint | null) ?? 0n);
}

export function doubleOrNull(value: unknown): string | null {
  return value === null ? null : doubleText(value as number);
}

export function listOf(value: unknown): readonly unknown[] {
  return value instanceof DuckDBListValue ? value.items : [];
}

export function structOf(value: unknown): SqlRow {
  return value instanceof DuckDBStructValue ? (value.entries as SqlRow) : {};
}

/** Entries of a MAP in stored order. */
export function mapOf(value: unknown): [string, string | null][] {
  if (!(value instanceof DuckDBMapValue)) return [];
  return value.entries.map((entry) => [entry.key as string, entry.value as string | null]);
}

/** The typed value of an attribute row or body struct: `type` and the column that it names. */
export function typedValueOf(row: SqlRow): TypedValue {
  switch (numberOf(row['type'])) {
    case 1:
      return { s: textOf(row['str']) };
    case 2:
      return { i: String(row['int'] ?? 0n) };
    case 3:
      return { d: doubleText((row['double'] as number | null) ?? 0) };
    case 4:
      return { b: (row['bool'] as boolean | null) ?? false };
    case 5:
    case 6:
      return readCbor(bytesOf(row['ser']));
    case 7:
      return { x: Buffer.from(bytesOf(row['bytes'])).toString('hex') };
    default:
      return null;
  }
}

export function bytesOf(value: unknown): Uint8Array {
  return value instanceof DuckDBBlobValue ? value.bytes : new Uint8Array();
}

/** Reads the one CBOR item (RFC 8949) that exporters write for maps and slices. */
function readCbor(bytes: Uint8Array): TypedValue {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const isBreak = () => bytes[at] === 0xff && ++at > 0;
  const argument = (info: number): bigint => {
    if (info < 24) return BigInt(info);
    const width = 1 << (info - 24);
    const start = at;
    at += width;
    if (width === 1) return BigInt(view.getUint8(start));
    if (width === 2) return BigInt(view.getUint16(start));
    return width === 4 ? BigInt(view.getUint32(start)) : view.getBigUint64(start);
  };
  const items = <Item>(info: number, read: () => Item): Item[] => {
    const list: Item[] = [];
    if (info === 31) while (!isBreak()) list.push(read());
    else for (let left = argument(info); left > 0n; left--) list.push(read());
    return list;
  };
  const take = (info: number): Uint8Array => {
    const length = Number(argument(info));
    at += length;
    return bytes.subarray(at - length, at);
  };
  const read = (): TypedValue => {
    const initial = bytes[at++]!;
    const info = initial & 31;
    switch (initial >> 5) {
      case 0:
        return { i: String(argument(info)) };
      case 1:
        return { i: String(-1n - argument(info)) };
      case 2:
        return { x: Buffer.from(take(info)).toString('hex') };
      case 3:
        return { s: new TextDecoder().decode(take(info)) };
      case 4:
        return { a: items(info, read) };
      case 5:
        return { m: items(info, () => [(read() as { s: string }).s, read()] as Pair) };
      default:
        return simple(initial);
    }
  };
  const simple = (initial: number): TypedValue => {
    if (initial === 0xf4 || initial === 0xf5) return { b: initial === 0xf5 };
    if (initial === 0xf6 || initial === 0xf7) return null;
    if (initial === 0xf9) return { d: doubleText(halfFloat(view.getUint16((at += 2) - 2))) };
    if (initial === 0xfa) return { d: doubleText(view.getFloat32((at += 4) - 4)) };
    if (initial === 0xfb) return { d: doubleText(view.getFloat64((at += 8) - 8)) };
    throw new Error(`CBOR item 0x${initial.toString(16)} at ${at - 1}`);
  };
  return read();
}

/** The value of an IEEE 754 half. */
function halfFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
