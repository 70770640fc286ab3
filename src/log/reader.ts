/**
 * Reads entries in order, segment by segment, below a durable position that the writer announces. Every frame and record is checked
 * against its CRC again; what does not match is left out and said so.
 */
import { LIMITS, OffsetOutOfRangeError } from '../base/index.ts';
import { DependencyTracker } from './dependency-tracker.ts';
import { type LogFileSystem, type LogReadFile, realFileSystem } from './file-system.ts';
import { damagedRows, type FrameView, frameEntries, parseFrame } from './frame.ts';
import { END_OF_STREAM, segmentBaseOffsets, segmentPath } from './layout.ts';
import { limitOffset } from './log-directory.ts';
import { type SegmentBytes, segmentBytes } from './segment-bytes.ts';
import { SEGMENT_HEADER_BYTES, type SegmentHeader } from './segment-header.ts';
import { findFrame, readSegmentHeader } from './segment-scan.ts';
import type { DurablePosition, LogEntry, LogReader } from './types.ts';

export interface LogReaderOptions {
  /** Folder of the segments. */
  readonly directory: string;
  /** Reading starts with the first entry of the segment that holds this offset, or would hold it. */
  readonly from: bigint;
  /** Nothing behind it is read. Without it nothing is read before the first call of `advance`. */
  readonly durable?: DurablePosition;
  readonly fileSystem?: LogFileSystem;
  /** Bytes of entries are needed until the next frame only: much less memory to allocate. */
  readonly isTransient?: boolean;
}

/** A frame as read, for readers that pass its bytes on. */
export interface ReadFrame {
  /** Base offset of its segment. */
  readonly segment: bigint;
  /** Of its first byte in the segment file. */
  readonly position: number;
  readonly baseOffset: bigint;
  /** All bytes of the frame. */
  readonly data: Buffer;
  /** The entries whose record is whole. */
  readonly entries: readonly LogEntry[];
  /** Whether the bytes say what the entries say: no record is damaged, and no entry depends on a lost one. */
  readonly isIntact: boolean;
}

/** A reader of frames. */
export interface FrameReader extends LogReader {
  /** `nextFrame` with the bytes. */
  nextRead(): ReadFrame | null;
}

interface OpenSegment {
  readonly baseOffset: bigint;
  readonly file: LogReadFile;
  readonly source: SegmentBytes;
  position: number;
  /** Set once the next segment is known: entries from here on were refused. */
  limitOffset: bigint | null;
}

/**
 * Opens a reader. Throws OffsetOutOfRangeError when `from` is not between the log's first offset and its durable end, as far as that is
 * given.
 */
export function openLogReader(options: LogReaderOptions): LogReader {
  return openFrameReader(options);
}

/** The same, for readers that want the bytes of frames. */
export function openFrameReader(options: LogReaderOptions): FrameReader {
  const fileSystem = options.fileSystem ?? realFileSystem;
  const bases = listBases(fileSystem, options.directory);
  const { durable } = options;
  const durableOffset = durable?.durableOffset ?? options.from;
  const readable = bases.find((base) => durable === undefined || hasDurable(base, durable));
  const firstOffset = readable ?? (bases[0] !== undefined && bases[0] < durableOffset ? bases[0] : durableOffset);
  if (options.from < firstOffset || options.from > durableOffset) {
    throw new OffsetOutOfRangeError(options.from, firstOffset, durableOffset);
  }
  const start = bases.findLast((baseOffset) => baseOffset <= options.from) ?? options.from;
  return new SegmentReader(fileSystem, options, start);
}

class SegmentReader implements FrameReader {
  readonly #fileSystem: LogFileSystem;
  readonly #directory: string;
  readonly #isTransient: boolean;
  readonly #skipped: { from: bigint; to: bigint; reason: string }[] = [];
  readonly #dependencies = new DependencyTracker();
  #durable: DurablePosition | null;
  #segment: OpenSegment | null = null;
  /** Offset that the next entry should have. */
  #offset: bigint;
  /** Why entries before the next frame are missing, if that is known. */
  #damage: string | null = null;

