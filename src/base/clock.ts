/** Time as this program sees it; tests pass their own. */
export interface Clock {
  /** Unix time in nanoseconds. May jump with the system clock. */
  nowUnixNano(): bigint;
  /** Milliseconds of a clock that never goes back; only differences mean something. */
  monotonicMs(): number;
}

const NANOS_PER_MILLI = 1_000_000n;
const MICROS_PER_MILLI = 1_000;

/** The clock of the machine. */
export const systemClock: Clock = {
  nowUnixNano() {
    return (
      BigInt(Math.round((performance.timeOrigin + performance.now()) * MICROS_PER_MILLI)) * (NANOS_PER_MILLI / 1_000n)
    );
  },
  monotonicMs() {
    return performance.now();
  },
};
