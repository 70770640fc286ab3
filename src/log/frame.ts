/**
 * One frame: the record batch message of one group commit. Written as parts, so that records are not copied. The frame's CRC covers
 * its position, metadata, columns and headers; the rows' CRCs, which are among the columns, cover the records: data is read once.
 */
import { crc32 } from 'node:zlib';
import { FRAME_TEMPLATE } from './arrow-messages.ts';
import { crcDigits, FIXED_COLUMNS, paddedTo8 } from './layout.ts';
import type { LogEntry } from './types.ts';

/** One entry on its way into a frame; its offset is the frame's base offset plus its place. */
export interface FrameRow {
  readonly receivedAtUnixNano: bigint;
  readonly streamId: bigint;
  readonly streamSeq: number;
  readonly batchId: bigint;
  readonly signal: number;
  readonly kind: number;
  readonly flags: number;
  /** JSON object text in UTF-8; empty when there are none. */
  readonly headers: Uint8Array;
  readonly record: readonly Uint8Array[];
  readonly recordBytes: number;
  /** `crcOf` the record. */
  readonly recordCrc: number;
}

export interface EncodedFrame {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
  readonly crc: number;
}

/** A frame as found in a segment: its head is checked, its records only if asked for. */
export interface FrameView {
  readonly baseOffset: bigint;
  readonly rows: number;
  /** All bytes of the frame in the file. */
  readonly bytes: number;
  readonly crc: number;
  readonly previousCrc: number;
  /** Metadata, columns and headers; all bytes of the frame when the records were read too. */
  readonly data: Buffer;
  /** Bytes of `data` before the first record. */
  readonly headBytes: number;
}

/** Bytes of a frame's metadata, prefix included; the same for every frame. */
const FRAME_METADATA_BYTES = FRAME_TEMPLATE.bytes.length;

/** How every frame begins: continuation marker and metadata length. */
export const FRAME_PREFIX = Buffer.from(FRAME_TEMPLATE.bytes.subarray(0, 8));

const TEMPLATE = Buffer.from(FRAME_TEMPLATE.bytes);
const WIDTHS = FIXED_COLUMNS.map(({ bits }) => bits / 8);
const CRC_ZERO = Buffer.from(crcDigits(0));
const CRC_DIGITS = 8;
const [OFFSET, RECEIVED_AT, STREAM_ID, STREAM_SEQ, BATCH_ID, SIGNAL, KIND, FLAGS, CRC] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
/** Scratch of `headCrc`: u64, little-endian. */
const POSITION = new DataView(new ArrayBuffer(8));
const NO_HEADERS: ReadonlyMap<string, string> = new Map();

/** Where a frame goes. */
export interface FramePlace {
  /** Of its first byte in the segment file. */
  readonly position: number;
  /** Offset of its first row. */
  readonly baseOffset: bigint;
  /** CRC of the frame before it in the log. */
  readonly previousCrc: number;
}

