import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SampleSource } from '../../../../src/api/query/promql/source.ts';
import { linesOf, query, samplesOf } from '../../../helpers/promql-samples.ts';

const requests = samplesOf(
  { labels: { __name__: 'requests_total', job: 'a', path: '/' }, samples: [0, 60, 120, 30, 90, 150] },
  { labels: { __name__: 'requests_total', job: 'a', path: '/x' }, samples: [0, 6, 12, 18, 24, 30] },
  { labels: { __name__: 'requests_total', job: 'b', path: '/' }, samples: [5, 5, 5, 5, 'stale', undefined] },
);

test('instant selectors look back to the last sample and not beyond the lookback', async () => {
  const found = await query('requests_total', requests, { startMs: 200_000 });
  assert.deepEqual(linesOf(found), [
    'requests_total{job="a",path="/"} 30',
    'requests_total{job="a",path="/x"} 18',
    'requests_total{job="b",path="/"} 5',
  ]);
  const late = await query('requests_total', requests, { startMs: 599_999 });
  assert.deepEqual(linesOf(late), ['requests_total{job="a",path="/"} 150', 'requests_total{job="a",path="/x"} 30']);
  const tooLate = await query('requests_total', requests, { startMs: 600_000 });
  assert.deepEqual(linesOf(tooLate), []);
});

test('range queries give samples at their steps, without those that ended', async () => {
  const found = await query('requests_total{path="/"}', requests, { startMs: 150_000, endMs: 300_000, stepMs: 60_000 });
  assert.deepEqual(linesOf(found), [
    'requests_total{job="a",path="/"} 120@150 30@210 90@270',
    'requests_total{job="b",path="/"} 5@150 5@210',
  ]);
});

test('rate adds what a counter stood at before its reset, and extrapolates to the ends of the range', async () => {
  const found = await query('increase(requests_total{job="a",path="/"}[4m])', requests, { startMs: 270_000 });
  // 60 to 120, a reset, 30, 90: 150 in 3 minutes, with half a minute to go on both sides.
  assert.deepEqual(linesOf(found), ['{job="a",path="/"} 200']);
  // By 210 and 24 in the four minutes between samples, and so far again in the fifth.
  const rate = await query('sum by (job) (rate(requests_total[5m]))', requests, { startMs: 300_000 });
  assert.deepEqual(linesOf(rate), ['{job="a"} 0.975', '{job="b"} 0']);
});

test('operators match series by their labels', async () => {
  const ratio = await query('requests_total / on (job) group_left sum by (job) (requests_total)', requests, {
    startMs: 120_000,
  });
  assert.deepEqual(linesOf(ratio), [
    '{job="a",path="/"} 0.9090909090909091',
    '{job="a",path="/x"} 0.09090909090909091',
    '{job="b",path="/"} 1',
  ]);
  await assert.rejects(query('requests_total / on (job) requests_total', requests, { startMs: 120_000 }), {
    code: 'TREASURY_QUERY_INVALID',
    message: /^found duplicate series for the match group \{job="a"\} on the right hand-side of the operation/,
  });
});

test('too many samples are an error and not a cut', async () => {
  await assert.rejects(
    query('requests_total', requests, { endMs: 300_000, stepMs: 1000, settings: { samplesMax: 500 } }),
    { code: 'TREASURY_QUERY_LIMIT', message: /would load too many samples into memory/ },
  );
});

test('an aborted evaluation throws the reason', async () => {
  const reason = new Error('gone');
  await assert.rejects(query('requests_total', requests, { signal: AbortSignal.abort(reason) }), reason);
});

test('an evaluation that is aborted on its way ends there', async () => {
  const controller = new AbortController();
  const reason = new Error('gone');
  const source: SampleSource = {
    select: (selection) => {
      controller.abort(reason);
      return requests.select(selection, new AbortController().signal);
    },
  };
  await assert.rejects(query('sum(rate(requests_total[5m]))', source, { signal: controller.signal }), reason);
});

test('gaps count, too, where they would take far more room than samples', async () => {
  const sparse = samplesOf({ labels: { __name__: 'm' }, samples: [1, 2], stepMs: 100 * 86_400_000 });
  const range = { endMs: 100 * 86_400_000, stepMs: 1000, settings: { samplesMax: 10_000 } };
  await assert.rejects(query('m', sparse, range), { code: 'TREASURY_QUERY_LIMIT' });
});

test('ranges and strings are no range queries', async () => {
  await assert.rejects(query('requests_total[5m]', requests, { endMs: 60_000, stepMs: 1000 }), {
    message: 'invalid expression type "range vector" for range query, must be Scalar or instant Vector',
  });
  const text = await query('"hello"', requests, { startMs: 5000 });
  assert.deepEqual(text.value, { type: 'string', timeMs: 5000, value: 'hello' });
});

test('durations are worked out from the query', async () => {
  const found = await query('count_over_time(requests_total{path="/x"}[step() * 2] offset -(range() / 2))', requests, {
    endMs: 120_000,
    stepMs: 60_000,
  });
  assert.deepEqual(linesOf(found), ['{job="a",path="/x"} 2@0 2@60 2@120']);
  await assert.rejects(query('m[5m - 5m]', requests), { message: /duration must be greater than 0$/ });
});

test('chains of many operators are evaluated', async () => {
  const sum = `${'requests_total{job="b"} + '.repeat(1400)}requests_total{job="b"}`;
  assert.deepEqual(linesOf(await query(sum, requests, { startMs: 60_000 })), ['{job="b",path="/"} 7005']);
  const union = `${'requests_total{job="none"} or '.repeat(1400)}requests_total{job="b"}`;
  assert.deepEqual(linesOf(await query(union, requests, { startMs: 60_000 })), ['requests_total{job="b",path="/"} 5']);
});
