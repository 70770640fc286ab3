import type { SampleChunk } from '../../../materialize/index.ts';
import { FloatRows } from '../promql/float-rows.ts';
import type { FloatColumn } from '../promql/source.ts';
import { markStale, StaleMarks } from '../promql/stale.ts';
import { type FloatColumnOptions, NO_RECORDED_VALUE } from './float-columns.ts';
import type { PointSlots } from './point-slots.ts';
import { timeOrder } from './point-table.ts';

/**
 * Points sorted at a time: so many wait as they came, 24 bytes each. Most queries read fewer, and then the sorted columns are the series' own; what is sorted in
 * several runs is joined, which copies it once more.
 */
const RUN_POINTS = 524_288;

/** Sorting costs a number for each series beside its points: a run has several of these for each series. */
const RUN_POINTS_A_SLOT = 4;

/** Runs are sorted, and joined and let go, in as many parts: what is joined takes room twice, one part at a time. */
const PARTS = 4;

/** Samples of numbers by series: time and value of each, in columns that the series share. */
export class SampleColumns {
  readonly #slots: PointSlots;
  readonly #options: FloatColumnOptions;
  readonly #runPoints: number;
  readonly #runs: SortedPart[][] = [];
  #waiting: SampleChunk[] = [];
  #waitingPoints = 0;
  #parts: SortedPart[] = [];
  /** The first chunk when it needs no sorting. */
  #ready: OrderedChunk | null = null;

  /** `runPoints`: how many points a run has at least, but for the last. */
  constructor(slots: PointSlots, options: FloatColumnOptions, runPoints = RUN_POINTS) {
    this.#slots = slots;
    this.#options = options;
    this.#runPoints = Math.max(runPoints, RUN_POINTS_A_SLOT * slots.count);
  }