  constructor(fileSystem: LogFileSystem, options: LogReaderOptions, start: bigint) {
    this.#fileSystem = fileSystem;
    this.#directory = options.directory;
    this.#isTransient = options.isTransient ?? false;
    this.#offset = start;
    this.#durable = options.durable ?? null;
  }

  get skipped(): readonly { readonly from: bigint; readonly to: bigint; readonly reason: string }[] {
    return this.#skipped;
  }

  advance(position: DurablePosition): void {
    if (this.#durable === null || position.durableOffset > this.#durable.durableOffset) this.#durable = position;
  }

  nextFrame(): readonly LogEntry[] | null {
    return this.nextRead()?.entries ?? null;
  }

  nextRead(): ReadFrame | null {
    const durable = this.#durable;
    if (durable === null) return null;
    for (;;) {
      const segment = this.#segment ?? this.#openNext(this.#offset - 1n, durable);
      if (segment === null) return this.#atEnd(durable);
      const frame = this.#frameOf(segment, durable);
      if (frame !== null) return this.#take(segment, frame);
      if (segment.baseOffset >= durable.segment) return this.#atEnd(durable);
      if (this.#openNext(segment.baseOffset, durable) === null) return this.#atEnd(durable);
    }
  }

  close(): void {
    this.#segment?.file.close();
    this.#segment = null;
  }

  /** The next frame of a segment that is part of the log, or null when there is none (yet). */
  #frameOf(segment: OpenSegment, durable: DurablePosition): FrameView | null {
    this.#bound(segment, durable);
    const { source } = segment;
    while (segment.position < source.end) {
      const frame = parseFrame(source.read.bind(source), segment.position, true);
      if (typeof frame !== 'string' && frame.baseOffset >= this.#offset) {
        return segment.limitOffset !== null && frame.baseOffset >= segment.limitOffset ? null : frame;
      }
      if (this.#isSeal(segment)) return null;
      const next = findFrame(source, segment.position + 1, this.#offset);
      // Behind the last entry there may be what was left of a refused frame; that is no damage.
      const isOver = segment.limitOffset !== null && this.#offset >= segment.limitOffset;
      if (!isOver) this.#damage = typeof frame === 'string' ? frame : 'frame is out of order';
      if (next === null) {
        segment.position = source.end;
        return null;
      }
      segment.position = next;
    }
    return null;
  }

  #take(segment: OpenSegment, frame: FrameView): ReadFrame {
    if (frame.baseOffset > this.#offset)
      this.#skip(frame.baseOffset, this.#damage ?? 'entries were refused or are missing');
    this.#damage = null;
    const { position } = segment;
    segment.position += frame.bytes;
    const damaged = new Set(damagedRows(frame));
    let isIntact = damaged.size === 0;
    const entries: LogEntry[] = [];
    frameEntries(frame, segment.baseOffset).forEach((entry, row) => {
      if (damaged.has(row)) {
        this.#skip(entry.offset + 1n, 'record does not match its CRC');
      } else {
        const marked = this.#dependencies.mark(entry);
        isIntact &&= marked === entry;
        entries.push(marked);
        this.#offset = entry.offset + 1n;
      }
    });
    return { segment: segment.baseOffset, position, baseOffset: frame.baseOffset, data: frame.data, entries, isIntact };
  }

  #skip(to: bigint, reason: string): void {
    this.#skipped.push({ from: this.#offset, to, reason });
    this.#dependencies.lose();
    this.#offset = to;
  }

  /** Everything durable was read, or cannot be. */
  #atEnd({ durableOffset, segment }: DurablePosition): null {
    const isLast = this.#segment === null || this.#segment.baseOffset >= segment;
    if (isLast && this.#offset < durableOffset) {
      this.#skip(durableOffset, this.#damage ?? 'entries are missing');
      this.#damage = null;
    }
    return null;
  }

  #bound(segment: OpenSegment, durable: DurablePosition): void {
    if (segment.baseOffset === durable.segment) {
      segment.source.end = Math.min(durable.segmentBytes, segment.file.size());
    } else if (segment.limitOffset === null && segment.baseOffset < durable.segment) {
      segment.source.end = segment.file.size();
      segment.limitOffset = this.#limitOf(segment.baseOffset, durable);
    }
  }

