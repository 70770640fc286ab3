/** Entries that are read a second time, for a stream whose state a decoder has forgotten. */
import { type DurablePosition, type LogEntry, openLogReader } from '../log/index.ts';

/** The entries from the segment at `segment` on that are below `end`. Throws OffsetOutOfRangeError when retention was faster. */
export function* segmentEntries(
  directory: string,
  segment: bigint,
  end: bigint,
  durable: DurablePosition,
): Generator<LogEntry> {
  const reader = openLogReader({ directory, from: segment, durable });
  try {
    for (let frame = reader.nextFrame(); frame !== null; frame = reader.nextFrame()) {
      for (const entry of frame) {
        if (entry.offset >= end) return;
        yield entry;
      }
    }
  } finally {
    reader.close();
  }
}
