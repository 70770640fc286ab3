/** The pace of an exporter towards a target that fails: longer and longer waits, shared by all that it sends. */
import { LIMITS } from '../../base/index.ts';

export interface Backoff {
  /** Failures in a row. */
  readonly failures: number;
  /** How long to wait before the next try; 0 when there is nothing to wait for. */
  waitMs(): number;
  /** To be handed to `failed`: several tries under way that fail together are one failure. */
  epoch(): number;
  /** A try that began in `epoch` has failed. `afterMs`: what the target asks for; 0 is no failure. */
  failed(epoch: number, afterMs?: number): void;
  succeeded(): void;
}

export interface BackoffOptions {
  readonly minMs?: number;
  readonly maxMs?: number;
  /** A clock that never goes back. */
  readonly now?: () => number;
  /** At least 0 and below 1. */
  readonly random?: () => number;
}

/** Where the exponent stops growing: the wait is long at its bound by then. */
const DOUBLINGS_MAX = 16;

export function createBackoff(options: BackoffOptions = {}): Backoff {
  const {
    minMs = LIMITS.pushRetryMinMs,
    maxMs = LIMITS.pushRetryMaxMs,
    now = () => performance.now(),
    random = Math.random,
  } = options;
  let failures = 0;
  let current = 0;
  let readyAtMs = 0;
  return {
    get failures() {
      return failures;
    },
    waitMs: () => Math.max(0, readyAtMs - now()),
    epoch: () => current,
    failed(epoch, afterMs) {
      if (afterMs !== undefined && afterMs > 0) readyAtMs = Math.max(readyAtMs, now() + afterMs);
      if (epoch !== current || afterMs === 0) return;
      current++;
      if (afterMs === undefined) {
        const wait = Math.min(maxMs, minMs * 2 ** Math.min(failures, DOUBLINGS_MAX));
        // Half of it by chance: exporters that failed together do not come back together.
        readyAtMs = now() + wait * (0.5 + random() / 2);
      }
      failures++;
    },
    succeeded() {
      failures = 0;
      readyAtMs = 0;
    },
  };
}