/** Encodes the rows as one frame. */
export function encodeFrame(place: FramePlace, rows: readonly FrameRow[]): EncodedFrame {
  const { position, baseOffset, previousCrc } = place;
  const count = rows.length;
  const places = columnPlaces(count);
  let headersBytes = 0;
  for (const row of rows) headersBytes += row.headers.length;
  const headBytes = places.headers + paddedTo8(headersBytes);
  const head = Buffer.allocUnsafe(headBytes);
  TEMPLATE.copy(head);
  head.fill(0, FRAME_METADATA_BYTES);
  const view = new DataView(head.buffer, head.byteOffset, headBytes);
  const parts: Uint8Array[] = [head];
  const column = places.columns;
  let headersEnd = 0;
  let recordEnd = 0;
  for (let i = 0; i < count; i++) {
    const row = rows[i]!;
    for (const part of row.record) if (part.length > 0) parts.push(part);
    view.setBigUint64(column[OFFSET!]! + 8 * i, baseOffset + BigInt(i), true);
    view.setBigInt64(column[RECEIVED_AT!]! + 8 * i, row.receivedAtUnixNano, true);
    view.setBigUint64(column[STREAM_ID!]! + 8 * i, row.streamId, true);
    view.setUint32(column[STREAM_SEQ!]! + 4 * i, row.streamSeq, true);
    view.setBigInt64(column[BATCH_ID!]! + 8 * i, row.batchId, true);
    view.setUint8(column[SIGNAL!]! + i, row.signal);
    view.setUint8(column[KIND!]! + i, row.kind);
    view.setUint8(column[FLAGS!]! + i, row.flags);
    view.setUint32(column[CRC!]! + 4 * i, row.recordCrc, true);
    head.set(row.headers, places.headers + headersEnd);
    headersEnd += row.headers.length;
    recordEnd += row.recordBytes;
    view.setInt32(places.headersOffsets + 4 * (i + 1), headersEnd, true);
    view.setInt32(places.recordOffsets + 4 * (i + 1), recordEnd, true);
  }
  const padding = paddedTo8(recordEnd) - recordEnd;
  if (padding > 0) parts.push(Buffer.alloc(padding));
  const bodyBytes = headBytes - FRAME_METADATA_BYTES + recordEnd + padding;
  writeMetadata(view, { count, places, headersBytes, headBytes, recordBytes: recordEnd, bodyBytes });
  head.write(crcDigits(previousCrc), FRAME_TEMPLATE.previousCrc, 'latin1');
  const crc = headCrc(head, position);
  head.write(crcDigits(crc), FRAME_TEMPLATE.crc, 'latin1');
  return { parts, bytes: FRAME_METADATA_BYTES + bodyBytes, crc };
}

/** CRC-32 of a record that lies in parts. */
export function crcOf(record: readonly Uint8Array[]): number {
  let crc = 0;
  for (const part of record) crc = crc32(part, crc);
  return crc;
}

/** A frame whose head is whole and good, while its records reach beyond the end of the source. */
export const RECORDS_CUT_OFF = 'frame is cut off in its records';

/**
 * Reads the frame at `position` of a source of bytes. `read` returns that many bytes from a position on, or null when the source
 * ends before. With `records` the frame's records are read into `data`, else only what comes before them. Returns the reason as text
 * when there is no whole frame with a good head.
 */
export function parseFrame(
  read: (position: number, bytes: number) => Buffer | null,
  position: number,
  records: boolean,
): FrameView | string {
  const metadata = read(position, FRAME_METADATA_BYTES);
  if (metadata === null) return 'frame metadata is cut off';
  if (FRAME_PREFIX.compare(metadata, 0, FRAME_PREFIX.length) !== 0) return 'no frame begins here';
  const bodyBytes = Number(metadata.readBigInt64LE(FRAME_TEMPLATE.bodyLength));
  const rows = Number(metadata.readBigInt64LE(FRAME_TEMPLATE.rows));
  if (!(rows > 0 && bodyBytes > 0 && rows <= bodyBytes)) return 'frame lengths make no sense';
  const places = columnPlaces(rows);
  const bytes = FRAME_METADATA_BYTES + bodyBytes;
  if (places.headers > bytes) return 'frame is too short for its rows';
  const whole = records ? read(position, bytes) : null;
  const columns = whole ?? read(position, places.headers);
  if (columns === null) return 'frame is cut off';
  const headersBytes = columns.readInt32LE(places.headersOffsets + 4 * rows);
  const headBytes = places.headers + paddedTo8(headersBytes);
  if (headersBytes < 0 || headBytes > bytes) return 'frame is too short for its headers';
  const data = whole ?? read(position, headBytes);
  if (data === null) return 'frame is cut off';
  const crc = headCrc(data.subarray(0, headBytes), position);
  if (crcDigits(crc) !== data.toString('latin1', FRAME_TEMPLATE.crc, FRAME_TEMPLATE.crc + CRC_DIGITS)) {
    return 'frame does not match its CRC';
  }
  // The file may end inside the records even when they are not to be read.
  if (whole === null && read(position + bytes - 1, 1) === null) return RECORDS_CUT_OFF;
  const previousCrc = Number.parseInt(
    data.toString('latin1', FRAME_TEMPLATE.previousCrc, FRAME_TEMPLATE.previousCrc + CRC_DIGITS),
    16,
  );
  const baseOffset = data.readBigUInt64LE(places.columns[OFFSET!]!);
  return { baseOffset, rows, bytes, crc, previousCrc, data, headBytes };
}

