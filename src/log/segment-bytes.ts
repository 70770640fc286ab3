import { LIMITS } from '../base/index.ts';
import type { LogReadFile } from './file-system.ts';

export interface SegmentBytes {
  /** Bytes before `end` from a position on, or null when they are not all there. Views stay valid: no buffer is used twice, unless `isTransient`. */
  read(position: number, bytes: number): Buffer | null;
  /** Bytes are read below it only. Raised as the file grows; may not be lowered below what was read. */
  end: number;
}

/**
 * Reads a file in large steps. `stepBytes` are read at a time, or what is asked for when that is more; a smaller step suits a reader
 * that skips much. With `isTransient` views are valid until the next read: one buffer is enough then.
 */
export function segmentBytes(
  file: LogReadFile,
  end: number,
  stepBytes: number = LIMITS.logReadBytes,
  isTransient = false,
): SegmentBytes {
  let buffer = Buffer.alloc(0);
  let kept = buffer;
  let start = 0;
  return {
    end,
    read(position, bytes) {
      if (position + bytes > this.end) return null;
      if (position < start || position + bytes > start + buffer.length) {
        const wanted = Math.min(Math.max(bytes, stepBytes), this.end - position);
        const fresh = wanted <= kept.length ? kept.subarray(0, wanted) : Buffer.allocUnsafeSlow(wanted);
        if (isTransient && fresh.length > kept.length) kept = fresh;
        const filled = file.read(fresh, position);
        buffer = fresh.subarray(0, filled);
        start = position;
        if (filled < bytes) return null;
      }
      return buffer.subarray(position - start, position - start + bytes);
    },
  };
}
