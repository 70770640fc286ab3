/** The part of a single request in the bytes that all transports have in memory. */
import type { Admission } from './admission.ts';

/** Bytes of one request, from their decompression until the log is done with them. */
export interface HeldBytes {
  /** Takes more in, or says that there is no room. A request that is the only one is always taken. */
  take(bytes: number): boolean;
  /** Gives back some of what was taken. */
  give(bytes: number): void;
  /** Gives everything back. */
  giveAll(): void;
  /** Leaves what is held to somebody else: it is given back by the function, once. */
  pass(): () => void;
}

/** Makes an account of zero bytes in `admission`. */
export function holdBytes(admission: Admission): HeldBytes {
  let held = 0;
  function give(bytes: number): void {
    held -= bytes;
    admission.release(bytes);
  }
  return {
    take(bytes) {
      // Admission takes one part alone whatever its size. A request comes in parts: as the only one it counts as one part.
      const isAlone = held > 0 && admission.inFlightBytes === held;
      if (!admission.admit(bytes)) {
        if (!isAlone) return false;
        const whole = held + bytes;
        give(held);
        if (!admission.admit(whole)) return false;
        held = whole;
        return true;
      }
      held += bytes;
      return true;
    },
    give,
    giveAll() {
      if (held > 0) give(held);
    },
    pass() {
      const passed = held;
      held = 0;
      return () => admission.release(passed);
    },
  };
}
