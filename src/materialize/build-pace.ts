/** Live data goes first: a build works while the live loop waits for news, and a small share of the time while that never waits. */
import { type Clock, createWake, LIMITS } from '../base/index.ts';

export interface BuildPace {
  /** Whether the live loop has nothing to do, told whenever that changes. */
  liveWaits(isWaiting: boolean): void;
  /** The build has stood or waited: only from now on does it work again. */
  goesOn(): void;
  /** Awaited by the build between slices of its work. */
  pace(): Promise<void>;
  /** The build does not wait any more: it is to end. */
  end(): void;
}

export function createBuildPace(clock: Clock, sharePercent: number = LIMITS.buildSharePercent): BuildPace {
  const changed = createWake();
  let isLiveWaiting = true;
  let hasEnded = false;
  let goneOnMs = clock.monotonicMs();
  return {
    liveWaits(isWaiting) {
      isLiveWaiting = isWaiting;
      if (isWaiting) changed.wake();
    },
    goesOn() {
      goneOnMs = clock.monotonicMs();
    },
    async pace() {
      const workedMs = clock.monotonicMs() - goneOnMs;
      const endMs = clock.monotonicMs() + (workedMs * (100 - sharePercent)) / sharePercent;
      while (!isLiveWaiting && !hasEnded) {
        const leftMs = endMs - clock.monotonicMs();
        if (leftMs <= 0) break;
        await changed.wait(leftMs);
      }
      goneOnMs = clock.monotonicMs();
    },
    end() {
      hasEnded = true;
      changed.wake();
    },
  };
}
