import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counter, gauge, get, post, startPrometheusServer } from './prometheus-server.ts';

const T = 1_795_347_120;
const SECONDS = [T - 120, T - 60, T];

test('an instant query answers with a vector in the envelope of Prometheus', async (t) => {
  const { base, store } = await startPrometheusServer(t);
  await store.send([counter('requests', SECONDS, { route: '/a "b"' })], { resource: { 'service.name': 'cart' } });
  const { status, headers, body } = await post(base, '/query', { query: 'requests_total', time: `${T}.789` });
  assert.equal(status, 200);
  assert.equal(headers.get('content-type'), 'application/json');
  assert.deepEqual(body, {
    status: 'success',
    data: {
      resultType: 'vector',
      result: [{ metric: { __name__: 'requests_total', job: 'cart', route: '/a "b"' }, value: [T + 0.789, '30'] }],
    },
  });
});

test('a range query answers with a matrix, over GET as over POST', async (t) => {
  const { base, store } = await startPrometheusServer(t);
  await store.send([counter('requests', SECONDS), gauge('tiny', SECONDS, 1e-7)], {
    resource: { 'service.name': 'cart' },
  });
  const parameters = { query: 'requests_total', start: `${T - 60}`, end: `${T}`, step: '60' };
  const posted = await post(base, '/query_range', parameters);
  assert.deepEqual(posted.body.data, {
    resultType: 'matrix',
    result: [
      {
        metric: { __name__: 'requests_total', job: 'cart' },
        values: [
          [T - 60, '20'],
          [T, '30'],
        ],
      },
    ],
  });
  assert.deepEqual((await get(base, '/query_range', parameters)).body, posted.body);
  const tiny = await get(base, '/query', { query: 'tiny', time: `${T}` });
  assert.match(tiny.text, /"1e-07"/);
});
