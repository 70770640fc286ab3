/**
 * Whether the counter began anew between two samples, as their start times say: the later start lies behind the sample before it, or at it when
 * that one had a known start of its own (a delta). All times in ms; 0 is no start time, and one at or behind its own sample says nothing.
 */
export function isStartTimeReset(
  previousStartMs: number,
  previousMs: number,
  startMs: number,
  timeMs: number,
): boolean {
  if (startMs === 0 || startMs >= timeMs) return false;
  if (startMs !== previousMs) return startMs > previousMs;
  return previousStartMs !== 0 && previousStartMs < previousMs;
}

/** Whether a sample says to have begun before the sample before it ended, though not where that one began. */
export function overlapsStartTime(previousStartMs: number, previousMs: number, startMs: number): boolean {
  return startMs !== 0 && startMs < previousMs && startMs !== previousStartMs;
}
