import type { LabelMatcher } from '../promql/ast.ts';
import { compareStrings } from '../promql/labels.ts';
import { matcherTest } from '../promql/regular-expression.ts';
import type { Limited } from './metrics-view.ts';
import { SortedList } from './sorted-list.ts';

/** Positions of entries with one value, ascending. Most values of labels with many of them stand at one entry only, which needs no list. */
type Postings = number | number[];

const NO_NUMBERS = new Uint32Array(0);
const MANY = -1;

/** Regular expressions whose results are kept, for each label: a dashboard asks the same few again and again. A result takes a byte for each value. */
const EXPRESSIONS_KEPT = 8;

/** The values of one label, each with the entries that have it. */
export class LabelValues {
  readonly #numbers = new Map<string, number>();
  readonly #values: string[] = [];
  readonly #postings: Postings[] = [];
  readonly #sorted: SortedList<number>;
  readonly #tested = new Map<string, TestedValues>();
  /** What `list` returned last, as long as somebody keeps it, and the numbers of those values. */
  #listed: { readonly numbers: Uint32Array; readonly items: WeakRef<readonly string[]> } | undefined;
  /** In the order of the values: the position of the only entry that has one, or MANY. */
  #positions: Int32Array | undefined;

  constructor() {
    this.#sorted = new SortedList((left, right) => compareStrings(this.#values[left]!, this.#values[right]!));
  }

  get size(): number {
    return this.#values.length;
  }

  /** Adds a position, which must be greater than those before; the number of the value is returned. */
  add(value: string, position: number): number {
    const known = this.#numbers.get(value);
    if (known === undefined) {
      const number = this.#values.length;
      this.#numbers.set(value, number);
      this.#sorted.add(number);
      this.#values.push(value);
      this.#postings.push(position);
      this.#positions = undefined;
      return number;
    }
    const before = this.#postings[known]!;
    if (typeof before === 'number') {
      this.#postings[known] = [before, position];
      this.#positions = undefined;
    } else before.push(position);
    return known;
  }

  /** The number of a value, -1 for one that no entry has. */
  numberOf(value: string): number {
    return this.#numbers.get(value) ?? -1;
  }

  value(number: number): string {
    return this.#values[number]!;
  }

  /** Numbers of all values, in the order of the values. */
  get inOrder(): readonly number[] {
    return this.#sorted.items;
  }

  /** How many entries have the value. */
  count(number: number): number {
    const postings = this.#postings[number]!;
    return typeof postings === 'number' ? 1 : postings.length;
  }

  /** Positions of the entries that have the value, ascending. */
  positions(number: number): readonly number[] {
    const postings = this.#postings[number]!;
    return typeof postings === 'number' ? [postings] : postings;
  }

  /** Whether an entry with the value passes `test`. */
  some(number: number, test: (position: number) => boolean): boolean {
    const postings = this.#postings[number]!;
    return typeof postings === 'number' ? test(postings) : postings.some(test);
  }

  /**
   * Values in order that any entry has of which `isWanted` is 1 by its position, of all when it is null; at most `max`. While somebody keeps the list of the call before,
   * equal values are that list again, so that what was made of it can be told to hold still.
   */
  list(isWanted: Uint8Array | null, max: number): Limited<string> {
    const listed = this.#listed?.items.deref();
    const before = listed === undefined ? NO_NUMBERS : this.#listed!.numbers;
    const { inOrder } = this;
    const positions = this.#positionsInOrder();
    let numbers: number[] | null = null;
    let count = 0;
    let isCut = false;
    for (let at = 0; at < inOrder.length; at++) {
      const number = inOrder[at]!;
      const position = positions[at]!;
      if (isWanted !== null) {
        const holds = position === MANY ? this.some(number, (one) => isWanted[one] === 1) : isWanted[position] === 1;
        if (!holds) continue;
      }
      isCut = count === max;
      if (isCut) break;
      if (numbers === null && number !== before[count]) numbers = [...before.subarray(0, count)];
      numbers?.push(number);
      count++;
    }
    if (listed !== undefined && numbers === null && count === before.length) return { items: listed, isCut };
    const found = numbers === null ? before.slice(0, count) : Uint32Array.from(numbers);
    const items = Array.from(found, (number) => this.#values[number]!);
    this.#listed = { numbers: found, items: new WeakRef(items) };
    return { items, isCut };
  }

  #positionsInOrder(): Int32Array {
    this.#positions ??= Int32Array.from(this.inOrder, (number) => {
      const postings = this.#postings[number]!;
      return typeof postings === 'number' ? postings : MANY;
    });
    return this.#positions;
  }

  /** Whether a matcher holds for a value; '' is that of an entry without the label. */
  test(matcher: LabelMatcher): (value: string) => boolean {
    const { operator, value: wanted } = matcher;
    const test = matcherTest(matcher);
    if (operator === '=' || operator === '!=') return test;
    const key = `${operator}${wanted}`;
    const tested = this.#tested.get(key) ?? new TestedValues(test);
    this.#tested.delete(key);
    this.#tested.set(key, tested);
    if (this.#tested.size > EXPRESSIONS_KEPT) this.#tested.delete(this.#tested.keys().next().value!);
    return (value) => {
      const number = this.numberOf(value);
      return number === -1 ? test(value) : tested.holds(number, value, this.#values.length);
    };
  }

  /** Numbers of the values that a matcher holds for. */
  matching(matcher: LabelMatcher): number[] {
    if (matcher.operator === '=') {
      const number = this.numberOf(matcher.value);
      return number === -1 ? [] : [number];
    }
    const holds = this.test(matcher);
    const numbers: number[] = [];
    for (let number = 0; number < this.#values.length; number++) if (holds(this.#values[number]!)) numbers.push(number);
    return numbers;
  }
}

/** What a test says of values, each tested once. */
class TestedValues {
  readonly #test: (value: string) => boolean;
  /** By number of the value: 0 not tested, 1 it does not hold, 2 it holds. */
  #results = new Uint8Array(0);

  constructor(test: (value: string) => boolean) {
    this.#test = test;
  }

  holds(number: number, value: string, values: number): boolean {
    if (number >= this.#results.length) this.#grow(values);
    let result = this.#results[number]!;
    if (result === 0) {
      result = this.#test(value) ? 2 : 1;
      this.#results[number] = result;
    }
    return result === 2;
  }

  #grow(values: number): void {
    const results = new Uint8Array(Math.max(values, 2 * this.#results.length));
    results.set(this.#results);
    this.#results = results;
  }
}
