import type { KeptPiece, KeptRange } from './kept-points.ts';
import { firstAtLeast, nextUp, ordinalPlaces, timeOrder } from './time-order.ts';
import type { SampleChunk, SeriesRows } from './types.ts';

/**
 * Samples in the order of their series and of time, so that readers need not sort them each time. Of samples of a series at one millisecond only the last that was
 * stored is left.
 */
export class SortedSamples implements KeptPiece<SampleChunk> {
  readonly bytes: number;
  readonly chunk: SampleChunk;
  readonly #rows: SeriesRows;
  readonly #firstMs: number;
  readonly #lastMs: number;

  /** From chunks in the order in which they were stored; of the series with these ordinals, ascending, alone. */
  constructor(chunks: readonly SampleChunk[], ordinals: Uint32Array) {
    const places = ordinalPlaces(ordinals);
    const counted = countRows(chunks, places, ordinals.length);
    const sorted = distribute(chunks, places, counted);
    const { chunk, offsets } = arrange(sorted, counted);
    this.#rows = describe(chunk, ordinals, offsets);
    this.chunk = { ...chunk, rows: this.#rows };
    this.#firstMs = chunk.timesMs.reduce((first, timeMs) => Math.min(first, timeMs), Number.POSITIVE_INFINITY);
    this.#lastMs = chunk.timesMs.reduce((last, timeMs) => Math.max(last, timeMs), Number.NEGATIVE_INFINITY);
    this.bytes =
      offsets.byteLength +
      this.#rows.mayFall.byteLength +
      Object.values(chunk).reduce(
        (sum: number, column: Float64Array | undefined) => sum + (column?.byteLength ?? 0),
        0,
      );
  }

  /** Columns are shared: only the rows of each series are fewer. */
  *within(range: KeptRange): Generator<SampleChunk> {
    if (this.#firstMs > range.untilMs || this.#lastMs < range.fromMs) return;
    if (this.#firstMs >= range.fromMs && this.#lastMs <= range.untilMs) {
      yield this.chunk;
      return;
    }
    const { timesMs } = this.chunk;
    const slots = this.#rows.from.length;
    const from = new Uint32Array(slots);
    const until = new Uint32Array(slots);
    let isEmpty = true;
    for (let slot = 0; slot < slots; slot++) {
      const end = this.#rows.until[slot]!;
      from[slot] = firstAtLeast(timesMs, this.#rows.from[slot]!, end, range.fromMs);
      until[slot] = firstAtLeast(timesMs, from[slot]!, end, nextUp(range.untilMs));
      if (from[slot]! < until[slot]!) isEmpty = false;
    }
    if (isEmpty) return;
    yield { ...this.chunk, rows: { ...this.#rows, from, until } };
  }
}

function describe({ values, flags }: SampleChunk, ordinals: Uint32Array, offsets: Uint32Array): SeriesRows {
  const slots = ordinals.length;
  const mayFall = new Uint8Array(slots);
  let isPlain = true;
  for (let slot = 0; slot < slots; slot++) {
    for (let row = offsets[slot]!; row < offsets[slot + 1]!; row++) {
      const value = values[row]!;
      if (flags[row] !== 0 || value !== value) isPlain = false;
      if (row > offsets[slot]! && !(value >= values[row - 1]!)) mayFall[slot] = 1;
    }
  }
  return { ordinals, from: offsets.subarray(0, slots), until: offsets.subarray(1), isPlain, mayFall };
}

function countRows(chunks: readonly SampleChunk[], places: Uint32Array, slots: number): Uint32Array {
  const offsets = new Uint32Array(slots + 1);
  for (const { ordinals } of chunks) {
    for (let row = 0; row < ordinals.length; row++) {
      const ordinal = ordinals[row]!;
      const place = ordinal < places.length ? places[ordinal]! : 0;
      if (place > 0) offsets[place]!++;
    }
  }
  for (let slot = 1; slot <= slots; slot++) offsets[slot]! += offsets[slot - 1]!;
  return offsets;
}

/** By series; those of a series in the order in which they came. */
function distribute(chunks: readonly SampleChunk[], places: Uint32Array, offsets: Uint32Array): SampleChunk {
  const next = offsets.slice(0, -1);
  const sorted = emptyChunk(
    offsets.at(-1)!,
    chunks.some(({ startTimesMs }) => startTimesMs !== undefined),
  );
  for (const chunk of chunks) {
    const { ordinals, timesMs, flags, values, startTimesMs } = chunk;
    for (let row = 0; row < ordinals.length; row++) {
      const ordinal = ordinals[row]!;
      const place = ordinal < places.length ? places[ordinal]! : 0;
      if (place === 0) continue;
      const at = next[place - 1]!++;
      sorted.ordinals[at] = ordinal;
      sorted.timesMs[at] = timesMs[row]!;
      sorted.flags[at] = flags[row]!;
      sorted.values[at] = values[row]!;
      if (startTimesMs !== undefined) sorted.startTimesMs![at] = startTimesMs[row]!;
    }
  }
  return sorted;
}

/** Sorts the few series by time that do not come so. */
function arrange(
  sorted: SampleChunk,
  offsets: Uint32Array,
): { readonly chunk: SampleChunk; readonly offsets: Uint32Array } {
  const { timesMs } = sorted;
  const isRising = (from: number, until: number): boolean => {
    for (let at = from + 1; at < until; at++) if (timesMs[at - 1]! >= timesMs[at]!) return false;
    return true;
  };
  const unordered: number[] = [];
  for (let slot = 0; slot + 1 < offsets.length; slot++) {
    if (!isRising(offsets[slot]!, offsets[slot + 1]!)) unordered.push(slot);
  }
  if (unordered.length === 0) return { chunk: sorted, offsets };
  const orders = new Map(unordered.map((slot) => [slot, timeOrder(timesMs, offsets[slot]!, offsets[slot + 1]!)]));
  const left = new Uint32Array(offsets.length);
  for (let slot = 0; slot + 1 < offsets.length; slot++) {
    left[slot + 1] = left[slot]! + (orders.get(slot)?.length ?? offsets[slot + 1]! - offsets[slot]!);
  }
  const chunk = emptyChunk(left.at(-1)!, sorted.startTimesMs !== undefined);
  for (let slot = 0; slot + 1 < offsets.length; slot++) {
    const order = orders.get(slot);
    if (order === undefined) copyRows(sorted, offsets[slot]!, offsets[slot + 1]!, chunk, left[slot]!);
    else order.forEach((row, at) => copyRows(sorted, row, row + 1, chunk, left[slot]! + at));
  }
  return { chunk, offsets: left };
}

function emptyChunk(rows: number, withStartTimes: boolean): SampleChunk {
  return {
    ordinals: new Uint32Array(rows),
    timesMs: new Float64Array(rows),
    startTimesMs: withStartTimes ? new Float64Array(rows) : undefined,
    flags: new Uint32Array(rows),
    values: new Float64Array(rows),
  };
}

function copyRows(from: SampleChunk, first: number, end: number, to: SampleChunk, at: number): void {
  to.ordinals.set(from.ordinals.subarray(first, end), at);
  to.timesMs.set(from.timesMs.subarray(first, end), at);
  to.flags.set(from.flags.subarray(first, end), at);
  to.values.set(from.values.subarray(first, end), at);
  if (from.startTimesMs !== undefined) to.startTimesMs!.set(from.startTimesMs.subarray(first, end), at);
}
