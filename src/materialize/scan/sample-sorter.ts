import { copyRange, emptyColumns, type SampleValues } from './sample-values.ts';
import { SortedSamples } from './sorted-samples.ts';
import { ordinalPlaces, timeOrder } from './time-order.ts';
import type { SampleChunk } from './types.ts';

/** Puts samples of some series in order, which come in chunks in the order in which they were stored. */
export class SampleSorter {
  /** What waits to be sorted takes that much. */
  bytes = 0;
  readonly #ordinals: Uint32Array;
  /** By ordinal: its slot and one, 0 for others. */
  readonly #places: Uint32Array;
  readonly #counts: Uint32Array;
  readonly #withStartTimes: boolean;
  #chunks: SampleChunk[] = [];
  #hasFlags = false;

  /** Of the series with these ordinals, ascending, alone. */
  constructor(ordinals: Uint32Array, withStartTimes: boolean) {
    this.#ordinals = ordinals;
    this.#withStartTimes = withStartTimes;
    this.#places = ordinalPlaces(ordinals);
    this.#counts = new Uint32Array(ordinals.length + 1);
  }

  get chunks(): readonly SampleChunk[] {
    return this.#chunks;
  }

  add(chunk: SampleChunk): void {
    const { ordinals, flags } = chunk;
    const places = this.#places;
    const counts = this.#counts;
    let all = 0;
    for (let row = 0; row < ordinals.length; row++) {
      const ordinal = ordinals[row]!;
      if (ordinal < places.length) counts[places[ordinal]!]!++;
      all |= flags[row]!;
    }
    this.#hasFlags ||= all !== 0;
    this.bytes += ordinals.length * (chunk.startTimesMs === undefined ? ROW_BYTES : ROW_BYTES + START_BYTES);
    this.#chunks.push(chunk);
  }

  /** All that were added, in order; they are let go one by one. */
  sorted(): SortedSamples {
    const slots = this.#ordinals.length;
    // Of those that are no one's, nothing is kept.
    const offsets = this.#counts;
    offsets[0] = 0;
    for (let slot = 1; slot <= slots; slot++) offsets[slot]! += offsets[slot - 1]!;
    const like = {
      flags: this.#hasFlags ? NOTHING_FLAGGED : undefined,
      startTimesMs: this.#withStartTimes ? NO_TIMES : undefined,
    };
    const values = emptyColumns(offsets[slots]!, like);
    const next = offsets.slice(0, -1);
    const chunks = this.#chunks;
    this.#chunks = [];
    for (let at = 0; at < chunks.length; at++) {
      place(chunks[at]!, this.#places, next, values);
      if (values.flags !== undefined || values.startTimesMs !== undefined)
        placeMarks(chunks[at]!, this.#places, { offsets, next, values });
      chunks[at] = NO_SAMPLES;
    }
    return inOrderOfTime(this.#ordinals, offsets, values);
  }
}

/** Ordinal, time, flags, number. */
const ROW_BYTES = 24;
const START_BYTES = 8;
const NOTHING_FLAGGED = new Uint32Array(0);
const NO_TIMES = new Float64Array(0);
const NO_SAMPLES: SampleChunk = {
  ordinals: NOTHING_FLAGGED,
  timesMs: NO_TIMES,
  startTimesMs: undefined,
  flags: NOTHING_FLAGGED,
  values: NO_TIMES,
};

/** Times and numbers; `next` tells where the next sample of each slot goes. */
function place(chunk: SampleChunk, places: Uint32Array, next: Uint32Array, to: SampleValues): void {
  const { ordinals, timesMs, values } = chunk;
  const { timesMs: toTimes, numbers: toNumbers } = to;
  for (let row = 0; row < ordinals.length; row++) {
    const ordinal = ordinals[row]!;
    const slot = (ordinal < places.length ? places[ordinal]! : 0) - 1;
    if (slot < 0) continue;
    const at = next[slot]!++;
    toTimes[at] = timesMs[row]!;
    toNumbers[at] = values[row]!;
  }
}

interface Placed {
  readonly offsets: Uint32Array;
  /** Behind the samples of the chunk. */
  readonly next: Uint32Array;
  readonly values: SampleValues;
}

/** Flags and start times, from the last row to the first. */
function placeMarks(chunk: SampleChunk, places: Uint32Array, { next, values }: Placed): void {
  const { ordinals, flags, startTimesMs } = chunk;
  const back = next.slice();
  for (let row = ordinals.length - 1; row >= 0; row--) {
    const ordinal = ordinals[row]!;
    const slot = (ordinal < places.length ? places[ordinal]! : 0) - 1;
    if (slot < 0) continue;
    const at = --back[slot]!;
    if (values.flags !== undefined) values.flags[at] = flags[row]!;
    if (values.startTimesMs !== undefined) values.startTimesMs[at] = startTimesMs![row]!;
  }
}

/** Sorts the few series by time that do not come so; of equal times the last is left. */
function inOrderOfTime(ordinals: Uint32Array, offsets: Uint32Array, values: SampleValues): SortedSamples {
  const { timesMs } = values;
  const orders = new Map<number, readonly number[]>();
  for (let slot = 0; slot + 1 < offsets.length; slot++) {
    const until = offsets[slot + 1]!;
    let at = offsets[slot]! + 1;
    while (at < until && timesMs[at - 1]! < timesMs[at]!) at++;
    if (at < until) orders.set(slot, timeOrder(timesMs, offsets[slot]!, until));
  }
  if (orders.size === 0) return new SortedSamples(ordinals, offsets, values);
  const left = new Uint32Array(offsets.length);
  for (let slot = 0; slot + 1 < offsets.length; slot++)
    left[slot + 1] = left[slot]! + (orders.get(slot)?.length ?? offsets[slot + 1]! - offsets[slot]!);
  const made = emptyColumns(left.at(-1)!, values);
  for (let slot = 0; slot + 1 < offsets.length; slot++) {
    const order = orders.get(slot);
    if (order === undefined) copyRange(values, offsets[slot]!, offsets[slot + 1]!, made, left[slot]!);
    else order.forEach((row, at) => copyRange(values, row, row + 1, made, left[slot]! + at));
  }
  return new SortedSamples(ordinals, left, made);
}
