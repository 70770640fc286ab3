import { errorMessage, LIMITS, type Logger } from '../base/index.ts';
import type { SegmentIndex, SegmentRow } from './segment-index.ts';
import type { FrameFacts } from './segment-scan.ts';

/** Writes what is durable into the index a little later, many frames in a transaction. */
export interface IndexFeeder {
  /** Notes a segment as it is now, and a frame behind all others. */
  add(segment: SegmentRow, frame: FrameFacts | null): void;
  /** Forgets the segments below one that is kept. */
  trim(firstOffset: bigint): void;
  /** Writes all that is pending and closes the index. Never throws: the next start finds the rest in the segments. */
  close(): void;
}

/** Feeds an index, which it owns from now on. */
export function createIndexFeeder(index: SegmentIndex, logger: Logger): IndexFeeder {
  let segments = new Map<bigint, SegmentRow>();
  let frames: FrameFacts[] = [];
  let firstOffset: bigint | null = null;
  let timer: NodeJS.Timeout | null = null;
  let isFailing = false;
  let isStopped = false;

  const flush = (): void => {
    timer = null;
    if (isStopped || (segments.size === 0 && firstOffset === null)) return;
    try {
      index.write(() => {
        for (const segment of segments.values()) index.putSegment(segment);
        for (const frame of frames) index.addFrame(frame);
        // Last: what is pending may be of segments that are gone by now.
        if (firstOffset !== null) index.trim(firstOffset);
      });
      firstOffset = null;
      segments = new Map();
      frames = [];
      isFailing = false;
    } catch (error) {
      if (!isFailing) logger.warn('Cannot write the log index', { error: errorMessage(error), frames: frames.length });
      isFailing = true;
      if (frames.length > LIMITS.indexPendingFramesMax) stop();
      else schedule();
    }
  };
  const schedule = (): void => {
    timer ??= setTimeout(flush, LIMITS.indexIntervalMs).unref();
  };
  // The index is a prefix of the log whenever it stops: the next start reads the rest from the segments.
  const stop = (): void => {
    isStopped = true;
    segments = new Map();
    frames = [];
    logger.warn('Stopped the log index until the next start');
  };

  return {
    add(segment, frame) {
      if (isStopped) return;
      segments.set(segment.baseOffset, segment);
      if (frame !== null) frames.push(frame);
      schedule();
    },
    trim(offset) {
      if (isStopped) return;
      firstOffset = offset;
      schedule();
    },
    close() {
      if (timer !== null) clearTimeout(timer);
      flush();
      if (timer !== null) clearTimeout(timer);
      try {
        index.close({ clean: !isFailing && !isStopped });
      } catch (error) {
        logger.warn('Cannot close the log index', { error: errorMessage(error) });
      }
    },
  };
}
