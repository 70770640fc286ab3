/** Names and shapes of the files of a log. docs/format/segment.md describes the bytes. */
import { join } from 'node:path';

/** Written into every segment. Raised when an older program could misread a file. */
export const SEGMENT_FORMAT_VERSION = '2';

/** An encapsulated Arrow message without metadata: the end of a stream, and of a sealed segment. */
export const END_OF_STREAM = Buffer.from('ffffffff00000000', 'hex');

/** Columns of fixed width in file order; `headers` and `record` (binary) follow. */
export const FIXED_COLUMNS = [
  { name: 'offset', bits: 64, signed: false },
  { name: 'received_at', bits: 64, signed: true },
  { name: 'stream_id', bits: 64, signed: false },
  { name: 'stream_seq', bits: 32, signed: false },
  { name: 'batch_id', bits: 64, signed: true },
  { name: 'signal', bits: 8, signed: false },
  { name: 'kind', bits: 8, signed: false },
  { name: 'flags', bits: 8, signed: false },
  { name: 'crc', bits: 32, signed: false },
] as const;

export const BINARY_COLUMNS = ['headers', 'record'] as const;

const OFFSET_DIGITS = 20;
const SEGMENT_NAME = /^(\d{20})\.arrows$/;

/** File name of the segment with the given base offset. */
export function segmentFileName(baseOffset: bigint): string {
  return `${offsetDigits(baseOffset)}.arrows`;
}

/** Path of the segment with the given base offset in a log directory. */
export function segmentPath(directory: string, baseOffset: bigint): string {
  return join(directory, segmentFileName(baseOffset));
}

/** Path of the folder that holds copies of bytes taken out of the log. */
export function quarantinePath(directory: string): string {
  return join(directory, 'quarantine');
}

/** Path of the index of a log directory. */
export function indexPath(directory: string): string {
  return join(directory, 'index.sqlite');
}

/** Base offsets of the segments among file names, ascending. */
export function segmentBaseOffsets(fileNames: readonly string[]): bigint[] {
  return fileNames
    .map((name) => SEGMENT_NAME.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(BigInt)
    .sort(compareOffsets);
}

function compareOffsets(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** 20 decimal digits, enough for any 64-bit number. */
export function offsetDigits(value: bigint): string {
  return String(value).padStart(OFFSET_DIGITS, '0');
}

/** A CRC as 8 lower-case hexadecimal digits. */
export function crcDigits(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

/** The next multiple of 8: Arrow's alignment of buffers and messages. */
export function paddedTo8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
