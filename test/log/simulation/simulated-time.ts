/** Time that passes only when a schedule says so: the log's clock, and the timers of everything that runs meanwhile. */
import type { Clock } from '../../../src/base/index.ts';

interface Timer {
  dueMs: number;
  readonly callback: () => void;
  /** Of a timer that comes again. */
  readonly intervalMs?: number;
}

const START_UNIX_NANO = 1_700_000_000_000_000_000n;
/** Time that passes at once from here on is that of a machine asleep. */
const SLEEP_MS = 60_000;
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
      if (timer.intervalMs === undefined) this.#timers.delete(timer);
      // A machine that slept does not make up for what it missed.
      else timer.dueMs = ms > SLEEP_MS ? endMs + timer.intervalMs : timer.dueMs + timer.intervalMs;
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
    const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
    const add = (facts: Timer) => {
      const timer = { ...facts, unref: () => timer };
      this.#timers.add(timer);
      return timer;
    };
    const once = (callback: () => void, ms = 0) => add({ dueMs: this.#nowMs + ms, callback });
    const again = (callback: () => void, ms: number) => add({ dueMs: this.#nowMs + ms, callback, intervalMs: ms });
    const clear = (timer: Timer) => {
      this.#timers.delete(timer);
    };
    const simulated = { setTimeout: once, clearTimeout: clear, setInterval: again, clearInterval: clear };
    Object.assign(globalThis, simulated);
    return () => {
      Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval });
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
