/** What lies in a log directory: its segments in order and what their headers say. */
import { LIMITS, TreasuryError } from '../base/index.ts';
import type { LogFileSystem } from './file-system.ts';
import { SEGMENT_FORMAT_VERSION, segmentBaseOffsets, segmentFileName, segmentPath } from './layout.ts';
import type { SegmentHeader } from './segment-header.ts';
import { readSegmentHeader, type SegmentScan, scanSegment } from './segment-scan.ts';

/** A segment file before its frames are read. */
export interface SegmentFile {
  readonly baseOffset: bigint;
  readonly header: SegmentHeader | null;
  /** Entries at or above it are not part of the log; null for the last segment. */
  readonly limitOffset: bigint | null;
}

/**
 * The segments of a directory by base offset. Throws TREASURY_LOG_CORRUPT for a segment of another format version, and for what only has
 * the name of a segment.
 */
export function readSegmentFiles(fileSystem: LogFileSystem, directory: string): SegmentFile[] {
  const files = segmentBaseOffsets(fileSystem.list(directory)).map((baseOffset) => {
    if (baseOffset >= LIMITS.baseOffsetMax) {
      throw new TreasuryError(
        'TREASURY_LOG_CORRUPT',
        `Cannot open the log: ${segmentPath(directory, baseOffset)} is named by an offset that no log reaches`,
      );
    }
    const header = readSegmentHeader(fileSystem, directory, baseOffset);
    if (typeof header === 'string') return { baseOffset, header: null };
    if (header.version !== SEGMENT_FORMAT_VERSION) {
      throw new TreasuryError(
        'TREASURY_LOG_CORRUPT',
        `Cannot read segment ${segmentFileName(baseOffset)}: format version is ${header.version}, expected ${SEGMENT_FORMAT_VERSION}`,
      );
    }
    return { baseOffset, header };
  });
  return files.map((file, i) => ({ ...file, limitOffset: limitOffset(files.slice(i + 1)) }));
}

/**
 * The end of what is part of the log in a segment, given the ones after it: nothing at or above where the log stood when the next
 * readable one was made, nor above the next one's name. Null when there are none.
 */
export function limitOffset(
  later: Iterable<{ readonly baseOffset: bigint; readonly header: SegmentHeader | null }>,
): bigint | null {
  let limit: bigint | null = null;
  for (const { baseOffset, header } of later) {
    limit ??= baseOffset;
    if (header === null) continue;
    return header.previousEnd < limit ? header.previousEnd : limit;
  }
  return limit;
}

/**
 * The UUID of the log that the segments belong to, or null without a readable header. `expected` decides between segments that
 * disagree. Throws TREASURY_LOG_CORRUPT that names a foreign file.
 */
export function logUuidOf(files: readonly SegmentFile[], expected: string | null): string | null {
  const headers = files.flatMap(({ header }) => (header === null ? [] : [header]));
  const own = headers.find((header) => header.logUuid === expected)?.logUuid ?? headers[0]?.logUuid ?? null;
  const foreign = headers.find((header) => header.logUuid !== own);
  if (foreign !== undefined) {
    const name = segmentFileName(foreign.baseOffset);
    throw new TreasuryError(
      'TREASURY_LOG_CORRUPT',
      `Cannot open the log: segment ${name} belongs to log ${foreign.logUuid}, the others to ${own}`,
      { facts: { segment: name } },
    );
  }
  return own;
}

/**
 * Without what is at the end and has no byte yet: made ahead of the frame that fills the segment before it, which is the last one then, and
 * taken away at the next start.
 */
export function withoutBegun(
  fileSystem: LogFileSystem,
  directory: string,
  files: readonly SegmentFile[],
): readonly SegmentFile[] {
  const isBegun = ({ baseOffset, header }: SegmentFile): boolean =>
    header === null && segmentFileBytes(fileSystem, directory, baseOffset) === 0;
  const end = files.findLastIndex((file) => !isBegun(file)) + 1;
  const last = files[end - 1];
  if (end === files.length || last === undefined) return files.slice(0, end);
  return [...files.slice(0, end - 1), { ...last, limitOffset: null }];
}

/** Size of a segment's file. */
export function segmentFileBytes(fileSystem: LogFileSystem, directory: string, baseOffset: bigint): number {
  const file = fileSystem.openForReading(segmentPath(directory, baseOffset));
  try {
    return file.size();
  } finally {
    file.close();
  }
}

/** Scans all segments with their records, in order. */
export function* scanSegments(
  fileSystem: LogFileSystem,
  directory: string,
  files: readonly SegmentFile[],
): Generator<SegmentScan> {
  for (const { baseOffset, limitOffset } of files) {
    yield scanSegment({ directory, fileSystem, baseOffset, limitOffset, records: true });
  }
}
