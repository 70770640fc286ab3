/** Rows by series and time. */

/** Rows by time, of equal times the last. */
export function timeOrder(timesMs: Float64Array, from: number, until: number): number[] {
  const rows = Array.from({ length: until - from }, (_, at) => from + at);
  let isRising = true;
  for (let row = from + 1; row < until && isRising; row++) isRising = timesMs[row - 1]! < timesMs[row]!;
  if (isRising) return rows;
  rows.sort((left, right) => timesMs[left]! - timesMs[right]! || left - right);
  return rows.filter((row, at) => at + 1 === rows.length || timesMs[row] !== timesMs[rows[at + 1]!]);
}

/** The first row of a rising range that is not before `timeMs`; `until` when all are. */
export function firstAtLeast(timesMs: Float64Array, from: number, until: number, timeMs: number): number {
  let low = from;
  let high = until;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (timesMs[middle]! < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The least number above. Times are whole milliseconds, or infinite. */
export function nextUp(timeMs: number): number {
  return Math.floor(timeMs) + 1;
}

/** By ordinal: its slot and one, 0 for others. */
export function ordinalPlaces(ordinals: Uint32Array): Uint32Array {
  const places = new Uint32Array(ordinals.length === 0 ? 0 : ordinals.at(-1)! + 1);
  for (let slot = 0; slot < ordinals.length; slot++) places[ordinals[slot]!] = slot + 1;
  return places;
}
