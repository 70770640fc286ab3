/** Looks into a log directory that no server is using: where it ends, its entries, its index. Changes nothing. */
import { existsSync } from 'node:fs';
import { type LogFileSystem, realFileSystem } from './file-system.ts';
import { indexPath } from './layout.ts';
import { logUuidOf, readSegmentFiles, scanSegments } from './log-directory.ts';
import { checkLog, type LogFinding } from './offline-verify.ts';
import { openLogReader } from './reader.ts';
import { indexScan, isTailDamage } from './recovery.ts';
import { type IndexContent, openSegmentIndex } from './segment-index.ts';
import { scanSegment } from './segment-scan.ts';
import type { DurablePosition, LogEntry } from './types.ts';

interface OfflineOptions {
  readonly fileSystem?: LogFileSystem;
}

/** What `checkLog` finds without decoding, at once. An empty list means that all is well. */
export function verifyLog(directory: string, options: OfflineOptions = {}): LogFinding[] {
  return [...checkLog(directory, options)].flatMap(({ findings }) => findings);
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
  for (const entry of readEntriesWithState(directory, options)) if (entry.offset >= options.from) yield entry;
}

/** The same, beginning with the first entry of the segment that holds `from`: what decoding needs is in there (I1). */
export function* readEntriesWithState(
  directory: string,
  options: OfflineOptions & { readonly from: bigint },
): Generator<LogEntry> {
  const fileSystem = options.fileSystem ?? realFileSystem;
  const durable = findDurablePosition(directory, { fileSystem });
  const reader = openLogReader({ directory, from: options.from, durable, fileSystem });
  try {
    if (options.from === durable.durableOffset) return;
    for (let frame = reader.nextFrame(); frame !== null; frame = reader.nextFrame()) yield* frame;
  } finally {
    reader.close();
  }
}

/** What a reader of a whole log has to know of it. */
export interface LogExtent {
  readonly firstOffset: bigint;
  readonly durable: DurablePosition;
  /** Of all segments. */
  readonly bytes: number;
}

/** The UUID of a log, null without a segment whose header can be read. Throws TREASURY_LOG_CORRUPT that names a foreign segment. */
export function readLogUuid(directory: string, options: OfflineOptions = {}): string | null {
  return logUuidOf(readSegmentFiles(options.fileSystem ?? realFileSystem, directory), null);
}

/**
 * Where a log that no server uses begins and ends. A write at its end that may be torn does not count: the next start decides on it.
 */
export function readLogExtent(directory: string, options: OfflineOptions = {}): LogExtent {
  const fileSystem = options.fileSystem ?? realFileSystem;
  const files = readSegmentFiles(fileSystem, directory);
  let durable: DurablePosition | null = null;
  let bytes = 0;
  for (const { baseOffset, limitOffset } of files.toReversed()) {
    const isLast = limitOffset === null;
    const torn = isLast ? { tornFrom: 0n } : {};
    const scan = scanSegment({ directory, fileSystem, baseOffset, limitOffset, records: isLast, ...torn });
    bytes += scan.fileBytes;
    if (durable !== null || scan.frames.length === 0) continue;
    durable = { durableOffset: scan.endOffset, segment: baseOffset, segmentBytes: scan.bytes };
  }
  const firstOffset = files[0]?.baseOffset ?? 0n;
  return { firstOffset, durable: durable ?? { durableOffset: firstOffset, segment: 0n, segmentBytes: 0 }, bytes };
}
