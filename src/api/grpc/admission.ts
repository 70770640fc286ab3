/** Bytes received and not yet durable, over all streams of the server. */
export interface Admission {
  readonly inFlightBytes: number;
  /** At its bound: streams stop reading. */
  readonly isFull: boolean;
  /** Takes a batch in, or says that it has to be refused because it would pass the hard bound. */
  admit(bytes: number): boolean;
  /** The batch is durable or refused. Calls those who wait when there is room again. */
  release(bytes: number): void;
  /** Has `wake` called whenever bytes were released and there is room, until the returned function is called. */
  wait(wake: () => void): () => void;
}

/**
 * `bytesMax` stops reading, `bytesHardMax` refuses what was read all the same: many streams may pass a bound at once, each with
 * one message.
 */
export function createAdmission(bytesMax: number, bytesHardMax: number): Admission {
  let inFlightBytes = 0;
  const waiting = new Set<() => void>();
  const isFull = (): boolean => inFlightBytes >= bytesMax;
  return {
    get inFlightBytes() {
      return inFlightBytes;
    },
    get isFull() {
      return isFull();
    },
    admit(bytes) {
      if (isFull() || inFlightBytes + bytes > bytesHardMax) return false;
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
