/**
 * Goal: the HTTP contract: paths, methods, media types, status codes and error bodies.
 * Method: a real server on a socket; what stands behind it is set by each test.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { test, type TestContext } from 'node:test';
import { startOtlpHttpServer } from '../../../src/api/index.ts';
import { LIMITS, type Logger, silentLogger, TreasuryError } from '../../../src/base/index.ts';
import { chunksOf, ENGINE_STATUS, LOG_STATUS, startHttpHarness } from './harness.ts';
import { startOtlpHarness } from './otlp-harness.ts';

const SQL = '/treasury/v1/sql';

async function start(context: TestContext, ...parameters: Parameters<typeof startHttpHarness>) {
  const harness = await startHttpHarness(...parameters);
  context.after(() => harness.listener.stop());
  return harness;
}

async function errorOf(response: Response): Promise<Record<string, unknown>> {
  return ((await response.json()) as { error: Record<string, unknown> }).error;
}

test('healthz and readyz answer 200 with a reason per part', async (context) => {
  const { base } = await start(context);
  for (const path of ['/healthz', '/readyz']) {
    const response = await fetch(base + path);
    assert.equal(response.status, 200);
    const body = (await response.json()) as { status: string; parts: Record<string, unknown> };
    assert.equal(body.status, 'ok');
    assert.deepEqual(body.parts['log'], { ok: true });
  }
});

test('healthz answers 503 and names the part that fails', async (context) => {
  const cases = [
    [{ log: { status: () => ({ ...LOG_STATUS, refusing: 'disk full' }) } }, 'log', /disk full/],
    [{ engineHealth: () => ({ running: false, restarts: 2, reason: 'it died' }) }, 'engine', /it died/],
    [
      { engine: { sql: never, status: () => Promise.resolve({ ...ENGINE_STATUS, stuck: 'a projection fails' }) } },
      'materialization',
      /projection fails/,
    ],
    [{ engine: { sql: never, status: () => Promise.reject(new Error('gone')) } }, 'engine', /gone/],
  ] as const;
  for (const [parts, name, reason] of cases) {
    const { base } = await start(context, parts);
    const response = await fetch(`${base}/healthz`);
    assert.equal(response.status, 503);
    const body = (await response.json()) as { parts: Record<string, { ok: boolean; reason: string }> };
    assert.equal(body.parts[name]?.ok, false);
    assert.match(body.parts[name]?.reason ?? '', reason);
  }
});

test('readyz is red while the server stops, healthz is not', async (context) => {
  const { base } = await start(context, { isStopping: () => true });
  assert.equal((await fetch(`${base}/readyz`)).status, 503);
  assert.equal((await fetch(`${base}/healthz`)).status, 200);
});

test('status names offsets as numbers, lag, losses and quarantine', async (context) => {
  const { base } = await start(context);
  const body = (await (await fetch(`${base}/treasury/v1/status`)).json()) as Record<string, unknown>;
  assert.equal(body['version'], '9.9.9');
  assert.deepEqual([body['firstOffset'], body['durableOffset'], body['nextOffset']], [0, 8, 9]);
  assert.equal(body['complete'], true);
  assert.deepEqual(body['projections'], [
    {
      name: 'logs',
      kind: 'built-in',
      version: 1,
      state: 'serving',
      firstOffset: 0,
      materializedOffset: 5,
      lag: 3,
      complete: true,
      rowsWritten: 50,
      building: null,
      lastSwitch: null,
    },
  ]);
  const otlp = body['otlp'] as { inFlight: number; requests: { http: { logs: { rejectedRows: number } } } };
  assert.deepEqual([otlp.inFlight, otlp.requests.http.logs.rejectedRows], [2, 5]);
  assert.deepEqual(body['lost'], { total: 3, newest: [{ from: 1, to: 4 }] });
  assert.deepEqual(body['quarantine'], {
    total: 1,
    newest: [{ offset: 3, projection: 'logs', reason: 'a "reason"' }],
  });
});

test('status and metrics answer while the engine is down', async (context) => {
  const { base } = await start(context, { engine: { sql: never, status: () => Promise.reject(new Error('gone')) } });
  const status = (await (await fetch(`${base}/treasury/v1/status`)).json()) as Record<string, unknown>;
  assert.deepEqual([status['durableOffset'], status['materializedOffset']], [8, null]);
  assert.match(await (await fetch(`${base}/metrics`)).text(), /treasury_healthy\{part="engine"\} 0\n/);
});

test('metrics are Prometheus text with help, type and one line a sample', async (context) => {
  const { base } = await start(context);
  const response = await fetch(`${base}/metrics`);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).trimEnd().split('\n');
  const sample = /^treasury_[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? -?[0-9.e+-]+$/;
  for (const line of lines) assert.match(line, line.startsWith('#') ? /^# (HELP|TYPE) treasury_\w+ .+$/ : sample);
  // Scrapers refuse a family that is split, and samples ahead of their type.
  let family = '';
  for (const line of lines) {
    const [, keyword, named, type] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (keyword === 'HELP') family = named!;
    else if (keyword === 'TYPE')
      assert.ok(named === family && type === (family.endsWith('_total') ? 'counter' : 'gauge'));
    else assert.equal(/^\w+/.exec(line)![0], family);
  }
  const text = lines.join('\n');
  assert.match(text, /treasury_materialized_lag_entries\{projection="logs",version="1"\} 3\n/);
  assert.match(text, /treasury_received_batches_total\{signal="logs",outcome="accepted"\} 7\n/);
  assert.match(text, /treasury_otlp_requests_total\{transport="http",signal="logs",outcome="accepted"\} 3\n/);
  assert.match(text, /treasury_otlp_requests_total\{transport="http",signal="logs",outcome="partial"\} 1\n/);
  assert.match(text, /treasury_otlp_requests_total\{transport="grpc",signal="metrics",outcome="malformed"\} 0\n/);
  assert.match(text, /treasury_otlp_rows_total\{transport="http",signal="logs"\} 40\n/);
  assert.match(text, /treasury_otlp_rejected_rows_total\{transport="http",signal="logs"\} 5\n/);
  assert.match(text, /treasury_otlp_bytes_total\{transport="http",signal="logs"\} 600\n/);
  assert.match(text, /treasury_otlp_in_flight 2\n/);
  assert.equal(
    new Set(lines.filter((line) => line.startsWith('# TYPE'))).size,
    lines.filter((line) => line.startsWith('# TYPE')).length,
  );
});

test('sql passes text and JSON bodies with the limits of the server', async (context) => {
  const { base, requests } = await start(context);
  const limits = { rowsMax: 100, timeoutMs: 1000 };
  await fetch(base + SQL, { method: 'POST', body: 'SELECT 1' });
  await fetch(base + SQL, {
    method: 'POST',
    body: 'SELECT 2',
    headers: { 'Content-Type': 'application/sql; charset=utf-8' },
  });
  await fetch(base + SQL, {
    method: 'POST',
    body: 'SELECT 3',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  });
  for (const params of [['a', 1, null, true], { name: 'x' }]) {
    const body = JSON.stringify({ query: 'SELECT 4', params });
    await fetch(base + SQL, { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
  }
  assert.deepEqual(requests, [
    { query: 'SELECT 1', format: 'json', ...limits },
    { query: 'SELECT 2', format: 'json', ...limits },
    { query: 'SELECT 3', format: 'json', ...limits },
    { query: 'SELECT 4', format: 'json', params: ['a', 1, null, true], ...limits },
    { query: 'SELECT 4', format: 'json', params: { name: 'x' }, ...limits },
  ]);
});

test('sql picks the format that Accept prefers', async (context) => {
  const { base } = await start(context);
  const cases = [
    ['*/*', 'application/json'],
    ['application/vnd.apache.arrow.stream', 'application/vnd.apache.arrow.stream'],
    ['text/csv;q=0.5, application/x-ndjson', 'application/x-ndjson'],
    ['text/*', 'text/csv'],
    ['application/json; charset=utf-8', 'application/json'],
    ['text/csv; charset=UTF-8', 'text/csv'],
  ] as const;
  for (const [accept, type] of cases) {
    const response = await fetch(base + SQL, { method: 'POST', body: 'SELECT 1', headers: { Accept: accept } });
    assert.equal(response.status, 200);
    assert.ok(
      response.headers.get('content-type')?.startsWith(type),
      `${accept}: ${response.headers.get('content-type')}`,
    );
    await response.body?.cancel();
  }
  const refused = await fetch(base + SQL, { method: 'POST', body: 'SELECT 1', headers: { Accept: 'image/png' } });
  assert.equal(refused.status, 406);
  assert.equal((await errorOf(refused))['code'], 'TREASURY_NOT_ACCEPTABLE');
});

