import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linesOf, query, samplesOf } from '../../../helpers/promql-samples.ts';
import { exponential } from '../../../helpers/histograms.ts';

const MINUTE_MS = 60_000;

async function single(text: string, samples: readonly (number | 'stale' | undefined)[], startMs: number) {
  return linesOf(await query(text, samplesOf({ labels: { __name__: 'm_total' }, samples }), { startMs }));
}

test('ranges are open on their left and closed on their right', async () => {
  assert.deepEqual(await single('count_over_time(m_total[2m])', [1, 2, 3, 4], 3 * MINUTE_MS), ['{} 2']);
  assert.deepEqual(await single('last_over_time(m_total[1m])', [1, 2, 3], 2 * MINUTE_MS), ['m_total{} 3']);
});

test('stale markers end a series and are no samples of a range', async () => {
  assert.deepEqual(await single('m_total', [1, 'stale', undefined], 2 * MINUTE_MS), []);
  assert.deepEqual(await single('sum_over_time(m_total[5m])', [1, 'stale', 3], 2 * MINUTE_MS), ['{} 4']);
});

test('sums keep what single additions lose, and means do not overflow', async () => {
  assert.deepEqual(await single('sum_over_time(m_total[5m])', [1e100, 1, -1e100], 2 * MINUTE_MS), ['{} 1']);
  assert.deepEqual(await single('avg_over_time(m_total[5m])', [1.5e308, 1.5e308, 1.5e308], 2 * MINUTE_MS), [
    `{} 15${'0'.repeat(307)}`,
  ]);
});

test('a counter is not extrapolated below zero', async () => {
  // From 1 by 100 in a minute: it began a moment before its first sample.
  assert.deepEqual(await single('increase(m_total[10m])', [undefined, undefined, 1, 101], 3 * MINUTE_MS), ['{} 101']);
  // A gap as wide as two samples at the start, of which half of one is filled, and one at the end.
  assert.deepEqual(await single('increase(m_total[5m])', [undefined, 2, 4, 6], 4 * MINUTE_MS), ['{} 7']);
});

test('extremes pass over NaN while there is a number', async () => {
  assert.deepEqual(await single('max_over_time(m_total[5m])', [NaN, 3, NaN, 1], 3 * MINUTE_MS), ['{} 3']);
  assert.deepEqual(await single('quantile_over_time(0.5, m_total[5m])', [4, 1, 3], 2 * MINUTE_MS), ['{} 3']);
  assert.deepEqual(await single('mad_over_time(m_total[9m])', [1, 2, 3, 4, 100], 4 * MINUTE_MS), ['{} 1']);
});

test('changes and resets count from one sample to the next', async () => {
  assert.deepEqual(await single('changes(m_total[9m])', [1, 1, 2, NaN, NaN, 2], 5 * MINUTE_MS), ['{} 3']);
  assert.deepEqual(await single('resets(m_total[9m])', [3, 4, 1, 2, 0, 0], 5 * MINUTE_MS), ['{} 2']);
});

test('lines are fitted through samples by their times', async () => {
  assert.deepEqual(await single('deriv(m_total[9m])', [0, 60, 120, 180], 3 * MINUTE_MS), ['{} 1']);
  assert.deepEqual(await single('predict_linear(m_total[9m], 600)', [0, 60, 120], 3 * MINUTE_MS), ['{} 780']);
});

test('steps of a subquery lie at multiples of its interval', async () => {
  const source = samplesOf({ labels: { __name__: 'm_total' }, samples: [0, 1, 2, 3, 4, 5] });
  const found = await query('m_total[3m:1m]', source, { startMs: 4 * MINUTE_MS + 30_000 });
  assert.deepEqual(linesOf(found), ['m_total{} 2@120 3@180 4@240']);
});

test('anchored and smoothed ranges take the values at their ends', async () => {
  const samples = [0, 10, 20, 30, 40];
  assert.deepEqual(await single('increase(m_total[2m] anchored)', samples, 210_000), ['{} 20']);
  assert.deepEqual(await single('increase(m_total[1m] smoothed)', samples, 210_000), ['{} 10']);
  assert.deepEqual(await single('m_total smoothed', samples, 90_000), ['m_total{} 15']);
  await assert.rejects(single('deriv(m_total[2m] smoothed)', samples, 0), {
    message: 'smoothed modifier can only be used with: delta, increase, rate - not with deriv',
  });
});

test('a window that mixes floats and histograms gives nothing but a warning', async () => {
  const source = samplesOf({
    labels: { __name__: 'm_total' },
    samples: [1, exponential({ count: 2, sum: 3, positive: { 0: 2 } }), 3],
  });
  const found = await query('rate(m_total[5m])', source, { startMs: 2 * MINUTE_MS });
  assert.deepEqual(linesOf(found), []);
  assert.deepEqual(found.warnings, [
    'PromQL warning: encountered a mix of histograms and floats for metric name "m_total" (1:6)',
  ]);
});

test('rate tells of names that are no counter, once', async () => {
  const source = samplesOf(
    { labels: { __name__: 'temperature', room: 'a' }, samples: [1, 2, 3] },
    { labels: { __name__: 'temperature', room: 'b' }, samples: [1, 2, 3] },
  );
  const found = await query('sum(\n  rate(temperature[5m]))', source, { startMs: 2 * MINUTE_MS });
  assert.deepEqual(found.infos, [
    'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "temperature" (2:8)',
  ]);
});

test('samples are counted in every window that holds them', async () => {
  const source = samplesOf({ labels: { __name__: 'm_total' }, samples: [0, 1, 2, 3, 4, 5] });
  const range = { startMs: 2 * MINUTE_MS, endMs: 4 * MINUTE_MS, stepMs: MINUTE_MS };
  assert.equal((await query('rate(m_total[2m])', source, range)).stats.samplesTotal, 6);
  assert.equal((await query('m_total @ 60', source, range)).stats.samplesTotal, 3);
});
