/** Label sets, names and values without samples: what Prometheus' API lists. */
import { compareLabels, compareStrings, type Labels } from '../promql/labels.ts';
import { BOUND_NAMES, matchEntries, matchEntriesUntil } from './match-series.ts';
import type { LabelValues } from './label-values.ts';
import type { Limited, SeriesRange } from './metrics-view.ts';
import type { StoredIndex } from './stored-index.ts';

/** Label sets in the range that match any selector, sorted. */
export function listSeries(index: StoredIndex, range: SeriesRange): Limited<Labels> {
  const found = new FoundEntries(index, range);
  const max = range.limit > 0 ? range.limit : Infinity;
  const sets: Labels[] = [];
  let before: Labels | undefined;
  const isSame = (labels: Labels): boolean => before !== undefined && compareLabels(before, labels) === 0;
  if (found.areFewOrBounded()) {
    for (const labels of found.sorted()) {
      if (isSame(labels)) continue;
      if (sets.length === max) return { items: sets, isCut: true };
      sets.push(labels);
      before = labels;
    }
    return { items: sets, isCut: false };
  }
  for (const position of index.sets.inOrder) {
    if (!found.has(position)) continue;
    const { labels } = index.entries[position]!;
    if (index.sets.hasTwin(position) && isSame(labels)) continue;
    if (sets.length === max) return { items: sets, isCut: true };
    sets.push(labels);
    before = labels;
  }
  return { items: sets, isCut: false };
}

/** Names of labels of those, sorted. */
export function listLabelNames(index: StoredIndex, range: SeriesRange): Limited<string> {
  const found = new FoundEntries(index, range);
  // Label sets of one metric share their list of names.
  const lists = new Set<readonly string[]>();
  const names = new Set<string>();
  for (const position of found.positions()) {
    const entry = index.entries[position]!;
    lists.add(entry.labels.names);
    const boundName = BOUND_NAMES[entry.part];
    if (boundName !== undefined) names.add(boundName);
  }
  for (const list of lists) for (const name of list) names.add(name);
  return limited([...names].sort(compareStrings), range.limit);
}

/** Values of a label of those, sorted. */
export function listLabelValues(index: StoredIndex, name: string, range: SeriesRange): Limited<string> {
  const values = index.sets.values(name);
  const max = range.limit > 0 ? range.limit : Infinity;
  const isBoundName = Object.values(BOUND_NAMES).includes(name);
  if (!isBoundName && values !== undefined && values.size * FEW < index.entries.length)
    return limited([...fewValues(index, range, values, name)].sort(compareStrings), range.limit);
  if (!isBoundName && values !== undefined && range.selectors.length === 0)
    return values.list(index.activeEntries(range.fromMs, range.untilMs), max);
  const found = new FoundEntries(index, range);
  if (isBoundName || values === undefined || found.count * FEW < values.size)
    return limited([...foundValues(index, found, name)].sort(compareStrings), range.limit);
  return values.list(found.byPosition, max);
}

/** So many times fewer are sorted anew sooner than picked from all that are sorted already. */
const FEW = 8;

/** Of a label that has few values: entries are looked at until all of them are found. */
function fewValues(index: StoredIndex, range: SeriesRange, values: LabelValues, name: string): Set<string> {
  const found = new Set<string>();
  const selectors = range.selectors.length === 0 ? [[]] : range.selectors;
  for (const matchers of selectors)
    matchEntriesUntil(index, matchers, range, (position) => {
      const value = index.entries[position]!.labels.get(name);
      if (value !== '') found.add(value);
      return found.size === values.size;
    });
  return found;
}

function foundValues(index: StoredIndex, found: FoundEntries, name: string): Set<string> {
  const values = new Set<string>();
  const lists = new Set<readonly string[]>();
  for (const position of found.positions()) {
    const { labels, part } = index.entries[position]!;
    if (BOUND_NAMES[part] === name) lists.add(found.bounds(position));
    else values.add(labels.get(name));
  }
  for (const list of lists) for (const bound of list) values.add(bound);
  values.delete('');
  return values;
}

/** Entries of an index that match any selector of a range; all that are active, when there is none. */
class FoundEntries {
  readonly #index: StoredIndex;
  /** By position. */
  readonly #isFound: Uint8Array;
  /** By position of those that have bounds: the bounds that match. */
  readonly #bounds = new Map<number, readonly string[]>();
  /** How many there are. */
  count = 0;

  constructor(index: StoredIndex, range: SeriesRange) {
    this.#index = index;
    this.#isFound = new Uint8Array(index.entries.length);
    const selectors = range.selectors.length === 0 ? [[]] : range.selectors;
    for (const matchers of selectors)
      matchEntries(index, matchers, range, (position, bounds) => {
        this.#add(position, bounds);
      });
  }

  /** By position: 1 for those that are found. */
  get byPosition(): Uint8Array {
    return this.#isFound;
  }

  has(position: number): boolean {
    return this.#isFound[position] === 1;
  }

  /** Of an entry that has bounds: those that match. */
  bounds(position: number): readonly string[] {
    return this.#bounds.get(position) ?? [];
  }

  /** Ascending. */
  positions(): Uint32Array {
    const positions = new Uint32Array(this.count);
    let size = 0;
    for (let position = 0; position < this.#isFound.length; position++)
      if (this.#isFound[position] === 1) positions[size++] = position;
    return positions;
  }

  /** Whether to sort them is less work than to pick them from the order of all, which is of entries only and not of their bounds. */
  areFewOrBounded(): boolean {
    return this.#bounds.size > 0 || this.count * FEW < this.#isFound.length;
  }

  /** Their label sets in order; equal ones stand beside each other. */
  sorted(): Labels[] {
    const sets: Labels[] = [];
    for (const position of this.positions()) {
      const { labels, part } = this.#index.entries[position]!;
      const boundName = BOUND_NAMES[part];
      if (boundName === undefined) sets.push(labels);
      else for (const bound of this.bounds(position)) sets.push(labels.with(boundName, bound));
    }
    return sets.sort(compareLabels);
  }

  #add(position: number, bounds: readonly string[]): void {
    if (this.#isFound[position] === 0) {
      this.#isFound[position] = 1;
      this.count++;
      if (bounds.length > 0) this.#bounds.set(position, bounds);
      return;
    }
    const before = this.#bounds.get(position);
    if (before !== undefined && before !== bounds) this.#bounds.set(position, [...new Set([...before, ...bounds])]);
  }
}

function limited(items: readonly string[], limit: number): Limited<string> {
  return limit > 0 && items.length > limit ? { items: items.slice(0, limit), isCut: true } : { items, isCut: false };
}
