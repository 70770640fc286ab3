/**
 * Opens what an earlier process left: brings the index up to date, cuts a torn tail (a copy is kept), sets other damage aside by byte
 * range and finds where the log goes on. Nothing that was not understood is deleted.
 */
import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { errorMessage, LIMITS, type Logger, TreasuryError } from '../base/index.ts';
import type { LogFile, LogFileSystem } from './file-system.ts';
import { parseFrame } from './frame.ts';
import { END_OF_STREAM, indexPath, quarantinePath, segmentFileName, segmentPath } from './layout.ts';
import { logUuidOf, readSegmentFiles, type SegmentFile } from './log-directory.ts';
import { segmentBytes } from './segment-bytes.ts';
import { SEGMENT_HEADER_BYTES } from './segment-header.ts';
import { indexInMemory, isNoRoom, type SegmentIndex, type SegmentRow } from './segment-index.ts';
import { type DamagedRange, type SegmentScan, scanSegment } from './segment-scan.ts';
import { copyTail, hasNoRoomForTail } from './torn-tail.ts';
import type { DurablePosition } from './types.ts';

export interface RecoveryOptions {
  readonly directory: string;
  readonly fileSystem: LogFileSystem;
  readonly logger: Logger;
  readonly openIndex: (path: string) => SegmentIndex;
}

export interface RecoveredLog {
  readonly logUuid: string;
  /** Complete, and marked as in use. */
  readonly index: SegmentIndex;
  readonly durable: DurablePosition;
  readonly firstOffset: bigint;
  /** At least `durable.durableOffset`. */
  readonly nextOffset: bigint;
  /** End of the last frame, or where the first would begin; below `durableOffset` when entries behind it are lost. Null without segments. */
  readonly framesEnd: bigint | null;
  readonly lastCrc: number;
  readonly streamIdNext: bigint;
  readonly segments: number;
  readonly bytes: number;
  /** Segments without a seal whose ends are beyond doubt, oldest first. */
  readonly unsealed: readonly SegmentRow[];
}

/** Recovers a log directory, or makes it. Throws TREASURY_LOG_CORRUPT for a foreign segment, else what the disk throws. */
export async function recoverLog(options: RecoveryOptions): Promise<RecoveredLog> {
  const { directory, fileSystem } = options;
  fileSystem.makeDirectory(directory);
  fileSystem.makeDirectory(quarantinePath(directory));
  // A segment is only found again when the folders that lead to it are. Not only when they were made just now: an earlier process may
  // have been killed in between.
  await fileSystem.syncDirectory(dirname(directory));
  await fileSystem.syncDirectory(directory);
  const files = readSegmentFiles(fileSystem, directory);
  const index = openIndexOrNone(options);
  try {
    if (index !== null) return await recoverWith(options, files, index);
  } catch (error) {
    if (!isNoRoom(error)) {
      index?.close({ clean: false });
      throw error;
    }
  }
  options.logger.warn('No room for the log index: it is kept in memory until the next start');
  const inMemory = indexInMemory(index);
  try {
    return await recover(options, files, inMemory);
  } catch (error) {
    inMemory.close({ clean: false });
    throw error;
  }
}

/** Recovers with what the index says or, where that cannot be, without. */
async function recoverWith(options: RecoveryOptions, files: SegmentFile[], index: SegmentIndex): Promise<RecoveredLog> {
  try {
    return await recover(options, files, index);
  } catch (error) {
    if (error instanceof TreasuryError || isNoRoom(error) || isOfSystem(error)) throw error;
    options.logger.warn('The log index contradicts the segments', { error: errorMessage(error) });
    const again = readSegmentFiles(options.fileSystem, options.directory);
    return await recover(options, again, { ...index, isTrusted: false });
  }
}

/** Whether a call of the operating system failed: that says nothing about what a file holds. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

/** The index, or null when its disk has no room for it. */
function openIndexOrNone({ directory, openIndex }: RecoveryOptions): SegmentIndex | null {
  try {
    return openIndex(indexPath(directory));
  } catch (error) {
    if (isNoRoom(error)) return null;
    throw error;
  }
}

/**
 * The rows that a scan adds to an index, with what is damaged among them. Shared by recovery and rebuild, so that both make the same
 * rows. `tail` is what the caller took the segment's tail for: a damaged range, or null when it is no part of the log.
 */
export function indexScan(
  index: SegmentIndex,
  scan: SegmentScan,
  { limitOffset, tail }: { readonly limitOffset: bigint | null; readonly tail: DamagedRange | null },
): readonly DamagedRange[] {
  const ranges = tail === null ? scan.damage : [...scan.damage, tail];
  if (isLeftover(scan, limitOffset)) return [];
  if (scan.endOffset === scan.baseOffset && ranges.length === 0) return [];
  index.write(() => {
    index.putSegment(segmentRow(scan));
    for (const frame of scan.frames) index.addFrame(frame);
    for (const range of ranges) index.addQuarantinedRange(range);
  });
  return ranges;
}

