import type { ExponentialHistogramChunk } from '../../../materialize/index.ts';
import { HistogramColumns, UNKNOWN, UNTOLD } from '../promql/histogram-columns.ts';
import { HistogramSlice } from '../promql/histogram-slice.ts';
import { comparison, formOfPoint } from './exponential-filler.ts';
import { NO_RECORDED_VALUE } from './float-columns.ts';
import type { NativeSamples } from './native-columns.ts';
import type { PointSlots } from './point-slots.ts';

/**
 * Native histograms of a chunk whose points stand by series and time already, as those that are kept mostly do: its columns are used as they are, and no point is
 * looked up.
 */
export class SortedNativeColumns {
  readonly #columns: HistogramColumns;
  readonly #timesMs: Float64Array;
  /** Rows of each slot. */
  readonly #from: Uint32Array;
  readonly #until: Uint32Array;

  private constructor(columns: HistogramColumns, timesMs: Float64Array, slots: number) {
    this.#columns = columns;
    this.#timesMs = timesMs;
    this.#from = new Uint32Array(slots);
    this.#until = new Uint32Array(slots);
  }

  /** Undefined when a series is in several places or not in order of time, or a point needs a change or has no value. */
  static of(chunk: ExponentialHistogramChunk, slots: PointSlots): SortedNativeColumns | undefined {
    const { ordinals, timesMs, flags, changes } = chunk;
    if (changes === undefined) return undefined;
    const rows = ordinals.length;
    const columns = HistogramColumns.over(chunk, {
      starts: chunk.positiveOffsets,
      negativeStarts: chunk.negativeOffsets,
    });
    columns.addPage(chunk.positiveCounts, chunk.negativeCounts);
    const sorted = new SortedNativeColumns(columns, timesMs, slots.count);
    let slot = -1;
    let form = -1;
    let ordinal = -1;
    for (let row = 0; row < rows; row++) {
      const isSame = ordinals[row] === ordinal;
      if (!isSame) {
        ordinal = ordinals[row]!;
        slot = slots.of(ordinal);
      }
      if (slot === -1) {
        form = -1;
        continue;
      }
      if ((flags[row]! & NO_RECORDED_VALUE) !== 0) return undefined;
      if (isSame && timesMs[row]! <= timesMs[row - 1]!) return undefined;
      if (!isSame && !sorted.#begin(slot, row)) return undefined;
      sorted.#until[slot] = row + 1;
      if (form === -1 || changes[row] === 0) {
        const own = formOfPoint(chunk, row);
        if (own === undefined) return undefined;
        form = columns.formNumber(own);
      }
      columns.formOf[row] = form;
      columns.hints[row] = isSame ? UNTOLD : UNKNOWN;
      columns.changes[row] = comparison(changes[row]!);
    }
    return sorted;
  }

  #begin(slot: number, row: number): boolean {
    if (this.#until[slot] !== 0) return false;
    this.#from[slot] = row;
    return true;
  }

  /** Those of a slot. */
  of(slot: number): NativeSamples {
    const from = this.#from[slot]!;
    const until = this.#until[slot]!;
    const values = new HistogramSlice(this.#columns, from, until - from);
    return { histograms: { timesMs: this.#timesMs.subarray(from, until), values }, floats: NO_FLOATS };
  }
}

const NO_FLOATS = { timesMs: new Float64Array(0), values: new Float64Array(0) };
