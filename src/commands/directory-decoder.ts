import { readEntries } from '../log/index.ts';
import { createEntryDecoder, type EntryDecoder } from '../materialize/index.ts';

/** A decoder for the entries of a log directory that no server uses. */
export function createDirectoryDecoder(directory: string): Promise<EntryDecoder> {
  return createEntryDecoder({
    *readSegment(segment, end) {
      for (const entry of readEntries(directory, { from: segment })) {
        if (entry.offset >= end) return;
        yield entry;
      }
    },
  });
}