  /** Takes a chunk over. */
  add(chunk: SampleChunk): void {
    // Nearly always the only one, then, and its own columns are the series'.
    if (this.#ready === null && this.#runs.length === 0 && this.#waiting.length === 0 && isOrdered(chunk)) {
      this.#ready = chunk;
      return;
    }
    if (this.#ready !== null) this.#take(onlyRows(this.#ready));
    this.#ready = null;
    this.#take(onlyRows(chunk));
  }

  #take(chunk: SampleChunk): void {
    this.#waiting.push(chunk);
    this.#waitingPoints += chunk.ordinals.length;
    if (this.#waitingPoints >= this.#runPoints) this.#sortWaiting(PARTS);
  }

  /** When all are added. */
  finish(): void {
    if (this.#ready !== null) return;
    if (this.#runs.length === 0) {
      this.#sortWaiting(1);
      this.#parts = this.#runs.pop()!;
      return;
    }
    this.#sortWaiting(PARTS);
    for (let part = 0; part < PARTS; part++) {
      this.#parts.push(joined(this.#runs.map((run) => run[part]!)));
      for (const run of this.#runs) run[part] = NOTHING;
    }
  }

  /** The samples of one series. */
  column(slot: number): FloatColumn {
    if (this.#ready !== null) return orderedColumn(this.#ready, slot, this.#options);
    const part = this.#parts[partOf(slot, this.#slots.count, this.#parts.length)]!;
    const from = part.offsets[slot - part.firstSlot]!;
    const until = part.offsets[slot - part.firstSlot + 1]!;
    const { isDelta, fromMs } = this.#options;
    const { timesMs } = part;
    let isPlain = !isDelta && (from === until || timesMs[from]! >= fromMs);
    for (let at = from + 1; at < until && isPlain; at++) isPlain = timesMs[at - 1]! < timesMs[at]!;
    const column = {
      timesMs: timesMs.subarray(from, until),
      values: part.values.subarray(from, until),
      startTimesMs: part.startTimesMs?.subarray(from, until),
    };
    return isPlain ? column : arranged(column, this.#options);
  }

  #sortWaiting(parts: number): void {
    const { count } = this.#slots;
    const run: SortedPart[] = [];
    for (let part = 0; part < parts; part++) {
      const firstSlot = Math.ceil((part * count) / parts);
      const endSlot = Math.ceil(((part + 1) * count) / parts);
      run.push(
        sorted(this.#waiting, this.#slots, { firstSlot, endSlot, withStartTimes: this.#options.withStartTimes }),
      );
    }
    this.#runs.push(run);
    this.#waiting = [];
    this.#waitingPoints = 0;
  }
}

/** Points of the slots from `firstSlot` on, by slot; those of one slot in the order in which they came. */
interface SortedPart {
  readonly firstSlot: number;
  /** Where the points of each slot begin, and the end. */
  readonly offsets: Uint32Array;
  readonly timesMs: Float64Array;
  readonly values: Float64Array;
  readonly startTimesMs: Float64Array | undefined;
}

const NOTHING: SortedPart = {
  firstSlot: 0,
  offsets: new Uint32Array(1),
  timesMs: new Float64Array(0),
  values: new Float64Array(0),
  startTimesMs: undefined,
};

function partOf(slot: number, slots: number, parts: number): number {
  return parts === 1 ? 0 : Math.floor((slot * parts) / slots);
}

interface SlotRange {
  readonly firstSlot: number;
  readonly endSlot: number;
  readonly withStartTimes: boolean;
}

type SeriesRows = NonNullable<SampleChunk['rows']>;

/** A chunk whose points lie by series and time already. */
type OrderedChunk = SampleChunk & { readonly rows: SeriesRows };

function isOrdered(chunk: SampleChunk): chunk is OrderedChunk {
  return chunk.rows !== undefined;
}

function orderedColumn(chunk: OrderedChunk, slot: number, options: FloatColumnOptions): FloatColumn {
  const { rows, timesMs } = chunk;
  const first = rows.from[slot]!;
  const end = rows.until[slot]!;
  const isPlain = rows.isPlain || arePlain(chunk, first, end);
  const isWithin = first === end || timesMs[first]! >= options.fromMs;
  if (isPlain && isWithin && !options.isDelta && !options.withStartTimes)
    return new FloatRows(chunk, { first, end, shift: 0, mayFall: rows.mayFall[slot] === 1 });
  const column = {
    timesMs: timesMs.subarray(first, end),
    values: isPlain ? chunk.values.subarray(first, end) : markedValues(chunk, first, end),
    startTimesMs: options.withStartTimes ? chunk.startTimesMs?.subarray(first, end) : undefined,
  };
  return isWithin && !options.isDelta ? column : arranged(column, options);
}

/** Whether rows have no flag and are numbers. */
function arePlain({ flags, values }: SampleChunk, first: number, end: number): boolean {
  for (let row = first; row < end; row++) if (flags[row] !== 0 || Number.isNaN(values[row]!)) return false;
  return true;
}

function markedValues({ flags, values }: SampleChunk, first: number, end: number): Float64Array {
  const marked = values.slice(first, end);
  for (let row = first; row < end; row++) if ((flags[row]! & NO_RECORDED_VALUE) !== 0) markStale(marked, row - first);
  return marked;
}

/** A chunk of the rows that count, alone. */
function onlyRows(chunk: SampleChunk): SampleChunk {
  const { rows } = chunk;
  if (rows === undefined) return chunk;
  const picked: number[] = [];
  for (let slot = 0; slot < rows.from.length; slot++)
    for (let row = rows.from[slot]!; row < rows.until[slot]!; row++) picked.push(row);
  return {
    ordinals: Uint32Array.from(picked, (row) => chunk.ordinals[row]!),
    timesMs: Float64Array.from(picked, (row) => chunk.timesMs[row]!),
    flags: Uint32Array.from(picked, (row) => chunk.flags[row]!),
    startTimesMs: chunk.startTimesMs && Float64Array.from(picked, (row) => chunk.startTimesMs![row]!),
    values: Float64Array.from(picked, (row) => chunk.values[row]!),
  };
}

/** Counting sort: points of a series keep their order. */
function sorted(chunks: readonly SampleChunk[], slots: PointSlots, range: SlotRange): SortedPart {
  const { firstSlot, endSlot } = range;
  const offsets = new Uint32Array(endSlot - firstSlot + 1);
  for (const { ordinals } of chunks) countPoints(ordinals, slots, offsets, firstSlot);
  for (let at = 1; at < offsets.length; at++) offsets[at]! += offsets[at - 1]!;
  const part = emptyPart(firstSlot, offsets, range.withStartTimes);
  // Where the next point of each slot goes.
  const next = offsets.slice(0, -1);
  for (const chunk of chunks) {
    if (part.startTimesMs === undefined && chunk.flags.every((flags) => (flags & NO_RECORDED_VALUE) === 0))
      placePoints(chunk, slots, part, next);
    else placeMarkedPoints(chunk, slots, part, next);
  }
  return part;
}

/** Room for the points that `offsets` count. */
function emptyPart(firstSlot: number, offsets: Uint32Array, withStartTimes: boolean): SortedPart {
  const points = offsets.at(-1)!;
  return {
    firstSlot,
    offsets,
    timesMs: new Float64Array(points),
    values: new Float64Array(points),
    startTimesMs: withStartTimes ? new Float64Array(points) : undefined,
  };
}

/** Adds up in `offsets[1 + slot - firstSlot]`; slots beyond are passed over. */
function countPoints(ordinals: Uint32Array, { places }: PointSlots, offsets: Uint32Array, firstSlot: number): void {
  const least = firstSlot + 1;
  const slots = offsets.length - 1;
  for (let row = 0; row < ordinals.length; row++) {
    const ordinal = ordinals[row]!;
    if (ordinal >= places.length) continue;
    const at = places[ordinal]! - least;
    if (at >= 0 && at < slots) offsets[at + 1]!++;
  }
}

function placePoints(chunk: SampleChunk, { places }: PointSlots, part: SortedPart, next: Uint32Array): void {
  const { ordinals, timesMs, values } = chunk;
  const { timesMs: toTimes, values: toValues } = part;
  const least = part.firstSlot + 1;
  for (let row = 0; row < ordinals.length; row++) {
    const ordinal = ordinals[row]!;
    if (ordinal >= places.length) continue;
    const at = places[ordinal]! - least;
    if (at < 0 || at >= next.length) continue;
    const place = next[at]!++;
    toTimes[place] = timesMs[row]!;
    toValues[place] = values[row]!;
  }
}

/** The same with ends of series and start times. */
function placeMarkedPoints(chunk: SampleChunk, slots: PointSlots, part: SortedPart, next: Uint32Array): void {
  const { ordinals, timesMs, values, flags, startTimesMs } = chunk;
  for (let row = 0; row < ordinals.length; row++) {
    const at = slots.of(ordinals[row]!) - part.firstSlot;
    if (at < 0 || at >= next.length) continue;
    const place = next[at]!++;
    part.timesMs[place] = timesMs[row]!;
    if ((flags[row]! & NO_RECORDED_VALUE) === 0) part.values[place] = values[row]!;
    else markStale(part.values, place);
    if (part.startTimesMs !== undefined) part.startTimesMs[place] = startTimesMs?.[row] ?? 0;
  }
}

/** The same slots of several runs, one behind another. */
function joined(runs: readonly SortedPart[]): SortedPart {
  const [first] = runs;
  const { firstSlot, startTimesMs } = first!;
  const slots = first!.offsets.length - 1;
  const offsets = new Uint32Array(slots + 1);
  for (const run of runs) for (let at = 1; at <= slots; at++) offsets[at]! += run.offsets[at]!;
  const part = emptyPart(firstSlot, offsets, startTimesMs !== undefined);
  for (let slot = 0, place = 0; slot < slots; slot++) {
    for (const run of runs) {
      const from = run.offsets[slot]!;
      const until = run.offsets[slot + 1]!;
      copyPoints(run, { from, until }, part, place);
      place += until - from;
    }
  }
  return part;
}

function copyPoints(
  from: SortedPart,
  range: { readonly from: number; readonly until: number },
  to: SortedPart,
  place: number,
): void {
  to.timesMs.set(from.timesMs.subarray(range.from, range.until), place);
  to.values.set(from.values.subarray(range.from, range.until), place);
  if (from.startTimesMs !== undefined) to.startTimesMs!.set(from.startTimesMs.subarray(range.from, range.until), place);
}

/** In order of time, of points at one millisecond the last that came; changes added up; what is before `fromMs` left out. */
function arranged(column: FloatColumn, { isDelta, fromMs }: FloatColumnOptions): FloatColumn {
  const { timesMs, values, startTimesMs } = column;
  const order = timeOrder(timesMs);
  const stale = new StaleMarks(values);
  const size = order.length;
  const result = {
    timesMs: new Float64Array(size),
    values: new Float64Array(size),
    startTimesMs: startTimesMs === undefined ? undefined : new Float64Array(size),
  };
  let kept = 0;
  let total = 0;
  for (const at of order) {
    const isEnd = stale.at(at);
    if (!isEnd) total += values[at]!;
    if (timesMs[at]! < fromMs) continue;
    result.timesMs[kept] = timesMs[at]!;
    if (isEnd) markStale(result.values, kept);
    else result.values[kept] = isDelta ? total : values[at]!;
    if (result.startTimesMs !== undefined) result.startTimesMs[kept] = isDelta ? 0 : startTimesMs![at]!;
    kept++;
  }
  return {
    timesMs: result.timesMs.subarray(0, kept),
    values: result.values.subarray(0, kept),
    startTimesMs: result.startTimesMs?.subarray(0, kept),
  };
}
