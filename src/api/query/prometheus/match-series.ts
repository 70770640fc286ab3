import type { LabelMatcher } from '../promql/ast.ts';
import type { Labels } from '../promql/labels.ts';
import { matcherTest } from '../promql/regular-expression.ts';
import type { LabelValues } from './label-values.ts';
import type { SeriesEntry, StoredIndex } from './stored-index.ts';

/** One Prometheus series that matches: an entry, and of buckets and quantiles which. */
export interface MatchedSeries {
  readonly entry: SeriesEntry;
  /** The text of `le` or `quantile`; '' for other parts. */
  readonly bound: string;
  readonly labels: Labels;
  /** Another series may have the same labels. */
  readonly mayRepeat: boolean;
}

/** Times, both ends within. */
export interface TimeRange {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** The series of an index that all matchers hold for and that may have points in the range, in the order of the index. */
export function matchSeries(index: StoredIndex, matchers: readonly LabelMatcher[], range: TimeRange): MatchedSeries[] {
  const matched: MatchedSeries[] = [];
  matchEntries(index, matchers, range, (position, bounds) => {
    const entry = index.entries[position]!;
    const mayRepeat = index.mayRepeat(position);
    const boundName = BOUND_NAMES[entry.part];
    if (boundName === undefined) {
      matched.push({ entry, bound: '', labels: entry.labels, mayRepeat });
      return;
    }
    for (const bound of bounds) matched.push({ entry, bound, labels: entry.labels.with(boundName, bound), mayRepeat });
  });
  return matched;
}

/**
 * Visits the entries that all matchers hold for and that may have points in the range, by position; of buckets and quantiles those of which a bound matches, with the
 * bounds that do.
 */
export function matchEntries(
  index: StoredIndex,
  matchers: readonly LabelMatcher[],
  range: TimeRange,
  visit: (position: number, bounds: readonly string[]) => void,
): void {
  matchEntriesUntil(index, matchers, range, (position, bounds) => {
    visit(position, bounds);
    return false;
  });
}

/** The same until `visit` says that it has enough. */
export function matchEntriesUntil(
  index: StoredIndex,
  matchers: readonly LabelMatcher[],
  { fromMs, untilMs }: TimeRange,
  visit: (position: number, bounds: readonly string[]) => boolean,
): void {
  const search = new Search(index, matchers);
  for (const position of search.candidates()) {
    if (!index.isActive(position, fromMs, untilMs)) continue;
    const entry = index.entries[position]!;
    const boundName = BOUND_NAMES[entry.part];
    if (!search.holds(entry.labels, boundName)) continue;
    if (boundName === undefined) {
      if (visit(position, NO_BOUNDS)) return;
      continue;
    }
    const bounds = search.boundsOf(index.boundsOf(entry), boundName);
    if (bounds.length > 0 && visit(position, bounds)) return;
  }
}

const NO_BOUNDS: readonly string[] = [];

/** The label that tells buckets and quantiles of one entry apart. */
export const BOUND_NAMES: Readonly<Partial<Record<SeriesEntry['part'], string>>> = {
  bucket: 'le',
  quantile: 'quantile',
};

interface Condition {
  readonly matcher: LabelMatcher;
  readonly test: (value: string) => boolean;
  /** Undefined for a label that no entry has but as the bound of a bucket or quantile. */
  readonly values: LabelValues | undefined;
}

class Search {
  readonly #index: StoredIndex;
  readonly #conditions: readonly Condition[];
  /** What an entry that was found by one condition must fulfil beside it. */
  #left: readonly Condition[];

  constructor(index: StoredIndex, matchers: readonly LabelMatcher[]) {
    this.#index = index;
    this.#conditions = matchers.map((matcher) => {
      const values = index.sets.values(matcher.name);
      return { matcher, values, test: values?.test(matcher) ?? matcherTest(matcher) };
    });
    this.#left = this.#conditions;
  }

  /**
   * A superset of the positions that can match, ascending: those of the most selective matcher that an absent label does not satisfy. An expression is held against all
   * values of its label only where that is less work than to hold it against those of the entries that are left without it.
   */
  candidates(): Iterable<number> {
    const required = this.#conditions.filter(({ matcher, test }) => !test('') && !isBoundName(matcher.name));
    const isText = ({ matcher }: Condition): boolean => matcher.operator === '=';
    let best: { condition: Condition; numbers: number[]; count: number } | undefined;
    for (const condition of [...required.filter(isText), ...required.filter((one) => !isText(one))]) {
      const { matcher, values } = condition;
      if (values === undefined) return [];
      if (best !== undefined && !isText(condition) && values.size >= best.count) continue;
      const numbers = values.matching(matcher);
      const count = numbers.reduce((sum, number) => sum + values.count(number), 0);
      if (best === undefined || count < best.count) best = { condition, numbers, count };
    }
    if (best === undefined) return this.#index.entries.keys();
    const { condition, numbers, count } = best;
    this.#left = this.#conditions.filter((one) => one !== condition);
    const { values } = condition;
    if (numbers.length === 1) return values!.positions(numbers[0]!);
    const positions = new Uint32Array(count);
    let size = 0;
    for (const number of numbers) for (const position of values!.positions(number)) positions[size++] = position;
    return positions.sort();
  }

  /** Whether labels fulfil what is not said of the bound. */
  holds(labels: Labels, boundName: string | undefined): boolean {
    for (const { matcher, test } of this.#left)
      if (matcher.name !== boundName && !test(labels.get(matcher.name))) return false;
    return true;
  }

  boundsOf(bounds: readonly string[], boundName: string): readonly string[] {
    const conditions = this.#left.filter(({ matcher }) => matcher.name === boundName);
    return conditions.length === 0 ? bounds : bounds.filter((bound) => conditions.every(({ test }) => test(bound)));
  }
}

function isBoundName(name: string): boolean {
  return name === 'le' || name === 'quantile';
}
