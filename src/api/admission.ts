/** Bytes received and not yet durable, over all streams of the server. */
export interface Admission {
  readonly inFlightBytes: number;
  /** At the bound where streams stop reading. */
  readonly isFull: boolean;
  /** Takes a batch in, or says that it has to be refused. One alone is always taken. */
  admit(bytes: number): boolean;
  /** The batch is durable or refused. Calls those who wait when there is room again. */
  release(bytes: number): void;
  /** Has `wake` called whenever bytes were released and there is room, until the returned function is called. */
  wait(wake: () => void): () => void;
}

/**
 * `readBytesMax` stops reading, `bytesMax` refuses what was read all the same: many streams may pass the first at once, each with
 * one message. The log refuses at the latter too.
 */
export function createAdmission(readBytesMax: number, bytesMax: number): Admission {
  let inFlightBytes = 0;
  const waiting = new Set<() => void>();
  const isFull = (): boolean => inFlightBytes >= readBytesMax;
  return {
    get inFlightBytes() {
      return inFlightBytes;
    },
    get isFull() {
      return isFull();
    },
    admit(bytes) {
      if (inFlightBytes > 0 && inFlightBytes + bytes > bytesMax) return false;
      inFlightBytes += bytes;
      return true;
    },
    release(bytes) {
      inFlightBytes -= bytes;
      // Oldest first, while there is room: each that wakes may fill it again.
      for (const wake of waiting) {
        if (isFull()) return;
        wake();
      }
    },
    wait(wake) {
      waiting.add(wake);
      return () => waiting.delete(wake);
    },
  };
}
