/**
 * Entries as one Arrow IPC stream, with the schema of the segments: what `GET /treasury/v1/log` answers and `treasury pull` reads.
 * docs/format/entry-stream.md describes the bytes.
 */
import { TreasuryError } from '../base/index.ts';
import { FRAME_TEMPLATE } from './arrow-messages.ts';
import { decodeNote, encodeNote, type EntryGap, NOTE_BYTES, NOTE_PREFIX } from './entry-note.ts';
import { crcOf, damagedRows, encodeFrame, FRAME_PREFIX, frameEntries, type FrameRow, parseFrame } from './frame.ts';
import { END_OF_STREAM, SEGMENT_FORMAT_VERSION } from './layout.ts';
import type { ReadFrame } from './reader.ts';
import { decodeSegmentHeader, encodeSegmentHeader, SEGMENT_HEADER_BYTES } from './segment-header.ts';
import type { LogEntry } from './types.ts';

/** Takes the bytes of an entry stream in pieces of any size. */
export interface EntryStreamReader {
  /** The entries that are complete with these bytes; their views live until the next call. Throws TREASURY_LOG_CORRUPT with the position. */
  push(bytes: Uint8Array): LogEntry[];
  /** Whether the end-of-stream mark was seen: an answer without it was cut off. */
  readonly isEnded: boolean;
  /** UUID of the log that the entries are from; null before the first message is there. */
  readonly logUuid: string | null;
  /** What the log could not give, so far. */
  readonly gaps: readonly EntryGap[];
  /** Where to go on: everything below was told. Null before anything was. */
  readonly nextOffset: bigint | null;
  /** Bytes of the messages that are complete. */
  readonly position: number;
}

/** Makes an entry stream, message by message. The parts are sent in order and may be views of what was given. */
export interface EntryStreamWriter {
  head(): Uint8Array;
  /** A frame with all that is in it, as it stands in its segment. */
  whole(frame: ReadFrame): readonly Uint8Array[];
  /** Some entries of one segment, in order. */
  entries(entries: readonly LogEntry[]): readonly Uint8Array[];
  gap(gap: EntryGap): readonly Uint8Array[];
  /** Everything below `next` was told, though nothing may have come of it. */
  progress(next: bigint): readonly Uint8Array[];
  /** The end: everything below `next` was told. */
  end(next: bigint): readonly Uint8Array[];
}

/** A writer for the stream of a log's entries from `from` on. */
export function createEntryStreamWriter({ logUuid, from }: { logUuid: string; from: bigint }): EntryStreamWriter {
  let segment: bigint | null = null;
  let position = 0;
  const moveTo = (parts: Uint8Array[], toSegment: bigint, toPosition: number) => {
    if (segment === toSegment && position === toPosition) return;
    segment = toSegment;
    position = toPosition;
    parts.push(encodeNote({ segment, position }));
  };
  return {
    head: () => encodeSegmentHeader({ logUuid, baseOffset: from, previousEnd: from, previousCrc: 0, streamIdNext: 0n }),
    whole(frame) {
      const parts: Uint8Array[] = [];
      moveTo(parts, frame.segment, frame.position);
      parts.push(frame.data);
      position += frame.data.length;
      return parts;
    },
    entries(entries) {
      const parts: Uint8Array[] = [];
      for (const run of runs(entries)) {
        const first = run[0]!;
        if (segment !== first.segment) moveTo(parts, first.segment, 0);
        const frame = encodeFrame({ position, baseOffset: first.offset, previousCrc: 0 }, run.map(frameRow));
        parts.push(...frame.parts);
        position += frame.bytes;
      }
      return parts;
    },
    gap: (gap) => [encodeNote({ segment: segment ?? gap.from, position, gap })],
    progress: (next) => [encodeNote({ segment: segment ?? next, position, next })],
    end: (next) => [encodeNote({ segment: segment ?? next, position, next }), END_OF_STREAM],
  };
}

