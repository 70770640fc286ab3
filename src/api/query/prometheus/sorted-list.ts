/** Items in order, kept up as some are added: only new ones are sorted, when the order is next asked for. */
export class SortedList<T> {
  readonly #compare: (left: T, right: T) => number;
  #sorted: readonly T[] = [];
  #fresh: T[] = [];

  constructor(compare: (left: T, right: T) => number) {
    this.#compare = compare;
  }

  add(item: T): void {
    this.#fresh.push(item);
  }

  /** Of equal items the one that was added first stands first. */
  get items(): readonly T[] {
    if (this.#fresh.length > 0) {
      this.#sorted = merged(this.#sorted, this.#fresh.sort(this.#compare), this.#compare);
      this.#fresh = [];
    }
    return this.#sorted;
  }
}

function merged<T>(left: readonly T[], right: readonly T[], compare: (left: T, right: T) => number): readonly T[] {
  if (left.length === 0) return right;
  const items: T[] = [];
  let leftAt = 0;
  for (const item of right) {
    while (leftAt < left.length && compare(left[leftAt]!, item) <= 0) items.push(left[leftAt++]!);
    items.push(item);
  }
  while (leftAt < left.length) items.push(left[leftAt++]!);
  return items;
}
