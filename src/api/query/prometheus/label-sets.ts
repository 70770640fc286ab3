import { compareLabels, Labels } from '../promql/labels.ts';
import { LabelValues } from './label-values.ts';
import { SortedList } from './sorted-list.ts';

/** Label sets by position, and for each label and value the positions that have it. Equal names, values and lists of names are held once. */
export class LabelSets {
  readonly #sets: Labels[] = [];
  readonly #values = new Map<string, LabelValues>();
  readonly #shapes = new Map<string, Shape>();
  /** Positions by a hash of their labels. */
  readonly #byHash = new Map<number, number | number[]>();
  readonly #twins = new Set<number>();
  readonly #sorted = new SortedList<number>((left, right) => compareLabels(this.#sets[left]!, this.#sets[right]!));

  /** Adds a label set at the next position; the set to be kept in place of `labels` is returned. */
  add(labels: Labels): Labels {
    const position = this.#sets.length;
    const shape = this.#shapeOf(labels.names);
    const values: string[] = [];
    let hash = shape.number;
    for (let at = 0; at < shape.columns.length; at++) {
      const column = shape.columns[at]!;
      const number = column.add(labels.values[at]!, position);
      values.push(column.value(number));
      hash = Math.imul(hash ^ number, HASH_FACTOR) ^ (hash >>> HASH_SHIFT);
    }
    const shared = Labels.ofSorted(shape.names, values);
    this.#sets.push(shared);
    this.#sorted.add(position);
    this.#findTwins(hash, position);
    return shared;
  }

  /** Whether another position has the same labels. */
  hasTwin(position: number): boolean {
    return this.#twins.has(position);
  }

  /** Undefined for a label that no set has. */
  values(name: string): LabelValues | undefined {
    return this.#values.get(name);
  }

  names(): IterableIterator<[name: string, values: LabelValues]> {
    return this.#values.entries();
  }

  /** All positions in the order of their labels. */
  get inOrder(): readonly number[] {
    return this.#sorted.items;
  }

  #shapeOf(names: readonly string[]): Shape {
    const key = names.join('\0');
    let shape = this.#shapes.get(key);
    if (shape === undefined) {
      shape = { number: this.#shapes.size, names, columns: names.map((name) => this.#column(name)) };
      this.#shapes.set(key, shape);
    }
    return shape;
  }

  #column(name: string): LabelValues {
    let values = this.#values.get(name);
    if (values === undefined) this.#values.set(name, (values = new LabelValues()));
    return values;
  }

  #findTwins(hash: number, position: number): void {
    const before = this.#byHash.get(hash);
    if (before === undefined) {
      this.#byHash.set(hash, position);
      return;
    }
    const positions = typeof before === 'number' ? [before] : before;
    for (const other of positions) {
      if (compareLabels(this.#sets[other]!, this.#sets[position]!) !== 0) continue;
      this.#twins.add(other).add(position);
      // One of them is enough to find the next.
      return;
    }
    this.#byHash.set(hash, [...positions, position]);
  }
}

/** A list of names that many label sets have, with the values of each name. */
interface Shape {
  readonly number: number;
  readonly names: readonly string[];
  readonly columns: readonly LabelValues[];
}

/** Of Knuth's multiplicative hashing: 2^32 by the golden ratio, odd. */
const HASH_FACTOR = 0x9e3779b1;
const HASH_SHIFT = 15;
