import type { FloatHistogram, HistogramList } from './histogram.ts';
import { HistogramCells } from './histogram-cells.ts';
import { HistogramSlice } from './histogram-slice.ts';
import { HistogramWeights } from './histogram-weight.ts';
import type { Labels } from './labels.ts';

/** What a cell holds. */
export const ABSENT = 0;
export const FLOAT = 1;
export const HISTOGRAM = 2;

/**
 * A vector at every step: one row for a series, one cell for a step. The cells of all rows lie in one array, because a typed array of its own
 * for each of many short rows costs more than its content. A row has cells from `from` to `to` (exclusive) only, so that series which come and
 * go take no more room than they live; the cell of step s of row r is `base[r] + s`.
 *
 * Columns are never written once the matrix has been handed on, so that matrices may share them.
 */
export class Matrix {
  readonly labels: readonly Labels[];
  /** 1: the name of this row goes at the end of the evaluation. */
  readonly dropName: Uint8Array;
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly base: Int32Array;
  readonly values: Float64Array;
  readonly kinds: Uint8Array;
  /** Undefined while no cell holds one. */
  histograms: HistogramCells | undefined;

  constructor(columns: Columns) {
    this.labels = columns.labels;
    this.dropName = columns.dropName;
    this.from = columns.from;
    this.to = columns.to;
    this.base = columns.base;
    this.values = columns.values;
    this.kinds = columns.kinds;
    this.histograms = columns.histograms;
  }

  static readonly empty = Matrix.allocate([], new Int32Array(0), new Int32Array(0));

  /** Rows of absent cells between the given steps. */
  static allocate(labels: readonly Labels[], from: Int32Array, to: Int32Array): Matrix {
    const base = new Int32Array(labels.length);
    let cells = 0;
    for (let row = 0; row < labels.length; row++) {
      base[row] = cells - from[row]!;
      cells += to[row]! - from[row]!;
    }
    return new Matrix({
      labels,
      dropName: new Uint8Array(labels.length),
      from,
      to,
      base,
      values: new Float64Array(cells),
      kinds: new Uint8Array(cells),
      histograms: undefined,
    });
  }

  /** Rows of absent cells for every step. */
  static dense(labels: readonly Labels[], steps: number): Matrix {
    return Matrix.allocate(labels, new Int32Array(labels.length), new Int32Array(labels.length).fill(steps));
  }

  /** A row of floats without labels or gaps. */
  static ofRow(labels: Labels, values: Float64Array): Matrix {
    const matrix = Matrix.dense([labels], values.length);
    matrix.values.set(values);
    matrix.kinds.fill(FLOAT);
    return matrix;
  }

  get rows(): number {
    return this.labels.length;
  }

  setFloat(cell: number, value: number): void {
    this.values[cell] = value;
    this.kinds[cell] = FLOAT;
  }

  setHistogram(cell: number, histogram: FloatHistogram): void {
    this.heldHistograms.set(cell, histogram);
    this.kinds[cell] = HISTOGRAM;
  }

  /** That of a cell of `from`. */
  copyHistogram(cell: number, from: Matrix, fromCell: number): void {
    this.heldHistograms.copy(cell, from.histograms!, fromCell);
    this.kinds[cell] = HISTOGRAM;
  }

  /** The one of an index below the length of `list`. */
  pickHistogram(cell: number, list: HistogramList, index: number): void {
    if (list instanceof HistogramSlice) this.heldHistograms.refer(cell, list.columns, list.first + index);
    else this.heldHistograms.set(cell, list.at(index)!);
    this.kinds[cell] = HISTOGRAM;
  }

  /** The one that was put last into the columns of `heldHistograms.made`. */
  giveMadeHistogram(cell: number): void {
    this.heldHistograms.giveMade(cell);
    this.kinds[cell] = HISTOGRAM;
  }

  /** Where histograms of cells are held: made for the first. */
  get heldHistograms(): HistogramCells {
    return (this.histograms ??= new HistogramCells(this.kinds.length));
  }

  /** Of a cell that holds one. */
  histogram(cell: number): FloatHistogram {
    return this.histograms!.get(cell);
  }

  /** The same with some columns replaced. */
  with(columns: Partial<Columns>): Matrix {
    const { labels, dropName, from, to, base, values, kinds, histograms } = this;
    return new Matrix({ labels, dropName, from, to, base, values, kinds, histograms, ...columns });
  }

  /** Some of the rows, in the order given; cells are shared. */
  pick(rows: ArrayLike<number>): Matrix {
    const labels: Labels[] = [];
    const dropName = new Uint8Array(rows.length);
    const from = new Int32Array(rows.length);
    const to = new Int32Array(rows.length);
    const base = new Int32Array(rows.length);
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index]!;
      labels.push(this.labels[row]!);
      dropName[index] = this.dropName[row]!;
      from[index] = this.from[row]!;
      to[index] = this.to[row]!;
      base[index] = this.base[row]!;
    }
    return this.with({ labels, dropName, from, to, base });
  }

  isEmptyRow(row: number): boolean {
    const base = this.base[row]!;
    for (let cell = base + this.from[row]!; cell < base + this.to[row]!; cell++) {
      if (this.kinds[cell] !== ABSENT) return false;
    }
    return true;
  }

  /** Only rows that hold something. */
  withoutEmptyRows(): Matrix {
    const rows: number[] = [];
    for (let row = 0; row < this.rows; row++) if (!this.isEmptyRow(row)) rows.push(row);
    return rows.length === this.rows ? this : this.pick(rows);
  }

  /** What `row` holds at `step`. */
  kindAt(row: number, step: number): number {
    return step < this.from[row]! || step >= this.to[row]! ? ABSENT : this.kinds[this.base[row]! + step]!;
  }

  /** How many samples all rows hold; a histogram counts by its size. */
  samples(): number {
    let samples = 0;
    const weights = new HistogramWeights();
    for (let row = 0; row < this.rows; row++) {
      const base = this.base[row]!;
      for (let cell = base + this.from[row]!; cell < base + this.to[row]!; cell++) {
        const kind = this.kinds[cell];
        if (kind === FLOAT) samples++;
        else if (kind === HISTOGRAM) samples += this.histograms!.weight(cell, weights);
      }
    }
    return samples;
  }
}

/** The columns of a matrix. */
export interface Columns {
  readonly labels: readonly Labels[];
  readonly dropName: Uint8Array;
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly base: Int32Array;
  readonly values: Float64Array;
  readonly kinds: Uint8Array;
  readonly histograms: HistogramCells | undefined;
}
