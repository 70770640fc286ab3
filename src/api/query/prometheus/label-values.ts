import type { LabelMatcher } from '../promql/ast.ts';
import { compareStrings } from '../promql/labels.ts';
import { matcherTest } from '../promql/regular-expression.ts';
import type { Limited } from './metrics-view.ts';
import { SortedList } from './sorted-list.ts';

/** Positions of entries with one value, ascending. Most values of labels with many of them stand at one entry only, which needs no list. */
type Postings = number | number[];

/** Regular expressions whose results are kept, for each label: a dashboard asks the same few again and again. A result takes a byte for each value. */
const EXPRESSIONS_KEPT = 8;

/** The values of one label, each with the entries that have it. */
export class LabelValues {
  readonly #numbers = new Map<string, number>();
  readonly #values: string[] = [];
  readonly #postings: Postings[] = [];
  readonly #sorted: SortedList<number>;
  readonly #tested = new Map<string, TestedValues>();
  /** What `list` returned last, as long as somebody keeps it. */
  #listed: WeakRef<readonly string[]> | undefined;

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
      return number;
    }
    const before = this.#postings[known]!;
    if (typeof before === 'number') this.#postings[known] = [before, position];
    else before.push(position);
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
   * Values in order that an entry has which passes `test`, of all when there is none; at most `max`. While somebody keeps the list of the call before, equal values are
   * that list again, so that what was made of it can be told to hold still.
   */
  list(test: ((position: number) => boolean) | null, max: number): Limited<string> {
    const before = this.#listed?.deref() ?? [];
    let items: string[] | null = null;
    let count = 0;
    let isCut = false;
    for (const number of this.inOrder) {
      if (test !== null && !this.some(number, test)) continue;
      isCut = count === max;
      if (isCut) break;
      const value = this.#values[number]!;
      if (items === null && value !== before[count]) items = before.slice(0, count);
      items?.push(value);
      count++;
    }
    if (items === null && count === before.length) return { items: before, isCut };
    const listed = items ?? before.slice(0, count);
    this.#listed = new WeakRef(listed);
    return { items: listed, isCut };
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
