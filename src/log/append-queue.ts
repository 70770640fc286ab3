/** What waits to be written, in order, and how it becomes the rows of a frame. No I/O. */
import { LogUnavailableError } from '../base/index.ts';
import { crcOf, type FrameRow } from './frame.ts';
import { createStreamState, type StreamState } from './stream-state.ts';
import { ENTRY_FLAGS, ENTRY_KINDS, type StateUpdate } from './types.ts';

/** A live stream as the queue needs it. */
export interface QueuedStream {
  readonly id: bigint;
  readonly signal: number;
  readonly state: StreamState;
  /** Items in the queue. */
  queued: number;
  /** Bytes of state updates in the queue. */
  queuedStateBytes: number;
  /** Sequence number of its next entry. */
  nextSeq: number;
  /** Whether its STREAM_OPEN entry is written. */
  isOpened: boolean;
  /** Base offset of the segment that holds all of its state; null when no segment does. */
  stateSegment: bigint | null;
}

/** An entry that somebody waits for. */
export interface QueuedEntry {
  readonly type: 'entry';
  /** Null for entries of no stream. */
  readonly stream: QueuedStream | null;
  readonly row: Omit<FrameRow, 'streamId' | 'streamSeq'>;
  readonly stateUpdates: readonly StateUpdate[];
  readonly queuedAtMs: number;
  readonly resolve: (offset: bigint) => void;
  readonly reject: (error: LogUnavailableError) => void;
}

export type QueueItem =
  | QueuedEntry
  | { readonly type: 'absorb'; readonly stream: QueuedStream; readonly stateUpdates: readonly StateUpdate[] }
  | { readonly type: 'close'; readonly stream: QueuedStream; readonly receivedAtUnixNano: bigint };

/** The rows of one frame and who waits for them. */
export interface PendingFrame {
  readonly rows: readonly FrameRow[];
  /** With the place of each entry's row. */
  readonly entries: readonly { readonly entry: QueuedEntry; readonly place: number }[];
  /** Takes back what the rows changed in their streams, for a frame that is not written; their state stays, and is written anew. */
  undo(): void;
}

export interface TakeOptions {
  /** Base offset of the segment that the frame goes to. */
  readonly segment: bigint;
  readonly frameBytesMax: number;
  readonly frameEntriesMax: number;
}

/** A segment that no stream has state in. */
export const NO_SEGMENT = -1n;

const NO_BYTES = new Uint8Array();
/** BatchArrowRecords of a STATE entry carry no batch id, which protobuf reads as 0. */
const NO_BATCH = 0n;
const NO_STREAM = 0n;

/** State of a new stream. */
export function createQueuedStream(id: bigint, signal: number): QueuedStream {
  return {
    id,
    signal,
    state: createStreamState(),
    queued: 0,
    queuedStateBytes: 0,
    nextSeq: 0,
    isOpened: false,
    stateSegment: null,
  };
}

/** Takes state that no entry brings into the log. Only for a stream without queued items. */
export function absorbState(stream: QueuedStream, stateUpdates: readonly StateUpdate[]): void {
  if (stateUpdates.length === 0) return;
  for (const update of stateUpdates) stream.state.apply(update);
  stream.stateSegment = null;
}

export class AppendQueue {
  #items: QueueItem[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: QueueItem): void {
    if (item.stream !== null) {
      item.stream.queued++;
      item.stream.queuedStateBytes += updateBytes(item);
    }
    this.#items.push(item);
  }

  /**
   * Takes the entries out that were queued before a time of the monotonic clock; their state is kept. The caller rejects them.
   * Only between frames or while one is written.
   */
  expire(queuedBeforeMs: number): QueuedEntry[] {
    const expired: QueuedEntry[] = [];
    const kept: QueueItem[] = [];
    let keptEntries = 0;
    for (let i = this.#head; i < this.#items.length; i++) {
      const item = this.#items[i]!;
      if (item.type === 'entry' && item.queuedAtMs <= queuedBeforeMs) {
        expired.push(item);
        this.#leave(item);
        if (item.stream !== null) absorbState(item.stream, item.stateUpdates);
      } else if (item.type === 'absorb' && keptEntries === 0) {
        this.#leave(item);
        absorbState(item.stream, item.stateUpdates);
      } else {
        if (item.type === 'entry') keptEntries++;
        kept.push(item);
      }
    }
    this.#items = kept;
    this.#head = 0;
    return expired;
  }

  /** When the first entry that waits was queued, or null. */
  oldestMs(): number | null {
    for (let i = this.#head; i < this.#items.length; i++) {
      const item = this.#items[i]!;
      if (item.type === 'entry') return item.queuedAtMs;
    }
    return null;
  }

  /** Takes the next frame off the queue: at least one item, then as many as the limits allow. */
  take({ segment, frameBytesMax, frameEntriesMax }: TakeOptions): PendingFrame {
    const builder = new FrameBuilder(segment);
    while (this.#head < this.#items.length) {
      const item = this.#items[this.#head]!;
      const bytes = item.type === 'entry' ? item.row.recordBytes + item.row.headers.length : 0;
      const isFull = builder.rows.length >= frameEntriesMax || builder.bytes + bytes > frameBytesMax;
      if (isFull && builder.rows.length > 0) break;
      this.#head++;
      this.#leave(item);
      builder.add(item);
    }
    this.#compact();
    return builder;
  }

  #leave(item: QueueItem): void {
    if (item.stream === null) return;
    item.stream.queued--;
    item.stream.queuedStateBytes -= updateBytes(item);
  }

  #compact(): void {
    if (this.#head * 2 < this.#items.length) return;
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }
}