/** Whether a file was given up before it held an entry of the log and could not be removed: no part of the log, whatever is in it. */
export function isLeftover(scan: SegmentScan, limitOffset: bigint | null): boolean {
  return scan.endOffset === scan.baseOffset && limitOffset !== null && limitOffset <= scan.baseOffset;
}

/** Whether the bytes behind a segment's last good frame held entries of the log. */
export function isTailDamage(scan: SegmentScan, limitOffset: bigint | null): boolean {
  return scan.tail !== null && (limitOffset === null || scan.endOffset < limitOffset);
}

async function recover(options: RecoveryOptions, files: SegmentFile[], index: SegmentIndex): Promise<RecoveredLog> {
  const { logger } = options;
  const logUuid = logUuidOf(files, index.logUuid) ?? index.logUuid ?? randomUUID();
  const isOwnIndex = index.logUuid === logUuid;
  const lastFrame = isOwnIndex ? index.lastFrame() : null;
  // Entries up to here were durable, whatever the segments hold now.
  const framesEnd = lastFrame === null ? 0n : lastFrame.baseOffset + BigInt(lastFrame.rows);
  const indexEnd = max(index.keptEnd(logUuid), framesEnd < LIMITS.baseOffsetMax ? framesEnd : 0n);
  index.markChanging();
  if (isOwnIndex && index.isTrusted) forgetDeleted(files, index);
  if (!isOwnIndex || !index.isTrusted || !isConsistent(options, files, index)) {
    if (files.length > 0) logger.info('Rebuilding the log index', { segments: files.length });
    index.reset(logUuid);
  }
  index.markOpen();
  const known = index.segments();
  const resumed = known.at(-1);
  const scanOf = (file: SegmentFile, known: { tornFrom?: bigint }) =>
    scanFrom(options, file, { row: file.baseOffset === resumed?.baseOffset ? resumed : null, ...known });
  const rest = [...files];
  let last: SegmentScan | null = null;
  // The file before an empty one that was taken away is the last one now.
  while (last === null && rest.length > 0) {
    last = await settleLastSegment(options, scanOf(rest.at(-1)!, { tornFrom: indexEnd }), indexEnd);
    if (last === null) rest.pop();
  }
  for (const file of rest) {
    if (resumed !== undefined && file.baseOffset < resumed.baseOffset) {
      settleIndexed(options, index, file, known);
      continue;
    }
    const scan = file === rest.at(-1) ? last! : scanOf(file, {});
    const tail = isTailDamage(scan, file.limitOffset) ? scan.tail : null;
    for (const range of indexScan(index, scan, { limitOffset: file.limitOffset, tail })) {
      logger.error('Log segment is damaged', { ...range, segment: segmentFileName(range.segment) });
    }
  }
  return describe({ files, rest, index, indexEnd, logUuid, last });
}

function describe(found: {
  files: readonly SegmentFile[];
  /** Those that are left. */
  rest: readonly SegmentFile[];
  index: SegmentIndex;
  indexEnd: bigint;
  logUuid: string;
  last: SegmentScan | null;
}): RecoveredLog {
  const { files, rest, index, logUuid, last } = found;
  const rows = index.segments();
  const lastRow = rows.at(-1);
  const lastFrame = index.lastFrame();
  const endOffset = max(lastRow?.endOffset ?? 0n, last?.endOffset ?? 0n);
  // A file that stays without an entry keeps its name: what it held is lost, and its base offset with it. Unless it is what is left of
  // a torn write, of which there is no room for a copy: nothing in it was ever durable.
  const lastName = last?.baseOffset ?? -1n;
  const durableOffset = max(lastName + 1n, endOffset, found.indexEnd, index.cursorsEnd(logUuid));
  index.keepEnd(logUuid, durableOffset);
  const streamIds = files.map(({ header }) => header?.streamIdNext ?? 0n);
  return {
    logUuid,
    index,
    durable: { durableOffset, segment: lastRow?.baseOffset ?? 0n, segmentBytes: lastRow?.bytes ?? 0 },
    firstOffset: rows[0]?.baseOffset ?? durableOffset,
    nextOffset: max(durableOffset, ...files.map(({ baseOffset }) => baseOffset)),
    framesEnd: lastFrame === null ? (rows[0]?.baseOffset ?? null) : lastFrame.baseOffset + BigInt(lastFrame.rows),
    lastCrc: lastRow?.lastCrc ?? 0,
    streamIdNext: max(1n, index.streamIdMax() + 1n, ...streamIds),
    segments: rows.length,
    bytes: rows.reduce((bytes, row) => bytes + row.bytes, 0),
    unsealed: rows.filter(
      (row) => !row.sealed && isEndCertain(row, rest, last !== null && isTornEnd(last, found.indexEnd)),
    ),
  };
}

