import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linesOf, query, samplesOf } from '../../../helpers/promql-samples.ts';

const source = samplesOf(
  { labels: { __name__: 'used', host: 'a', disk: '1' }, samples: [10, 20] },
  { labels: { __name__: 'used', host: 'a', disk: '2' }, samples: [30, 40] },
  { labels: { __name__: 'used', host: 'b', disk: '1' }, samples: [50, 60] },
  { labels: { __name__: 'size', host: 'a', rack: 'r1' }, samples: [100, 100] },
  { labels: { __name__: 'size', host: 'c', rack: 'r2' }, samples: [100, 100] },
);

async function lines(text: string) {
  return linesOf(await query(text, source));
}

test('comparisons filter, or give 0 and 1 with bool', async () => {
  assert.deepEqual(await lines('used > 25'), ['used{disk="2",host="a"} 30', 'used{disk="1",host="b"} 50']);
  assert.deepEqual(await lines('25 > used'), ['used{disk="1",host="a"} 10']);
  assert.deepEqual(await lines('size > bool 100'), ['{host="a",rack="r1"} 0', '{host="c",rack="r2"} 0']);
  assert.deepEqual(await lines('2 ^ 3 ^ 2 == bool 512'), ['1']);
});

test('the one side lends labels to the many side', async () => {
  assert.deepEqual(await lines('used / on (host) group_left (rack) size'), [
    '{disk="1",host="a",rack="r1"} 0.1',
    '{disk="2",host="a",rack="r1"} 0.3',
  ]);
  assert.deepEqual(await lines('size - on (host) group_right used'), [
    '{disk="1",host="a"} 90',
    '{disk="2",host="a"} 70',
  ]);
});

test('fill values stand in for elements without a match', async () => {
  assert.deepEqual(await lines('sum by (host) (used) + on (host) fill(1) sum by (host) (size)'), [
    '{host="a"} 140',
    '{host="b"} 51',
    '{host="c"} 101',
  ]);
});

test('matches that are not unique are refused', async () => {
  await assert.rejects(lines('used - on (host) size'), {
    message: 'multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)',
  });
  await assert.rejects(lines('used * on (host) group_left (disk) size'), {
    message: 'multiple matches for labels: grouping labels must ensure unique matches',
  });
});

test('series that take turns are one on the one side', async () => {
  const turns = samplesOf(
    { labels: { __name__: 'up', host: 'a' }, samples: [1, 1, 1, 1] },
    { labels: { __name__: 'info', host: 'a', version: '1' }, samples: [1, 1, 'stale'] },
    { labels: { __name__: 'info', host: 'a', version: '2' }, samples: [1, 1], fromMs: 120_000 },
  );
  const range = { endMs: 180_000, stepMs: 60_000 };
  assert.deepEqual(linesOf(await query('up * on (host) group_left (version) info', turns, range)), [
    '{host="a",version="1"} 1@0 1@60',
    '{host="a",version="2"} 1@120 1@180',
  ]);
});

test('sets are told by labels, step by step', async () => {
  assert.deepEqual(await lines('used and on (host) size'), [
    'used{disk="1",host="a"} 10',
    'used{disk="2",host="a"} 30',
  ]);
  assert.deepEqual(await lines('used unless on (host) size'), ['used{disk="1",host="b"} 50']);
  assert.deepEqual(await lines('size or on (host) used'), [
    'size{host="a",rack="r1"} 100',
    'size{host="c",rack="r2"} 100',
    'used{disk="1",host="b"} 50',
  ]);
});

test('names that go late hold series apart until then', async () => {
  const both = '{host="a",disk="1"} * 0 or {host="a",rack="r1"}';
  assert.deepEqual(linesOf(await query(both, source, { settings: { delayedNameRemoval: true } })), [
    '{disk="1",host="a"} 0',
    'size{host="a",rack="r1"} 100',
  ]);
  const twins = samplesOf(
    { labels: { __name__: 'x', n: '1' }, samples: [1] },
    { labels: { __name__: 'y', n: '1' }, samples: [2] },
  );
  await assert.rejects(query('-{n="1"}', twins), { message: 'vector cannot contain metrics with the same labelset' });
  assert.deepEqual(linesOf(await query('sum(-{n="1"})', twins, { settings: { delayedNameRemoval: true } })), ['{} -3']);
});
