/** The schema message that heads a segment: who the segment is and where the log stood when it was made. */
import { crc32 } from 'node:zlib';
import { LIMITS } from '../base/index.ts';
import { SCHEMA_TEMPLATE } from './arrow-messages.ts';
import { crcDigits, offsetDigits } from './layout.ts';

export interface SegmentHeader {
  /** Of the format; SEGMENT_FORMAT_VERSION when this program wrote it. */
  readonly version: string;
  readonly logUuid: string;
  /** Offset of the segment's first entry. */
  readonly baseOffset: bigint;
  /**
   * End of the durable entries when the segment was made. Entries of earlier segments at or above it are no part of the log: they
   * were refused. Below `baseOffset` only when offsets were given up.
   */
  readonly previousEnd: bigint;
  /** CRC of the frame that ends at `previousEnd`; 0 for the log's first segment. */
  readonly previousCrc: number;
  /** Above every stream id given out before the segment was made. */
  readonly streamIdNext: bigint;
}

export const SEGMENT_HEADER_BYTES = SCHEMA_TEMPLATE.bytes.length;

const { values } = SCHEMA_TEMPLATE;
const DECIMAL = /^\d+$/;
/** The index counts with 64 bits and a sign. */
const STREAM_IDS_END = 1n << 63n;
const CRC_ZERO = Buffer.from(crcDigits(0));

/** The bytes of a segment's header, `SEGMENT_HEADER_BYTES` long. */
export function encodeSegmentHeader(header: Omit<SegmentHeader, 'version'>): Uint8Array {
  const bytes = Buffer.from(SCHEMA_TEMPLATE.bytes);
  bytes.write(header.logUuid, values.logUuid.position, values.logUuid.length, 'latin1');
  bytes.write(offsetDigits(header.baseOffset), values.baseOffset.position, 'latin1');
  bytes.write(offsetDigits(header.previousEnd), values.previousEnd.position, 'latin1');
  bytes.write(crcDigits(header.previousCrc), values.previousCrc.position, 'latin1');
  bytes.write(offsetDigits(header.streamIdNext), values.streamIdNext.position, 'latin1');
  bytes.write(crcDigits(headerCrc(bytes)), values.headerCrc.position, 'latin1');
  return bytes;
}

/**
 * Reads a header back. Returns the reason as text when the bytes are not a whole, undamaged header. The version is for the caller to
 * check: an undamaged file of another version is no damage.
 */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | string {
  if (bytes.length < SEGMENT_HEADER_BYTES) return `header has ${bytes.length} of ${SEGMENT_HEADER_BYTES} bytes`;
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, SEGMENT_HEADER_BYTES);
  const read = ({ position, length }: { position: number; length: number }) =>
    header.toString('latin1', position, position + length);
  if (read(values.headerCrc) !== crcDigits(headerCrc(header))) return 'header does not match its CRC';
  const numbers = [values.baseOffset, values.previousEnd, values.streamIdNext].map(read);
  if (!numbers.every((digits) => DECIMAL.test(digits))) return 'header has a number that is none';
  const [baseOffset, previousEnd, streamIdNext] = numbers.map(BigInt) as [bigint, bigint, bigint];
  const previousCrc = Number.parseInt(read(values.previousCrc), 16);
  if (baseOffset >= LIMITS.baseOffsetMax || streamIdNext >= STREAM_IDS_END)
    return 'header has a number that no log reaches';
  if (previousEnd > baseOffset || Number.isNaN(previousCrc)) return 'header contradicts itself';
  const [version, logUuid] = [read(values.version), read(values.logUuid)];
  return { version, logUuid, baseOffset, previousEnd, previousCrc, streamIdNext };
}

/** CRC of the header with the digits of its own CRC as zeros. */
function headerCrc(header: Buffer): number {
  const { position, length } = values.headerCrc;
  const before = crc32(header.subarray(0, position));
  return crc32(header.subarray(position + length), crc32(CRC_ZERO, before));
}