/** Reads an entry stream as it comes. */
export function createEntryStreamReader(): EntryStreamReader {
  const messages = new MessageBuffer();
  const gaps: EntryGap[] = [];
  let logUuid: string | null = null;
  let isEnded = false;
  let segment = 0n;
  /** Of the next frame, for its CRC. */
  let position = 0;
  let nextOffset: bigint | null = null;

  function take(message: Buffer, entries: LogEntry[]): void {
    if (logUuid === null) {
      logUuid = readHead(message);
    } else if (message.length === END_OF_STREAM.length) {
      isEnded = true;
    } else if (NOTE_PREFIX.compare(message, 0, NOTE_PREFIX.length) === 0) {
      takeNote(message);
    } else {
      takeFrame(message, entries);
    }
  }

  function takeNote(message: Buffer): void {
    const note = decodeNote(message);
    if (typeof note === 'string') throw corrupt(note);
    ({ segment, position } = note);
    if (note.gap !== undefined) gaps.push(note.gap);
    if (note.next !== undefined) nextOffset = note.next;
  }

  function takeFrame(message: Buffer, entries: LogEntry[]): void {
    const start = position;
    const read = (at: number, bytes: number) =>
      at - start + bytes > message.length ? null : message.subarray(at - start, at - start + bytes);
    const frame = parseFrame(read, start, true);
    if (typeof frame === 'string') throw corrupt(frame);
    if (damagedRows(frame).length > 0) throw corrupt('record does not match its CRC');
    if (nextOffset !== null && frame.baseOffset < nextOffset) {
      throw corrupt(`offset is ${frame.baseOffset} and comes behind ${nextOffset - 1n}`);
    }
    position += message.length;
    const found = frameEntries(frame, segment);
    nextOffset = found.at(-1)!.offset + 1n;
    entries.push(...found);
  }

  function corrupt(reason: string): TreasuryError {
    return new TreasuryError(
      'TREASURY_LOG_CORRUPT',
      `Cannot read the entry stream at byte ${messages.position}: ${reason}`,
      {
        facts: { position: messages.position },
      },
    );
  }

  function readHead(message: Buffer): string {
    const header = decodeSegmentHeader(message);
    if (typeof header === 'string') throw corrupt(header);
    if (header.version !== SEGMENT_FORMAT_VERSION) throw corrupt(`version is ${header.version}`);
    return header.logUuid;
  }

  return {
    push(bytes) {
      messages.add(bytes);
      const entries: LogEntry[] = [];
      while (!isEnded) {
        const length = nextLength(messages, logUuid === null);
        if (length === 'unknown') throw corrupt('no message begins here');
        const message = length === null ? null : messages.peek(length);
        if (message === null) break;
        take(message, entries);
        messages.drop(message.length);
      }
      if (isEnded && messages.bytes > 0) throw corrupt('bytes follow the end');
      return entries;
    },
    get isEnded() {
      return isEnded;
    },
    get logUuid() {
      return logUuid;
    },
    gaps,
    get nextOffset() {
      return nextOffset;
    },
    get position() {
      return messages.position;
    },
  };
}

const FRAME_HEAD_BYTES = FRAME_TEMPLATE.bodyLength + 8;

/** Bytes of the message that comes next; null when that cannot be told yet. */
function nextLength(messages: MessageBuffer, isHead: boolean): number | 'unknown' | null {
  if (isHead) return SEGMENT_HEADER_BYTES;
  const prefix = messages.peek(END_OF_STREAM.length);
  if (prefix === null) return null;
  if (prefix.equals(END_OF_STREAM)) return END_OF_STREAM.length;
  if (prefix.equals(NOTE_PREFIX)) return NOTE_BYTES;
  if (!prefix.equals(FRAME_PREFIX)) return 'unknown';
  const head = messages.peek(FRAME_HEAD_BYTES);
  if (head === null) return null;
  const length = FRAME_TEMPLATE.bytes.length + Number(head.readBigInt64LE(FRAME_TEMPLATE.bodyLength));
  return length > FRAME_TEMPLATE.bytes.length && length <= MESSAGE_BYTES_MAX ? length : 'unknown';
}

/** Offsets inside of an Arrow column have 31 bits. */
const MESSAGE_BYTES_MAX = 2 ** 31;

/** Pieces of any size, joined only when what is asked for is there: a long message in many pieces is copied once. */
class MessageBuffer {
  /** Of the first byte held, in the stream. */
  position = 0;
  bytes = 0;
  #pieces: Buffer[] = [];

  add(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#pieces.push(Buffer.from(piece.buffer, piece.byteOffset, piece.length));
    this.bytes += piece.length;
  }

  /** The next bytes, or null when they are not there yet. */
  peek(length: number): Buffer | null {
    if (this.bytes < length) return null;
    if (this.#pieces[0]!.length < length) {
      let joined = 0;
      let pieces = 0;
      while (joined < length) joined += this.#pieces[pieces++]!.length;
      this.#pieces.splice(0, pieces, Buffer.concat(this.#pieces.slice(0, pieces)));
    }
    return this.#pieces[0]!.subarray(0, length);
  }

  /** Leaves the bytes behind that the last `peek` gave. */
  drop(length: number): void {
    const first = this.#pieces[0]!;
    if (first.length === length) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(length);
    this.bytes -= length;
    this.position += length;
  }
}

/** Entries in runs of contiguous offsets: a frame numbers its rows from its first one on. */
function* runs(entries: readonly LogEntry[]): Generator<LogEntry[]> {
  let run: LogEntry[] = [];
  for (const entry of entries) {
    const last = run.at(-1);
    if (last !== undefined && entry.offset !== last.offset + 1n) {
      yield run;
      run = [];
    }
    run.push(entry);
  }
  if (run.length > 0) yield run;
}

const NO_HEADERS = new Uint8Array(0);

function frameRow(entry: LogEntry): FrameRow {
  const { receivedAtUnixNano, streamId, streamSeq, batchId, signal, kind, flags, record } = entry;
  const headers =
    entry.headers.size === 0 ? NO_HEADERS : Buffer.from(JSON.stringify(Object.fromEntries(entry.headers)));
  return {
    receivedAtUnixNano,
    streamId,
    streamSeq,
    batchId,
    signal,
    kind,
    flags,
    headers,
    record: [record],
    recordBytes: record.length,
    recordCrc: crcOf([record]),
  };
}
