/** Looks into a log directory that no server is using: lists, verifies, reads. Changes nothing. */
import { existsSync } from 'node:fs';
import { type LogFileSystem, realFileSystem } from './file-system.ts';
import { crcDigits, indexPath, segmentFileName } from './layout.ts';
import { logUuidOf, readSegmentFiles, scanSegments } from './log-directory.ts';
import { openLogReader } from './reader.ts';
import { indexScan, isLeftover, isTailDamage } from './recovery.ts';
import { type IndexContent, openSegmentIndex } from './segment-index.ts';
import { type SegmentScan, scanSegment } from './segment-scan.ts';
import type { DurablePosition, LogEntry } from './types.ts';

export interface SegmentSummary {
  readonly fileName: string;
  readonly baseOffset: bigint;
  /** Behind its last entry. */
  readonly endOffset: bigint;
  readonly entries: bigint;
  readonly frames: number;
  readonly fileBytes: number;
  readonly sealed: boolean;
  /** Unix time of the first and last entries received; null without entries. */
  readonly receivedAtMin: bigint | null;
  readonly receivedAtMax: bigint | null;
}

/** Something in a log that is not as it was written, or that needs repair at the next start (`torn`, `index`). */
export interface LogFinding {
  readonly kind: 'damage' | 'missing' | 'chain' | 'torn' | 'foreign' | 'index';
  readonly segment: string | null;
  /** Byte position in the segment. */
  readonly position: number | null;
  readonly message: string;
}

interface OfflineOptions {
  readonly fileSystem?: LogFileSystem;
}

/** The segments of a log directory in order, read by their frames' heads only. */
export function listSegments(directory: string, options: OfflineOptions = {}): SegmentSummary[] {
  const fileSystem = options.fileSystem ?? realFileSystem;
  return readSegmentFiles(fileSystem, directory).map(({ baseOffset, limitOffset }) =>
    summarize(scanSegment({ directory, fileSystem, baseOffset, limitOffset, records: false })),
  );
}

/**
 * Reads everything: CRCs of frames and records, the chain from frame to frame, contiguity of offsets, and whether the index equals one
 * that is built anew. An empty list means that all is well. Throws only what reading throws.
 */
export function verifyLog(directory: string, options: OfflineOptions = {}): LogFinding[] {
  const fileSystem = options.fileSystem ?? realFileSystem;
  const findings: LogFinding[] = [];
  const files = readSegmentFiles(fileSystem, directory);
  try {
    logUuidOf(files, null);
  } catch (error) {
    findings.push({ kind: 'foreign', segment: null, position: null, message: String(error) });
  }
  let before: SegmentScan | null = null;
  let i = 0;
  for (const scan of scanSegments(fileSystem, directory, files)) {
    findings.push(...segmentFindings(scan, files[i++]!.limitOffset), ...seamFindings(before, scan));
    if (scan.frames.length > 0) before = scan;
  }
  findings.push(...indexFindings(directory, fileSystem));
  return findings;
}

/** Builds the derived rows of the index from the segments alone. */
export function rebuildIndex(directory: string, options: OfflineOptions = {}): IndexContent {
  const fileSystem = options.fileSystem ?? realFileSystem;
  const files = readSegmentFiles(fileSystem, directory);
  const index = openSegmentIndex(':memory:');
  try {
    let i = 0;
    for (const scan of scanSegments(fileSystem, directory, files)) {
      const { limitOffset } = files[i++]!;
      const tail = limitOffset !== null && isTailDamage(scan, limitOffset) ? scan.tail : null;
      indexScan(index, scan, { limitOffset, tail });
    }
    return index.content();
  } finally {
    index.close({ clean: false });
  }
}

/** The derived rows of the index as it is in the directory, or null when there is none. */
export function readIndex(directory: string): IndexContent | null {
  if (!existsSync(indexPath(directory))) return null;
  const index = openSegmentIndex(indexPath(directory), { readOnly: true });
  try {
    return index.content();
  } finally {
    index.close({ clean: false });
  }
}

/** Where the log ends, found by reading its last segments' heads. */
export function findDurablePosition(directory: string, options: OfflineOptions = {}): DurablePosition {
  const fileSystem = options.fileSystem ?? realFileSystem;
  for (const { baseOffset, limitOffset } of readSegmentFiles(fileSystem, directory).reverse()) {
    const scan = scanSegment({ directory, fileSystem, baseOffset, limitOffset, records: false });
    if (scan.frames.length > 0) {
      return { durableOffset: scan.endOffset, segment: baseOffset, segmentBytes: scan.bytes };
    }
  }
  return { durableOffset: 0n, segment: 0n, segmentBytes: 0 };
}

