/** The first size of the table; it doubles whenever it is half full. */
const SLOTS_MIN = 1024;

/**
 * Ordinals of series by their 64-bit ids, found millions of times a query: an open-addressing table over the two halves of an id, since a Map of bigints takes ten
 * times as long. Ids are hashes, so their low bits spread by themselves.
 */
export class SeriesIds {
  /** Low and high half of each id, by ordinal. */
  #words = new Uint32Array(2 * SLOTS_MIN);
  #size = 0;
  /** Ordinal + 1; 0 is free. */
  #slots = new Uint32Array(SLOTS_MIN);

  get size(): number {
    return this.#size;
  }

  /** The ordinal of an id, or -1. */
  find(low: number, high: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const ordinal = this.#slots[slot]! - 1;
      if (ordinal === -1) return -1;
      if (this.#words[2 * ordinal] === low && this.#words[2 * ordinal + 1] === high) return ordinal;
    }
  }

  /** The id of an ordinal. */
  at(ordinal: number): bigint {
    return (BigInt(this.#words[2 * ordinal + 1]!) << 32n) | BigInt(this.#words[2 * ordinal]!);
  }

  lowAt(ordinal: number): number {
    return this.#words[2 * ordinal]!;
  }

  highAt(ordinal: number): number {
    return this.#words[2 * ordinal + 1]!;
  }

  /** Gives an id that is not in the table yet the next ordinal. */
  add(low: number, high: number): number {
    if (2 * (this.#size + 1) > this.#slots.length) this.#grow();
    const ordinal = this.#size++;
    this.#words[2 * ordinal] = low;
    this.#words[2 * ordinal + 1] = high;
    this.#place(ordinal);
    return ordinal;
  }

  #place(ordinal: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#words[2 * ordinal]! & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = ordinal + 1;
  }

  #grow(): void {
    const words = new Uint32Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
    this.#slots = new Uint32Array(2 * this.#slots.length);
    for (let ordinal = 0; ordinal < this.#size; ordinal++) this.#place(ordinal);
  }
}
