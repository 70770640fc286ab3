/**
 * Checks a log directory that no server uses: every CRC, the chain, contiguity, the index, and that every segment can be replayed
 * alone. One segment at a time: memory does not grow with the log. Changes nothing.
 */
import { errorMessage } from '../base/index.ts';
import { type LogFileSystem, realFileSystem } from './file-system.ts';
import { crcDigits, segmentFileName } from './layout.ts';
import { limitOffset, readSegmentFiles, type SegmentFile, segmentFileBytes, withoutBegun } from './log-directory.ts';
import { readDeletions } from './offline-deletions.ts';
import { type IndexComparison, openIndexComparison } from './offline-index.ts';
import { openLogReader } from './reader.ts';
import { isLeftover, isTailDamage } from './recovery.ts';
import { SEGMENT_HEADER_BYTES } from './segment-header.ts';
import { type SegmentScan, scanSegment } from './segment-scan.ts';
import type { LogEntry } from './types.ts';

/** Something in a log that is not as it was written, or that needs repair at the next start (`torn`, `index`). */
export interface LogFinding {
  /**
   * `damage`: bytes that do not match their CRC, or are no frame. `missing`: entries that should be there. `chain`: frames or segments
   * that do not follow each other. `torn`: a write that was not finished. `foreign`: a segment of another log. `index`: the index is
   * not what the segments say. `undecodable`: an entry that is whole and gives no rows.
   */
  readonly kind: 'damage' | 'missing' | 'chain' | 'torn' | 'foreign' | 'index' | 'undecodable';
  readonly segment: string | null;
  /** First byte in the segment, when it is about bytes. */
  readonly position: number | null;
  readonly bytes: number | null;
  /** When it is about an entry. */
  readonly offset: bigint | null;
  readonly message: string;
}

/** How far a check has come, and what it found since the last step. */
export interface LogCheckStep {
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** The entry that was checked last. */
  readonly offset: bigint;
  readonly findings: readonly LogFinding[];
}

export interface LogCheckOptions {
  readonly fileSystem?: LogFileSystem;
  /** Why an entry cannot be decoded, or null. Gets all readable entries of each segment, in order. */
  readonly decodeFault?: (entry: LogEntry) => string | null;
}

/**
 * Reads everything, in steps of at most a segment. No finding means that all is well. A log without an index is well: it is made at the
 * next start. Throws TREASURY_LOG_CORRUPT for a segment of another format version, else only what reading throws.
 */