class FrameBuilder implements PendingFrame {
  readonly rows: FrameRow[] = [];
  readonly entries: { entry: QueuedEntry; place: number }[] = [];
  bytes = 0;
  readonly #segment: bigint;
  readonly #before = new Map<QueuedStream, { nextSeq: number; isOpened: boolean }>();

  constructor(segment: bigint) {
    this.#segment = segment;
  }

  add(item: QueueItem): void {
    if (item.type === 'absorb') {
      absorbState(item.stream, item.stateUpdates);
    } else if (item.type === 'close') {
      if (!item.stream.isOpened) return;
      this.#touch(item.stream);
      this.#pushMark(item.stream, ENTRY_KINDS.STREAM_CLOSE, item.receivedAtUnixNano);
    } else {
      if (item.stream === null) this.#pushEntry(item.row, NO_STREAM, 0);
      else this.#addToStream(item.stream, item);
      this.entries.push({ entry: item, place: this.rows.length - 1 });
    }
  }

  undo(): void {
    for (const [stream, { nextSeq, isOpened }] of this.#before) {
      stream.nextSeq = nextSeq;
      stream.isOpened = isOpened;
      stream.stateSegment = null;
    }
  }

  #addToStream(stream: QueuedStream, { row, stateUpdates }: QueuedEntry): void {
    this.#touch(stream);
    if (!stream.isOpened) {
      stream.isOpened = true;
      this.#pushMark(stream, ENTRY_KINDS.STREAM_OPEN, row.receivedAtUnixNano);
    }
    if (stream.stateSegment !== this.#segment) {
      stream.stateSegment = this.#segment;
      this.#pushState(stream, row.receivedAtUnixNano);
    }
    this.#pushEntry(row, stream.id, stream.nextSeq++);
    // After the STATE entry, which holds what the stream knew before this one.
    for (const update of stateUpdates) stream.state.apply(update);
  }

  #pushState(stream: QueuedStream, receivedAtUnixNano: bigint): void {
    const record = stream.state.record();
    if (record === null) return;
    this.#push({
      receivedAtUnixNano,
      streamId: stream.id,
      streamSeq: stream.nextSeq++,
      batchId: NO_BATCH,
      signal: stream.signal,
      kind: ENTRY_KINDS.STATE,
      flags: ENTRY_FLAGS.HAS_SCHEMA | (record.hasDictionary ? ENTRY_FLAGS.HAS_DICTIONARY : 0),
      headers: NO_BYTES,
      record: record.parts,
      recordBytes: record.bytes,
      recordCrc: crcOf(record.parts),
    });
  }

  #pushMark(stream: QueuedStream, kind: number, receivedAtUnixNano: bigint): void {
    this.#push({
      receivedAtUnixNano,
      streamId: stream.id,
      streamSeq: stream.nextSeq++,
      batchId: NO_BATCH,
      signal: stream.signal,
      kind,
      flags: 0,
      headers: NO_BYTES,
      record: [],
      recordBytes: 0,
      recordCrc: 0,
    });
  }

  /** Property by property: a spread costs as much as all the rest of a row. */
  #pushEntry(row: QueuedEntry['row'], streamId: bigint, streamSeq: number): void {
    const { receivedAtUnixNano, batchId, signal, kind, flags, headers, record, recordBytes, recordCrc } = row;
    this.#push({
      receivedAtUnixNano,
      streamId,
      streamSeq,
      batchId,
      signal,
      kind,
      flags,
      headers,
      record,
      recordBytes,
      recordCrc,
    });
  }

  #push(row: FrameRow): void {
    this.rows.push(row);
    this.bytes += row.recordBytes + row.headers.length;
  }

  #touch(stream: QueuedStream): void {
    if (!this.#before.has(stream)) this.#before.set(stream, { nextSeq: stream.nextSeq, isOpened: stream.isOpened });
  }
}

function updateBytes(item: QueueItem): number {
  return item.type === 'close' ? 0 : item.stateUpdates.reduce((bytes, update) => bytes + update.bytes.length, 0);
}
