/** First and last time of many things, by number, in columns that grow. */
export class TimeSpans {
  #firstMs = new Float64Array(0);
  #lastMs = new Float64Array(0);

  /** Widens the span of `at`. */
  add(at: number, firstMs: number, lastMs: number): void {
    if (at >= this.#firstMs.length) this.#grow(at + 1);
    if (firstMs < this.#firstMs[at]!) this.#firstMs[at] = firstMs;
    if (lastMs > this.#lastMs[at]!) this.#lastMs[at] = lastMs;
  }

  /** Forgets all spans. */
  clear(): void {
    this.#firstMs.fill(Infinity);
    this.#lastMs.fill(-Infinity);
  }

  /** Cuts what lies before `beginMs` off; a span that ends before is gone. */
  cut(at: number, beginMs: number): void {
    if (at >= this.#firstMs.length || this.#firstMs[at]! >= beginMs) return;
    const isGone = this.#lastMs[at]! < beginMs;
    this.#firstMs[at] = isGone ? Infinity : beginMs;
    if (isGone) this.#lastMs[at] = -Infinity;
  }

  /** Infinity when nothing was added. */
  firstMs(at: number): number {
    return at < this.#firstMs.length ? this.#firstMs[at]! : Infinity;
  }

  lastMs(at: number): number {
    return at < this.#lastMs.length ? this.#lastMs[at]! : -Infinity;
  }

  overlaps(at: number, fromMs: number, untilMs: number): boolean {
    return at < this.#firstMs.length && this.#firstMs[at]! <= untilMs && this.#lastMs[at]! >= fromMs;
  }

  /** Whether each of the first `count` does. */
  allOverlap(count: number, fromMs: number, untilMs: number): boolean {
    if (count > this.#firstMs.length) return false;
    for (let at = 0; at < count; at++)
      if (!(this.#firstMs[at]! <= untilMs && this.#lastMs[at]! >= fromMs)) return false;
    return true;
  }

  #grow(least: number): void {
    const length = Math.max(least, 2 * this.#firstMs.length, 64);
    const firstMs = new Float64Array(length).fill(Infinity);
    const lastMs = new Float64Array(length).fill(-Infinity);
    firstMs.set(this.#firstMs);
    lastMs.set(this.#lastMs);
    this.#firstMs = firstMs;
    this.#lastMs = lastMs;
  }
}
