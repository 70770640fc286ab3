/** Reads a segment from a place to its end and says what is in it: frames, damage, seal. Changes nothing. */
import { LIMITS } from '../base/index.ts';
import type { LogFileSystem } from './file-system.ts';
import {
  damagedRows,
  FRAME_PREFIX,
  type FrameView,
  frameFacts,
  parseFrame,
  RECORDS_CUT_OFF,
  recordPlace,
} from './frame.ts';
import { END_OF_STREAM, segmentPath } from './layout.ts';
import { type SegmentBytes, segmentBytes } from './segment-bytes.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES, type SegmentHeader } from './segment-header.ts';

/** A frame as the index knows it. Positions and bytes count from the start of the file. */
export interface FrameFacts {
  readonly segment: bigint;
  readonly position: number;
  readonly bytes: number;
  readonly baseOffset: bigint;
  readonly rows: number;
  readonly crc: number;
  readonly receivedAtMin: bigint;
  readonly receivedAtMax: bigint;
  readonly streamIdMax: bigint;
  /** Entries whose record is damaged. */
  readonly lostOffsets: readonly bigint[];
}

/** Bytes of a segment that hold nothing that can be read. */
export interface DamagedRange {
  readonly segment: bigint;
  readonly position: number;
  readonly bytes: number;
  readonly reason: string;
}

export interface SegmentScan {
  readonly baseOffset: bigint;
  /** Null when it is damaged, or when its base offset is not that of the file's name. */
  readonly header: SegmentHeader | null;
  readonly fileBytes: number;
  /** End of the last good frame (or of the seal); where a torn tail begins. */
  readonly bytes: number;
  readonly sealed: boolean;
  readonly endOffset: bigint;
  readonly lastCrc: number;
  /** In order. */
  readonly frames: readonly FrameFacts[];
  readonly damage: readonly DamagedRange[];
  /** Bytes behind the last good frame that are no seal, and why they are no frame. Not among `damage`. */
  readonly tail: DamagedRange | null;
  /** Whether the tail is nothing but zeros, with or without a seal before them: room for frames, written ahead of them. */
  readonly isTailBlank: boolean;
  /** Frames whose `prev` is not the CRC of the frame before them though no entry is missing between. */
  readonly chainBreaks: readonly number[];
}

export interface ScanStart {
  readonly position: number;
  readonly endOffset: bigint;
  readonly lastCrc: number;
}

export interface ScanOptions {
  readonly directory: string;
  readonly fileSystem: LogFileSystem;
  readonly baseOffset: bigint;
  /** Entries from here on were refused: frames that begin at or above it are left out. The `previousEnd` of the next segment. */
  readonly limitOffset: bigint | null;
  /** Where to begin instead of the first frame. */
  readonly start?: ScanStart;
  /**
   * From here on nothing is known to have been durable: a frame with damaged records that ends the file is a torn write, and so its
   * tail. Without it such a frame is damage.
   */
  readonly tornFrom?: bigint;
  /** Without it records are neither read nor checked. */
  readonly records: boolean;
}

/** Bytes read at a time when records are skipped. */
const SKIPPING_STEP_BYTES = 16_384;

/** Reads the header of a segment: the reason as text when it is damaged or the file is misnamed. */
export function readSegmentHeader(
  fileSystem: LogFileSystem,
  directory: string,
  baseOffset: bigint,
): SegmentHeader | string {
  const file = fileSystem.openForReading(segmentPath(directory, baseOffset));
  try {
    const buffer = Buffer.alloc(SEGMENT_HEADER_BYTES);
    const header = decodeSegmentHeader(buffer.subarray(0, file.read(buffer, 0)));
    if (typeof header !== 'string' && header.baseOffset !== baseOffset) {
      return `file is named ${baseOffset} and its header says ${header.baseOffset}`;
    }
    return header;
  } finally {
    file.close();
  }
}

