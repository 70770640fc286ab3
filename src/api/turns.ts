/** Work that keeps the thread: one at a time, so that what arrives together is not worked on together. */
import { LIMITS } from '../base/index.ts';

/** A queue of such work. */
export interface Turns {
  /** Does `work` when all that was asked for before is done. Settles as it does. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/**
 * Makes a queue. Between two works that together took long the event loop gets its turn: promises alone would go from one to the
 * next without it, and a hundred bombs would hold up everything for as long as all of them take.
 */
export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  let breathedMs = performance.now();

  function breathe(): Promise<void> | void {
    if (performance.now() - breathedMs < LIMITS.decompressSliceMs) return;
    return new Promise((resolve) => {
      setImmediate(() => {
        breathedMs = performance.now();
        resolve();
      });
    });
  }

  return {
    run(work) {
      const turn = last.then(work);
      last = turn.then(breathe, breathe);
      return turn;
    },
  };
}