test('sql refuses bodies that it cannot read', async (context) => {
  const { base, requests } = await start(context);
  const json = { 'Content-Type': 'application/json' };
  const cases: readonly (readonly [RequestInit, number, string])[] = [
    [{ body: 'x', headers: { 'Content-Type': 'image/png' } }, 415, 'TREASURY_UNSUPPORTED_MEDIA_TYPE'],
    [{ body: 'x', headers: { 'Content-Encoding': 'gzip' } }, 415, 'TREASURY_UNSUPPORTED_MEDIA_TYPE'],
    [{ body: '{', headers: json }, 400, 'TREASURY_QUERY_INVALID'],
    [{ body: '[]', headers: json }, 400, 'TREASURY_QUERY_INVALID'],
    [{ body: '{"query":1}', headers: json }, 400, 'TREASURY_QUERY_INVALID'],
    [{ body: '{"query":"SELECT 1","parms":[]}', headers: json }, 400, 'TREASURY_QUERY_INVALID'],
    [{ body: '{"query":"SELECT 1","params":[[]]}', headers: json }, 400, 'TREASURY_QUERY_INVALID'],
    [{ body: '{"query":"SELECT 1","params":"x"}', headers: json }, 400, 'TREASURY_QUERY_INVALID'],
    [{ body: '{"query":"SELECT $1","params":[9007199254740993]}', headers: json }, 400, 'TREASURY_QUERY_INVALID'],
    [{ body: '{"query":"SELECT $1","params":[1e400]}', headers: json }, 400, 'TREASURY_QUERY_INVALID'],
    [{ body: '{"query":"SELECT 1 \\u0000"}', headers: json }, 400, 'TREASURY_QUERY_INVALID'],
    [{ body: 'SELECT 1 \0; and what else' }, 400, 'TREASURY_QUERY_INVALID'],
    [{ body: 'x', headers: { 'Content-Type': 'text/plain; charset=utf-16' } }, 415, 'TREASURY_UNSUPPORTED_MEDIA_TYPE'],
    [{ body: Buffer.from([0x53, 0xff]) }, 400, 'TREASURY_QUERY_INVALID'],
    [{ body: Buffer.alloc(LIMITS.sqlTextBytesMax + 1, 0x20) }, 413, 'TREASURY_BODY_TOO_LARGE'],
  ];
  for (const [init, status, code] of cases) {
    const response = await fetch(base + SQL, { method: 'POST', ...init });
    assert.equal(response.status, status);
    assert.equal((await errorOf(response))['code'], code);
  }
  assert.equal(requests.length, 0);
});