/**
 * Whether it is beyond doubt that a segment ends where its row says, whatever stands behind it: the next one says the same, or it is the
 * last one and lacks nothing.
 */
function isEndCertain(row: SegmentRow, files: readonly SegmentFile[], isLastWhole: boolean): boolean {
  if (row.previousEnd === null) return false;
  const at = files.findIndex(({ baseOffset }) => baseOffset === row.baseOffset);
  if (at === files.length - 1) return isLastWhole;
  const next = files.slice(at + 1).find(({ header }) => header !== null)?.header ?? null;
  return next !== null && next.previousEnd === row.endOffset && next.previousCrc === row.lastCrc;
}

/** Whether what is bad at the end of the last segment is a torn write: no entry is missing that was known to be durable. */
function isTornEnd(scan: SegmentScan, indexEnd: bigint): boolean {
  return scan.endOffset >= indexEnd && !scan.sealed;
}

/** Retention deletes the oldest segments first and tells the index later: rows that begin below the first file are of those. */
function forgetDeleted(files: readonly SegmentFile[], index: SegmentIndex): void {
  const present = new Set(files.map(({ baseOffset }) => baseOffset));
  const rows = index.segments();
  const first = rows.find(({ baseOffset }) => present.has(baseOffset));
  if (first !== undefined && first !== rows[0]) index.write(() => index.trim(first.baseOffset));
}

/** Whether the index is a prefix of what the segments hold, as far as can be told without reading them. */
function isConsistent(options: RecoveryOptions, files: readonly SegmentFile[], index: SegmentIndex): boolean {
  const { directory, fileSystem } = options;
  if (!index.isCoherent()) return false;
  const rows = index.segments();
  const lastBase = rows.at(-1)?.baseOffset ?? -1n;
  const byBase = new Map(files.map((file) => [file.baseOffset, file]));
  const sizeOf = (baseOffset: bigint) => {
    const file = fileSystem.openForReading(segmentPath(directory, baseOffset));
    try {
      return file.size();
    } finally {
      file.close();
    }
  };
  for (const row of rows) {
    const file = byBase.get(row.baseOffset);
    if (file === undefined || !holds(options, row)) return false;
    if ((file.header?.previousEnd ?? null) !== row.previousEnd) return false;
    if ((file.header?.previousCrc ?? null) !== row.previousCrc) return false;
    byBase.delete(row.baseOffset);
  }
  // A segment without entries has no row.
  for (const baseOffset of byBase.keys()) {
    if (baseOffset < lastBase && sizeOf(baseOffset) > SEGMENT_HEADER_BYTES) return false;
  }
  const frame = index.lastFrame();
  if (frame === null) return rows.length === 0;
  const file = fileSystem.openForReading(segmentPath(directory, frame.segment));
  try {
    const source = segmentBytes(file, file.size());
    const found = parseFrame(source.read.bind(source), frame.position, false);
    return typeof found !== 'string' && found.baseOffset === frame.baseOffset && found.crc === frame.crc;
  } finally {
    file.close();
  }
}

/** A segment that was given up may have got its seal all the same, or lost what was to be cut off: the index learns what became of it. */
function settleIndexed(
  options: RecoveryOptions,
  index: SegmentIndex,
  file: SegmentFile,
  known: readonly SegmentRow[],
): void {
  const row = known.find(({ baseOffset }) => baseOffset === file.baseOffset);
  if (row === undefined || row.sealed) return;
  const scan = scanFrom(options, file, { row });
  if (scan.frames.length === 0 && scan.sealed) index.putSegment(segmentRow(scan));
}

/** Whether a segment is as long as the index says, with its seal. A seal whose sync failed may be seen once and gone later. */
function holds({ directory, fileSystem }: RecoveryOptions, { baseOffset, bytes, sealed }: SegmentRow): boolean {
  const file = fileSystem.openForReading(segmentPath(directory, baseOffset));
  try {
    if (file.size() < bytes) return false;
    if (!sealed) return true;
    const seal = Buffer.alloc(END_OF_STREAM.length);
    file.read(seal, bytes - seal.length);
    return seal.equals(END_OF_STREAM);
  } finally {
    file.close();
  }
}