/** Scans a segment. Throws only what reading the file throws. */
export function scanSegment(options: ScanOptions): SegmentScan {
  const { directory, fileSystem, baseOffset } = options;
  const header = readSegmentHeader(fileSystem, directory, baseOffset);
  const file = fileSystem.openForReading(segmentPath(directory, baseOffset));
  try {
    const fileBytes = file.size();
    const source = segmentBytes(file, fileBytes, options.records ? LIMITS.logReadBytes : SKIPPING_STEP_BYTES);
    return new Scan(options, header, source, fileBytes).run();
  } finally {
    file.close();
  }
}

/**
 * Finds the next frame with a good head at or behind `position` whose entries are at or above `offset`. Returns its position, or
 * null when there is none up to the end.
 */
export function findFrame(source: SegmentBytes, position: number, offset: bigint): number | null {
  let at = Math.ceil(position / 8) * 8;
  while (at + FRAME_PREFIX.length <= source.end) {
    const bytes = Math.min(LIMITS.logReadBytes, source.end - at);
    const window = source.read(at, bytes);
    if (window === null) return null;
    const found = window.indexOf(FRAME_PREFIX);
    // A prefix may lie across two windows: the next one overlaps by less than a prefix, aligned to 8.
    if (found === -1) {
      if (bytes <= FRAME_PREFIX.length) return null;
      at += bytes === LIMITS.logReadBytes ? bytes - FRAME_PREFIX.length : bytes;
      continue;
    }
    if ((at + found) % 8 === 0) {
      const frame = parseFrame(source.read.bind(source), at + found, true);
      if (typeof frame !== 'string' && frame.baseOffset >= offset) return at + found;
    }
    at += found + 1;
  }
  return null;
}

class Scan {
  readonly #options: ScanOptions;
  readonly #header: SegmentHeader | null;
  readonly #source: SegmentBytes;
  readonly #fileBytes: number;
  readonly #frames: FrameFacts[] = [];
  readonly #damage: DamagedRange[] = [];
  readonly #chainBreaks: number[] = [];
  #position: number;
  #endOffset: bigint;
  #lastCrc: number | null;

  constructor(options: ScanOptions, header: SegmentHeader | string, source: SegmentBytes, fileBytes: number) {
    this.#options = options;
    this.#header = typeof header === 'string' ? null : header;
    this.#source = source;
    this.#fileBytes = fileBytes;
    this.#position = options.start?.position ?? SEGMENT_HEADER_BYTES;
    this.#endOffset = options.start?.endOffset ?? options.baseOffset;
    this.#lastCrc = options.start?.lastCrc ?? this.#header?.previousCrc ?? null;
    if (typeof header === 'string') this.#addDamage(0, Math.min(fileBytes, SEGMENT_HEADER_BYTES), header);
  }

