/** Lists what lies in a log directory: segments and the offsets between them. Reads heads of frames only. Changes nothing. */
import { type LogFileSystem, realFileSystem } from './file-system.ts';
import { frameSignals, parseFrame } from './frame.ts';
import { segmentFileName, segmentPath } from './layout.ts';
import { readSegmentFiles, withoutBegun } from './log-directory.ts';
import { readDeletions } from './offline-deletions.ts';
import { segmentBytes } from './segment-bytes.ts';
import { type SegmentScan, scanSegment } from './segment-scan.ts';

/** Offsets in front of a segment's entries, or among them, that hold none. */
export interface OffsetGap {
  readonly from: bigint;
  /** Exclusive. */
  readonly to: bigint;
  /**
   * `deleted` by retention. `lost`: entries were there. `unused`: given out to entries that were refused; within a segment this may be
   * damage too, which only `verify` tells apart.
   */
  readonly why: 'deleted' | 'lost' | 'unused';
}

export interface SegmentSummary {
  readonly fileName: string;
  readonly baseOffset: bigint;
  /** Behind its last entry. */
  readonly endOffset: bigint;
  readonly entries: bigint;
  readonly frames: number;
  readonly fileBytes: number;
  readonly sealed: boolean;
  /** Numbers of the signals that it holds entries of, ascending. */
  readonly signals: readonly number[];
  /** Unix time of the first and last entries received; null without entries. */
  readonly receivedAtMin: bigint | null;
  readonly receivedAtMax: bigint | null;
  /** In front of this segment and in it. */
  readonly gaps: readonly OffsetGap[];
}

/** The segments of a log directory in order. */
export function listSegments(
  directory: string,
  options: { readonly fileSystem?: LogFileSystem } = {},
): SegmentSummary[] {
  const fileSystem = options.fileSystem ?? realFileSystem;
  const files = withoutBegun(fileSystem, directory, readSegmentFiles(fileSystem, directory));
  const uuid = files.find(({ header }) => header !== null)?.header?.logUuid ?? null;
  let end = 0n;
  let deletedTo = readDeletions(directory, { fileSystem, logUuid: uuid }).at(-1)?.to ?? 0n;
  return files.map(({ baseOffset, limitOffset }, i) => {
    const scan = scanSegment({ directory, fileSystem, baseOffset, limitOffset, records: false });
    // What is in front of the first segment and not recorded was deleted by somebody else: it was there all the same.
    if (i === 0) deletedTo = deletedTo > baseOffset ? baseOffset : deletedTo;
    const before = i === 0 ? [gap(0n, deletedTo, 'deleted')] : [];
    const gaps = [...before, ...gapsOf(scan, i === 0 ? deletedTo : end)].filter(({ from, to }) => from < to);
    if (scan.endOffset > end) end = scan.endOffset;
    return summarize(scan, { gaps, signals: signalsOf(fileSystem, directory, scan) });
  });
}

function gapsOf(scan: SegmentScan, end: bigint): OffsetGap[] {
  const previousEnd = scan.header?.previousEnd ?? scan.baseOffset;
  const lostTo = previousEnd > end ? previousEnd : end;
  const gaps = [gap(end, lostTo, 'lost'), gap(lostTo, scan.baseOffset, 'unused')];
  let next = scan.baseOffset;
  for (const { baseOffset, rows } of scan.frames) {
    gaps.push(gap(next, baseOffset, 'unused'));
    next = baseOffset + BigInt(rows);
  }
  return gaps;
}

function gap(from: bigint, to: bigint, why: OffsetGap['why']): OffsetGap {
  return { from, to, why };
}

/** Bytes read at a time: heads of frames, no records. */
const STEP_BYTES = 16_384;

function signalsOf(fileSystem: LogFileSystem, directory: string, scan: SegmentScan): number[] {
  const signals = new Set<number>();
  const file = fileSystem.openForReading(segmentPath(directory, scan.baseOffset));
  try {
    const source = segmentBytes(file, scan.fileBytes, STEP_BYTES);
    for (const { position } of scan.frames) {
      const frame = parseFrame(source.read.bind(source), position, false);
      if (typeof frame !== 'string') for (const signal of frameSignals(frame)) signals.add(signal);
    }
  } finally {
    file.close();
  }
  return [...signals].toSorted((a, b) => a - b);
}

function summarize(scan: SegmentScan, found: Pick<SegmentSummary, 'gaps' | 'signals'>): SegmentSummary {
  let receivedAtMin: bigint | null = null;
  let receivedAtMax: bigint | null = null;
  for (const frame of scan.frames) {
    if (receivedAtMin === null || frame.receivedAtMin < receivedAtMin) receivedAtMin = frame.receivedAtMin;
    if (receivedAtMax === null || frame.receivedAtMax > receivedAtMax) receivedAtMax = frame.receivedAtMax;
  }
  return {
    fileName: segmentFileName(scan.baseOffset),
    baseOffset: scan.baseOffset,
    endOffset: scan.endOffset,
    entries: scan.frames.reduce((entries, { rows }) => entries + BigInt(rows), 0n),
    frames: scan.frames.length,
    fileBytes: scan.fileBytes,
    sealed: scan.sealed,
    receivedAtMin,
    receivedAtMax,
    ...found,
  };
}
