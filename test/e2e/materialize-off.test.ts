/**
 * Goal: `--materialize off` collects and does nothing else, says so wherever one looks, and the next start with `on` has every row.
 * Method: a real server, a capture taken in off, on, off and on; between them the tables are asked over SQL.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runTreasury } from '../commands/process.ts';
import { readArrowStreams } from '../helpers/captures.ts';
import { connectOtap, replayStreams } from '../helpers/otap-client.ts';
import {
  fetchSql,
  fetchStatus,
  type ServerProcess,
  scratchDirectory,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';

const OFF = ['--materialize', 'off'];
const COUNT = 'SELECT (SELECT count(*) FROM logs) + (SELECT count(*) FROM spans) + (SELECT count(*) FROM samples)';

test('materialize off keeps the log and leaves the tables, and on catches up', { timeout: 240_000 }, async (t) => {
  const data = scratchDirectory(t);
  const start = async (flags: readonly string[]) => {
    const server = await startServerProcess(data, '127.0.0.1:0', flags);
    t.after(() => server.child.kill('SIGKILL'));
    return server;
  };

  const first = await start(OFF);
  const entries = await sendCapture(first);
  assert.ok(entries > 0);
  assert.equal(await rowCount(first), 0);
  await saysOff(first);
  assert.equal(await first.end('SIGTERM'), 0);

  const second = await start([]);
  await untilMaterialized(second);
  const once = await rowCount(second);
  assert.ok(once > 0, 'the tables caught up');
  assert.deepEqual((await ready(second)).parts['materialization'], { ok: true });
  assert.equal(await second.end('SIGTERM'), 0);

  const third = await start(OFF);
  const { materializedOffset } = await fetchStatus(third);
  await sendCapture(third);
  assert.equal(await rowCount(third), once, 'the tables that are there answer, unchanged');
  assert.equal((await fetchStatus(third)).materializedOffset, materializedOffset);
  assert.equal(await third.end('SIGTERM'), 0);

  const fourth = await start([]);
  await untilMaterialized(fourth);
  assert.equal(await rowCount(fourth), 2 * once);
  assert.equal(await fourth.end('SIGTERM'), 0);
});

/** Sends the capture; answers the durable offset behind it. */
async function sendCapture(server: ServerProcess): Promise<number> {
  const client = await connectOtap(server.grpc);
  const streams = readArrowStreams('telemetrygen-1');
  const replayed = await replayStreams(client, streams);
  for (const [index, { statuses }] of replayed.entries()) {
    const acknowledged = statuses.filter(({ code }) => code === 0);
    assert.equal(acknowledged.length, streams[index]?.messages.length);
  }
  await client.close();
  return Number((await fetchStatus(server)).durableOffset);
}

async function saysOff(server: ServerProcess): Promise<void> {
  const { status, parts } = await ready(server);
  assert.equal(status, 'ok');
  assert.deepEqual(parts['materialization'], { ok: true, reason: 'It is off (--materialize off)' });
  const body = await fetchStatus(server);
  assert.equal((body['engine'] as { materializing: boolean }).materializing, false);
  assert.ok((body['lag'] as number) > 0);
  assert.match(await (await fetch(`http://${server.http}/metrics`)).text(), /^treasury_materializing 0$/m);
  const { stdout } = await runTreasury(['status', '--server', `http://${server.http}`]);
  assert.match(stdout, /engine\s+running, materialization is off\n/);
}

interface Report {
  readonly status: string;
  readonly parts: Readonly<Record<string, { readonly ok: boolean; readonly reason?: string }>>;
}

async function ready(server: ServerProcess): Promise<Report> {
  const response = await fetch(`http://${server.http}/readyz`);
  assert.equal(response.status, 200);
  return (await response.json()) as Report;
}

async function rowCount(server: ServerProcess): Promise<number> {
  return Number((await fetchSql(server, COUNT))[0]?.[0]);
}
