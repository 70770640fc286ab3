/**
 * Goal: no client's SQL costs the server more than its limits: answers of any length take little memory, however slowly they are read,
 * and a query ends when its client is gone, when it wants too much memory, and when the server stops.
 * Method: a real server process with little memory for DuckDB, and real sockets. What the parts do: test/api/http/server.test.ts (when a client counts as gone),
 * test/materialize/{engine,sql-requests}.test.ts, test/materialize/sql/runner.test.ts (DuckDB's side).
 * Invariant: memory stays below a bound that is a fraction of the answers; after a client has gone nothing runs or waits, long before
 * the time limit; other queries are answered.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../../src/base/index.ts';
import { fetchSql, scratchDirectory, type ServerProcess, startServerProcess } from '../helpers/server-process.ts';

const MIB = 1024 * 1024;
const ARROW = 'application/vnd.apache.arrow.stream';
/** As Arrow 8 bytes of a number and 200 of text a row: 300 MiB. */
const LONG_ROWS = 1_500_000;
const LONG_BYTES_MIN = LONG_ROWS * 208;
const LONG = `SELECT range AS number, repeat('x', 200) AS text FROM range(${LONG_ROWS})`;
/** Each query that runs holds what goes to its client and what DuckDB made meanwhile. */
const GROWTH_MAX_BYTES = 256 * MIB;
const ENDLESS = 'SELECT count(*) FROM range(1_000_000_000_000) a, range(1_000_000) b WHERE a.range * b.range = 7';
/** No query may end by its time. */
const FLAGS = ['--sql-timeout', String(24 * 60 * 60 * 1000), '--memory-limit', '128'];

let server: ServerProcess;
const cleanUps: (() => void)[] = [];

before(async () => {
  server = await startServerProcess(scratchDirectory({ after: (fn) => cleanUps.push(fn) }), undefined, FLAGS);
});

after(async () => {
  await server.end('SIGKILL');
  for (const cleanUp of cleanUps) cleanUp();
});

test('Arrow answers of any length are sent in bounded memory, to clients that read slowly or not at all', async (t) => {
  await fetchSql(server, 'SELECT count(*) FROM logs');
  const idleBytes = residentBytes('VmRSS');
  const deaf = await answerTo(ask(LONG));
  let bytes = 0;
  let parts = 0;
  for await (const part of await answerTo(ask(LONG))) {
    bytes += (part as Buffer).length;
    // The server is ahead wherever it may be: a reader that is as fast would hide it.
    if (++parts % 500 === 0) await sleep(20);
  }
  assert.ok(bytes > LONG_BYTES_MIN, `${bytes} bytes`);
  const grown = residentBytes('VmHWM') - idleBytes;
  t.diagnostic(`memory grew by ${Math.round(grown / MIB)} MiB for two answers of ${Math.round(bytes / MIB)} MiB`);
  assert.ok(grown < GROWTH_MAX_BYTES, `memory grew by ${grown} bytes`);
  await until(async () => (await running()) === 1);
  deaf.destroy();
  await untilIdle();
});

test('queries end with their clients: those that run, those that wait, and those whose answers are on the way', async () => {
  const clients = Array.from({ length: LIMITS.sqlConcurrencyMax + 1 }, () => ask(ENDLESS));
  await until(async () => (await figure('treasury_sql_queued')) === 1);
  assert.equal(await running(), LIMITS.sqlConcurrencyMax);
  for (const client of clients) client.destroy();
  await untilIdle();

  for (const accept of [ARROW, 'application/json', 'text/csv']) {
    const client = ask(LONG, accept);
    await answerTo(client);
    client.destroy();
    await untilIdle();
  }
  assert.deepEqual(await fetchSql(server, 'SELECT 42'), [[42]]);
});

test('a query that wants more memory than there is is refused, and others are answered', async () => {
  const answer = await fetch(`http://${server.http}/treasury/v1/sql`, {
    method: 'POST',
    body: 'SELECT list(range) FROM range(500_000_000)',
  });
  const { error } = (await answer.json()) as { error: { code: string; message: string } };
  assert.deepEqual([answer.status, error.code], [422, 'TREASURY_QUERY_LIMIT'], error.message);
  assert.match(error.message, /memory/);
  assert.deepEqual(await fetchSql(server, 'SELECT 42'), [[42]]);
  assert.equal((await fetch(`http://${server.http}/readyz`)).status, 200);
});

test('a server stops although its queries have no end', async () => {
  const clients = Array.from({ length: LIMITS.sqlConcurrencyMax }, () => ask(ENDLESS));
  const answers = clients.map((client) => answerTo(client).catch(() => null));
  await until(async () => (await running()) === LIMITS.sqlConcurrencyMax);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  // Each was told, or cut: no answer looks whole.
  for (const answer of await Promise.all(answers)) assert.notEqual(answer?.statusCode, 200);
});

function ask(query: string, accept = ARROW): ClientRequest {
  const [host, port] = server.http.split(':') as [string, string];
  const path = '/treasury/v1/sql';
  // On a connection of its own, so that the connection goes with it.
  const client = request({ host, port, path, method: 'POST', agent: false, headers: { accept } });
  client.on('error', () => {});
  return client.end(query);
}

function answerTo(client: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    client.once('response', (answer: IncomingMessage) => {
      answer.on('error', () => {});
      resolve(answer);
    });
    client.once('error', reject);
  });
}

function running(): Promise<number> {
  return figure('treasury_sql_running');
}

function untilIdle(): Promise<void> {
  return until(async () => (await running()) + (await figure('treasury_sql_queued')) === 0);
}

async function figure(name: string): Promise<number> {
  const text = await (await fetch(`http://${server.http}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

/** Fails by the time-out of the test's file. */
async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await sleep(20);
}

function residentBytes(name: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8');
  return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]) * 1024;
}
