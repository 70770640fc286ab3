/** Columns of samples that are kept, equally long; whose they are, and in which order, lies beside them. */
export interface SampleValues {
  readonly timesMs: Float64Array;
  readonly numbers: Float64Array;
  /** Undefined: all are 0, which is the usual thing. */
  readonly flags: Uint32Array | undefined;
  readonly startTimesMs: Float64Array | undefined;
}

/** Columns to be filled, those that `like` has. */
export function emptyColumns(rows: number, like: Pick<SampleValues, 'flags' | 'startTimesMs'>): SampleValues {
  return {
    timesMs: new Float64Array(rows),
    numbers: new Float64Array(rows),
    flags: like.flags === undefined ? undefined : new Uint32Array(rows),
    startTimesMs: like.startTimesMs === undefined ? undefined : new Float64Array(rows),
  };
}

/** Fewer are copied one by one: views of them would take longer than that. */
const VIEW_MIN = 24;

/** Copies rows to columns that have what these have, and zeros where there are none. */
export function copyRange(from: SampleValues, first: number, end: number, to: SampleValues, at: number): void {
  if (first === end) return;
  copyNumbers(from.timesMs, first, end, to.timesMs, at);
  copyNumbers(from.numbers, first, end, to.numbers, at);
  if (from.flags !== undefined) to.flags!.set(from.flags.subarray(first, end), at);
  if (to.startTimesMs !== undefined) copyNumbers(from.startTimesMs!, first, end, to.startTimesMs, at);
}

function copyNumbers(from: Float64Array, first: number, end: number, to: Float64Array, at: number): void {
  if (end - first >= VIEW_MIN) return to.set(from.subarray(first, end), at);
  for (let row = first; row < end; row++) to[at + row - first] = from[row]!;
}

let zeros = new Uint32Array(0);

/** Flags of so many samples without any: common memory, which nobody writes to. */
export function noFlags(rows: number): Uint32Array {
  if (rows > zeros.length) zeros = new Uint32Array(rows);
  return zeros.subarray(0, rows);
}
