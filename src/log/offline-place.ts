/** Where an entry stands on the disk. */
import { type LogFileSystem, realFileSystem } from './file-system.ts';
import { frameEntries, parseFrame, recordPlace } from './frame.ts';
import { segmentFileName, segmentPath } from './layout.ts';
import { segmentBytes } from './segment-bytes.ts';
import { SEGMENT_HEADER_BYTES } from './segment-header.ts';
import { findFrame } from './segment-scan.ts';
import type { LogEntry } from './types.ts';
import { LIMITS } from '../base/index.ts';

/** Positions are bytes from the beginning of the segment's file. */
export interface EntryPlace {
  readonly file: string;
  /** Of the record batch message with the entry in it. */
  readonly framePosition: number;
  readonly frameBytes: number;
  /** CRC of the frame, as it stands in it. */
  readonly frameCrc: number;
  /** Row of the entry in its frame, and how many there are. */
  readonly frameRow: number;
  readonly frameRows: number;
  readonly recordPosition: number;
  readonly recordBytes: number;
}

/** Finds an entry that was read in its segment again; null when it is no longer there. */
export function findEntryPlace(
  directory: string,
  { segment, offset }: Pick<LogEntry, 'segment' | 'offset'>,
  options: { readonly fileSystem?: LogFileSystem } = {},
): EntryPlace | null {
  const fileSystem = options.fileSystem ?? realFileSystem;
  const file = fileSystem.openForReading(segmentPath(directory, segment));
  try {
    const source = segmentBytes(file, 0, LIMITS.logReadBytes);
    source.end = file.size();
    const read = source.read.bind(source);
    for (let position: number | null = SEGMENT_HEADER_BYTES; position !== null && position < source.end; ) {
      const frame = parseFrame(read, position, true);
      if (typeof frame === 'string') {
        position = findFrame(source, position + 1, segment);
        continue;
      }
      const frameRow = frameEntries(frame, segment).findIndex((entry) => entry.offset === offset);
      if (frameRow !== -1) {
        const record = recordPlace(frame, frameRow);
        return {
          file: segmentFileName(segment),
          framePosition: position,
          frameBytes: frame.bytes,
          frameCrc: frame.crc,
          frameRow,
          frameRows: frame.rows,
          recordPosition: position + record.position,
          recordBytes: record.bytes,
        };
      }
      if (frame.baseOffset > offset) return null;
      position += frame.bytes;
    }
    return null;
  } finally {
    file.close();
  }
}