test('sql answers failures with their status, code, message and facts', async (context) => {
  const cases: readonly (readonly [TreasuryError, number])[] = [
    [new TreasuryError('TREASURY_QUERY_INVALID', 'No', { facts: { line: 2 } }), 400],
    [new TreasuryError('TREASURY_QUERY_LIMIT', 'Too long', { facts: { timeoutMs: 5 } }), 422],
    [new TreasuryError('TREASURY_QUERY_LIMIT', 'Busy', { retryable: true }), 503],
    [new TreasuryError('TREASURY_ENGINE_UNAVAILABLE', 'Down', { retryable: true }), 503],
    [new TreasuryError('TREASURY_STORE', 'Broken'), 500],
  ];
  for (const [error, status] of cases) {
    const { base } = await start(context, {}, () => Promise.reject(error));
    const response = await fetch(base + SQL, { method: 'POST', body: 'SELECT 1' });
    assert.equal(response.status, status);
    assert.equal(response.headers.get('retry-after'), status === 503 ? '1' : null);
    assert.deepEqual(await errorOf(response), { code: error.code, message: error.message, ...error.facts });
  }
});

test('sql hides what nobody expected and logs it', async (context) => {
  const logged: string[] = [];
  const push = (message: string) => void logged.push(message);
  const logger = { debug: push, info: push, warn: push, error: push };
  const { base } = await start(context, {}, () => Promise.reject(new Error('secret path')), logger);
  const response = await fetch(base + SQL, { method: 'POST', body: 'SELECT 1' });
  assert.equal(response.status, 500);
  assert.doesNotMatch(JSON.stringify(await errorOf(response)), /secret/);
  assert.deepEqual(logged, ['Request failed']);
});

