/** What the main thread sees of the engine's thread without asking it: a thread that hangs does not answer. */
import type { Pulse } from './entry-attempts.ts';

const STEP = 0;
const IS_BUSY = 1;
const COMMITS = 2;

export interface PulseWatch {
  /** Memory for `createPulse` in the thread. */
  readonly memory: SharedArrayBuffer;
  /** Transactions committed. */
  readonly commits: number;
  /** Whether the thread has been busy with one and the same piece of work since the last call. */
  isAtSameWork(): boolean;
}

/** The thread's side. */
export function createPulse(memory: SharedArrayBuffer): Pulse {
  const cells = new Int32Array(memory);
  return {
    work(isBusy) {
      Atomics.add(cells, STEP, 1);
      Atomics.store(cells, IS_BUSY, isBusy ? 1 : 0);
    },
    committed: () => void Atomics.add(cells, COMMITS, 1),
  };
}

/** The main thread's side. */
export function watchPulse(): PulseWatch {
  const memory = new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT);
  const cells = new Int32Array(memory);
  let seen = -1;
  return {
    memory,
    get commits() {
      return Atomics.load(cells, COMMITS);
    },
    isAtSameWork() {
      const before = seen;
      seen = Atomics.load(cells, IS_BUSY) === 1 ? Atomics.load(cells, STEP) : -1;
      return seen !== -1 && seen === before;
    },
  };
}
