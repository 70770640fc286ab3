import type { LabelMatcher } from '../promql/ast.ts';
import { Labels } from '../promql/labels.ts';
import { matcherTest } from '../promql/regular-expression.ts';
import type { SeriesEntry, StoredIndex } from './stored-index.ts';

/** One Prometheus series that matches: an entry, and of buckets and quantiles which. */
export interface MatchedSeries {
  readonly entry: SeriesEntry;
  /** The text of `le` or `quantile`; '' for other parts. */
  readonly bound: string;
  readonly labels: Labels;
}

type Test = (value: string) => boolean;

/**
 * The series of an index that all matchers hold for and that may have points in the range, in the order of the index. `target_info` is not among them: it is no
 * stored series.
 */
export function matchSeries(
  index: StoredIndex,
  matchers: readonly LabelMatcher[],
  fromMs: number,
  untilMs: number,
): MatchedSeries[] {
  const tests = matchers.map((matcher) => ({ name: matcher.name, test: remembered(matcherTest(matcher)) }));
  const matched: MatchedSeries[] = [];
  for (const position of candidates(index, tests)) {
    const entry = index.entries[position]!;
    if (!index.isActive(entry.ordinal, fromMs, untilMs)) continue;
    const boundName = BOUND_NAMES[entry.part];
    const isMatch = tests.every(({ name, test }) => name === boundName || test(valueOf(entry, name)));
    if (!isMatch) continue;
    if (boundName === undefined) {
      matched.push({ entry, bound: '', labels: labelsOf(entry, undefined, '') });
      continue;
    }
    for (const bound of boundsOf(index, entry)) {
      if (tests.every(({ name, test }) => name !== boundName || test(bound)))
        matched.push({ entry, bound, labels: labelsOf(entry, boundName, bound) });
    }
  }
  return matched;
}

/** Every bucket series of a histogram: those of its bounds, and +Inf. */
export function boundsOf(index: StoredIndex, entry: SeriesEntry): readonly string[] {
  const bounds = index.activity(entry.ordinal)?.bounds ?? [];
  return entry.part === 'bucket' ? [...bounds, '+Inf'] : bounds;
}

/** The label that tells buckets and quantiles of one entry apart. */
export const BOUND_NAMES: Readonly<Partial<Record<SeriesEntry['part'], string>>> = {
  bucket: 'le',
  quantile: 'quantile',
};

/** A superset of the positions that can match, ascending: those of the most selective matcher that an absent label does not satisfy. */
function candidates(index: StoredIndex, tests: readonly { name: string; test: Test }[]): Iterable<number> {
  let best: number[][] | undefined;
  let bestCount = Number.POSITIVE_INFINITY;
  for (const { name, test } of tests) {
    if (test('') || name === 'le' || name === 'quantile') continue;
    const lists: number[][] = [];
    let count = 0;
    for (const [value, positions] of index.values(name)) {
      if (!test(value)) continue;
      lists.push(positions as number[]);
      count += positions.length;
      if (count >= bestCount) break;
    }
    if (count < bestCount) {
      best = lists;
      bestCount = count;
    }
  }
  if (best === undefined) return index.entries.keys();
  return best.length === 1 ? best[0]! : best.flat().sort((left, right) => left - right);
}

function valueOf(entry: SeriesEntry, name: string): string {
  return name === '__name__' ? entry.name : entry.base.get(name);
}

function labelsOf(entry: SeriesEntry, boundName: string | undefined, bound: string): Labels {
  const labels = entry.base.with('__name__', entry.name);
  return boundName === undefined ? labels : labels.with(boundName, bound);
}

/** Values repeat: each is tested once. */
function remembered(test: Test): Test {
  const results = new Map<string, boolean>();
  return (value) => {
    let result = results.get(value);
    if (result === undefined) {
      result = test(value);
      results.set(value, result);
    }
    return result;
  };
}
