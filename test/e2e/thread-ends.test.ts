/**
 * Goal: no end of a thread takes the server with it, and who waits for an answer gets one.
 * Method: a real server; questions of PromQL and SQL wait in the engine, which runs two that never end; then a thread is broken.
 * Invariant: the process lives, answers are errors of their protocol, readiness says so, and the next query is right.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  fetchSql,
  fetchStatus,
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';
import { type ThreadBreak, threadBreaks, type ThreadBreaks } from '../helpers/thread-breaks.ts';

const T = 1_795_347_120;
const ENDLESS = 'SELECT sum(sqrt(range)) FROM range(1_000_000_000_000)';
/** On a busy machine. */
const WAIT_MAX_MS = 120_000;
const UP = { query: 'max(temperature)', time: `${T}` };

interface House {
  readonly server: ServerProcess;
  readonly breaks: ThreadBreaks;
}

interface Answer {
  readonly status: number;
  readonly body: {
    readonly status: string;
    readonly errorType?: string;
    readonly error?: string;
    readonly data?: unknown;
  };
}

async function openHouse(t: TestContext): Promise<House> {
  const directory = scratchDirectory(t);
  const breaks = threadBreaks(directory);
  const server = await startServerProcess(`${directory}/data`, '127.0.0.1:0', [], breaks.env);
  t.after(() => server.end('SIGKILL'));
  await send(server, 20);
  return { server, breaks };
}

async function send(server: ServerProcess, asDouble: number): Promise<void> {
  const dataPoints = [{ timeUnixNano: `${T}000000000`, asDouble, attributes: [] }];
  const metrics = [{ name: 'temperature', gauge: { dataPoints } }];
  const response = await fetch(`http://${server.otlpHttp}/v1/metrics`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics }] }] }),
  });
  assert.equal(response.status, 200);
}

async function ask(server: ServerProcess, form: Readonly<Record<string, string>> = UP): Promise<Answer> {
  const response = await fetch(`http://${server.http}/api/v1/query`, {
    method: 'POST',
    body: new URLSearchParams(form),
  });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}

async function readiness(server: ServerProcess): Promise<number> {
  const response = await fetch(`http://${server.http}/readyz`);
  await response.arrayBuffer();
  return response.status;
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + WAIT_MAX_MS; !(await isTrue()); await sleep(20)) {
    if (Date.now() > deadline) throw new Error(`Not true after ${WAIT_MAX_MS} ms: ${String(isTrue)}`);
  }
}

async function queries(server: ServerProcess): Promise<{ readonly running: number; readonly queued: number }> {
  const { queriesRunning, queriesQueued } = (await fetchStatus(server))['engine'] as Readonly<Record<string, number>>;
  return { running: queriesRunning ?? 0, queued: queriesQueued ?? 0 };
}

async function restarts(server: ServerProcess): Promise<number> {
  return ((await fetchStatus(server))['engine'] as { readonly restarts: number }).restarts;
}

/** Two statements of SQL that never end, behind which others wait. */
async function occupy(server: ServerProcess): Promise<{ readonly statuses: Promise<number[]>; leave(): void }> {
  const leaving = new AbortController();
  const one = (): Promise<number> =>
    fetch(`http://${server.http}/treasury/v1/sql`, { method: 'POST', body: ENDLESS, signal: leaving.signal }).then(
      ({ status }) => status,
      () => 0,
    );
  const statuses = Promise.all([one(), one()]);
  await until(async () => (await queries(server)).running === 2);
  return { statuses, leave: () => leaving.abort() };
}

async function assertTemperature(server: ServerProcess, value: string): Promise<void> {
  const { status, body } = await ask(server);
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual(body.data, { resultType: 'vector', result: [{ metric: {}, value: [T, value] }] });
}

for (const how of ['throw', 'exit'] satisfies ThreadBreak[]) {
  test(`engine that ends by ${how} amid queries: errors in the envelope, then right answers`, async (t) => {
    const { server, breaks } = await openHouse(t);
    await untilMaterialized(server);
    const { statuses } = await occupy(server);
    const asked = ask(server);
    await until(async () => (await queries(server)).queued > 0);
    breaks.break('engine', how);
    const { status, body } = await asked;
    assert.equal(status, 503);
    assert.equal(body.status, 'error');
    assert.equal(body.errorType, 'unavailable');
    assert.match(body.error ?? '', /^The engine is not running/);
    assert.deepEqual(await statuses, [503, 503]);
    await until(async () => (await readiness(server)) === 503 || (await restarts(server)) === 1);
    // What comes while there is no engine is taken, and shown by the next one.
    await send(server, 30);
    await until(async () => (await readiness(server)) === 200 && (await restarts(server)) === 1);
    await untilMaterialized(server);
    await assertTemperature(server, '30');
    assert.deepEqual(await fetchSql(server, 'SELECT count(*)::INT FROM samples'), [[2]]);
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  });
}

for (const how of ['throw', 'exit'] satisfies ThreadBreak[]) {
  test(`thread of PromQL that ends by ${how} amid queries answers them, and leaves nothing behind`, async (t) => {
    const { server, breaks } = await openHouse(t);
    await untilMaterialized(server);
    const { statuses, leave } = await occupy(server);
    const asked = Promise.all(Array.from({ length: 12 }, (_none, at) => ask(server, { ...UP, time: `${T - at}` })));
    await until(async () => (await queries(server)).queued > 0);
    breaks.break('prometheus', how);
    for (const { status, body } of await asked) {
      assert.equal(status, 503);
      assert.equal(body.errorType, 'unavailable');
    }
    await until(async () => (await queries(server)).queued === 0);
    assert.equal(await readiness(server), 200);
    leave();
    await statuses;
    await assertTemperature(server, '20');
    const again = await Promise.all(Array.from({ length: 40 }, () => ask(server)));
    assert.ok(again.every(({ status }) => status === 200));
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  });
}

test('bug of the main thread ends the server with 1 amid queries, and loses nothing', async (t) => {
  const directory = scratchDirectory(t);
  const breaks = threadBreaks(directory);
  const data = `${directory}/data`;
  const first = await startServerProcess(data, '127.0.0.1:0', [], breaks.env);
  t.after(() => first.end('SIGKILL'));
  await send(first, 20);
  const { statuses } = await occupy(first);
  const ended = new Promise((resolve) => first.child.once('exit', (code, signal) => resolve(code ?? signal)));
  breaks.break('main', 'throw');
  assert.equal(await ended, 1, first.stderr());
  assert.match(first.stderr(), /Ended by a bug.*broken on purpose/);
  await statuses;
  const next = await startServerProcess(data);
  t.after(() => next.end('SIGKILL'));
  await untilMaterialized(next);
  await assertTemperature(next, '20');
});

test('stop amid queries that never end is in order', async (t) => {
  const { server } = await openHouse(t);
  await untilMaterialized(server);
  const { statuses } = await occupy(server);
  const asked = ask(server).then(
    ({ status }) => status,
    () => 0,
  );
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  await Promise.all([statuses, asked]);
  assert.doesNotMatch(server.stderr(), /Ended by force|terminate called/);
});
