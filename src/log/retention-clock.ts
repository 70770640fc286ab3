/**
 * The time by which data ages. It goes on evenly: a clock that jumps must neither make young data look old nor keep old data for
 * ever. Rules:
 *
 * 1. From open on, time is the clock's at open plus what a clock that never jumps has counted since.
 * 2. While the system clock disagrees by more than `clockSlackMs`, the earlier of the two is believed: nothing is deleted too soon.
 * 3. When it has disagreed by the same amount for `clockTrustMs`, the system clock was right all along.
 *
 * At open the system clock is believed as it is: a server that was off for a week is far more frequent than a wrong clock then.
 */
import { type Clock, LIMITS, type Logger } from '../base/index.ts';

const NANOS_PER_MILLI = 1_000_000;

export interface RetentionClock {
  /** Unix time in nanoseconds. */
  now(): bigint;
}

/** Starts at the clock's present time. */
export function createRetentionClock(clock: Clock, logger: Logger): RetentionClock {
  const slack = nanos(LIMITS.clockSlackMs);
  let reference = clock.nowUnixNano();
  let referenceMs = clock.monotonicMs();
  let doubt: { readonly sinceMs: number; readonly ahead: bigint } | null = null;

  return {
    now() {
      const wall = clock.nowUnixNano();
      const nowMs = clock.monotonicMs();
      const reckoned = reference + nanos(nowMs - referenceMs);
      const ahead = wall - reckoned;
      const isClose = distance(ahead, 0n) <= slack;
      if (!isClose && (doubt === null || distance(doubt.ahead, ahead) > slack)) {
        doubt = { sinceMs: nowMs, ahead };
        logger.warn('The clock jumped: for now data ages by the earlier time', {
          aheadSeconds: Number(ahead / nanos(1_000)),
          believedAfterMs: LIMITS.clockTrustMs,
        });
      }
      if (!isClose && doubt !== null && nowMs - doubt.sinceMs < LIMITS.clockTrustMs) {
        return wall < reckoned ? wall : reckoned;
      }
      reference = wall;
      referenceMs = nowMs;
      doubt = null;
      return wall;
    },
  };
}

function nanos(ms: number): bigint {
  return BigInt(Math.round(ms * NANOS_PER_MILLI));
}

function distance(a: bigint, b: bigint): bigint {
  return a > b ? a - b : b - a;
}
