/**
 * Goal: what commands say of builds: `treasury status` shows them, and `treasury rebuild --server` tells the right end when the server is lost
 * meanwhile.
 * Method: the real commands; a server of this test that answers as told and breaks off as told, and the real one, killed and started again.
 */
import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { appendCapture } from '../helpers/engine-log.ts';
import { openLogOf } from './log-directories.ts';
import { runTreasury, startServer, temporaryDirectory } from './process.ts';

type Answer = { readonly status?: number; readonly body: unknown } | 'cut' | 'half';

const SWITCH = { at: '2026-01-01T00:00:00.000Z', offset: 9, tables: { logs: { result: 'equal' } } };
const LATER = { ...SWITCH, at: '2026-01-02T00:00:00.000Z', offset: 20 };
const BUILDING = { version: 1, kind: 'rebuild', offset: 4, targetOffset: 20, stuck: null };

function projections(building: unknown, lastSwitch: unknown): Answer {
  return { body: { projections: [{ name: 'logs', kind: 'built-in', version: 1, building, lastSwitch }] } };
}

/** Gives one answer after the other; the last one again and again. Orders are written down. */
async function startScripted(t: TestContext, answers: { GET: Answer[]; POST: Answer[] }) {
  const orders: string[] = [];
  const server = createServer((request, response) => {
    const script = request.method === 'POST' ? answers.POST : answers.GET;
    if (request.method === 'POST') orders.push(String(request.url));
    give(response, script.length > 1 ? script.shift()! : script[0]!);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return { url: `http://127.0.0.1:${port}`, orders };
}

function give(response: ServerResponse, answer: Answer): void {
  if (answer === 'cut') return void response.destroy();
  if (answer === 'half') {
    response.writeHead(200, { 'Content-Length': 100 });
    response.write('{"projections": [');
    return void setTimeout(() => response.destroy(), 20);
  }
  response.writeHead(answer.status ?? 200, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(answer.body));
}

const UNAVAILABLE: Answer = { status: 503, body: { error: { message: 'The database is not open: it is starting' } } };

test('rebuild --server asks again when the server is lost or starting, and tells the switch that it finds then', async (t) => {
  const { url, orders } = await startScripted(t, {
    GET: [
      projections(null, SWITCH),
      projections(BUILDING, SWITCH),
      'cut',
      UNAVAILABLE,
      { body: { projections: [] } },
      'half',
      projections(BUILDING, SWITCH),
      projections(null, LATER),
    ],
    POST: [{ status: 202, body: null }],
  });
  const { code, stdout, stderr } = await runTreasury(['rebuild', '--server', url, '--projection', 'logs']);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, 'logs v1 is built anew up to offset 20: 1 tables compared, all equal\n');
  assert.match(stderr, /Cannot reach .*Asking again/);
  assert.deepEqual(orders, ['/treasury/v1/projections/logs/rebuild']);
});

test('rebuild --server gives an order once whose answer is lost, and tells a build that ended without a switch', async (t) => {
  const { url, orders } = await startScripted(t, {
    GET: [projections(null, SWITCH), projections(BUILDING, SWITCH), 'cut', projections(null, SWITCH)],
    POST: ['cut'],
  });
  const { code, stdout, stderr } = await runTreasury(['rebuild', '--server', url]);
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.match(stderr, /Cannot rebuild logs: the build ended without a switch/);
  assert.equal(orders.length, 1);
});

test('rebuild --server says at once that the tables do not fit the disk', async (t) => {
  const message = 'Cannot rebuild logs: about 900 MB are needed beside a reserve of 403 MB, 500 MB are free';
  const { url } = await startScripted(t, {
    GET: [projections(null, null)],
    POST: [{ status: 507, body: { error: { code: 'TREASURY_DISK_FULL', message } } }],
  });
  const { code, stderr } = await runTreasury(['rebuild', '--server', url]);
  assert.equal(code, 1);
  assert.ok(stderr.includes(message), stderr);
});

test('rebuild --server of a server that is killed and starts again tells the end of the same build', async (t) => {
  const data = temporaryDirectory(t);
  const log = await openLogOf(data, {});
  for (const name of ['rich-1', 'odd-1', 'hostmetrics-1']) await appendCapture(log, name);
  await log.close();
  const first = await startServer(t, data);
  const states = async () => {
    const response = await fetch(`${first.http}/treasury/v1/projections`);
    return ((await response.json()) as { projections: { building: unknown; lastSwitch: unknown; lag: number }[] })
      .projections;
  };
  while (!(await states()).every(({ lag }) => lag === 0)) await sleep(20);
  const rebuilding = runTreasury(['rebuild', '--server', first.http]);
  let hasEnded = false;
  void rebuilding.then(() => (hasEnded = true));
  const isBegun = async () => (await states()).some((one) => one.building !== null || one.lastSwitch !== null);
  while (!hasEnded && !(await isBegun())) await sleep(5);
  first.child.kill('SIGKILL');
  await first.finished;
  const address = new URL(first.http).host;
  const second = await startServer(t, data, ['--http', address]);
  assert.equal(second.http, first.http);
  const { code, stdout, stderr } = await rebuilding;
  assert.equal(code, 0, stderr);
  for (const name of ['logs', 'traces', 'metrics']) {
    assert.match(
      stdout,
      new RegExp(`^${name} v1 is built anew up to offset \\d+: \\d+ tables compared, all equal$`, 'm'),
    );
  }
  second.child.kill('SIGTERM');
  assert.equal((await second.finished).code, 0);
});

test('status shows what is built: versions, offset, rate, time left and what it waits for', async (t) => {
  const projection = { materializedOffset: 20, lag: 0, rowsWritten: 40 };
  const stuck = 'The build waits for free disk: about 900 MB are needed beside a reserve of 403 MB, 500 MB are free';
  const body = {
    version: '0.1.0',
    durableOffset: 20,
    firstOffset: 0,
    nextOffset: 20,
    projections: [
      {
        ...projection,
        name: 'logs',
        version: 1,
        building: { ...BUILDING, entriesPerSecond: 1234.5, estimatedEndMs: 83_000, waiting: null },
      },
      {
        ...projection,
        name: 'traces',
        version: 1,
        building: {
          ...BUILDING,
          kind: 'new',
          version: 2,
          entriesPerSecond: null,
          estimatedEndMs: null,
          waiting: 'disk',
          stuck,
        },
      },
      { ...projection, name: 'metrics', version: 1, building: null },
    ],
    log: { bytes: 1, segments: 1, refusing: null, retention: { ageMaxMs: null, bytesMax: null, deletedTo: null } },
    engine: { running: true, reason: null },
    lost: { total: 0 },
    quarantine: { total: 0, newest: [] },
  };
  const { url } = await startScripted(t, { GET: [{ body }], POST: [] });
  const { code, stdout, stderr } = await runTreasury(['status', '--server', url]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^being built +version +offset +of +entries\/s +about left +waits for$/m);
  assert.match(stdout, /^logs +v1 anew +4 +20 +1235 +1 min 23 s$/m);
  assert.match(stdout, /^traces +v2 in place of v1 +4 +20 +disk$/m);
  assert.ok(stdout.includes(`\ntraces: ${stuck}\n`), stdout);
  body.projections.forEach((one) => (one.building = null));
  assert.ok(!(await runTreasury(['status', '--server', url])).stdout.includes('being built'));
});
