/** Goal: what the thread of PromQL keeps of the tables holds: it asks again once something changed, and only then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counter, post, startPrometheusServer } from './prometheus-server.ts';

const T = 1_795_347_120;
const ACTIVITY = /max\(entry_offset\)/;

test('requests ask for changes of the tables only when there were some', async (t) => {
  const { base, store, asked } = await startPrometheusServer(t);
  const looks = () => asked.filter((query) => ACTIVITY.test(query)).length;
  const values = async () => {
    const { body } = await post(base, '/label/route/values', {});
    return body.data;
  };
  await store.send([counter('requests', [T - 60], { route: '/a' })]);
  assert.deepEqual(await values(), ['/a']);
  assert.deepEqual(await values(), ['/a']);
  assert.equal(looks(), 1);
  await store.send([counter('requests', [T], { route: '/b' })]);
  assert.deepEqual(await values(), ['/a', '/b']);
  assert.equal(looks(), 2);
});

test('points are read once, and what came since, late ones too, when they are asked for again', async (t) => {
  const { base, store, asked } = await startPrometheusServer(t);
  const reads = () => asked.filter((query) => /FROM store\.samples_v1 WHERE store/.test(query));
  const values = async (from: number, until: number) => {
    const range = { query: 'requests_total', start: `${from}`, end: `${until}`, step: '60' };
    const { body } = await post(base, '/query_range', range);
    const { result } = body.data as { result: readonly { values: readonly (readonly [number, string])[] }[] };
    return result.map((series) => series.values.map(([time]) => time));
  };
  await store.send([counter('requests', [T - 1200, T])]);
  assert.deepEqual(await values(T - 1200, T), [[T - 1200, T - 1140, T - 1080, T - 1020, T - 960, T]]);
  assert.deepEqual(await values(T - 60, T), [[T]]);
  assert.equal(reads().length, 1);
  await store.send([counter('requests', [T - 600])]);
  assert.deepEqual(await values(T - 660, T), [[T - 600, T - 540, T - 480, T - 420, T - 360, T]]);
  assert.equal(reads().length, 2);
  assert.match(reads()[1]!, /entry_offset >= /);
});

test('a question after the engine has ended is answered with 503, whatever was kept', async (t) => {
  const { base, store } = await startPrometheusServer(t);
  await store.send([counter('requests', [T])]);
  const query = { query: 'requests_total', time: `${T}` };
  assert.equal((await post(base, '/query', query)).status, 200);
  await store.engine.stop();
  const { status, body } = await post(base, '/query', query);
  assert.deepEqual([status, body.errorType], [503, 'unavailable']);
});
