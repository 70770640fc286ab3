/** Goal: the thread of the Prometheus API is there only while it is needed, and whatever becomes of it or of its clients, each request is answered. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { createPrometheusQueries } from '../../../src/api/index.ts';
import { RequestFailure } from '../../../src/api/prometheus/failure.ts';
import {
  type PrometheusQueries,
  type PrometheusQueriesOptions,
  startPrometheusWorker,
} from '../../../src/api/prometheus/queries.ts';
import type { PrometheusEvent, PrometheusRequest, QueryRequest } from '../../../src/api/prometheus/types.ts';
import { startThread } from '../../../src/api/thread.ts';
import { LIMITS, silentLogger } from '../../../src/base/index.ts';
import type { SqlAnswer } from '../../../src/materialize/index.ts';
import { PROMETHEUS_SETTINGS, startHttpHarness } from '../http/harness.ts';
import { get, post } from './prometheus-server.ts';

const NEVER = new AbortController().signal;
const ONE_MIB = 1024 * 1024;

interface Threads {
  readonly queries: PrometheusQueries;
  /** Those that were started. */
  readonly workers: Worker[];
  /** What they said. */
  readonly events: PrometheusEvent[];
}

/** Queries over a store without metrics. */
function startThreads(t: TestContext, options: Partial<PrometheusQueriesOptions> = {}): Threads {
  const workers: Worker[] = [];
  const events: PrometheusEvent[] = [];
  const queries = createPrometheusQueries({
    engine: { sql: async () => emptyAnswer() },
    settings: PROMETHEUS_SETTINGS,
    logger: silentLogger,
    startWorker(data) {
      const worker = startPrometheusWorker(data);
      worker.on('message', (event: PrometheusEvent) => events.push(event));
      workers.push(worker);
      return worker;
    },
    ...options,
  });
  t.after(() => queries.stop());
  return { queries, workers, events };
}

function emptyAnswer(): SqlAnswer {
  return { chunks: (async function* none() {})() };
}

/** A store whose answers never come; `signals` are those of its questions. */
function silentEngine(signals: AbortSignal[]): PrometheusQueriesOptions['engine'] {
  return {
    sql: (_, signal) => {
      signals.push(signal);
      return new Promise<never>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    },
  };
}

function instant(query: string, timeoutMs = 60_000): QueryRequest {
  return { kind: 'query', query, startMs: 0, endMs: 0, stepMs: 0, timeoutMs, lookbackMs: null, limit: 0, stats: '' };
}

/** Many series of 11,000 points. */
function large(series: number): QueryRequest {
  const parts = Array.from({ length: series }, (_, at) => `label_replace(vector(time()), "n", "${at}", "", "")`);
  return { ...instant(parts.join(' or ')), endMs: 11_000_000 - 1000, stepMs: 1000 };
}

async function textOf(queries: PrometheusQueries, request: PrometheusRequest): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const chunk of await queries.ask(request, NEVER)) parts.push(chunk);
  return Buffer.concat(parts).toString();
}

function isFailure(type: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof RequestFailure);
    assert.equal(error.type, type);
    assert.match(error.message, message);
    return true;
  };
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await turn();
}

test('the thread starts with the first request, ends when idle, and starts anew', async (t) => {
  const { queries, workers } = startThreads(t, { limits: { idleMaxMs: 1 } });
  assert.equal(workers.length, 0);
  assert.match(await textOf(queries, instant('1 + 1')), /\[0,"2"\]/);
  await once(workers[0]!, 'exit');
  assert.match(await textOf(queries, instant('1 + 2')), /\[0,"3"\]/);
  assert.equal(workers.length, 2);
});

