/**
 * The time by which data ages. It goes on evenly: a clock that jumps must neither make young data look old nor keep old data for
 * ever. Rules:
 *
 * 1. From open on, time is the clock's at open plus what a clock that never jumps has counted since.
 * 2. While the system clock disagrees by more than `clockSlackMs`, the earlier of the two is believed: nothing is deleted too soon.
 * 3. When it has disagreed by the same amount for `clockTrustMs`, the system clock was right all along.
 *
 * At open the system clock is believed when it is not longer past the newest entry than `clockAbsenceMaxMs`: a server that was off for a
 * week is far more frequent than a wrong clock then. Else time goes on from the newest entry, and rules 2 and 3 apply.
 */
import { type Clock, LIMITS, type Logger } from '../base/index.ts';

const NANOS_PER_MILLI = 1_000_000;

export interface RetentionClock {
  /** Unix time in nanoseconds. */
  now(): bigint;
}

/** Starts at a time, by default the clock's present one. */
export function createRetentionClock(clock: Clock, logger: Logger, startUnixNano?: bigint): RetentionClock {
  const slack = nanos(LIMITS.clockSlackMs);
  let reference = startUnixNano ?? clock.nowUnixNano();
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

/**
 * The time at open: `wall`, or the end of what was received when that is too long ago. `receivedAt` is for each segment, oldest first, when
 * its newest entry was received. What was received after such a pause counts once it spans `clockTrustMs`, as a clock that jumped does: a
 * server that starts again while its clock is ahead must not believe the entries of its first start. It never counts when earlier times
 * follow: the clock was put right.
 */
export function timeAtOpen(wall: bigint, receivedAt: readonly (bigint | null)[]): bigint {
  const latest = wall + nanos(LIMITS.clockSlackMs);
  let believed: bigint | null = null;
  let since = 0n;
  let until = 0n;
  let isBelieved = true;
  for (const time of receivedAt) {
    if (time === null || time < nanos(LIMITS.clockSetUnixMs) || time > latest) continue;
    if (!isBelieved && time < since) {
      until = believed ?? 0n;
      isBelieved = true;
    }
    if (time <= until) continue;
    if (believed !== null && time - until > nanos(LIMITS.clockAbsenceMaxMs)) {
      since = time;
      isBelieved = false;
    }
    until = time;
    isBelieved ||= until - since >= nanos(LIMITS.clockTrustMs);
    if (isBelieved) believed = until;
  }
  return believed !== null && wall - believed > nanos(LIMITS.clockAbsenceMaxMs) ? believed : wall;
}

function nanos(ms: number): bigint {
  return BigInt(Math.round(ms * NANOS_PER_MILLI));
}

function distance(a: bigint, b: bigint): bigint {
  return a > b ? a - b : b - a;
}
