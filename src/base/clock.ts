import { LIMITS } from './limits.ts';

/** Time as this program sees it; tests pass their own. */
export interface Clock {
  /** Unix time in nanoseconds. May jump with the system clock. */
  nowUnixNano(): bigint;
  /** Milliseconds of a clock that never goes back; only differences mean something. */
  monotonicMs(): number;
}

/** Where a clock gets its time from, in milliseconds. */
export interface TimeSource {
  /** Unix time, in whole milliseconds. */
  unixMs(): number;
  /** Finer, and never goes back. */
  monotonicMs(): number;
}

const NANOS_PER_MICRO = 1_000n;
const MICROS_PER_MILLI = 1_000;

/** The clock of the machine. */
export const systemClock: Clock = createClock({ unixMs: () => Date.now(), monotonicMs: () => performance.now() });

/**
 * Unix time in steps finer than a millisecond: the monotonic time and how far Unix time was ahead of it. That is looked at anew when it is
 * off by more than `clockStepMs`: the clock was set, or the machine slept.
 */
export function createClock(source: TimeSource): Clock {
  let aheadMs = source.unixMs() - source.monotonicMs();
  return {
    nowUnixNano() {
      const monotonicMs = source.monotonicMs();
      const unixMs = source.unixMs();
      if (Math.abs(monotonicMs + aheadMs - unixMs) > LIMITS.clockStepMs) aheadMs = unixMs - monotonicMs;
      return BigInt(Math.round((monotonicMs + aheadMs) * MICROS_PER_MILLI)) * NANOS_PER_MICRO;
    },
    monotonicMs: () => source.monotonicMs(),
  };
}
