/**
 * Writes frames into segments, one at a time, each synced before the next begins (invariant I4). After a failed write the segment is
 * cut back to its durable end and used on; after a failed sync it is abandoned, for the kernel may have dropped what it could not
 * write and would report the next sync as good (invariant I5). Frames wait for little of a change of segments: the next file is made
 * while the last frame is written, and a full segment is sealed while frames go into the next one.
 */
import { type Clock, errorMessage, LIMITS, type Logger } from '../base/index.ts';
import type { LogFile, LogFileSystem } from './file-system.ts';
import { encodeFrame, type FrameRow, frameFactsOf } from './frame.ts';
import { END_OF_STREAM, segmentFileName } from './layout.ts';
import { type NewSegmentFile, SegmentFiles } from './segment-files.ts';
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from './segment-header.ts';
import type { SegmentRow } from './segment-index.ts';
import type { FrameFacts } from './segment-scan.ts';
import { type DurablePosition, ENTRY_KINDS } from './types.ts';

export interface SegmentWriterOptions {
  readonly directory: string;
  readonly fileSystem: LogFileSystem;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly logUuid: string;
  readonly durable: DurablePosition;
  readonly nextOffset: bigint;
  readonly lastCrc: number;
  readonly segmentBytesMax: number;
  readonly segmentAgeMaxMs: number;
  /** Above every stream id given out. */
  readonly streamIdNext: () => bigint;
  /** Called before a segment takes room on the disk; rejects when there is none to spare. */
  readonly beforeSegment: () => Promise<void>;
  /** Called when a frame is durable or a segment was sealed, with what the index is to know. */
  readonly onWritten: (segment: SegmentRow, frame: FrameFacts | null) => void;
  /** Called when a segment with entries was left without a seal, with where it ends. */
  readonly onLeft: (segment: SegmentRow) => void;
}

interface ActiveSegment {
  readonly baseOffset: bigint;
  readonly previousEnd: bigint;
  readonly previousCrc: number;
  readonly streamIdNext: bigint;
  readonly file: LogFile;
  readonly openedAtMs: number;
  /** End of the durable bytes. */
  position: number;
  /** Behind `position` the file holds zeros. */
  fileBytes: number;
  /** Bytes of STATE entries among them. */
  stateBytes: number;
}

const ZEROS = Buffer.alloc(LIMITS.logZeroedBytes);

export class SegmentWriter {
  readonly #options: SegmentWriterOptions;
  readonly #files: SegmentFiles;
  #active: ActiveSegment | null = null;
  /** The seals of segments that were left. */
  #sealing: Promise<void> = Promise.resolve();
  #durable: DurablePosition;
  #nextOffset: bigint;
  #lastCrc: number;
  #fsyncMs = 0;

  constructor(options: SegmentWriterOptions) {
    this.#options = options;
    this.#files = new SegmentFiles(options);
    this.#durable = options.durable;
    this.#nextOffset = options.nextOffset;
    this.#lastCrc = options.lastCrc;
  }

  get durable(): DurablePosition {
    return this.#durable;
  }

  /** Offset of the next entry written. */
  get nextOffset(): bigint {
    return this.#nextOffset;
  }

  /** Time spent in writes and syncs of frames. */
  get fsyncMs(): number {
    return this.#fsyncMs;
  }

  /** Whether `prepare` has nothing to do. */
  isReady(): boolean {
    return this.#active !== null && !this.#isDue(this.#active);
  }

  /** Rotates when it is time and opens a segment when there is none; returns its base offset. Rejects with what the disk says. */
  async prepare(): Promise<bigint> {
    const before = this.#active;
    if (before === null || this.#isDue(before)) {
      this.#active = await this.#create();
      // Not sooner: frames wait for the new one.
      if (before !== null) this.#leave(before);
    }
    return this.#active!.baseOffset;
  }

