import type { FloatHistogram } from './histogram.ts';

/** The histograms of a vector at every step, by cell. */
export class HistogramCells {
  readonly #objects: (FloatHistogram | undefined)[] = [];

  /** That of a cell that holds one. */
  get(cell: number): FloatHistogram {
    return this.#objects[cell]!;
  }

  set(cell: number, histogram: FloatHistogram): void {
    this.#objects[cell] = histogram;
  }
}
