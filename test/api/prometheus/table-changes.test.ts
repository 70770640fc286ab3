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

test('a question after the engine has ended is answered with 503, whatever was kept', async (t) => {
  const { base, store } = await startPrometheusServer(t);
  await store.send([counter('requests', [T])]);
  const query = { query: 'requests_total', time: `${T}` };
  assert.equal((await post(base, '/query', query)).status, 200);
  await store.engine.stop();
  const { status, body } = await post(base, '/query', query);
  assert.deepEqual([status, body.errorType], [503, 'unavailable']);
});
