import { type ClassicBucket, type ClassicQuantile, classicFraction, classicQuantile } from './classic-quantile.ts';
import type { ClassicGroup } from './classic-groups.ts';
import { FLOAT, type Matrix } from './matrix.ts';

/** The buckets of a classic histogram at one step, gathered into columns that are used again for the next. */
export class ClassicColumns {
  readonly #input: Matrix;
  readonly #group: ClassicGroup;
  readonly #bounds: Float64Array;
  readonly #counts: Float64Array;
  #size = 0;

  constructor(input: Matrix, group: ClassicGroup) {
    this.#input = input;
    this.#group = group;
    this.#bounds = new Float64Array(group.rows.length);
    this.#counts = new Float64Array(group.rows.length);
  }

  /** False when there are no buckets at this step, or a native histogram stands beside them. */
  gather(step: number): boolean {
    const { rows, bounds, conflicts } = this.#group;
    const { from, to, base, kinds, values } = this.#input;
    this.#size = 0;
    if (conflicts?.[step] === 1) return false;
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index]!;
      if (step < from[row]! || step >= to[row]! || kinds[base[row]! + step] !== FLOAT) continue;
      this.#bounds[this.#size] = bounds[index]!;
      this.#counts[this.#size] = values[base[row]! + step]!;
      this.#size++;
    }
    return this.#size > 0;
  }

  quantile(q: number): ClassicQuantile {
    if (q >= 0 && q <= 1 && this.#isOrderly()) return { value: this.#quantileOfOrderly(q), repair: undefined };
    return classicQuantile(q, this.#buckets());
  }

  fraction(lower: number, upper: number): number {
    return classicFraction(lower, upper, this.#buckets());
  }

  #buckets(): ClassicBucket[] {
    const buckets: ClassicBucket[] = [];
    for (let index = 0; index < this.#size; index++)
      buckets.push({ upperBound: this.#bounds[index]!, count: this.#counts[index]! });
    return buckets;
  }

  /** The usual case, where nothing is to be merged or repaired: bounds differ up to +Inf, and counts that differ rise by more than rounding. */
  #isOrderly(): boolean {
    const size = this.#size;
    const bounds = this.#bounds;
    const counts = this.#counts;
    if (size < 2 || bounds[size - 1] !== Infinity || !(counts[0]! >= 0) || counts[size - 1] === 0) return false;
    for (let index = 1; index < size; index++) {
      if (!(bounds[index - 1]! < bounds[index]!)) return false;
      const before = counts[index - 1]!;
      const count = counts[index]!;
      if (count !== before && !(count > before * CLEAR_RISE && count - before > SMALLEST_RISE)) return false;
    }
    return true;
  }

  /** As `classicQuantile`, without its checks. */
  #quantileOfOrderly(q: number): number {
    const bounds = this.#bounds;
    const counts = this.#counts;
    const last = this.#size - 1;
    const rank = q * counts[last]!;
    let at = 0;
    while (at < last && !(counts[at]! >= rank)) at++;
    if (at === last) return bounds[last - 1]!;
    if (at === 0) return bounds[0]! <= 0 ? bounds[0]! : bounds[0]! * (rank / counts[0]!);
    const start = bounds[at - 1]!;
    return start + (bounds[at]! - start) * ((rank - counts[at - 1]!) / (counts[at]! - counts[at - 1]!));
  }
}

/** Far above what counts as rounding (1e-12), so that no rise near that is decided here. */
const CLEAR_RISE = 1 + 1e-10;
const SMALLEST_RISE = 1e-300;