/** Rows of a frame (read with its records) whose record does not match its CRC; -1 stands for the padding at the end. */
export function damagedRows(frame: FrameView): number[] {
  const places = columnPlaces(frame.rows);
  const damaged: number[] = [];
  for (let i = 0; i < frame.rows; i++) {
    const record = recordOf(frame, places, i);
    if (crc32(record) !== frame.data.readUInt32LE(places.columns[CRC!]! + 4 * i)) damaged.push(i);
  }
  const end = frame.headBytes + frame.data.readInt32LE(places.recordOffsets + 4 * frame.rows);
  for (let i = end; i < frame.bytes; i++) {
    if (frame.data[i] !== 0) return [...damaged, -1];
  }
  return damaged;
}

/** The place of a row's record in its frame: bytes from the frame's first byte, and length. */
export function recordPlace(frame: FrameView, row: number): { position: number; bytes: number } {
  const { recordOffsets } = columnPlaces(frame.rows);
  const start = frame.data.readInt32LE(recordOffsets + 4 * row);
  return { position: frame.headBytes + start, bytes: frame.data.readInt32LE(recordOffsets + 4 * (row + 1)) - start };
}

/** The entries of a frame that was read with its records. `segment` is the base offset of its segment. */
export function frameEntries(frame: FrameView, segment: bigint): LogEntry[] {
  const { data, rows } = frame;
  const places = columnPlaces(rows);
  const column = places.columns;
  const entries: LogEntry[] = [];
  for (let i = 0; i < rows; i++) {
    const headersStart = data.readInt32LE(places.headersOffsets + 4 * i);
    const headersEnd = data.readInt32LE(places.headersOffsets + 4 * (i + 1));
    entries.push({
      offset: data.readBigUInt64LE(column[OFFSET!]! + 8 * i),
      receivedAtUnixNano: data.readBigInt64LE(column[RECEIVED_AT!]! + 8 * i),
      streamId: data.readBigUInt64LE(column[STREAM_ID!]! + 8 * i),
      streamSeq: data.readUInt32LE(column[STREAM_SEQ!]! + 4 * i),
      batchId: data.readBigInt64LE(column[BATCH_ID!]! + 8 * i),
      signal: data[column[SIGNAL!]! + i]!,
      kind: data[column[KIND!]! + i]!,
      flags: data[column[FLAGS!]! + i]!,
      headers: decodeHeaders(data.subarray(places.headers + headersStart, places.headers + headersEnd)),
      record: recordOf(frame, places, i),
      segment,
    });
  }
  return entries;
}

/** What the index keeps of a frame's columns. */
export function frameFacts(frame: FrameView): {
  receivedAtMin: bigint;
  receivedAtMax: bigint;
  /** 0 when no entry belongs to a stream. */
  streamIdMax: bigint;
} {
  const { columns } = columnPlaces(frame.rows);
  let receivedAtMin = frame.data.readBigInt64LE(columns[RECEIVED_AT!]!);
  let receivedAtMax = receivedAtMin;
  let streamIdMax = 0n;
  for (let i = 0; i < frame.rows; i++) {
    const receivedAt = frame.data.readBigInt64LE(columns[RECEIVED_AT!]! + 8 * i);
    if (receivedAt < receivedAtMin) receivedAtMin = receivedAt;
    if (receivedAt > receivedAtMax) receivedAtMax = receivedAt;
    const streamId = frame.data.readBigUInt64LE(columns[STREAM_ID!]! + 8 * i);
    if (streamId > streamIdMax) streamIdMax = streamId;
  }
  return { receivedAtMin, receivedAtMax, streamIdMax };
}

/** When a row of the frame was received. */
export function receivedAtOf(frame: FrameView, row: number): bigint {
  return frame.data.readBigInt64LE(columnPlaces(frame.rows).columns[RECEIVED_AT!]! + 8 * row);
}

/** Numbers of the signals that a frame's entries are of; entries of no signal have none. */
export function frameSignals(frame: FrameView): ReadonlySet<number> {
  const start = columnPlaces(frame.rows).columns[SIGNAL!]!;
  const signals = new Set(frame.data.subarray(start, start + frame.rows));
  signals.delete(0);
  return signals;
}

