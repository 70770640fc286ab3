/** Time that passes only when a schedule says so: the log's clock, and the timers of everything that runs meanwhile. */
import type { Clock } from '../../../src/base/index.ts';

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

const START_UNIX_NANO = 1_700_000_000_000_000_000n;
const NANOS_PER_MILLI = 1_000_000n;

export class SimulatedTime implements Clock {
  #nowMs = 1_000;
  #wallAheadNano = START_UNIX_NANO;
  readonly #timers = new Set<Timer>();

  nowUnixNano(): bigint {
    return this.#wallAheadNano + BigInt(this.#nowMs) * NANOS_PER_MILLI;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Sets the wall clock, forward or back. */
  jump(ms: number): void {
    this.#wallAheadNano += BigInt(ms) * NANOS_PER_MILLI;
  }

  /** Lets time pass; timers fire in order, each with a turn of the event loop behind it. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (let timer = this.#next(endMs); timer !== null; timer = this.#next(endMs)) {
      this.#nowMs = timer.dueMs;
      this.#timers.delete(timer);
      timer.callback();
      await turn();
    }
    this.#nowMs = endMs;
  }

  /** Resolves when that much time has passed. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#timers.add({ dueMs: this.#nowMs + ms, callback: resolve });
    });
  }

  /** Forgets the timers of a process that is gone. */
  dropTimers(): void {
    this.#timers.clear();
  }

  /** Takes the place of the global timers; returns the function that puts them back. */
  install(): () => void {
    const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
    const set = (callback: () => void, ms = 0) => {
      const timer = { dueMs: this.#nowMs + ms, callback, unref: () => timer };
      this.#timers.add(timer);
      return timer;
    };
    const clear = (timer: Timer) => {
      this.#timers.delete(timer);
    };
    Object.assign(globalThis, { setTimeout: set, clearTimeout: clear });
    return () => {
      Object.assign(globalThis, real);
    };
  }

  #next(endMs: number): Timer | null {
    let next: Timer | null = null;
    for (const timer of this.#timers) {
      if (timer.dueMs <= endMs && (next === null || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
