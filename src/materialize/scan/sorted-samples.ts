import { copyRange, emptyColumns, noFlags, type SampleValues } from './sample-values.ts';
import { firstAtLeast, nextUp } from './time-order.ts';
import type { SampleChunk, SamplesRequest, SeriesRows } from './types.ts';

/**
 * Samples in the order of their series and of time, so that readers need not sort them each time. Of samples of a series at one millisecond only the last that was
 * stored is here.
 */
export class SortedSamples {
  /** Ascending, of all series that were read, those without samples too. */
  readonly ordinals: Uint32Array;
  /** Where the samples of each begin, and the end. */
  readonly offsets: Uint32Array;
  readonly values: SampleValues;
  readonly bytes: number;
  readonly #isPlain: boolean;
  /** By series: 1 where a value may be below the one before. */
  readonly #mayFall: Uint8Array;

  constructor(ordinals: Uint32Array, offsets: Uint32Array, values: SampleValues) {
    this.ordinals = ordinals;
    this.offsets = offsets;
    this.values = values;
    const { timesMs, numbers, flags, startTimesMs } = values;
    this.bytes = [ordinals, offsets, timesMs, numbers, flags, startTimesMs].reduce(
      (sum, column) => sum + (column?.byteLength ?? 0),
      ordinals.length,
    );
    this.#isPlain = flags === undefined && !hasNoNumbers(numbers);
    this.#mayFall = new Uint8Array(ordinals.length);
    for (let slot = 0; slot < ordinals.length; slot++)
      if (mayFall(numbers, offsets[slot]!, offsets[slot + 1]!)) this.#mayFall[slot] = 1;
  }

  /** What is here of some of the series, in a range of times: one chunk over the columns that are kept, or none. */
  *within({
    ordinals,
    fromMs,
    untilMs,
  }: Pick<SamplesRequest, 'ordinals' | 'fromMs' | 'untilMs'>): Generator<SampleChunk> {
    const { offsets } = this;
    const { timesMs } = this.values;
    const from = new Uint32Array(ordinals.length);
    const until = new Uint32Array(ordinals.length);
    const mayFall = new Uint8Array(ordinals.length);
    let isEmpty = true;
    for (let at = 0, slot = 0; at < ordinals.length; at++) {
      while (this.ordinals[slot]! < ordinals[at]!) slot++;
      from[at] = firstAtLeast(timesMs, offsets[slot]!, offsets[slot + 1]!, fromMs);
      until[at] = firstAtLeast(timesMs, from[at]!, offsets[slot + 1]!, nextUp(untilMs));
      mayFall[at] = this.#mayFall[slot]!;
      if (from[at]! < until[at]!) isEmpty = false;
    }
    if (!isEmpty) yield new SortedChunk(this, { ordinals, from, until, isPlain: this.#isPlain, mayFall });
  }

  /** These, and others of the same series: of samples at one millisecond the others. */
  with(others: SortedSamples): SortedSamples {
    const { offsets, values } = this;
    if (others.values.timesMs.length === 0) return this;
    const most = values.timesMs.length + others.values.timesMs.length;
    const hasFlags = values.flags !== undefined || others.values.flags !== undefined;
    const made = emptyColumns(most, {
      flags: hasFlags ? NO_FLAGS : undefined,
      startTimesMs: values.startTimesMs,
    });
    const ends = new Uint32Array(offsets.length);
    let row = 0;
    for (let slot = 0; slot + 1 < offsets.length; slot++) {
      const own = { values, from: offsets[slot]!, until: offsets[slot + 1]! };
      const other = { values: others.values, from: others.offsets[slot]!, until: others.offsets[slot + 1]! };
      row = joinRuns(own, other, made, row);
      ends[slot + 1] = row;
    }
    return new SortedSamples(this.ordinals, ends, row === most ? made : firstRows(made, row));
  }
}

const NO_FLAGS = new Uint32Array(0);

/** Some rows of sorted samples. Readers of `rows` need no ordinals and no flags of each. */
class SortedChunk implements SampleChunk {
  readonly timesMs: Float64Array;
  readonly values: Float64Array;
  readonly startTimesMs: Float64Array | undefined;
  readonly rows: SeriesRows;
  readonly #samples: SortedSamples;

  constructor(samples: SortedSamples, rows: SeriesRows) {
    this.timesMs = samples.values.timesMs;
    this.values = samples.values.numbers;
    this.startTimesMs = samples.values.startTimesMs;
    this.rows = rows;
    this.#samples = samples;
  }

  get ordinals(): Uint32Array {
    const { ordinals, offsets } = this.#samples;
    const made = new Uint32Array(this.timesMs.length);
    for (let slot = 0; slot < ordinals.length; slot++) made.fill(ordinals[slot]!, offsets[slot], offsets[slot + 1]);
    return made;
  }

  get flags(): Uint32Array {
    return this.#samples.values.flags ?? noFlags(this.timesMs.length);
  }
}

function hasNoNumbers(numbers: Float64Array): boolean {
  for (let row = 0; row < numbers.length; row++) if (Number.isNaN(numbers[row])) return true;
  return false;
}

function mayFall(numbers: Float64Array, from: number, until: number): boolean {
  for (let row = from + 1; row < until; row++) if (!(numbers[row]! >= numbers[row - 1]!)) return true;
  return false;
}

interface Run {
  readonly values: SampleValues;
  readonly from: number;
  readonly until: number;
}

/** Copies the samples of a series in order of time and returns the row behind them. */
function joinRuns(own: Run, other: Run, to: SampleValues, row: number): number {
  const own0 = own.values.timesMs;
  const other0 = other.values.timesMs;
  let [ownAt, otherAt, at] = [own.from, other.from, row];
  while (ownAt < own.until && otherAt < other.until) {
    // As many as lie before the next of the other.
    const ownEnd = firstAtLeast(own0, ownAt, own.until, other0[otherAt]!);
    copyRange(own.values, ownAt, ownEnd, to, at);
    at += ownEnd - ownAt;
    ownAt = ownEnd;
    if (ownAt === own.until) break;
    const otherEnd = firstAtLeast(other0, otherAt, other.until, nextUp(own0[ownAt]!));
    copyRange(other.values, otherAt, otherEnd, to, at);
    at += otherEnd - otherAt;
    otherAt = otherEnd;
    if (own0[ownAt] === other0[otherAt - 1]) ownAt++;
  }
  copyRange(own.values, ownAt, own.until, to, at);
  at += own.until - ownAt;
  copyRange(other.values, otherAt, other.until, to, at);
  return at + other.until - otherAt;
}

function firstRows({ timesMs, numbers, flags, startTimesMs }: SampleValues, rows: number): SampleValues {
  return {
    timesMs: timesMs.slice(0, rows),
    numbers: numbers.slice(0, rows),
    flags: flags?.slice(0, rows),
    startTimesMs: startTimesMs?.slice(0, rows),
  };
}