  run(): SegmentScan {
    for (;;) {
      if (this.#position >= this.#fileBytes) return this.#result(null, false);
      const frame = this.#frameAt(this.#position);
      if (typeof frame !== 'string') {
        const { limitOffset } = this.#options;
        if (limitOffset !== null && frame.baseOffset >= limitOffset) return this.#result('entries were refused', false);
        const damaged = this.#options.records ? damagedRows(frame) : [];
        if (damaged.length > 0 && this.#isTorn(frame)) {
          return this.#result('record does not match its CRC', false);
        }
        this.#addFrame(frame, damaged);
        continue;
      }
      if (this.#sealAt(this.#position)) return this.#result(null, true);
      if (this.#isBlankFrom(this.#position)) return this.#result(frame, false, true);
      if (frame === RECORDS_CUT_OFF && this.#isUnsynced()) return this.#result(frame, false);
      const next = findFrame(this.#source, this.#position + 1, this.#endOffset);
      if (next === null || !this.#isBelowLimit(next)) return this.#endWith(frame);
      this.#addDamage(this.#position, next - this.#position, frame);
      this.#position = next;
    }
  }

  /** No frame follows: what is left is damage when a seal ends it, else a tail for the caller to judge. */
  #endWith(reason: string): SegmentScan {
    const seal = this.#fileBytes - END_OF_STREAM.length;
    if (seal <= this.#position || !this.#sealAt(seal)) return this.#result(reason, false);
    this.#addDamage(this.#position, seal - this.#position, reason);
    this.#position = seal;
    return this.#result(null, true);
  }

  #frameAt(position: number): FrameView | string {
    const frame = parseFrame(this.#source.read.bind(this.#source), position, this.#options.records);
    if (typeof frame === 'string' || frame.baseOffset >= this.#endOffset) return frame;
    return `frame begins at offset ${frame.baseOffset}, which is below ${this.#endOffset}`;
  }

  #isBelowLimit(position: number): boolean {
    const frame = this.#frameAt(position);
    const { limitOffset } = this.#options;
    return typeof frame !== 'string' && (limitOffset === null || frame.baseOffset < limitOffset);
  }

  #sealAt(position: number): boolean {
    if (position + END_OF_STREAM.length !== this.#fileBytes) return false;
    return this.#source.read(position, END_OF_STREAM.length)?.equals(END_OF_STREAM) ?? false;
  }

  #isBlankFrom(position: number): boolean {
    const { end } = this.#source;
    const head = this.#source.read(position, Math.min(END_OF_STREAM.length, end - position));
    let at = head?.equals(END_OF_STREAM) ? position + END_OF_STREAM.length : position;
    while (at < end) {
      const window = this.#source.read(at, Math.min(LIMITS.logZeroedBytes, end - at));
      if (window === null || window.some((byte) => byte !== 0)) return false;
      at += window.length;
    }
    return true;
  }

  /** Whether a frame with a good head and damaged records is the last that was written, and not known to be durable. */
  #isTorn(frame: FrameView): boolean {
    const { tornFrom } = this.#options;
    if (tornFrom === undefined || frame.baseOffset < tornFrom) return false;
    const end = this.#position + frame.bytes;
    const seal = this.#fileBytes - END_OF_STREAM.length;
    // Not one that the frame's last record ends with: every Arrow stream does.
    if (seal >= end && this.#sealAt(seal)) return false;
    return findFrame(this.#source, end, frame.baseOffset) === null;
  }

  /**
   * Whether nothing from here on is known to have been durable. The one frame written last is here then, and what lies in its
   * records is a sender's: it must not be taken for frames.
   */
  #isUnsynced(): boolean {
    const { tornFrom } = this.#options;
    return tornFrom !== undefined && this.#endOffset >= tornFrom;
  }

  #addFrame(frame: FrameView, damaged: readonly number[]): void {
    const position = this.#position;
    const segment = this.#options.baseOffset;
    const lostOffsets: bigint[] = [];
    for (const row of damaged) {
      if (row === -1) {
        this.#addDamage(position + frame.bytes - 8, 8, 'frame padding is not zero');
        continue;
      }
      lostOffsets.push(frame.baseOffset + BigInt(row));
      const place = recordPlace(frame, row);
      this.#addDamage(position + place.position, place.bytes, 'record does not match its CRC');
    }
    if (frame.baseOffset === this.#endOffset && this.#lastCrc !== null && frame.previousCrc !== this.#lastCrc) {
      this.#chainBreaks.push(position);
    }
    const { baseOffset, rows, bytes, crc } = frame;
    this.#frames.push({ segment, position, bytes, baseOffset, rows, crc, ...frameFacts(frame), lostOffsets });
    this.#position += bytes;
    this.#endOffset = baseOffset + BigInt(rows);
    this.#lastCrc = crc;
  }

  #addDamage(position: number, bytes: number, reason: string): void {
    this.#damage.push({ segment: this.#options.baseOffset, position, bytes, reason });
  }

  #result(tailReason: string | null, sealed: boolean, isTailBlank = false): SegmentScan {
    const position = this.#position;
    const segment = this.#options.baseOffset;
    const tailBytes = this.#fileBytes - position;
    return {
      baseOffset: segment,
      header: this.#header,
      fileBytes: this.#fileBytes,
      bytes: sealed ? position + END_OF_STREAM.length : Math.min(position, this.#fileBytes),
      sealed,
      endOffset: this.#endOffset,
      lastCrc: this.#lastCrc ?? 0,
      frames: this.#frames,
      damage: this.#damage,
      tail: tailReason === null ? null : { segment, position, bytes: tailBytes, reason: tailReason },
      isTailBlank,
      chainBreaks: this.#chainBreaks,
    };
  }
}
