import type { HistogramChunk } from '../../../materialize/index.ts';
import { FloatRows } from '../promql/float-rows.ts';
import type { FloatColumn } from '../promql/source.ts';
import type { FloatColumnOptions } from './float-columns.ts';

type BucketTotals = NonNullable<HistogramChunk['totals']>;

/** Bucket series of classic histograms out of buckets that are added up already. */
export class TotalColumns {
  readonly #totals: BucketTotals;
  /** By list of bounds and text of `le`: the column. */
  readonly #columns = new Map<Float64Array, Map<string, number>>();

  constructor(totals: BucketTotals) {
    this.#totals = totals;
  }

  /** Of a slot the series of each of `bounds` (texts of `le`); undefined when its points are to be read one by one. */
  of(slot: number, bounds: readonly string[], options: FloatColumnOptions): FloatColumn[] | undefined {
    const { timesMs, values, from, until, rowsFrom, rowsUntil, valuesFrom, mayFall, mayFallFrom } = this.#totals;
    const own = this.#totals.bounds[slot];
    const first = from[slot]!;
    const end = until[slot]!;
    if (own === undefined || options.isDelta || options.withStartTimes) return undefined;
    if (first < end && timesMs[first]! < options.fromMs) return undefined;
    const columns = { timesMs, values };
    const points = rowsUntil[slot]! - rowsFrom[slot]!;
    return bounds.map((text) => {
      const column = this.#columnOf(own, text);
      if (column === -1) return NOTHING;
      return new FloatRows(columns, {
        first,
        end,
        shift: valuesFrom[slot]! + column * points - rowsFrom[slot]!,
        mayFall: mayFall[mayFallFrom[slot]! + column] === 1,
      });
    });
  }

  #columnOf(own: Float64Array, text: string): number {
    let columns = this.#columns.get(own);
    if (columns === undefined) this.#columns.set(own, (columns = new Map()));
    let column = columns.get(text);
    if (column === undefined) {
      column = text === '+Inf' ? own.length : own.findIndex((bound) => Object.is(bound, Number(text)));
      columns.set(text, column);
    }
    return column;
  }
}

const NOTHING: FloatColumn = { timesMs: new Float64Array(0), values: new Float64Array(0) };