test('sql breaks the transfer when the query fails on the way', async (context) => {
  const { base } = await start(context, {}, () => Promise.resolve({ chunks: failing() }));
  // Whether the head arrives before the break is the network's business.
  await assert.rejects(fetch(base + SQL, { method: 'POST', body: 'SELECT 1' }).then((response) => response.text()));
});

test('sql is cancelled when the client goes away, before and during the answer', async (context) => {
  for (const phase of ['before', 'during']) {
    let started!: () => void;
    const begun = new Promise<void>((resolve) => {
      started = resolve;
    });
    let stopped!: () => void;
    const cancelled = new Promise<void>((resolve) => {
      stopped = resolve;
    });
    const { base } = await start(context, {}, async (_request, signal) => {
      signal.addEventListener('abort', () => stopped());
      started();
      if (phase === 'before') {
        await once(signal, 'abort');
        throw new TreasuryError('TREASURY_QUERY_CANCELLED', 'The query was cancelled');
      }
      return { chunks: endless(signal) };
    });
    const client = httpRequest(base + SQL, { method: 'POST' });
    client.on('error', () => {});
    client.end('SELECT 1');
    await begun;
    if (phase === 'during') await once(client, 'response');
    client.destroy();
    await cancelled;
  }
});

test('an answer of many parts to a slow client leaves no listeners behind', async (context) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on('warning', onWarning);
  context.after(() => process.off('warning', onWarning));
  const { base } = await start(context, {}, () => Promise.resolve({ chunks: spaces() }));
  await (await fetch(base + SQL, { method: 'POST', body: 'SELECT 1' })).arrayBuffer();
  assert.deepEqual(warnings, []);
});

test('sql sends no faster than the client reads', async (context) => {
  let sent = 0;
  const part = Buffer.alloc(1024 * 1024, 0x20);
  async function* parts(): AsyncGenerator<Uint8Array> {
    for (; sent < 64; sent++) yield part;
  }
  const { listener } = await start(context, {}, () => Promise.resolve({ chunks: parts() }));
  const socket = connect(listener.port, '127.0.0.1');
  socket.pause();
  socket.write(`POST ${SQL} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\nSELECT 1`);
  let before = -1;
  while (sent !== before || sent === 0) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(sent < 64, `${sent} MiB were taken by a client that reads nothing`);
  let received = 0;
  socket.on('data', (data) => {
    received += data.length;
  });
  socket.resume();
  await once(socket, 'close');
  assert.ok(received > 64 * part.length);
});

