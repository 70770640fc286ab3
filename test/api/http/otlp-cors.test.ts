/**
 * Goal: programs in browsers may send telemetry from the origins that were named, and from no other.
 * Method: the requests that a browser makes, by node:http, at a real server.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCors } from '../../../src/api/http/cors.ts';
import { type HttpAnswer, logsRequest, type OtlpHarness, startOtlpHarness } from './otlp-harness.ts';

const ORIGIN = 'https://app.example.com';

function preflight(harness: OtlpHarness, origin: string, asked?: string, path = '/v1/logs'): Promise<HttpAnswer> {
  const headers = {
    'content-type': undefined,
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': asked,
  };
  return harness.post(Buffer.alloc(0), { method: 'OPTIONS', path, headers });
}

function corsHeaders({ headers }: HttpAnswer): string[] {
  return Object.keys(headers).filter((name) => name.startsWith('access-control-'));
}

test('a preflight of a listed origin is answered 204 with the origin, the method, the headers asked for and an age', async (t) => {
  const harness = await startOtlpHarness(t, { corsOrigins: [ORIGIN] });
  for (const path of ['/v1/logs', '/v1/traces', '/v1/metrics']) {
    const answer = await preflight(harness, ORIGIN, 'content-type,X-Custom, traceparent', path);
    assert.equal(answer.status, 204);
    assert.equal(answer.body.length, 0);
    assert.equal(answer.headers['access-control-allow-origin'], ORIGIN);
    assert.equal(answer.headers['access-control-allow-methods'], 'POST');
    assert.equal(answer.headers['access-control-allow-headers'], 'content-type, X-Custom, traceparent');
    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
    assert.match(String(answer.headers['access-control-max-age']), /^\d+$/);
    assert.match(String(answer.headers['vary']), /Origin/);
  }
});

test('a preflight is granted header names only', async (t) => {
  const harness = await startOtlpHarness(t, { corsOrigins: [ORIGIN] });
  const answer = await preflight(harness, ORIGIN, 'a b, content-type, x:y, , "q"');
  assert.equal(answer.headers['access-control-allow-headers'], 'content-type');
  const none = await preflight(harness, ORIGIN);
  assert.equal(none.headers['access-control-allow-headers'], undefined);
});

test('an origin that is not listed gets no CORS headers, neither for a preflight nor for an export', async (t) => {
  const harness = await startOtlpHarness(t, { corsOrigins: [ORIGIN] });
  for (const origin of [
    'https://example.com',
    'http://app.example.com',
    `${ORIGIN}:8443`,
    `${ORIGIN}.evil.org`,
    'null',
  ]) {
    const asked = await preflight(harness, origin, 'content-type');
    assert.equal(asked.status, 204);
    assert.deepEqual(corsHeaders(asked), [], origin);
    const sent = await harness.post(logsRequest(), { headers: { origin } });
    assert.deepEqual(corsHeaders(sent), [], origin);
    assert.equal(sent.headers['vary'], 'Origin');
  }
});

test('answers to a listed origin may be read by it, refusals too', async (t) => {
  const harness = await startOtlpHarness(t, { corsOrigins: [ORIGIN] });
  const refused = { headers: { origin: ORIGIN, 'content-type': 'text/plain' } };
  const answers = [
    [200, await harness.post(logsRequest(), { headers: { origin: ORIGIN } })],
    [400, await harness.post(Buffer.from('no protobuf'), { headers: { origin: ORIGIN } })],
    [404, await harness.post(logsRequest(), { headers: { origin: ORIGIN }, path: '/v1/other' })],
    [405, await harness.post(Buffer.alloc(0), { headers: { origin: ORIGIN }, method: 'GET' })],
    [415, await harness.post(logsRequest(), refused)],
  ] as const;
  for (const [status, answer] of answers) {
    assert.equal(answer.status, status);
    assert.equal(answer.headers['access-control-allow-origin'], ORIGIN);
    assert.equal(answer.headers['access-control-expose-headers'], 'Retry-After');
    assert.equal(answer.headers['vary'], 'Origin');
  }
  assert.equal(answers[3][1].headers['allow'], 'POST, OPTIONS');
});

test('a preflight of another path is answered 404', async (t) => {
  const harness = await startOtlpHarness(t, { corsOrigins: [ORIGIN] });
  assert.equal((await preflight(harness, ORIGIN, 'content-type', '/v1/other')).status, 404);
});

test('without origins OPTIONS is a method like others and no answer has CORS headers', async (t) => {
  const harness = await startOtlpHarness(t);
  const asked = await preflight(harness, ORIGIN, 'content-type');
  assert.equal(asked.status, 405);
  const sent = await harness.post(logsRequest(), { headers: { origin: ORIGIN } });
  assert.deepEqual([corsHeaders(asked), corsHeaders(sent), sent.headers['vary']], [[], [], undefined]);
});

test('a star stands for any part of a host or port, alone for every origin', () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    [
      'https://*.example.com',
      ['https://a.example.com', 'https://a.b.example.com', 'HTTPS://A.Example.com'],
      ['https://example.com', 'http://a.example.com', 'https://a.example.com:1', 'https://evil.org/.example.com'],
    ],
    ['http://localhost:*', ['http://localhost:3000'], ['http://localhost', 'http://localhost.evil.org:1']],
    ['http://a*a', ['http://aa', 'http://axa'], ['http://a']],
    ['*', ['https://x', 'null', 'chrome-extension://abc'], []],
  ];
  for (const [pattern, matching, others] of cases) {
    const cors = createCors([pattern])!;
    for (const origin of matching) {
      assert.equal(cors.answerHeaders({ origin })['Access-Control-Allow-Origin'], origin, pattern);
    }
    for (const origin of others) assert.deepEqual(cors.answerHeaders({ origin }), { Vary: 'Origin' }, pattern);
  }
  assert.deepEqual(createCors(['*'])!.answerHeaders({}), { Vary: 'Origin' });
});
