/**
 * Goal: `treasury rebuild --server` builds tables anew while the server goes on, to the same rows.
 * Method: the real command on a real server, with a log of captures or of OTLP requests; killed in the middle of a build too.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { appendCapture } from '../helpers/engine-log.ts';
import { openLogOf } from './log-directories.ts';
import { type RunningServer, runTreasury, startServer, temporaryDirectory } from './process.ts';

const TABLES = ['logs', 'spans', 'samples', 'histograms', 'exp_histograms', 'summaries', 'exemplars', 'series'];

async function rowsOf(server: RunningServer, query: string): Promise<unknown[][]> {
  const response = await fetch(`${server.http}/treasury/v1/sql`, { method: 'POST', body: query });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return (JSON.parse(text) as { rows: unknown[][] }).rows;
}

async function untilWorkedIn(server: RunningServer): Promise<void> {
  for (;;) {
    const status = (await (await fetch(`${server.http}/treasury/v1/status`)).json()) as { lag: number | null };
    if (status.lag === 0) return;
    await sleep(20);
  }
}

const HASHES = TABLES.map((table) => `SELECT '${table}', count(*), bit_xor(hash(t)), sum(hash(t)) FROM ${table} AS t`);
const ALL = `${HASHES.join(' UNION ALL ')} ORDER BY ALL`;
const LEFT = "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '%\\_\\_next' ESCAPE '\\'";

test('rebuild --server gives the same tables while the server runs, also after it was killed in between', async (context) => {
  const data = temporaryDirectory(context);
  const log = await openLogOf(data, {});
  for (const name of ['rich-1', 'odd-1', 'hostmetrics-1']) await appendCapture(log, name);
  await log.close();
  const first = await startServer(context, data);
  await untilWorkedIn(first);
  const before = await rowsOf(first, ALL);
  const all = await runTreasury(['rebuild', '--server', first.http]);
  assert.equal(all.code, 0, all.stderr);
  assert.match(all.stdout, /^logs v1 is built anew up to offset \d+: \d+ tables compared, all equal$/m);
  assert.match(all.stdout, /^traces v1 .*all equal$/m);
  assert.match(all.stdout, /^metrics v1 .*all equal$/m);
  assert.deepEqual(await rowsOf(first, ALL), before);
  const one = await runTreasury(['rebuild', '--server', first.http, '--projection', 'traces']);
  assert.equal(one.code, 0, one.stderr);
  assert.match(one.stdout, /^traces v1 [^\n]*\n$/);
  await fetch(`${first.http}/treasury/v1/projections/metrics/rebuild`, { method: 'POST' });
  first.child.kill('SIGKILL');
  await first.finished;

  const second = await startServer(context, data);
  for (;;) {
    const { projections } = (await (await fetch(`${second.http}/treasury/v1/projections`)).json()) as {
      projections: { building: unknown }[];
    };
    if (projections.every(({ building }) => building === null)) break;
    await sleep(20);
  }
  assert.deepEqual(await rowsOf(second, ALL), before);
  assert.deepEqual(await rowsOf(second, LEFT), []);
  second.child.kill('SIGTERM');
  assert.equal((await second.finished).code, 0);
});

test('rebuild --server says that no server answers', async () => {
  const finished = await runTreasury(['rebuild', '--server', 'http://127.0.0.1:9']);
  assert.equal(finished.code, 1);
  assert.match(finished.stderr, /Cannot reach http:\/\/127\.0\.0\.1:9/);
});
