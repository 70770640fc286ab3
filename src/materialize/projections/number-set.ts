const PAGE_BITS = 15;
const PAGE_WORDS = 2 ** (PAGE_BITS - 5);

/** A set of numbers of 32 bits that lie close together: a bit each, in pages. */
export class NumberSet {
  readonly #pages = new Map<number, Uint32Array>();

  has(number: number): boolean {
    const page = this.#pages.get(number >>> PAGE_BITS);
    return page !== undefined && (page[wordOf(number)]! & (1 << (number & 31))) !== 0;
  }

  add(number: number): void {
    const at = number >>> PAGE_BITS;
    let page = this.#pages.get(at);
    if (page === undefined) {
      page = new Uint32Array(PAGE_WORDS);
      this.#pages.set(at, page);
    }
    page[wordOf(number)]! |= 1 << (number & 31);
  }

  delete(number: number): void {
    const at = number >>> PAGE_BITS;
    const page = this.#pages.get(at);
    if (page === undefined) return;
    page[wordOf(number)]! &= ~(1 << (number & 31));
    if (page.every((word) => word === 0)) this.#pages.delete(at);
  }

  clear(): void {
    this.#pages.clear();
  }
}

function wordOf(number: number): number {
  return (number >>> 5) & (PAGE_WORDS - 1);
}
