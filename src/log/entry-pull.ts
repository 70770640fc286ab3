/**
 * Walks the log for one pull: state that decoding needs from below the first entry, then entries, up to a durable position that grows.
 * Works in small steps, so that a thread can drive many of them.
 */
import { createEntryStreamWriter } from './entry-stream.ts';
import type { LogFileSystem } from './file-system.ts';
import { type FrameReader, openFrameReader, type ReadFrame } from './reader.ts';
import { type DurablePosition, ENTRY_FLAGS, ENTRY_KINDS, type LogEntry } from './types.ts';

export interface EntryPullOptions {
  readonly directory: string;
  readonly logUuid: string;
  /** Offset of the first entry. */
  readonly from: bigint;
  /** Entries at most; null: all. State from below `from` does not count. */
  readonly limit: bigint | null;
  /** Number of the signal whose entries are wanted; null: all, and entries of none. */
  readonly signal: number | null;
  readonly durable: DurablePosition;
  readonly fileSystem?: LogFileSystem;
  /** The bytes of a step are needed until the next one only. */
  readonly isTransient?: boolean;
}

/** What one step made. */
export interface PullStep {
  /** Bytes of the entry stream; may be empty: the step was spent on looking. */
  readonly parts: readonly Uint8Array[];
  /** Entries wanted, not those that are state only. */
  readonly entries: readonly LogEntry[];
  /** State from below `from`, in order, before all entries. */
  readonly state: readonly LogEntry[];
}

export interface EntryPull {
  /** Everything below was told. */
  readonly nextOffset: bigint;
  /** Whether the limit is reached. */
  readonly isFull: boolean;
  /** The bytes that begin the stream. */
  head(): Uint8Array;
  advance(durable: DurablePosition): void;
  /**
   * Makes the next step; null when everything durable was told. Throws OffsetOutOfRangeError when retention has deleted what comes next.
   */
  next(): PullStep | null;
  /** The bytes that end the stream. */
  tail(): readonly Uint8Array[];
  close(): void;
}

/** Begins a pull. Throws OffsetOutOfRangeError when the log does not hold `from`. */
export function openEntryPull(options: EntryPullOptions): EntryPull {
  const { from, limit, signal } = options;
  const open = (isTransient: boolean) => openFrameReader({ ...options, isTransient });
  const writer = createEntryStreamWriter(options);
  const reader = open(options.isTransient ?? false);
  let search: StateSearch | null;
  try {
    search = createStateSearch(open(true), options);
  } catch (error) {
    reader.close();
    throw error;
  }
  let state: ReadonlySet<bigint> = new Set();
  let nextOffset = from;
  let left = limit;
  let gapsTold = 0;
  /** What the client knows to be below `nextOffset`, by entries or by notes. */
  let told = from;
  let passedBytes = 0;

  function wanted(frame: ReadFrame): LogEntry[] {
    const found = frame.entries.filter((entry) => entry.offset >= from && (signal === null || entry.signal === signal));
    return left === null || BigInt(found.length) <= left ? found : found.slice(0, Number(left));
  }

  /** Gaps behind the last entry that a limit allows are for the client that goes on there. */
  function newGaps(end: bigint | null): Uint8Array[] {
    const parts: Uint8Array[] = [];
    for (const { from: start, to, reason } of reader.skipped.slice(gapsTold)) {
      if (end !== null && start >= end) break;
      if (to > from) parts.push(...writer.gap({ from: start < from ? from : start, to, reason }));
      if (to > nextOffset) nextOffset = to;
    }
    gapsTold = reader.skipped.length;
    return parts;
  }

  function take(frame: ReadFrame): PullStep {
    const entries = wanted(frame);
    if (left !== null) left -= BigInt(entries.length);
    const last = left === 0n ? entries.at(-1) : frame.entries.at(-1);
    const parts = newGaps(left === 0n ? last!.offset : null);
    const carried = frame.entries.filter(({ offset }) => state.has(offset));
    parts.push(...writer.entries(carried));
    const isWhole = frame.isIntact && entries.length === frame.entries.length;
    parts.push(...(isWhole ? writer.whole(frame) : writer.entries(entries)));
    if (last !== undefined && last.offset >= nextOffset) nextOffset = last.offset + 1n;
    const lastSent = entries.at(-1);
    if (lastSent === undefined) passedBytes += frame.data.length;
    else told = lastSent.offset + 1n;
    if (passedBytes >= PASSED_BYTES_MAX) parts.push(...progress());
    return { parts, entries, state: carried };
  }

  /** Without it a client that wants one signal only would come back with an offset that retention has passed long ago. */
  function progress(): readonly Uint8Array[] {
    passedBytes = 0;
    if (told >= nextOffset) return [];
    told = nextOffset;
    return writer.progress(nextOffset);
  }

  return {
    get nextOffset() {
      return nextOffset;
    },
    get isFull() {
      return left === 0n;
    },
    head: () => writer.head(),
    advance(position) {
      reader.advance(position);
      search?.reader.advance(position);
    },
    next() {
      if (left === 0n) return null;
      if (search !== null) {
        const found = search.step();
        if (found !== null) {
          state = found;
          search.reader.close();
          search = null;
        }
        return { parts: [], entries: [], state: [] };
      }
      const frame = reader.nextRead();
      if (frame !== null) return take(frame);
      const parts = [...newGaps(null), ...progress()];
      return parts.length === 0 ? null : { parts, entries: [], state: [] };
    },
    tail: () => writer.end(nextOffset),
    close() {
      search?.reader.close();
      reader.close();
    },
  };
}

/** Frames of other signals that are passed by before the client is told how far it is. */
const PASSED_BYTES_MAX = 1024 * 1024;

interface StateSearch {
  readonly reader: FrameReader;
  /** Looks at the next frame; the offsets found when all below `from` were looked at. */
  step(): ReadonlySet<bigint> | null;
}

/** Finds the entries below `from`, in its segment, that streams alive at `from` build on. Holds their offsets, not their bytes. */
function createStateSearch(reader: FrameReader, { from, signal }: EntryPullOptions): StateSearch {
  const streams = new Map<bigint, bigint[]>();
  function look(entry: LogEntry): void {
    const { streamId, offset, kind, flags } = entry;
    if (streamId === 0n || (signal !== null && entry.signal !== signal)) return;
    if (kind === ENTRY_KINDS.STREAM_CLOSE) {
      streams.delete(streamId);
    } else if (kind === ENTRY_KINDS.STATE) {
      streams.set(streamId, [offset]);
    } else if ((flags & CHANGES_STATE) !== 0 && (flags & ENTRY_FLAGS.UNDECODABLE) === 0) {
      const offsets = streams.get(streamId);
      if (offsets === undefined) streams.set(streamId, [offset]);
      else offsets.push(offset);
    }
  }
  return {
    reader,
    step() {
      const frame = reader.nextRead();
      for (const entry of frame?.entries ?? []) if (entry.offset < from) look(entry);
      const isOver = frame === null || (frame.entries.at(-1)?.offset ?? frame.baseOffset) + 1n >= from;
      return isOver ? new Set([...streams.values()].flat()) : null;
    },
  };
}

const CHANGES_STATE = ENTRY_FLAGS.HAS_SCHEMA | ENTRY_FLAGS.HAS_DICTIONARY;
