/** How fast a build goes, and when it may have caught up. */
import { type Clock, LIMITS } from '../base/index.ts';

export interface BuildProgress {
  /** All entries below `offset` are in the tables of the build now. */
  at(offset: bigint): void;
  /** Null before two commits. */
  readonly entriesPerSecond: number | null;
  /** Milliseconds until `target` at this rate. */
  leftMs(target: bigint): number | null;
}

/** Takes the rate over a window of time that moves. */
export function createBuildProgress(clock: Clock): BuildProgress {
  let samples: { readonly atMs: number; readonly offset: bigint }[] = [];

  function rate(): number | null {
    const [first, last] = [samples[0], samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return null;
    return (Number(last.offset - first.offset) * 1000) / (last.atMs - first.atMs);
  }

  return {
    at(offset) {
      const atMs = clock.monotonicMs();
      // The newest before the window stays: what lies between began in front of it.
      const begin = samples.findLastIndex((sample) => sample.atMs <= atMs - LIMITS.buildRateWindowMs);
      samples = [...samples.slice(Math.max(0, begin)), { atMs, offset }];
    },
    get entriesPerSecond() {
      return rate();
    },
    leftMs(target) {
      const perSecond = rate();
      const last = samples.at(-1);
      if (last === undefined || perSecond === null || perSecond <= 0) return null;
      return Math.max(0, Math.round((Number(target - last.offset) * 1000) / perSecond));
    },
  };
}