test("paths and methods that are not served answer in the API's error shape", async (context) => {
  const { base } = await start(context);
  const missing = await fetch(`${base}/nope`);
  assert.equal(missing.status, 404);
  assert.equal((await errorOf(missing))['code'], 'TREASURY_NOT_FOUND');
  const wrong = await fetch(base + SQL);
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get('allow'), 'POST');
  assert.equal((await errorOf(wrong))['code'], 'TREASURY_METHOD_NOT_ALLOWED');
  const post = await fetch(`${base}/metrics`, { method: 'POST' });
  assert.equal(post.status, 405);
  const head = await fetch(`${base}/healthz`, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
});

/** Sends bytes as they are and settles with the first line of the answer, or '' when there is none. */
async function rawRequest(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  let answer = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    answer += text;
    socket.end();
  });
  socket.write(bytes);
  await once(socket, 'close');
  return answer.split('\r\n', 1)[0]!;
}

const ODD_TARGETS = ['//', 'http://[', '*', '/%zz', 'http://x:99999/', '/\\', '///v1/logs', 'x:y'];

test('request targets that are no URL are refused, and the server goes on', async (context) => {
  const { base, listener } = await start(context, {}, never, failingLogger());
  const otlp = await startOtlpHarness(context, { logger: failingLogger() });
  for (const target of ODD_TARGETS) {
    for (const { port } of [listener, otlp]) {
      const line = await rawRequest(port, `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
      assert.match(line, /^HTTP\/1\.1 40[04] /, target);
    }
  }
  assert.equal((await fetch(`${base}/healthz`)).status, 200);
});

test('clients that break off or do not speak HTTP are no errors of the server', async (context) => {
  const { base, listener } = await start(context, {}, () => Promise.resolve({ chunks: spaces() }), failingLogger());
  const head = `POST ${SQL} HTTP/1.1\r\nHost: x\r\n`;
  const broken = [`${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, `${head}Content-Length: 100\r\n\r\nSELECT 1`];
  for (const request of [...broken, `${head}Content-Length: 8\r\n\r\nSELECT 1`]) {
    const socket = connect(listener.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(request);
    await new Promise((resolve) => setTimeout(resolve, 100));
    socket.resetAndDestroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal((await fetch(`${base}/healthz`)).status, 200);
});

async function* spaces(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 64; i++) yield Buffer.alloc(1024 * 1024, 0x20);
}

test('stop lets an answer under way end and takes no more connections', async () => {
  const gate = deferred();
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('begin ');
    await gate.promise;
    yield Buffer.from('end');
  }
  const { base, listener } = await startHttpHarness({}, () => Promise.resolve({ chunks: slow() }));
  const response = await fetch(base + SQL, { method: 'POST', body: 'SELECT 1', headers: { Connection: 'close' } });
  const stopped = listener.stop();
  await assert.rejects(fetch(`${base}/healthz`));
  gate.resolve();
  assert.equal(await response.text(), 'begin end');
  await stopped;
});

test('listening on an address in use rejects with the reason', async (context) => {
  const { listener } = await start(context);
  const { intake } = await startOtlpHarness(context);
  const options = { host: '127.0.0.1', intake, logger: silentLogger, corsOrigins: [] };
  const again = startOtlpHttpServer({ ...options, port: listener.port });
  await assert.rejects(again, { code: 'TREASURY_CONFIG', message: /EADDRINUSE/ });
});

function never(): Promise<never> {
  return Promise.reject(new Error('not reached'));
}

/** Fails the test when something is logged as wrong. */
function failingLogger(): Logger {
  const fail = (message: string, fields?: unknown) => assert.fail(`${message}: ${JSON.stringify(fields)}`);
  return { debug() {}, info() {}, warn: fail, error: fail };
}

async function* failing(): AsyncGenerator<Uint8Array> {
  yield* chunksOf('{"columns":[');
  throw new TreasuryError('TREASURY_QUERY_LIMIT', 'Too long');
}

async function* endless(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  while (!signal.aborted) {
    yield Buffer.alloc(1024);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function deferred() {
  let resolve!: () => void;
  const promise = new Promise<void>((onResolve) => {
    resolve = onResolve;
  });
  return { promise, resolve };
}
