/** How long ago the log got past an offset: how old what was not sent yet is, without reading it. */
import { type Clock, LIMITS } from '../../base/index.ts';

export interface LagClock {
  /** Notes how far the log is now. Cheap: once a second counts. */
  note(durableOffset: bigint): void;
  /** Seconds since the entry at `offset` became durable; 0 when none has, null when that was before this clock began. */
  secondsSince(offset: bigint, durableOffset: bigint): number | null;
}

/** A clock that begins with a log that is at `start`. */
export function createLagClock(clock: Clock, start: bigint): LagClock {
  /** The first time at which the log was past an offset; both grow. */
  let samples: { readonly offset: bigint; readonly atMs: number }[] = [];
  let spacingMs = 1_000;
  return {
    note(durableOffset) {
      const atMs = clock.monotonicMs();
      const last = samples.at(-1);
      if (durableOffset <= (last?.offset ?? start) || (last !== undefined && atMs - last.atMs < spacingMs)) return;
      samples.push({ offset: durableOffset, atMs });
      if (samples.length < LIMITS.lagSamplesMax) return;
      // Of two neighbours the newer goes: what is left tells a lag that is too long rather than too short.
      samples = samples.filter((_sample, i) => i % 2 === 0);
      spacingMs *= 2;
    },
    secondsSince(offset, durableOffset) {
      if (offset >= durableOffset) return 0;
      if (offset < start) return null;
      const sample = samples.find((each) => each.offset > offset);
      return sample === undefined ? 0 : (clock.monotonicMs() - sample.atMs) / 1000;
    },
  };
}
