/** Ends threads that use DuckDB, whatever they do, and never while a call of DuckDB's is under way in them (`native-calls.ts`). */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { LIMITS } from '../base/index.ts';
import { breakLoop } from './break-loop.ts';
import { createNativeCallsMemory, NATIVE_CALLS } from './native-calls.ts';

export interface ThreadEnd {
  /** For `showNativeCalls` in the thread. */
  readonly memory: SharedArrayBuffer;
  /**
   * Names the thread, once it is started. `ask` is to have it call `endNativeCalls`, and is called again when it did not hear that.
   * Returns what ends the thread: that resolves when it is gone. A call that DuckDB cannot interrupt is waited for.
   */
  of(worker: Worker, ask: () => void): () => Promise<void>;
}

/** `execArgv` of such a thread: JavaScript that was broken off has not put Node's books in order, which would abort the process for that. */
export const ENDABLE_THREAD_FLAGS = ['--no-force-async-hooks-checks'] as const;

const LOOK_INTERVAL_MS = 10;

/** Threads of this process that have not ended. */
const living = new Map<Worker, () => Promise<void>>();

/** For one thread, made before it: the memory goes with what it is started with. */
export function createThreadEnd(hearMaxMs: number = LIMITS.threadHearMaxMs): ThreadEnd {
  const memory = createNativeCallsMemory();
  const cells = new Int32Array(memory);

  async function end(worker: Worker, ask: () => void): Promise<void> {
    // Calls that begin from now on are refused: none is left once the count is zero.
    Atomics.store(cells, NATIVE_CALLS.IS_ENDING, 1);
    let release: (() => void) | null = null;
    let askedMs = Number.NEGATIVE_INFINITY;
    let asked = 0;
    while (living.has(worker) && Atomics.load(cells, NATIVE_CALLS.UNDER_WAY) > 0) {
      const nowMs = performance.now();
      if (Atomics.load(cells, NATIVE_CALLS.HAS_HEARD) === 0 && nowMs - askedMs >= hearMaxMs) {
        askedMs = nowMs;
        release?.();
        // What it does ends, and the thread lives on to hear what it is asked.
        release = asked > 0 ? await breakLoop(worker) : null;
        ask();
        asked += 1;
      }
      await sleep(LOOK_INTERVAL_MS);
    }
    release?.();
    await worker.terminate();
  }

  return {
    memory,
    of(worker, ask) {
      let ending: Promise<void> | null = null;
      const endOnce = () => (ending ??= end(worker, ask));
      living.set(worker, endOnce);
      worker.once('exit', () => living.delete(worker));
      return endOnce;
    },
  };
}

/** Ends all such threads of this process. */
export async function endThreads(): Promise<void> {
  await Promise.all([...living.values()].map((end) => end()));
}