function scanFrom(
  { directory, fileSystem }: RecoveryOptions,
  file: SegmentFile,
  { row, ...known }: { row: SegmentRow | null; tornFrom?: bigint },
): SegmentScan {
  const { baseOffset, limitOffset } = file;
  const options = { directory, fileSystem, baseOffset, limitOffset, records: true, ...known };
  if (row === null) return scanSegment(options);
  const position = row.sealed ? row.bytes - 8 : row.bytes;
  return scanSegment({ ...options, start: { position, endOffset: row.endOffset, lastCrc: row.lastCrc } });
}

/**
 * Makes the last segment durable as it was scanned: a torn tail is copied aside and cut, zeros are cut, a file without any entry is taken away.
 * Returns what is left of it, or null when the file is gone.
 */
async function settleLastSegment(
  options: RecoveryOptions,
  scan: SegmentScan,
  indexEnd: bigint,
): Promise<SegmentScan | null> {
  const { directory, fileSystem, logger } = options;
  const path = segmentPath(directory, scan.baseOffset);
  const hasEntries = scan.endOffset > scan.baseOffset;
  const isTorn = isTornEnd(scan, indexEnd);
  const isEmpty = scan.fileBytes <= SEGMENT_HEADER_BYTES || (scan.isTailBlank && scan.header !== null);
  if (!hasEntries && isTorn && isEmpty) {
    if (scan.header === null && scan.fileBytes > 0) {
      await fileSystem.rename(path, join(quarantinePath(directory), `${segmentFileName(scan.baseOffset)}.torn`));
    } else {
      await fileSystem.remove(path);
    }
    await fileSystem.syncDirectory(directory);
    return null;
  }
  if (scan.sealed) return scan;
  const cutsTail = scan.tail !== null && isTorn && (hasEntries || scan.header !== null);
  const hasCopy = cutsTail && !scan.isTailBlank && (await tryCopyTail(options, scan));
  const isCut = hasCopy || (cutsTail && scan.isTailBlank);
  if (hasCopy) {
    logger.warn('Cut a torn write off the log', {
      segment: segmentFileName(scan.baseOffset),
      position: scan.bytes,
      bytes: scan.fileBytes - scan.bytes,
    });
  }
  const file = await fileSystem.openForWriting(path);
  try {
    if (isCut) await file.truncate(scan.bytes);
    // A process that was killed between write and sync has left frames that only the page cache holds.
    await writeAgain(options, scan, file);
    await file.dataSync();
  } finally {
    await file.close();
  }
  if (!cutsTail) return scan;
  // Left behind like the end of an abandoned segment: the next one's header says where the log really ended.
  if (!isCut) return hasEntries ? { ...scan, tail: null } : null;
  if (hasEntries) return { ...scan, tail: null, fileBytes: scan.bytes };
  await fileSystem.remove(path);
  await fileSystem.syncDirectory(directory);
  return null;
}

/** Whether a copy of the tail is kept: not when the disk has no room for it. */
async function tryCopyTail(options: RecoveryOptions, scan: SegmentScan): Promise<boolean> {
  try {
    await copyTail(options, scan);
    return true;
  } catch (error) {
    if (!hasNoRoomForTail(error)) throw error;
    options.logger.warn('A torn write stays in the log until there is room for a copy', { error: error.message });
    return false;
  }
}

/**
 * Writes frames that were found as they are: after a failed sync the kernel takes what it could not write for written, and would do so
 * again. Where there is no room for it they are as durable as they were.
 */
async function writeAgain(
  { directory, fileSystem, logger }: RecoveryOptions,
  { baseOffset, frames }: SegmentScan,
  file: LogFile,
): Promise<void> {
  const source = fileSystem.openForReading(segmentPath(directory, baseOffset));
  try {
    for (const { position, bytes } of frames) {
      const frame = Buffer.alloc(bytes);
      if (source.read(frame, position) < bytes) return;
      await file.write([frame], position);
    }
  } catch (error) {
    // Otherwise they might be shown now and be gone after a loss of power.
    if (!isNoRoom(error)) throw error;
    logger.warn('Cannot write the last frames again', {
      segment: segmentFileName(baseOffset),
      error: errorMessage(error),
    });
  } finally {
    source.close();
  }
}

function segmentRow(scan: SegmentScan): SegmentRow {
  return {
    baseOffset: scan.baseOffset,
    previousEnd: scan.header?.previousEnd ?? null,
    previousCrc: scan.header?.previousCrc ?? null,
    streamIdNext: scan.header?.streamIdNext ?? null,
    endOffset: scan.endOffset,
    lastCrc: scan.lastCrc,
    bytes: scan.bytes,
    sealed: scan.sealed,
  };
}

function max(first: bigint, ...others: readonly bigint[]): bigint {
  return others.reduce((a, b) => (a > b ? a : b), first);
}