/**
 * The entry at an offset. Throws OffsetOutOfRangeError when the log does not reach to it; returns null when the entry is lost or was
 * never written.
 */
export function readEntry(directory: string, offset: bigint, options: OfflineOptions = {}): LogEntry | null {
  for (const entry of readEntries(directory, { from: offset, ...options }))
    return entry.offset === offset ? entry : null;
  return null;
}

/** All entries from an offset on, in order. Throws OffsetOutOfRangeError when `from` is not in the log nor its end. */
export function* readEntries(
  directory: string,
  options: OfflineOptions & { readonly from: bigint },
): Generator<LogEntry> {
  const fileSystem = options.fileSystem ?? realFileSystem;
  const durable = findDurablePosition(directory, { fileSystem });
  const reader = openLogReader({ directory, from: options.from, durable, fileSystem });
  try {
    if (options.from === durable.durableOffset) return;
    for (let frame = reader.nextFrame(); frame !== null; frame = reader.nextFrame()) {
      for (const entry of frame) if (entry.offset >= options.from) yield entry;
    }
  } finally {
    reader.close();
  }
}

function summarize(scan: SegmentScan): SegmentSummary {
  const times = scan.frames.flatMap(({ receivedAtMin, receivedAtMax }) => [receivedAtMin, receivedAtMax]);
  const pick = (isBetter: (a: bigint, b: bigint) => boolean) =>
    times.length === 0 ? null : times.reduce((a, b) => (isBetter(b, a) ? b : a));
  return {
    fileName: segmentFileName(scan.baseOffset),
    baseOffset: scan.baseOffset,
    endOffset: scan.endOffset,
    entries: scan.frames.reduce((entries, { rows }) => entries + BigInt(rows), 0n),
    frames: scan.frames.length,
    fileBytes: scan.fileBytes,
    sealed: scan.sealed,
    receivedAtMin: pick((a, b) => a < b),
    receivedAtMax: pick((a, b) => a > b),
  };
}

function segmentFindings(scan: SegmentScan, limitOffset: bigint | null): LogFinding[] {
  if (isLeftover(scan, limitOffset)) return [];
  const segment = segmentFileName(scan.baseOffset);
  const findings: LogFinding[] = scan.damage.map(({ position, reason }) => ({
    kind: 'damage',
    segment,
    position,
    message: reason,
  }));
  if (scan.tail !== null && isTailDamage(scan, limitOffset)) {
    const { position, reason } = scan.tail;
    findings.push({ kind: limitOffset === null ? 'torn' : 'damage', segment, position, message: reason });
  }
  for (const position of scan.chainBreaks) {
    findings.push({ kind: 'chain', segment, position, message: 'frame does not follow the frame before it' });
  }
  let end = scan.baseOffset;
  for (const { baseOffset, rows, position } of scan.frames) {
    if (baseOffset > end) findings.push(missing(segment, position, end, baseOffset));
    end = baseOffset + BigInt(rows);
  }
  return findings;
}

/** What does not fit between a segment and the one before it. */
function seamFindings(before: SegmentScan | null, scan: SegmentScan): LogFinding[] {
  if (before === null || scan.header === null) return [];
  const segment = segmentFileName(scan.baseOffset);
  const { previousEnd, previousCrc } = scan.header;
  if (before.endOffset < previousEnd) return [missing(segment, null, before.endOffset, previousEnd)];
  if (before.endOffset === previousEnd && before.lastCrc !== previousCrc && before.frames.length > 0) {
    const message = `segment follows a frame with CRC ${crcDigits(previousCrc)}, found ${crcDigits(before.lastCrc)}`;
    return [{ kind: 'chain', segment, position: null, message }];
  }
  return [];
}

function missing(segment: string, position: number | null, from: bigint, to: bigint): LogFinding {
  return { kind: 'missing', segment, position, message: `entries ${from} to ${to} (exclusive) are missing` };
}

function indexFindings(directory: string, fileSystem: LogFileSystem): LogFinding[] {
  const finding = (message: string): LogFinding[] => [{ kind: 'index', segment: null, position: null, message }];
  let found: IndexContent | null;
  try {
    found = readIndex(directory);
  } catch (error) {
    return finding(`index cannot be read: ${String(error)}`);
  }
  if (found === null) return finding('index is missing');
  const expected = rebuildIndex(directory, { fileSystem });
  const tables = Object.keys(expected) as (keyof IndexContent)[];
  return tables.flatMap((table) => {
    const isEqual = rowText(found[table]) === rowText(expected[table]);
    return isEqual ? [] : finding(`index table ${table} is not what the segments say`);
  });
}

function rowText(rows: readonly Record<string, unknown>[]): string {
  return JSON.stringify(rows, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}