  /** Appends one frame to the segment that `prepare` made ready; resolves with its first offset when it is durable. */
  async append(rows: readonly FrameRow[]): Promise<bigint> {
    const active = this.#active!;
    const baseOffset = this.#nextOffset;
    const { position } = active;
    const frame = encodeFrame({ position, baseOffset, previousCrc: this.#lastCrc }, rows);
    const stateBytes = active.stateBytes + stateBytesOf(rows);
    const isLast = this.#isFull(position + frame.bytes, stateBytes);
    if (isLast) this.#files.begin(baseOffset + BigInt(rows.length));
    const startedAtMs = this.#options.clock.monotonicMs();
    try {
      const zeros = this.#zerosBehind(active, position + frame.bytes);
      const written = await active.file.write(zeros === null ? frame.parts : [...frame.parts, zeros], position);
      if (written < frame.bytes)
        throw new Error(`Cannot write the frame: ${written} of ${frame.bytes} bytes were taken`);
      active.fileBytes = Math.max(active.fileBytes, position + written);
    } catch (error) {
      // With a file that begins where this frame was to end, the segment must not go on, and need not.
      if (isLast) await this.#abandon(active, rows.length);
      else await this.#cutBack(active, rows.length);
      throw error;
    }
    try {
      await active.file.dataSync();
    } catch (error) {
      await this.#abandon(active, rows.length);
      throw error;
    } finally {
      this.#fsyncMs += this.#options.clock.monotonicMs() - startedAtMs;
    }
    const facts: FrameFacts = {
      segment: active.baseOffset,
      position: active.position,
      bytes: frame.bytes,
      baseOffset,
      rows: rows.length,
      crc: frame.crc,
      ...frameFactsOf(rows),
      lostOffsets: [],
    };
    active.position += frame.bytes;
    active.stateBytes = stateBytes;
    this.#nextOffset = baseOffset + BigInt(rows.length);
    this.#lastCrc = frame.crc;
    this.#durable = {
      durableOffset: this.#nextOffset,
      segment: active.baseOffset,
      segmentBytes: active.position,
    };
    this.#options.onWritten(this.#row(active, false), facts);
    return baseOffset;
  }

  /**
   * Zero bytes to write behind a frame that makes the file longer, or null. The next frames are written over them: a file that keeps its
   * length is synced without a commit of the file system's journal, which takes half of a small sync and waits for everybody else's data.
   */
  #zerosBehind(active: ActiveSegment, end: number): Uint8Array | null {
    if (end <= active.fileBytes || end - active.position > LIMITS.logZeroedFrameBytesMax) return null;
    const bytes = Math.min(LIMITS.logZeroedBytes, this.#options.segmentBytesMax - end);
    return bytes > 0 ? ZEROS.subarray(0, bytes) : null;
  }

  /** Ends the active segment. Never rejects: its frames are durable without the seal. */
  async seal(): Promise<void> {
    const active = this.#active;
    this.#active = null;
    if (active !== null) this.#leave(active);
    const begun = await this.#files.begun();
    if (begun !== null) await this.#files.discard(begun);
    await this.#sealing;
  }

  /** Leaves the active segment when it is time to. Not while a frame is written. */
  rest(): void {
    const active = this.#active;
    if (active === null || !this.#isDue(active)) return;
    this.#active = null;
    this.#leave(active);
  }

  /** Begins to seal a segment that no frame goes to any more. */
  #leave(left: ActiveSegment): void {
    const row = this.#row(left, false);
    this.#sealing = this.#sealing.then(() => this.#seal(left, row));
  }

  async #seal(active: ActiveSegment, row: SegmentRow): Promise<void> {
    if (active.position === SEGMENT_HEADER_BYTES) {
      await this.#files.discard(active);
      return;
    }
    try {
      if (active.fileBytes > active.position) await this.#truncate(active);
      const written = await active.file.write([END_OF_STREAM], active.position);
      if (written !== END_OF_STREAM.length) throw new Error(`Cannot write the seal: ${written} bytes were taken`);
      await active.file.dataSync();
      this.#options.onWritten({ ...row, bytes: row.bytes + END_OF_STREAM.length, sealed: true }, null);
    } catch (error) {
      await this.#giveUp('cut an unsealed segment back', active.file.truncate(active.position));
      this.#warn('Cannot seal a segment', active.baseOffset, error);
      this.#options.onLeft(row);
    } finally {
      await this.#giveUp('close a segment', active.file.close());
    }
  }

