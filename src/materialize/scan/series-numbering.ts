import { UNKNOWN_ORDINAL } from './types.ts';

/** Ordinals of one page: numbers lie close together, but need not begin at 1. */
const PAGE_BITS = 12;
const PAGE_SIZE = 2 ** PAGE_BITS;

/** What the stored numbers of series stand for, as long as the store tells the same numbering. A series may have several numbers. */
export class SeriesNumbering {
  /** As the store tells it. */
  readonly id: bigint;
  /** Points of entries before this one were looked at. */
  nextOffset = 0n;
  readonly #pages = new Map<number, Uint32Array>();
  /** One number of each series, by ordinal; 0 is none. */
  #numbers = new Uint32Array(PAGE_SIZE);
  /** The others of the few that have several. */
  readonly #further = new Map<number, number[]>();

  constructor(id: bigint) {
    this.id = id;
  }

  has(number: number): boolean {
    return (this.#pages.get(number >>> PAGE_BITS)?.[number & (PAGE_SIZE - 1)] ?? UNKNOWN_ORDINAL) !== UNKNOWN_ORDINAL;
  }

  /** Adds a number that is not known yet. */
  add(number: number, ordinal: number): void {
    const at = number >>> PAGE_BITS;
    let page = this.#pages.get(at);
    if (page === undefined) {
      page = new Uint32Array(PAGE_SIZE).fill(UNKNOWN_ORDINAL);
      this.#pages.set(at, page);
    }
    page[number & (PAGE_SIZE - 1)] = ordinal;
    if (ordinal >= this.#numbers.length) this.#grow(ordinal);
    if (this.#numbers[ordinal] === 0) this.#numbers[ordinal] = number;
    else this.#further.set(ordinal, [...(this.#further.get(ordinal) ?? []), number]);
  }

  numbersOf(ordinal: number): readonly number[] {
    const number = this.#numbers[ordinal] ?? 0;
    return number === 0 ? [] : [number, ...(this.#further.get(ordinal) ?? [])];
  }

  /** UNKNOWN_ORDINAL where a number is not known. */
  ordinalsOf(numbers: Uint32Array): Uint32Array {
    const ordinals = new Uint32Array(numbers.length);
    let at = -1;
    let page: Uint32Array | undefined;
    for (let row = 0; row < numbers.length; row++) {
      const number = numbers[row]!;
      if (number >>> PAGE_BITS !== at) {
        at = number >>> PAGE_BITS;
        page = this.#pages.get(at);
      }
      ordinals[row] = page === undefined ? UNKNOWN_ORDINAL : page[number & (PAGE_SIZE - 1)]!;
    }
    return ordinals;
  }

  #grow(ordinal: number): void {
    const numbers = new Uint32Array(2 * ordinal);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
  }
}