export function* checkLog(directory: string, options: LogCheckOptions = {}): Generator<LogCheckStep> {
  const fileSystem = options.fileSystem ?? realFileSystem;
  const all = readSegmentFiles(fileSystem, directory);
  const index = openIndex(directory);
  const findings: LogFinding[] = typeof index === 'string' ? [indexFinding(null, index)] : [];
  let comparison = typeof index === 'string' ? null : index;
  try {
    const uuid = ownUuid(all, comparison?.logUuid ?? null);
    const own = ownFiles(all, uuid);
    const lastBase = own.at(-1)?.baseOffset ?? 0n;
    const isLost = comparison !== null && knowsEntries(comparison, lastBase);
    const files = isLost ? own : withoutBegun(fileSystem, directory, own);
    findings.push(...foreignFindings(all, uuid));
    if (comparison !== null && comparison.logUuid !== uuid && all.length > 0) {
      findings.push(indexFinding(null, `index is of log ${comparison.logUuid}, the segments are of ${uuid}`));
      comparison.close();
      comparison = null;
    }
    const deletedTo = readDeletions(directory, { fileSystem, logUuid: uuid }).at(-1)?.to ?? 0n;
    findings.push(...beginningFindings(files, deletedTo));
    const sizes = files.map(({ baseOffset }) => segmentFileBytes(fileSystem, directory, baseOffset));
    const bytesTotal = sizes.reduce((sum, bytes) => sum + bytes, 0);
    let bytesDone = 0;
    let offset = files[0]?.baseOffset ?? 0n;
    let before: SegmentScan | null = null;
    yield { bytesDone, bytesTotal, offset, findings };
    for (const [i, { baseOffset, limitOffset }] of files.entries()) {
      // As at a start: what the index does not know at the end of the last segment may be a write that was not finished.
      const torn = limitOffset === null ? { tornFrom: comparison === null ? 0n : entriesEnd(comparison) } : {};
      const scan = scanSegment({ directory, fileSystem, baseOffset, limitOffset, records: true, ...torn });
      const isKnown = comparison !== null && knowsEntries(comparison, baseOffset);
      const found = [...segmentFindings(scan, limitOffset, isKnown), ...seamFindings(before, scan)];
      if (comparison !== null) {
        found.push(...compared(comparison, scan, limitOffset));
      }
      yield { bytesDone, bytesTotal, offset, findings: found };
      if (options.decodeFault !== undefined) {
        for (const step of decodeSteps(directory, { ...options, fileSystem, scan, decodeFault: options.decodeFault })) {
          offset = step.offset;
          yield { bytesDone: bytesDone + step.bytes, bytesTotal, offset, findings: step.findings };
        }
      }
      bytesDone += sizes[i]!;
      if (scan.frames.length > 0) {
        before = scan;
        offset = scan.endOffset - 1n;
      }
    }
    const rest = comparison === null ? [] : finished(comparison);
    yield { bytesDone, bytesTotal, offset, findings: rest };
  } finally {
    comparison?.close();
  }
}

interface DecodeOptions {
  readonly fileSystem: LogFileSystem;
  readonly scan: SegmentScan;
  readonly decodeFault: (entry: LogEntry) => string | null;
}

/** Decodes the entries of one segment, read as the engine reads them and from that segment alone, frame by frame. */
function* decodeSteps(
  directory: string,
  { fileSystem, scan, decodeFault }: DecodeOptions,
): Generator<{ bytes: number; offset: bigint; findings: LogFinding[] }> {
  if (scan.frames.length === 0) return;
  const durable = { durableOffset: scan.endOffset, segment: scan.baseOffset, segmentBytes: scan.bytes };
  const reader = openLogReader({ directory, from: scan.baseOffset, durable, fileSystem });
  let at = 0;
  try {
    for (let frame = reader.nextFrame(); frame !== null; frame = reader.nextFrame()) {
      const findings: LogFinding[] = [];
      for (const entry of frame) {
        const message = decodeFault(entry);
        if (message === null) continue;
        const segment = segmentFileName(scan.baseOffset);
        findings.push({ kind: 'undecodable', segment, position: null, bytes: null, offset: entry.offset, message });
      }
      const last = frame.at(-1);
      if (last === undefined) continue;
      while (at + 1 < scan.frames.length && scan.frames[at + 1]!.baseOffset <= last.offset) at++;
      const { position, bytes } = scan.frames[at]!;
      yield { bytes: position + bytes, offset: last.offset, findings };
    }
  } finally {
    reader.close();
  }
}

/** The log that most of the directory belongs to: the index decides where segments disagree. */
function ownUuid(files: readonly SegmentFile[], indexed: string | null): string | null {
  const uuids = files.flatMap(({ header }) => (header === null ? [] : [header.logUuid]));
  return uuids.find((uuid) => uuid === indexed) ?? uuids[0] ?? null;
}

/** The files of the log, and those whose header says nothing: each ends where the next of them says. */
function ownFiles(files: readonly SegmentFile[], uuid: string | null): SegmentFile[] {
  const own = files.filter(({ header }) => header === null || header.logUuid === uuid);
  return own.map((file, i) => ({ ...file, limitOffset: limitOffset(own.slice(i + 1)) }));
}