  async #truncate(active: ActiveSegment): Promise<void> {
    await active.file.truncate(active.position);
    active.fileBytes = active.position;
  }

  #isDue(active: ActiveSegment): boolean {
    const { segmentAgeMaxMs, clock } = this.#options;
    if (active.position === SEGMENT_HEADER_BYTES) return false;
    const isFull = this.#isFull(active.position, active.stateBytes);
    return isFull || clock.monotonicMs() - active.openedAtMs >= segmentAgeMaxMs;
  }

  #isFull(position: number, stateBytes: number): boolean {
    // Every segment repeats the state of the live streams: if that counted in full, many streams would fill segments with nothing else.
    return position - Math.min(stateBytes, LIMITS.segmentStateBytesMax) >= this.#options.segmentBytesMax;
  }

  async #create(): Promise<ActiveSegment> {
    // However slow the disk is, one segment waits for its seal.
    await this.#sealing;
    const begun = await this.#files.begun();
    try {
      await this.#options.beforeSegment();
    } catch (error) {
      if (begun !== null) await this.#files.discard(begun);
      throw error;
    }
    return this.#open(begun ?? (await this.#files.create(this.#nextOffset)));
  }

  /** Writes the header. Only now: it says where the log ends, durably. */
  async #open({ baseOffset, file }: NewSegmentFile): Promise<ActiveSegment> {
    const { clock, logUuid, streamIdNext } = this.#options;
    this.#nextOffset = baseOffset;
    const header = {
      logUuid,
      baseOffset,
      previousEnd: this.#durable.durableOffset,
      previousCrc: this.#lastCrc,
      streamIdNext: streamIdNext(),
    };
    try {
      const written = await file.write([encodeSegmentHeader(header)], 0);
      if (written !== SEGMENT_HEADER_BYTES)
        throw new Error(`Cannot write the segment header: ${written} bytes were taken`);
      await file.dataSync();
    } catch (error) {
      await this.#files.discard({ baseOffset, file });
      throw error;
    }
    return {
      ...header,
      file,
      openedAtMs: clock.monotonicMs(),
      position: SEGMENT_HEADER_BYTES,
      fileBytes: SEGMENT_HEADER_BYTES,
      stateBytes: 0,
    };
  }

  async #cutBack(active: ActiveSegment, rows: number): Promise<void> {
    try {
      await this.#truncate(active);
    } catch (error) {
      this.#warn('Cannot cut a segment back', active.baseOffset, error);
      await this.#abandon(active, rows);
    }
  }

  /**
   * Leaves the segment for good. The refused entries may be on the disk, so their offsets are never given out again and the next
   * segment's header says where the log really ended. They are cut off all the same, for the sake of a restart before that.
   */
  async #abandon(active: ActiveSegment, rows: number): Promise<void> {
    this.#active = null;
    this.#nextOffset += BigInt(rows);
    await this.#giveUp('cut an abandoned segment back', active.file.truncate(active.position));
    await this.#giveUp('close an abandoned segment', active.file.close());
    this.#options.logger.warn('Abandoned a log segment', { segment: segmentFileName(active.baseOffset) });
    if (active.position > SEGMENT_HEADER_BYTES) this.#options.onLeft(this.#row(active, false));
  }

  /** Waits for something that is tried but not needed. */
  async #giveUp(what: string, attempt: Promise<void>): Promise<void> {
    try {
      await attempt;
    } catch (error) {
      this.#options.logger.warn(`Cannot ${what}`, { error: errorMessage(error) });
    }
  }

  #warn(message: string, baseOffset: bigint, error: unknown): void {
    this.#options.logger.warn(message, { segment: segmentFileName(baseOffset), error: errorMessage(error) });
  }

  /** What the index is to know while the active segment is the log's last. */
  #row(active: ActiveSegment, sealed: boolean): SegmentRow {
    const { baseOffset, previousEnd, previousCrc, streamIdNext, position } = active;
    const endOffset = this.#durable.durableOffset;
    return {
      baseOffset,
      previousEnd,
      previousCrc,
      streamIdNext,
      endOffset,
      lastCrc: this.#lastCrc,
      bytes: position,
      sealed,
    };
  }
}

function stateBytesOf(rows: readonly FrameRow[]): number {
  let bytes = 0;
  for (const { kind, recordBytes } of rows) if (kind === ENTRY_KINDS.STATE) bytes += recordBytes;
  return bytes;
}