  /** Throws OffsetOutOfRangeError when segments were deleted while this one was read: where it ends cannot be told then. */
  #limitOf(baseOffset: bigint, durable: DurablePosition): bigint | null {
    let limit: bigint | null = null;
    let isGone = false;
    try {
      limit = limitOffset(this.#headersAbove(baseOffset));
    } catch (error) {
      if (!isNotFound(error)) throw error;
      isGone = true;
    }
    // Segments go oldest first: while this one is there, all above it were.
    const bases = listBases(this.#fileSystem, this.#directory);
    if (isGone || !bases.includes(baseOffset)) throw this.#outOfRange(bases, durable);
    return limit;
  }

  #outOfRange(bases: readonly bigint[], { durableOffset }: DurablePosition): OffsetOutOfRangeError {
    const firstOffset = bases.find((base) => base > this.#offset) ?? durableOffset;
    return new OffsetOutOfRangeError(this.#offset, firstOffset, durableOffset);
  }

  *#headersAbove(above: bigint): Generator<{ baseOffset: bigint; header: SegmentHeader | null }> {
    for (const baseOffset of listBases(this.#fileSystem, this.#directory)) {
      if (baseOffset <= above) continue;
      const header = readSegmentHeader(this.#fileSystem, this.#directory, baseOffset);
      yield { baseOffset, header: typeof header === 'string' ? null : header };
    }
  }

  #openNext(above: bigint, durable: DurablePosition): OpenSegment | null {
    const bases = listBases(this.#fileSystem, this.#directory);
    const baseOffset = bases.find((candidate) => candidate > above && hasDurable(candidate, durable));
    if (baseOffset === undefined) return null;
    const file = this.#openOrThrow(baseOffset, durable);
    this.close();
    if (baseOffset > this.#offset) this.#skip(baseOffset, this.#damage ?? 'entries were refused or are missing');
    this.#damage = null;
    this.#dependencies.startSegment();
    const source = segmentBytes(file, 0, LIMITS.logReadBytes, this.#isTransient);
    this.#segment = { baseOffset, file, source, position: SEGMENT_HEADER_BYTES, limitOffset: null };
    return this.#segment;
  }

  /** Opens a segment. Throws OffsetOutOfRangeError when it, or entries that should come before it, were deleted. */
  #openOrThrow(baseOffset: bigint, durable: DurablePosition): LogReadFile {
    try {
      if (baseOffset > this.#offset) this.#refuseDeleted(baseOffset, durable);
      return this.#fileSystem.openForReading(segmentPath(this.#directory, baseOffset));
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw this.#outOfRange(listBases(this.#fileSystem, this.#directory), durable);
    }
  }

  /** Offsets below a segment that hold no entry were given up, are damaged, or were deleted: only the last have no segment below. */
  #refuseDeleted(baseOffset: bigint, durable: DurablePosition): void {
    const header = readSegmentHeader(this.#fileSystem, this.#directory, baseOffset);
    if (typeof header !== 'string' && header.previousEnd <= this.#offset) return;
    const bases = listBases(this.#fileSystem, this.#directory);
    if (bases[0] === undefined || bases[0] >= baseOffset) throw this.#outOfRange(bases, durable);
  }

  #isSeal({ source, position }: OpenSegment): boolean {
    if (position + END_OF_STREAM.length !== source.end) return false;
    return source.read(position, END_OF_STREAM.length)?.equals(END_OF_STREAM) ?? false;
  }
}

/** A segment that holds nothing durable yet may still be taken away, and another be made under its name. */
function hasDurable(baseOffset: bigint, durable: DurablePosition): boolean {
  return durable.segmentBytes > 0 ? baseOffset <= durable.segment : baseOffset < durable.segment;
}

function listBases(fileSystem: LogFileSystem, directory: string): bigint[] {
  return segmentBaseOffsets(fileSystem.list(directory));
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
