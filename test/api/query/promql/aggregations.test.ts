import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { linesOf, query, samplesOf, type TestSeries } from '../../../helpers/promql-samples.ts';
import { exponential } from '../../../helpers/histograms.ts';

const cpus = samplesOf(
  { labels: { __name__: 'cpu', host: 'a', core: '0' }, samples: [3, NaN] },
  { labels: { __name__: 'cpu', host: 'a', core: '1' }, samples: [1, 5] },
  { labels: { __name__: 'cpu', host: 'b', core: '0' }, samples: [NaN, 7] },
  { labels: { __name__: 'cpu', host: 'b', core: '1' }, samples: [2] },
);

async function lines(text: string) {
  return linesOf(await query(text, cpus));
}

test('groups go by labels or without them', async () => {
  assert.deepEqual(await lines('count by (host) (cpu)'), ['{host="a"} 2', '{host="b"} 2']);
  assert.deepEqual(await lines('group without (core, host) (cpu)'), ['{} 1']);
  assert.deepEqual(await lines('sum by (__name__) (cpu > 1)'), ['cpu{} 5']);
  assert.deepEqual(await lines('count by (core, rack) (cpu)'), ['{core="0"} 2', '{core="1"} 2']);
});

test('the greatest and the least come in order, NaN last', async () => {
  assert.deepEqual(await lines('topk(3, cpu)'), [
    'cpu{core="0",host="a"} 3',
    'cpu{core="1",host="b"} 2',
    'cpu{core="1",host="a"} 1',
  ]);
  assert.deepEqual(await lines('bottomk(9, cpu)'), [
    'cpu{core="1",host="a"} 1',
    'cpu{core="1",host="b"} 2',
    'cpu{core="0",host="a"} 3',
    'cpu{core="0",host="b"} NaN',
  ]);
  assert.deepEqual(await lines('topk(scalar(cpu{host="none"}) < bool 1, cpu)'), []);
});

test('values are counted under a label that holds them', async () => {
  const source = samplesOf(
    { labels: { __name__: 'v', n: '1' }, samples: [1e21, 2] },
    { labels: { __name__: 'v', n: '2' }, samples: [1e21, 1e21] },
  );
  const found = await query('count_values("value", v)', source, { endMs: 60_000, stepMs: 60_000 });
  assert.deepEqual(linesOf(found), ['{value="1000000000000000000000"} 2@0 1@60', '{value="2"} 1@60']);
  await assert.rejects(query('count_values("", v)', source), { message: 'invalid label name ""' });
});

test('a ratio and its complement share the series between them', async () => {
  const series = Array.from(
    { length: 60 },
    (_, n): TestSeries => ({ labels: { __name__: 's', n: String(n) }, samples: [n] }),
  );
  const source = samplesOf(...series);
  await fc.assert(
    fc.asyncProperty(fc.double({ min: 0.01, max: 0.99, noNaN: true }), async (ratio) => {
      const some = linesOf(await query(`limit_ratio(${ratio}, s)`, source));
      const rest = linesOf(await query(`limit_ratio(${ratio - 1}, s)`, source));
      // The two bounds are rounded apart, so one series may lie between them.
      assert.ok(Math.abs(some.length + rest.length - 60) <= 1);
    }),
    { numRuns: 20 },
  );
});

test('parameters that are no counts or quantiles are refused or told of', async () => {
  await assert.rejects(lines('topk(NaN, cpu)'), { message: 'Parameter value is NaN' });
  await assert.rejects(lines('limitk(1e30, cpu)'), { message: 'Scalar value 1e+30 overflows int64' });
  const found = await query('quantile(7, cpu)', cpus);
  assert.deepEqual(linesOf(found), ['{} +Inf']);
  assert.deepEqual(found.warnings, ['PromQL warning: quantile value should be between 0 and 1, got 7 (1:10)']);
});

test('histograms add up, and are left out of what is for floats', async () => {
  const histogram = exponential({ count: 2, sum: 3, positive: { 0: 2 } });
  const source = samplesOf(
    { labels: { __name__: 'h', n: '1' }, samples: [histogram] },
    { labels: { __name__: 'h', n: '2' }, samples: [histogram] },
    { labels: { __name__: 'f', n: '1' }, samples: [5] },
  );
  assert.deepEqual(linesOf(await query('sum(h)', source)), ['{} histogram(4,6)']);
  assert.deepEqual(linesOf(await query('avg(h)', source)), ['{} histogram(2,3)']);
  const least = await query('min({n="1"})', source);
  assert.deepEqual(
    [linesOf(least), least.infos],
    [['{} 5'], ['PromQL info: ignored histogram in min aggregation (1:5)']],
  );
  const mixed = await query('sum({n="1"})', source);
  assert.deepEqual(
    [linesOf(mixed), mixed.warnings],
    [[], ['PromQL warning: encountered a mix of histograms and floats for aggregation (1:5)']],
  );
});