function foreignFindings(files: readonly SegmentFile[], uuid: string | null): LogFinding[] {
  return files.flatMap(({ baseOffset, header }): LogFinding[] => {
    if (header === null || header.logUuid === uuid) return [];
    const message = `segment belongs to log ${header.logUuid}, this one is ${uuid}`;
    return [{ ...NO_PLACE, kind: 'foreign', segment: segmentFileName(baseOffset), message }];
  });
}

/** What is missing in front of the first segment and was not deleted by retention. */
function beginningFindings(files: readonly SegmentFile[], deletedTo: bigint): LogFinding[] {
  const first = files[0];
  const previousEnd = first?.header?.previousEnd ?? 0n;
  if (first === undefined || previousEnd <= deletedTo) return [];
  return [missing(segmentFileName(first.baseOffset), null, deletedTo, previousEnd)];
}

function segmentFindings(scan: SegmentScan, limitOffset: bigint | null, isKnown: boolean): LogFinding[] {
  if (isLeftover(scan, limitOffset)) return [];
  // A segment that was being made when its process ended: the next start takes it away.
  const isUnfinished = limitOffset === null && !isKnown && scan.fileBytes <= SEGMENT_HEADER_BYTES;
  const segment = segmentFileName(scan.baseOffset);
  const findings: LogFinding[] = scan.damage.map(({ position, bytes, reason }) => ({
    kind: isUnfinished ? 'torn' : 'damage',
    segment,
    position,
    bytes,
    offset: null,
    message: reason,
  }));
  const isRoom = scan.isTailBlank && limitOffset === null;
  if (scan.tail !== null && !isRoom && isTailDamage(scan, limitOffset)) {
    const { position, bytes, reason } = scan.tail;
    const kind = limitOffset === null ? 'torn' : 'damage';
    findings.push({ kind, segment, position, bytes, offset: null, message: reason });
  }
  for (const position of scan.chainBreaks) {
    const message = 'frame does not follow the frame before it';
    findings.push({ ...NO_PLACE, kind: 'chain', segment, position, message });
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
  if (before.endOffset === previousEnd && before.lastCrc !== previousCrc) {
    const message = `segment follows a frame with CRC ${crcDigits(previousCrc)}, found ${crcDigits(before.lastCrc)}`;
    return [{ ...NO_PLACE, kind: 'chain', segment, message }];
  }
  return [];
}

function missing(segment: string, position: number | null, from: bigint, to: bigint): LogFinding {
  const message = `entries ${from} to ${to} (exclusive) are missing`;
  return { kind: 'missing', segment, position, bytes: null, offset: from, message };
}

const NO_PLACE = { position: null, bytes: null, offset: null } as const;

function indexFinding(segment: string | null, message: string): LogFinding {
  return { ...NO_PLACE, kind: 'index', segment, message };
}

/** The index, null when there is none, or why it cannot be read. */
function openIndex(directory: string): IndexComparison | string | null {
  try {
    return openIndexComparison(directory);
  } catch (error) {
    return `index cannot be read: ${errorMessage(error)}`;
  }
}

function compared(comparison: IndexComparison, scan: SegmentScan, limitOffset: bigint | null): LogFinding[] {
  const segment = segmentFileName(scan.baseOffset);
  return reading(() => comparison.compare(scan, limitOffset)).map((message) => indexFinding(segment, message));
}

function finished(comparison: IndexComparison): LogFinding[] {
  return reading(() => comparison.finish()).map((message) => indexFinding(null, message));
}

/** Not when it cannot be read: that is told by the comparison. */
function knowsEntries(index: IndexComparison, baseOffset: bigint): boolean {
  try {
    return index.knowsEntries(baseOffset);
  } catch {
    return false;
  }
}

/** 0 when it cannot be read: the next start makes it anew. */
function entriesEnd(index: IndexComparison): bigint {
  try {
    return index.entriesEnd();
  } catch {
    return 0n;
  }
}

function reading(read: () => string[]): string[] {
  try {
    return read();
  } catch (error) {
    return [`index cannot be read: ${errorMessage(error)}`];
  }
}
