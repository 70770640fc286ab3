/**
 * Offsets and times of receipt. Reads the heads of frames alone: no record, and of most segments the first frame only.
 *
 * A clock may be put back while the log is written. The offset of a time is defined by segments first: the first segment that began at
 * or after it tells where it was reached, and the first entry received at or after it in the segment before that one is the answer. So
 * what a clock that was ahead wrote earlier is passed by, and the same question always has the same answer.
 */
import { OffsetOutOfRangeError } from '../base/index.ts';
import { realFileSystem } from './file-system.ts';
import { type FrameView, parseFrame, receivedAtOf } from './frame.ts';
import { segmentBaseOffsets, segmentPath } from './layout.ts';
import { limitOffset } from './log-directory.ts';
import { segmentBytes } from './segment-bytes.ts';
import { SEGMENT_HEADER_BYTES } from './segment-header.ts';
import { findFrame, readSegmentHeader } from './segment-scan.ts';
import type { DurablePosition } from './types.ts';

/** An offset and when its entry was received; null when there is none: the log's end, or a gap. */
export interface ReceivedOffset {
  readonly offset: bigint;
  readonly receivedAtUnixNano: bigint | null;
}

/** The first offset received at or after a time; the log's durable end when there is none. */
export function firstReceivedSince(directory: string, unixNano: bigint, durable: DurablePosition): ReceivedOffset {
  const bases = readableBases(directory, durable);
  let before: bigint | null = null;
  for (const base of bases) {
    const first = firstTime(directory, base, durable);
    if (first !== null && first >= unixNano) break;
    before = base;
  }
  for (const base of bases) {
    if (before !== null && base < before) continue;
    for (const frame of frameHeads(directory, base, durable)) {
      for (let row = 0; row < frame.rows; row++) {
        const receivedAtUnixNano = receivedAtOf(frame, row);
        if (receivedAtUnixNano >= unixNano) return { offset: frame.baseOffset + BigInt(row), receivedAtUnixNano };
      }
    }
  }
  return { offset: durable.durableOffset, receivedAtUnixNano: null };
}

/** When the entry at an offset was received; null in a gap and at the end. Throws OffsetOutOfRangeError outside of the log. */
export function readReceivedAt(directory: string, offset: bigint, durable: DurablePosition): bigint | null {
  const bases = readableBases(directory, durable);
  const first = bases[0] ?? durable.durableOffset;
  if (offset < first || offset > durable.durableOffset) {
    throw new OffsetOutOfRangeError(offset, first, durable.durableOffset);
  }
  const base = bases.findLast((candidate) => candidate <= offset);
  if (base === undefined) return null;
  for (const frame of frameHeads(directory, base, durable)) {
    if (frame.baseOffset > offset) return null;
    const row = Number(offset - frame.baseOffset);
    if (row < frame.rows) return receivedAtOf(frame, row);
  }
  return null;
}

/** Bytes read at a time: heads of small frames lie close together, records of large ones are passed by. */
const STEP_BYTES = 16_384;

/** Times do not change once written: those of the segments that were asked for before, by path. */
const firstTimes = new Map<string, bigint>();
/** Forgotten together: some more reads once in a while. */
const FIRST_TIMES_MAX = 100_000;

function firstTime(directory: string, base: bigint, durable: DurablePosition): bigint | null {
  const path = segmentPath(directory, base);
  const known = firstTimes.get(path);
  if (known !== undefined) return known;
  for (const frame of frameHeads(directory, base, durable)) {
    const time = receivedAtOf(frame, 0);
    if (firstTimes.size >= FIRST_TIMES_MAX) firstTimes.clear();
    firstTimes.set(path, time);
    return time;
  }
  return null;
}

function readableBases(directory: string, { segment, segmentBytes: bytes }: DurablePosition): bigint[] {
  const bases = segmentBaseOffsets(realFileSystem.list(directory));
  return bases.filter((base) => (bytes > 0 ? base <= segment : base < segment));
}

/** The frames of a segment that are part of the log, without their records. Damage is passed by; a segment that is gone has none. */
function* frameHeads(directory: string, base: bigint, durable: DurablePosition): Generator<FrameView> {
  const file = openOrNull(segmentPath(directory, base));
  if (file === null) return;
  try {
    const end = base === durable.segment ? Math.min(durable.segmentBytes, file.size()) : file.size();
    const limit = base < durable.segment ? limitOf(directory, base) : null;
    const source = segmentBytes(file, end, STEP_BYTES);
    let position = SEGMENT_HEADER_BYTES;
    let offset = base;
    while (position < end) {
      const frame = parseFrame(source.read.bind(source), position, false);
      if (typeof frame === 'string' || frame.baseOffset < offset) {
        const next = findFrame(source, position + 1, offset);
        if (next === null) return;
        position = next;
        continue;
      }
      if (limit !== null && frame.baseOffset >= limit) return;
      yield frame;
      offset = frame.baseOffset + BigInt(frame.rows);
      position += frame.bytes;
    }
  } finally {
    file.close();
  }
}

/** Entries of a segment from here on were refused. */
function limitOf(directory: string, base: bigint): bigint | null {
  const above = segmentBaseOffsets(realFileSystem.list(directory)).filter((candidate) => candidate > base);
  return limitOffset(
    (function* () {
      for (const baseOffset of above) {
        const header = readSegmentHeader(realFileSystem, directory, baseOffset);
        yield { baseOffset, header: typeof header === 'string' ? null : header };
      }
    })(),
  );
}

function openOrNull(path: string): ReturnType<typeof realFileSystem.openForReading> | null {
  try {
    return realFileSystem.openForReading(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}
