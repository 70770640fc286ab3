import type { FloatColumn } from './source.ts';

/** Columns that many series share. */
interface FloatColumns {
  readonly timesMs: Float64Array;
  readonly values: Float64Array;
}

/**
 * Samples of one series as rows `first` to `end` (exclusive) of columns that it shares with others; none of them is a stale marker, or any other NaN. Views of the rows
 * are made only for who asks for them: those of many short series cost more than what is worked out of them.
 */
export class FloatRows implements FloatColumn {
  readonly columns: FloatColumns;
  readonly first: number;
  readonly end: number;
  /** What to add to the row of a time to find its value. */
  readonly shift: number;
  /** False when no value is below the one before. */
  readonly mayFall: boolean;
  #timesMs: Float64Array | undefined;
  #values: Float64Array | undefined;

  constructor(columns: FloatColumns, place: RowPlace) {
    this.columns = columns;
    this.first = place.first;
    this.end = place.end;
    this.shift = place.shift;
    this.mayFall = place.mayFall;
  }

  get timesMs(): Float64Array {
    return (this.#timesMs ??= this.columns.timesMs.subarray(this.first, this.end));
  }

  get values(): Float64Array {
    return (this.#values ??= this.columns.values.subarray(this.first + this.shift, this.end + this.shift));
  }
}

/** How many samples there are; makes no view of them. */
export function lengthOf(floats: FloatColumn): number {
  return floats instanceof FloatRows ? floats.end - floats.first : floats.timesMs.length;
}

/** The time of the first sample, Infinity when there is none. */
export function firstOfRows({ columns, first, end }: FloatRows): number {
  return first === end ? Infinity : columns.timesMs[first]!;
}

/** The time of the last sample, -Infinity when there is none. */
export function lastOfRows({ columns, first, end }: FloatRows): number {
  return first === end ? -Infinity : columns.timesMs[end - 1]!;
}

/** Where the rows of a series are. */
interface RowPlace {
  readonly first: number;
  readonly end: number;
  readonly shift: number;
  readonly mayFall: boolean;
}
