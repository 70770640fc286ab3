/**
 * Gives memory back after work. V8 collects garbage when it needs room, so a thread that has nothing to do any more keeps what its last
 * work left, for days if need be: half of it outside of the heap, in buffers that were sent or read.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { LIMITS } from './limits.ts';

export interface RestOptions {
  readonly intervalMs?: number;
  /** Microseconds of CPU that the whole process has used so far. */
  readonly cpuMicros?: () => number;
  readonly collect?: () => void;
}

/** Collects the garbage of this thread once after work, when the process has come to rest. Returns what ends that. */
export function collectAtRest({
  intervalMs = LIMITS.restIntervalMs,
  cpuMicros = processCpuMicros,
  collect = collector(),
}: RestOptions = {}): () => void {
  const busyMicros = intervalMs * 1_000 * (LIMITS.restCpuPercentMax / 100);
  let lastMicros = cpuMicros();
  let hasWorked = false;
  const timer = setInterval(() => {
    const nowMicros = cpuMicros();
    const isBusy = nowMicros - lastMicros > busyMicros;
    lastMicros = nowMicros;
    if (isBusy) hasWorked = true;
    else if (hasWorked) {
      hasWorked = false;
      collect();
      // The collection itself is no work.
      lastMicros = cpuMicros();
    }
  }, intervalMs).unref();
  return () => clearInterval(timer);
}

function processCpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** V8's own function for a full collection, which only contexts have that are made while the flag is set. It stays set: threads share it. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