/** The same as `frameFacts`, of rows before they are written. There is at least one. */
export function frameFactsOf(rows: readonly FrameRow[]): ReturnType<typeof frameFacts> {
  let receivedAtMin = rows[0]!.receivedAtUnixNano;
  let receivedAtMax = receivedAtMin;
  let streamIdMax = 0n;
  for (const { receivedAtUnixNano, streamId } of rows) {
    if (receivedAtUnixNano < receivedAtMin) receivedAtMin = receivedAtUnixNano;
    if (receivedAtUnixNano > receivedAtMax) receivedAtMax = receivedAtUnixNano;
    if (streamId > streamIdMax) streamIdMax = streamId;
  }
  return { receivedAtMin, receivedAtMax, streamIdMax };
}

interface ColumnPlaces {
  /** Where each fixed column begins, from the frame's first byte. */
  readonly columns: readonly number[];
  readonly headersOffsets: number;
  readonly recordOffsets: number;
  readonly headers: number;
}

function columnPlaces(rows: number): ColumnPlaces {
  let end = FRAME_METADATA_BYTES;
  const columns = WIDTHS.map((width) => {
    const start = end;
    end += paddedTo8(width * rows);
    return start;
  });
  const offsetsBytes = paddedTo8(4 * (rows + 1));
  return { columns, headersOffsets: end, recordOffsets: end + offsetsBytes, headers: end + 2 * offsetsBytes };
}

interface FrameSizes {
  readonly count: number;
  readonly places: ColumnPlaces;
  readonly headersBytes: number;
  readonly headBytes: number;
  readonly recordBytes: number;
  readonly bodyBytes: number;
}

function writeMetadata(view: DataView, sizes: FrameSizes): void {
  const { count, places, headersBytes, headBytes, recordBytes, bodyBytes } = sizes;
  setInt64(view, FRAME_TEMPLATE.bodyLength, bodyBytes);
  setInt64(view, FRAME_TEMPLATE.rows, count);
  for (let i = 0; i < FRAME_TEMPLATE.nodeCount; i++) setInt64(view, FRAME_TEMPLATE.nodes + 16 * i, count);
  let at = FRAME_TEMPLATE.buffers;
  const buffer = (start: number, bytes: number) => {
    setInt64(view, at, start - FRAME_METADATA_BYTES);
    setInt64(view, at + 8, bytes);
    at += 16;
  };
  places.columns.forEach((start, i) => {
    buffer(start, 0);
    buffer(start, WIDTHS[i]! * count);
  });
  const offsetsBytes = 4 * (count + 1);
  buffer(places.headersOffsets, 0);
  buffer(places.headersOffsets, offsetsBytes);
  buffer(places.headers, headersBytes);
  buffer(places.recordOffsets, 0);
  buffer(places.recordOffsets, offsetsBytes);
  buffer(headBytes, recordBytes);
}

/** Writes a number of at most 53 bits without the cost of a BigInt. The template holds zeros there. */
function setInt64(view: DataView, position: number, value: number): void {
  view.setUint32(position, value >>> 0, true);
  view.setUint32(position + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** Begins with the position: a whole frame that lies elsewhere, be it in a sender's record, is no frame. */
function headCrc(head: Buffer, position: number): number {
  POSITION.setUint32(0, position >>> 0, true);
  POSITION.setUint32(4, Math.floor(position / 0x1_0000_0000), true);
  const before = crc32(head.subarray(0, FRAME_TEMPLATE.crc), crc32(POSITION));
  return crc32(head.subarray(FRAME_TEMPLATE.crc + CRC_DIGITS), crc32(CRC_ZERO, before));
}

function recordOf(frame: FrameView, places: ColumnPlaces, row: number): Uint8Array {
  const start = frame.data.readInt32LE(places.recordOffsets + 4 * row);
  const end = frame.data.readInt32LE(places.recordOffsets + 4 * (row + 1));
  return new Uint8Array(frame.data.buffer, frame.data.byteOffset + frame.headBytes + start, end - start);
}

function decodeHeaders(json: Buffer): ReadonlyMap<string, string> {
  if (json.length === 0) return NO_HEADERS;
  return new Map(Object.entries(JSON.parse(json.toString('utf8')) as Record<string, string>));
}
