import type { HistogramColumns } from './histogram-columns.ts';
import type { HistogramWeights } from './histogram-weight.ts';
import type { FloatHistogram } from './histogram.ts';
import { giveBackColumns, takeColumns } from './spare-columns.ts';

/** The histograms of a vector at every step, by cell: objects, or where they are in columns. */
export class HistogramCells {
  readonly #objects: (FloatHistogram | undefined)[] = [];
  readonly #cells: number;
  readonly #sources: HistogramColumns[] = [];
  /** By cell: the number of its columns and one, 0 for an object; and its index there. */
  #sourceOf = NOWHERE;
  #indexOf = NOWHERE;
  #made: HistogramColumns | undefined;

  constructor(cells: number) {
    this.#cells = cells;
  }

  /** Columns for histograms that are worked out for these cells. */
  get made(): HistogramColumns {
    return (this.#made ??= takeColumns());
  }

  /** Has what was worked out for these cells go: nobody looks at them again, or at histograms that were made of them. */
  giveBack(): void {
    if (this.#made !== undefined) giveBackColumns(this.#made);
    this.#made = undefined;
    this.#sources.length = 0;
  }

  /** That of a cell that holds one. */
  get(cell: number): FloatHistogram {
    return this.columnsAt(cell)?.at(this.indexAt(cell)) ?? this.#objects[cell]!;
  }

  set(cell: number, histogram: FloatHistogram): void {
    this.#objects[cell] = histogram;
    if (this.#sourceOf !== NOWHERE) this.#sourceOf[cell] = 0;
  }

  /** The one of `index` in `columns`. */
  refer(cell: number, columns: HistogramColumns, index: number): void {
    if (this.#sourceOf === NOWHERE) {
      this.#sourceOf = new Uint32Array(this.#cells);
      this.#indexOf = new Uint32Array(this.#cells);
    }
    if (this.#sources.at(-1) !== columns && !this.#sources.includes(columns)) this.#sources.push(columns);
    const last = this.#sources.length;
    this.#sourceOf[cell] = this.#sources[last - 1] === columns ? last : this.#sources.indexOf(columns) + 1;
    this.#indexOf[cell] = index;
  }

  /** The last one of `made`: an object takes its place when most of its room is for empty buckets. */
  giveMade(cell: number): void {
    const { made } = this;
    const index = made.length - 1;
    if (made.isDense(index)) {
      this.refer(cell, made, index);
      return;
    }
    this.set(cell, made.at(index));
    made.dropLast();
  }

  /** The one of a cell of others. */
  copy(cell: number, from: HistogramCells, fromCell: number): void {
    const columns = from.columnsAt(fromCell);
    if (columns === undefined) this.set(cell, from.get(fromCell));
    else this.refer(cell, columns, from.indexAt(fromCell));
  }

  /** Undefined for an object. */
  columnsAt(cell: number): HistogramColumns | undefined {
    return this.#sourceOf === NOWHERE ? undefined : this.#sources[this.#sourceOf[cell]! - 1];
  }

  indexAt(cell: number): number {
    return this.#indexOf[cell]!;
  }

  weight(cell: number, weights: HistogramWeights): number {
    return this.columnsAt(cell)?.weight(this.indexAt(cell)) ?? weights.of(this.#objects[cell]!);
  }
}

const NOWHERE = new Uint32Array(0);
