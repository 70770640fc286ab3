/**
 * Goal: series in the notation of Prometheus' unit tests are read: labels, values that repeat and grow, gaps, stale markers, histograms, and
 * the lines that say where samples start.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PromqlParseError } from '../../../../src/api/query/promql/parse-error.ts';
import { parseSeriesDescription, parseStartTimes } from '../../../../src/api/query/promql/series-description.ts';
import { StaleMarks } from '../../../../src/api/query/promql/stale.ts';

function floats(text: string): (number | undefined)[] {
  return parseSeriesDescription(text).values.map(({ omitted, value }) => (omitted ? undefined : value));
}

function pairs(text: string): [string, string][] {
  return [...parseSeriesDescription(text).labels.pairs()].map(([name, value]) => [name, value]);
}

test('labels stand in front of the values', () => {
  assert.deepEqual(pairs('up{job="a b", "host.name"=\'x\'} 1'), [
    ['__name__', 'up'],
    ['host.name', 'x'],
    ['job', 'a b'],
  ]);
  assert.deepEqual(pairs('{"http.requests", code="200"}'), [
    ['__name__', 'http.requests'],
    ['code', '200'],
  ]);
  assert.deepEqual(pairs('sum 1'), [['__name__', 'sum']]);
  assert.deepEqual(pairs('{} 1'), []);
});

test('values repeat, grow and fall, and places are left out', () => {
  assert.deepEqual(floats('a 1 -2.5 +3 1e3 Inf -inf'), [1, -2.5, 3, 1000, Infinity, -Infinity]);
  assert.deepEqual(floats('a 5x2 0+10x3'), [5, 5, 5, 0, 10, 20, 30]);
  assert.deepEqual(floats('a -2-3x2'), [-2, -5, -8]);
  assert.deepEqual(floats('a{} _ _x3\t1'), [undefined, undefined, undefined, undefined, 1]);
  assert.deepEqual(floats('a 0x2'), [0, 0, 0]);
  assert.deepEqual(floats('a 1  '), [1]);
  assert.ok(Number.isNaN(floats('a NaN')[0]));
});

test('a value grows by sums, which round as upstream does', () => {
  assert.equal(floats('a 0+0.1x3')[3], 0.1 + 0.1 + 0.1);
});

test('stale markers keep their bits', () => {
  const values = Float64Array.from(parseSeriesDescription('a 1 stale NaN').values, ({ value }) => value);
  const marks = new StaleMarks(values);
  assert.deepEqual([marks.at(0), marks.at(1), marks.at(2)], [false, true, false]);
});

test('histograms name their parts in any order', () => {
  const [first, empty] = parseSeriesDescription(
    'h {{buckets:[1 0 -2.5 ] schema:1 offset:-3 sum:-Inf count:4 z_bucket:2 z_bucket_w:0.01 n_buckets:[7] n_offset:2 counter_reset_hint:not_reset}} {{}}',
  ).values;
  assert.deepEqual(first, {
    omitted: false,
    value: 0,
    hasCounterResetHint: true,
    histogram: {
      schema: 1,
      counterReset: 'not_reset',
      zeroThreshold: 0.01,
      zeroCount: 2,
      count: 4,
      sum: -Infinity,
      positive: { indexes: Int32Array.of(-3, -2, -1), counts: Float64Array.of(1, 0, -2.5) },
      negative: { indexes: Int32Array.of(2), counts: Float64Array.of(7) },
      customValues: new Float64Array(),
    },
  });
  assert.equal(empty?.hasCounterResetHint, false);
  assert.equal(empty?.histogram?.counterReset, 'unknown');
  const [custom] = parseSeriesDescription('h {{schema:-53 custom_values:[0.5 10] buckets:[1 2 3]}}').values;
  assert.deepEqual(custom?.histogram?.customValues, Float64Array.of(0.5, 10));
});

test('histograms repeat and are added up', () => {
  const counts = (text: string): (number | undefined)[] =>
    parseSeriesDescription(text).values.map(({ histogram }) => histogram?.count);
  assert.deepEqual(counts('h {{count:2 buckets:[2]}}x2'), [2, 2, 2]);
  assert.deepEqual(counts('h {{count:2 buckets:[2]}}+{{count:1 buckets:[1]}}x2 _'), [2, 3, 4, undefined]);
  assert.deepEqual(counts('h {{count:5 buckets:[5]}}-{{count:1 buckets:[1]}}x1'), [5, 4]);
});

test('lines of start times hold offsets from the samples', () => {
  const { labels, offsetsMs } = parseStartTimes('a{b="c"}@st _ _x2 -1m 0 30sx1 -30s-1mx2 1s+500msx1');
  assert.equal(labels.get('b'), 'c');
  assert.deepEqual(offsetsMs, [
    undefined,
    undefined,
    undefined,
    -60_000,
    0,
    30_000,
    30_000,
    -30_000,
    -90_000,
    -150_000,
    1000,
    1500,
  ]);
});

test('what is no series is refused, at its place', () => {
  const refusal = (text: string, parse: (text: string) => unknown = parseSeriesDescription): string => {
    try {
      parse(text);
    } catch (error) {
      assert.ok(error instanceof PromqlParseError, String(error));
      return error.message;
    }
    return 'taken';
  };
  for (const text of [
    'a 1,2',
    'a 1+2',
    'a 1 + 2x3',
    'a 1x',
    'a 1x1.5',
    'a _a',
    'a stales',
    'a 1 2]',
    'a 5m',
    'a 0x1F',
    'a{b="c" 1',
    'a {b="c"} 1',
    '{b} 1',
    '{b=1} 1',
    '1 2',
    'a {{ schema:1}}',
    'a {{schema: 1}}',
    'a {{buckets:[]}}',
    'a {{buckets:[ 1]}}',
    'a {{sum:.5}}',
    'a {{sum:1',
    'a {{}}+{{}}',
  ]) {
    assert.match(refusal(text), /^1:\d+: parse error: ./, text);
  }
  assert.equal(refusal('a {{schema:1 schema:1}}'), '1:21: parse error: duplicate key "schema" in histogram');
  assert.match(refusal('a {{counter_reset_hint:perhaps}}'), /bad histogram descriptor found: "perhaps"$/);
  assert.match(refusal('a {{schema:1}}+{{schema:0}}x1'), /cannot merge from schema 0 to 1$/);
  assert.match(refusal('a {{schema:-53}}+{{schema:0}}x1'), /mix of exponential and custom bucket schemas$/);
  assert.match(refusal('a 1x99999999999'), /is more than 1000000$/);
  assert.match(refusal('a 1x900000 1x900000'), /more than 1000000 values$/);
  for (const text of ['a@st 5', 'a@st 1m+x2', 'a 1m', 'a@st 1m1h', 'a@st _x']) {
    assert.match(refusal(text, parseStartTimes), /parse error/, text);
  }
});
