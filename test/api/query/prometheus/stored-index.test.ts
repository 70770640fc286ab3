/**
 * Goal: the index of series finds and lists what a look at every series would.
 * Method: random series, in random parts, matched by random selectors; against a walk over all entries with each matcher on its own.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { listLabelNames, listLabelValues, listSeries } from '../../../../src/api/query/prometheus/list-series.ts';
import { matchSeries } from '../../../../src/api/query/prometheus/match-series.ts';
import { StoredIndex } from '../../../../src/api/query/prometheus/stored-index.ts';
import type { LabelMatcher } from '../../../../src/api/query/promql/ast.ts';
import { compareLabels, compareStrings, type Labels } from '../../../../src/api/query/promql/labels.ts';
import { matcherTest } from '../../../../src/api/query/promql/regular-expression.ts';
import type { ActivityChunk, StoredSeries } from '../../../../src/materialize/index.ts';
import { VIEW_SETTINGS } from '../../../helpers/metrics-view.ts';

const RESOURCES = [
  { attributes: ['service.name', 'cart', 'zone', 'a'] },
  { attributes: ['service.name', 'cart', 'zone', 'b'] },
  { attributes: ['service.name', 'shop'] },
];
const SCOPE = { name: '', version: '', schemaUrl: '', attributes: [] };
const BOUNDS = [0.5, 1, 2.5];

interface Made {
  readonly series: StoredSeries;
  readonly firstMs: number;
}

const made: fc.Arbitrary<Made> = fc
  .record({
    name: fc.constantFrom('a', 'b', 'b.count', 'c_bucket'),
    type: fc.constantFrom<StoredSeries['type']>('gauge', 'histogram', 'summary'),
    labels: fc.uniqueArray(fc.tuple(fc.constantFrom('x', 'y', 'le'), fc.constantFrom('1', '2', '0.5', 'xy', 'é😀')), {
      selector: ([name]) => name,
      maxLength: 3,
    }),
    resource: fc.constantFrom(...RESOURCES),
    firstMs: fc.constantFrom(0, 100),
  })
  .map(({ name, type, labels, resource, firstMs }) => ({
    firstMs,
    series: {
      name,
      unit: '',
      description: '',
      type,
      temporality: 'cumulative',
      isMonotonic: false,
      attributes: labels.flat(),
      resource,
      scope: SCOPE,
    },
  }));

const matcher: fc.Arbitrary<LabelMatcher> = fc.record({
  name: fc.constantFrom('__name__', 'x', 'y', 'le', 'job', 'zone', 'none'),
  operator: fc.constantFrom<LabelMatcher['operator']>('=', '!=', '=~', '!~'),
  value: fc.constantFrom(
    '',
    'a',
    'b_bucket',
    'b',
    '1',
    '0.5',
    'x.*',
    '.+',
    '.*',
    '1|2',
    '[12]',
    'cart',
    '.*é.*',
    'target_info',
  ),
});

function activityOf(parts: readonly Made[], firstOrdinal: number): ActivityChunk {
  const lists = parts.map(({ series }) => (series.type === 'histogram' ? BOUNDS : []));
  let end = 0;
  return {
    ordinals: Uint32Array.from(parts, (_, at) => firstOrdinal + at),
    firstTimesMs: Float64Array.from(parts, ({ firstMs }) => firstMs),
    lastTimesMs: Float64Array.from(parts, ({ firstMs }) => firstMs + 10),
    boundOffsets: Uint32Array.from([[], ...lists], (list) => (end += list.length)),
    bounds: Float64Array.from(lists.flat()),
  };
}

/** Every series of an index that is in the range, with each bound. */
function allSeries(index: StoredIndex, range: { fromMs: number; untilMs: number }): Labels[] {
  return index.entries.flatMap((entry, position) => {
    if (!index.isActive(position, range.fromMs, range.untilMs)) return [];
    // Summaries come without quantiles here.
    if (entry.part === 'quantile') return [];
    return entry.part === 'bucket'
      ? ['0.5', '1', '2.5', '+Inf'].map((bound) => entry.labels.with('le', bound))
      : [entry.labels];
  });
}

function holds(labels: Labels, matchers: readonly LabelMatcher[]): boolean {
  return matchers.every((one) => matcherTest(one)(labels.get(one.name)));
}

function distinct(all: readonly Labels[]): Labels[] {
  return [...new Map(all.map((labels) => [labels.key, labels])).values()].sort(compareLabels);
}

test('the index finds and lists what a look at every series does, as series come', () => {
  const range = fc.constantFrom({ fromMs: 0, untilMs: 50 }, { fromMs: 50, untilMs: 200 }, { fromMs: 0, untilMs: 200 });
  const steps = fc.array(
    fc.tuple(fc.array(made, { maxLength: 8 }), fc.array(fc.array(matcher, { maxLength: 3 }), { maxLength: 2 }), range),
    { minLength: 1, maxLength: 4 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const index = new StoredIndex(VIEW_SETTINGS);
      // Lists of before are used again as long as they are kept, and never changed.
      const kept: [list: readonly string[], asItWas: string][] = [];
      for (const [parts, selectors, times] of all) {
        const activity = activityOf(parts, index.kinds.length);
        index.addSeries(parts.map(({ series }) => series));
        index.addActivity(activity);
        const every = allSeries(index, times);
        for (const matchers of selectors) {
          const found = matchSeries(index, matchers, times);
          const expected = every.filter((labels) => holds(labels, matchers));
          assert.deepEqual(
            found.map(({ labels }) => labels.key),
            expected.map(({ key }) => key),
          );
          const seen = new Map<string, number>();
          for (const { labels } of found) seen.set(labels.key, (seen.get(labels.key) ?? 0) + 1);
          for (const { labels, mayRepeat } of found) assert.ok(mayRepeat || seen.get(labels.key) === 1);
        }
        const listed = { ...times, selectors, limit: 0 };
        const wanted = distinct(
          every.filter((labels) => selectors.length === 0 || selectors.some((matchers) => holds(labels, matchers))),
        );
        assert.deepEqual(
          listSeries(index, listed).items.map(({ key }) => key),
          wanted.map(({ key }) => key),
        );
        const names = [...new Set(wanted.flatMap((labels) => [...labels.names]))].sort(compareStrings);
        assert.deepEqual(listLabelNames(index, listed).items, names);
        for (const name of ['__name__', 'x', 'le', 'job', 'none']) {
          const values = new Set(wanted.map((labels) => labels.get(name)));
          values.delete('');
          const items = [...values].sort(compareStrings);
          const list = listLabelValues(index, name, listed).items;
          assert.deepEqual(list, items);
          assert.deepEqual(listLabelValues(index, name, listed).items, items);
          kept.push([list, list.join()]);
          const first = listLabelValues(index, name, { ...listed, limit: 1 });
          assert.deepEqual(first, { items: items.slice(0, 1), isCut: items.length > 1 });
        }
      }
      for (const [list, asItWas] of kept) assert.equal(list.join(), asItWas);
    }),
    { numRuns: 200 },
  );
});
