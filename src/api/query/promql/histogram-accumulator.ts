import { compensationOf } from './compensated-sum.ts';
import { hasCustomBuckets } from './histogram-bounds.ts';
import type { HistogramColumns } from './histogram-columns.ts';
import { areAlike, type HistogramForm } from './histogram-form.ts';

/** More buckets than these are summed up as objects, which have no empty ones: they may be few in a wide range. */
const BUCKETS_MAX = 16_384;

/**
 * A running sum of histograms in columns that keeps rounding errors aside: what `HistogramSum` gives, bit for bit, of histograms whose buckets need no change to be
 * added. One object serves many sums: `begin`, `reach` for the form of each that will be added, `start`, `add` for each, `giveTo`.
 */
export class HistogramAccumulator {
  #form: HistogramForm | undefined;
  #isCustom = false;
  #added = 0;
  /** Zero count, count and sum, each with its compensation behind it. */
  readonly #totals = new Float64Array(6);
  readonly #positive = new AccumulatedSide();
  readonly #negative = new AccumulatedSide();

  begin(): void {
    this.#form = undefined;
    this.#positive.forget();
    this.#negative.forget();
  }

  /** Makes room for the histogram of an index; false when it cannot be added bucket by bucket to those reached before. */
  reach(columns: HistogramColumns, index: number): boolean {
    const number = columns.formOf[index]!;
    const form = columns.forms[number]!;
    if (form === this.#form) return true;
    if (!columns.arePlain[number]! || (this.#form !== undefined && !areAlike(form, this.#form))) return false;
    if (this.#form === undefined) this.#isCustom = hasCustomBuckets(form);
    this.#form = form;
    this.#positive.reach(form.positiveFirst, form.positiveSize);
    this.#negative.reach(form.negativeFirst, form.negativeSize);
    return this.#positive.size + this.#negative.size <= BUCKETS_MAX;
  }

  /** Everything is 0 from here on. */
  start(): void {
    this.#added = 0;
    this.#totals.fill(0);
    this.#positive.start();
    this.#negative.start();
  }

  add(columns: HistogramColumns, index: number, sign: 1 | -1): void {
    const page = columns.pageOf[index]!;
    const { positiveFirst, positiveSize, negativeFirst, negativeSize } = columns.formAt(index);
    // As upstream: zero buckets of those with custom ones are not added.
    if (!this.#isCustom || this.#added === 0) this.#increase(0, sign * columns.zeroCounts[index]!);
    this.#added++;
    this.#increase(2, sign * columns.counts[index]!);
    this.#increase(4, sign * columns.sums[index]!);
    if (positiveSize > 0)
      this.#positive.add(columns.pages[page]!, columns.startOf[index]!, positiveSize, positiveFirst, sign);
    if (negativeSize > 0)
      this.#negative.add(
        columns.negativePages[page]!,
        columns.negativeStartOf[index]!,
        negativeSize,
        negativeFirst,
        sign,
      );
  }

  /** Whether every part is a number still: what became infinite may be NaN by now. */
  isFinite(): boolean {
    return this.#totals.every(Number.isFinite) && this.#positive.isFinite() && this.#negative.isFinite();
  }

  /** Puts the sum so far by `divisor` at the end of `target`, and gives its index. */
  giveTo(target: HistogramColumns, hint: number, divisor: number): number {
    const { schema, zeroThreshold, customValues } = this.#form!;
    const positive = this.#positive;
    const negative = this.#negative;
    const form = target.formNumber({
      schema,
      zeroThreshold,
      customValues,
      positiveFirst: positive.first,
      positiveSize: positive.size,
      negativeFirst: negative.first,
      negativeSize: negative.size,
    });
    const index = target.addEmpty(form, hint);
    target.zeroCounts[index] = this.#total(0) / divisor;
    target.counts[index] = this.#total(2) / divisor;
    target.sums[index] = this.#total(4) / divisor;
    positive.giveTo(target.pages[target.pageOf[index]!]!, target.startOf[index]!, divisor);
    negative.giveTo(target.negativePages[target.pageOf[index]!]!, target.negativeStartOf[index]!, divisor);
    return index;
  }

  #increase(at: 0 | 2 | 4, value: number): void {
    const sum = this.#totals[at]!;
    const total = sum + value;
    this.#totals[at + 1] = compensationOf(sum, value, total, this.#totals[at + 1]!);
    this.#totals[at] = total;
  }

  #total(at: 0 | 2 | 4): number {
    return this.#totals[at]! + this.#totals[at + 1]!;
  }
}

/** Buckets of one side, one beside the other. */
class AccumulatedSide {
  first = 0;
  size = 0;
  #counts = new Float64Array(64);
  #compensations = new Float64Array(64);

  forget(): void {
    this.first = 0;
    this.size = 0;
  }

  reach(first: number, size: number): void {
    if (size === 0) return;
    if (this.size === 0) {
      this.first = first;
      this.size = size;
      return;
    }
    const end = Math.max(this.first + this.size, first + size);
    this.first = Math.min(this.first, first);
    this.size = end - this.first;
  }

  start(): void {
    const { size } = this;
    if (size > this.#counts.length) {
      this.#counts = new Float64Array(2 * size);
      this.#compensations = new Float64Array(2 * size);
      return;
    }
    this.#counts.fill(0, 0, size);
    this.#compensations.fill(0, 0, size);
  }

  add(page: Float64Array, start: number, size: number, first: number, sign: number): void {
    const counts = this.#counts;
    const compensations = this.#compensations;
    const end = start + size;
    for (let from = start, at = first - this.first; from < end; from++, at++) {
      const sum = counts[at]!;
      const value = sign * page[from]!;
      const total = sum + value;
      compensations[at] = compensationOf(sum, value, total, compensations[at]!);
      counts[at] = total;
    }
  }

  isFinite(): boolean {
    for (let at = 0; at < this.size; at++)
      if (!Number.isFinite(this.#counts[at]) || !Number.isFinite(this.#compensations[at])) return false;
    return true;
  }

  giveTo(page: Float64Array, start: number, divisor: number): void {
    for (let at = 0; at < this.size; at++) page[start + at] = (this.#counts[at]! + this.#compensations[at]!) / divisor;
  }
}