test('a thread that dies answers its requests with 503, and the next request gets a new one', async (t) => {
  const signals: AbortSignal[] = [];
  const { queries, workers } = startThreads(t, { engine: silentEngine(signals) });
  const { base, listener } = await startHttpHarness({ prometheus: queries });
  t.after(() => listener.stop());
  const answer = post(`${base}/api/v1`, '/query', { query: 'up' });
  await until(() => signals.length > 0);
  await workers[0]!.terminate();
  const { status, headers, body } = await answer;
  assert.equal(status, 503);
  assert.equal(headers.get('retry-after'), '1');
  assert.equal(body.errorType, 'unavailable');
  assert.equal(body.error, 'Cannot answer queries: their thread died');
  assert.ok(signals.every((signal) => signal.aborted));
  assert.equal((await get(`${base}/api/v1`, '/format_query', { query: '1+1' })).body.data, '1 + 1');
});

test('a query that takes all memory of the thread fails with it, and the next one is answered', async (t) => {
  const { queries } = startThreads(t, {
    startWorker: (workerData) =>
      startThread('../../../src/api/prometheus/worker', import.meta.url, {
        workerData,
        resourceLimits: { maxOldGenerationSizeMb: 24 },
      }),
  });
  const matchers = Array.from({ length: LIMITS.prometheusQueryLengthMax / 11 }, (_, at) => `a="${at}"`);
  await assert.rejects(
    queries.ask(instant(`{${matchers.join(',')}}`), NEVER),
    isFailure('unavailable', /^Cannot answer queries: their thread died$/),
  );
  assert.match(await textOf(queries, instant('1')), /success/);
});

test('a query that takes too long is a timeout, wherever it is', async (t) => {
  const signals: AbortSignal[] = [];
  const { queries } = startThreads(t, { engine: silentEngine(signals), limits: { concurrencyMax: 1 } });
  const first = queries.ask(instant('up'), NEVER);
  first.catch(() => {});
  await until(() => signals.length > 0);
  await assert.rejects(
    queries.ask(instant('up', 1), NEVER),
    isFailure('timeout', /^query timed out in query (queue|execution)$/),
  );
  await assert.rejects(queries.ask(instant('up', -1), NEVER), isFailure('timeout', /^query timed out/));
});

test('a timeout is 503 in the envelope, and other requests go on', async (t) => {
  const { queries } = startThreads(t, { engine: silentEngine([]) });
  const { base, listener } = await startHttpHarness({ prometheus: queries });
  t.after(() => listener.stop());
  const { status, body } = await get(`${base}/api/v1`, '/query', { query: 'up', timeout: '10ms' });
  assert.equal(status, 503);
  assert.deepEqual([body.status, body.errorType], ['error', 'timeout']);
  assert.match(body.error!, /^query timed out in (expression evaluation|query execution)$/);
  assert.equal((await get(`${base}/api/v1`, '/query', { query: '1', timeout: '55s' })).status, 200);
});

test('a client that goes away cancels its query, what it waits for included', async (t) => {
  const signals: AbortSignal[] = [];
  const { queries, events } = startThreads(t, { engine: silentEngine(signals) });
  const leave = new AbortController();
  const asked = queries.ask(instant('up'), leave.signal);
  await until(() => signals.length > 0);
  leave.abort();
  await assert.rejects(asked, isFailure('canceled', /^query was canceled/));
  await until(() => events.some(({ type }) => type === 'failure'));
});

