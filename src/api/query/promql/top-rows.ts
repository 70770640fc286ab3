/**
 * The rows with the greatest values (or the least) of those offered. A heap of the size asked for, with the value that goes first on top, and
 * moved as Go's container/heap moves, so that of equal values the same rows stay as upstream.
 */
export class TopRows {
  readonly #sign: 1 | -1;
  #limit = 0;
  #rows: number[] = [];
  #values: number[] = [];

  constructor(isTop: boolean) {
    this.#sign = isTop ? 1 : -1;
  }

  begin(limit: number): void {
    this.#limit = limit;
    this.#rows = [];
    this.#values = [];
  }

  offer(row: number, value: number): void {
    const values = this.#values;
    if (values.length < this.#limit) {
      this.#rows.push(row);
      values.push(value);
      this.#up(values.length - 1);
      return;
    }
    const first = values[0]!;
    const goes = this.#sign * first < this.#sign * value || (Number.isNaN(first) && !Number.isNaN(value));
    if (!goes) return;
    this.#rows[0] = row;
    values[0] = value;
    this.#down(0);
  }

  /** The rows, greatest first (or least), NaN last. */
  sorted(): number[] {
    const order = this.#values.map((_, index) => index);
    order.sort((left, right) => {
      const a = this.#values[left]!;
      const b = this.#values[right]!;
      if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
      return this.#sign * (b - a) || (a === b ? 0 : this.#sign * (b > a ? 1 : -1));
    });
    return order.map((index) => this.#rows[index]!);
  }

  #isLess(left: number, right: number): boolean {
    const a = this.#values[left]!;
    return Number.isNaN(a) || this.#sign * a < this.#sign * this.#values[right]!;
  }

  #up(from: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isLess(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #down(from: number): void {
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#values.length) return;
      if (child + 1 < this.#values.length && this.#isLess(child + 1, child)) child++;
      if (!this.#isLess(child, at)) return;
      this.#swap(at, child);
      at = child;
    }
  }

  #swap(left: number, right: number): void {
    const row = this.#rows[left]!;
    const value = this.#values[left]!;
    this.#rows[left] = this.#rows[right]!;
    this.#values[left] = this.#values[right]!;
    this.#rows[right] = row;
    this.#values[right] = value;
  }
}