test('a connection that breaks cancels the query behind it', async (t) => {
  const signals: AbortSignal[] = [];
  const { queries, events } = startThreads(t, { engine: silentEngine(signals) });
  const { listener } = await startHttpHarness({ prometheus: queries });
  t.after(() => listener.stop());
  const socket: Socket = connect(listener.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write('GET /api/v1/query?query=up HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => signals.length > 0);
  socket.destroy();
  await until(() => events.some((event) => event.type === 'failure' && event.failure.type === 'canceled'));
});

test('more requests than may run wait, and more than may wait are refused', async (t) => {
  const signals: AbortSignal[] = [];
  const { queries } = startThreads(t, { engine: silentEngine(signals), limits: { concurrencyMax: 1, queueMax: 1 } });
  const leave = new AbortController();
  const waiting = [queries.ask(instant('up'), leave.signal), queries.ask(instant('up'), leave.signal)];
  for (const each of waiting) each.catch(() => {});
  await assert.rejects(
    queries.ask(instant('up'), NEVER),
    isFailure('unavailable', /^Cannot queue the query: 1 are waiting$/),
  );
  leave.abort();
  for (const each of waiting) await assert.rejects(each, isFailure('canceled', /canceled/));
  assert.match(await textOf(queries, instant('1')), /success/);
});

test('figures tell what runs, what waits and how requests ended', async (t) => {
  const signals: AbortSignal[] = [];
  const { queries } = startThreads(t, { engine: silentEngine(signals), limits: { concurrencyMax: 1 } });
  const { base, listener } = await startHttpHarness({ prometheus: queries });
  t.after(() => listener.stop());
  assert.deepEqual(queries.load(), { running: 0, queued: 0 });
  const leave = new AbortController();
  const url = `${base}/api/v1/label/job/values`;
  const asked = [1, 2].map(() => fetch(url, { signal: leave.signal }));
  for (const each of asked) each.catch(() => {});
  await until(() => signals.length > 0 && queries.load().queued === 1);
  assert.equal(queries.load().running, 1);
  leave.abort();
  await until(() => queries.load().running === 0 && queries.load().queued === 0);
  await get(`${base}/api/v1`, '/query', { query: '1' });
  await get(`${base}/api/v1`, '/query', { query: '1 +' });
  await get(`${base}/api/v1`, '/status/buildinfo');
  const ended = () => Object.fromEntries(queries.figures.list().map(({ endpoint, outcomes }) => [endpoint, outcomes]));
  await until(() => ended()['label/NAME/values']?.canceled === 2);
  assert.deepEqual(ended(), {
    'label/NAME/values': { canceled: 2 },
    query: { success: 1, bad_data: 1 },
    'status/buildinfo': { success: 1 },
  });
  const text = await (await fetch(`${base}/metrics`)).text();
  assert.match(text, /^treasury_prometheus_requests_total\{endpoint="query",outcome="bad_data"\} 1$/m);
  assert.match(text, /^treasury_prometheus_request_seconds_total\{endpoint="status\/buildinfo"\} [\d.e-]+$/m);
  assert.match(text, /^treasury_prometheus_queued 0$/m);
});

test('an answer that is not read stops where its bound is, lets others pass, and is whole in the end', async (t) => {
  const { queries, events } = startThreads(t, { limits: { bufferedBytesMax: ONE_MIB } });
  const sent = (id: number): number =>
    events.reduce((sum, event) => sum + (event.type === 'chunk' && event.id === id ? event.bytes.byteLength : 0), 0);
  // Chunks that were taken have been read by then: sizes are kept as they come.
  const chunks = await queries.ask(large(20), NEVER);
  await until(() => sent(1) >= ONE_MIB);
  for (let round = 0; round < 5; round++) assert.match(await textOf(queries, instant('1')), /success/);
  assert.ok(sent(1) < ONE_MIB + 2 * 65_536 + 1024, `${sent(1)} bytes wait`);
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  const { data } = JSON.parse(Buffer.concat(parts).toString()) as { data: { result: { values: unknown[] }[] } };
  assert.equal(data.result.length, 20);
  assert.ok(data.result.every(({ values }) => values.length === 11_000));
  assert.deepEqual(data.result[3]!.values[10_999], [10_999, '10999']);
});

test('an answer that is not read leaves its place to others, and is whole when it is read', async (t) => {
  const { queries } = startThreads(t, { limits: { concurrencyMax: 1, bufferedBytesMax: 65_536 } });
  const unread = await Promise.all([queries.ask(large(8), NEVER), queries.ask(large(9), NEVER)]);
  assert.match(await textOf(queries, instant('1')), /success/);
  for (const [at, chunks] of unread.entries()) {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    const { data } = JSON.parse(Buffer.concat(parts).toString()) as { data: { result: unknown[] } };
    assert.equal(data.result.length, 8 + at);
  }
});

test('a result too large to wait keeps its place, and is cut when others want it and nobody reads', async (t) => {
  const limits = { concurrencyMax: 1, bufferedBytesMax: 65_536, heldBytesMax: 1000, unreadMaxMs: 20 };
  const { queries } = startThreads(t, { limits });
  const unread = await queries.ask(large(8), NEVER);
  assert.match(await textOf(queries, instant('1')), /success/);
  const readToEnd = async () => {
    for await (const chunk of unread) assert.ok(chunk.length > 0);
  };
  await assert.rejects(readToEnd, isFailure('timeout', /^query timed out in query execution$/));
  assert.match(await textOf(queries, large(1)), /success/);
});

test('a large answer over HTTP is the same plain and with gzip, to readers of any speed', async (t) => {
  const { queries } = startThreads(t);
  const { base, listener } = await startHttpHarness({ prometheus: queries });
  t.after(() => listener.stop());
  const { query } = large(10);
  const form = { query, start: '0', end: '10999', step: '1' };
  const plain = await fetch(`${base}/api/v1/query_range`, {
    method: 'POST',
    body: new URLSearchParams(form),
    headers: { 'Accept-Encoding': 'identity' },
  });
  assert.equal(plain.headers.get('content-encoding'), null);
  const slow: Uint8Array[] = [];
  for await (const part of plain.body!) {
    slow.push(part as Uint8Array);
    await turn();
  }
  const zipped = await post(`${base}/api/v1`, '/query_range', form);
  assert.equal(zipped.headers.get('content-encoding'), 'gzip');
  assert.equal(Buffer.concat(slow).toString(), zipped.text);
  assert.ok(zipped.text.length > ONE_MIB);
});

test('what the tables of metrics lack is a warning until they lack nothing', async (t) => {
  let incomplete: SqlAnswer['incomplete'] = [
    { projection: 'logs', from: 0n, to: 1n, of: 9n },
    { projection: 'metrics', from: 0n, to: 500n, of: 1000n },
  ];
  const { queries } = startThreads(t, {
    engine: { sql: async () => ({ ...emptyAnswer(), ...(incomplete === undefined ? {} : { incomplete }) }) },
  });
  const lacking = 'the tables of metrics are being built from the log: they have entries 0 to 500 of 1000';
  const labels = { kind: 'labels', name: '', matchers: [], fromMs: 0, untilMs: 1, limit: 0 } as const;
  const { base, listener } = await startHttpHarness({ prometheus: queries });
  t.after(() => listener.stop());
  const told = async (path: string) => (await get(`${base}/api/v1`, path)).headers.get('x-treasury-incomplete');
  for (const path of ['/query?query=up', '/labels', '/metadata'])
    assert.equal(await told(path), 'metrics;from=0;to=500;of=1000');
  assert.equal(await told('/format_query?query=up'), null);
  for (const request of [instant('up'), labels]) {
    const { warnings } = JSON.parse(await textOf(queries, request)) as { warnings: unknown };
    assert.deepEqual(warnings, [lacking]);
  }
  incomplete = undefined;
  assert.doesNotMatch(await textOf(queries, instant('up')), /warnings/);
  assert.equal(await told('/query?query=up'), null);
});

test('queries of several clients share the thread', async (t) => {
  const { queries } = startThreads(t, { limits: { concurrencyMax: LIMITS.prometheusConcurrencyMax } });
  let isLargeDone = false;
  const first = textOf(queries, large(30)).then((text) => {
    isLargeDone = true;
    return text;
  });
  const second = await textOf(queries, instant('1'));
  assert.match(second, /success/);
  assert.equal(isLargeDone, false);
  assert.match(await first, /"resultType":"matrix"/);
});
