/**
 * Goal: whatever is killed between two Collectors with this server between them, nothing that was acknowledged is lost, and what comes
 * twice is accounted for.
 * Method: real processes. Collectors that send, the server that pushes, and Collectors that receive are killed with -9 and come back; the
 * receiving ones write their files without a buffer, so that what they have acknowledged is in them.
 * Invariant: a killed sender makes nothing come twice behind the log. After a kill of the server only what its cursor on the disk had not
 * passed comes again, once a kill. After a kill of a receiver no more requests come twice than the exporter says that it sent again.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIGNALS } from '../../src/base/index.ts';
import { arrivalsAtCollectors, countArrivals, repeatedRequests } from '../helpers/arrivals.ts';
import { assertSameRows, rowDifference, untilQuiet } from '../helpers/collector-tables.ts';
import { collectorTools, generate, startCollector, type Tools } from '../helpers/collector.ts';
import { assertSmooth, cursorOnDisk, untilAcked, untilSent } from '../helpers/exporter-api.ts';
import { KILL_SEED } from '../helpers/kill-rounds.ts';
import { logRows } from '../helpers/log-rows.ts';
import { writeNumberedLog } from '../helpers/numbered-telemetry.ts';
import { assertAccounted, assertInOrder, assertKept, type PushKill } from '../helpers/push-accounts.ts';
import { seededRandom } from '../helpers/random.ts';
import { type Receiver, received, startReceiver } from '../helpers/receiving-collector.ts';
import { fetchStatus, scratchDirectory, type ServerProcess, startServerProcess } from '../helpers/server-process.ts';

const KILLS = 3;
const LOG = { streams: 4, batches: 250, requests: 500, records: 2 };
const PROTOCOLS = [
  { protocol: 'otap', scheme: 'otap' },
  { protocol: 'otlp-grpc', scheme: 'otlp' },
] as const;

const tools = collectorTools();
const skip = typeof tools === 'string' ? tools : false;
if (typeof tools === 'string') process.stderr.write(`SKIPPED: kills between Collectors: ${tools}\n`);

test(`kill -9 of a Collector that sends leaves receivers with what is in the log, once (seed ${KILL_SEED})`, {
  skip,
}, async (t) => {
  const directory = scratchDirectory(t);
  const receivers = await Promise.all(PROTOCOLS.map(({ protocol }) => startReceiver(t, join(directory, protocol))));
  const data = join(directory, 'data');
  const flags = PROTOCOLS.flatMap(({ protocol, scheme }, i) => [
    '--export',
    `${protocol}=${scheme}://${receivers[i]!.addresses[protocol]}?from=start`,
  ]);
  const server = await startServer(t, data, flags);
  const random = seededRandom(KILL_SEED);
  for (let kill = 0; kill < KILLS; kill++) {
    const sender = await startSender(t, server, join(directory, `sender-${kill}`));
    const { durableOffset } = await fetchStatus(server);
    const generated = generate(ready(), sender.otlp, [...steady(kill), '-keep-going']);
    const entries = 4 + random.below(6);
    while (Number((await fetchStatus(server)).durableOffset) < Number(durableOffset) + entries) await sleep(10);
    await sender.end('SIGKILL');
    await generated;
  }
  const last = await startSender(t, server, join(directory, 'last'));
  await generate(ready(), last.otlp, steady(KILLS - 1));
  await untilQuiet(server);
  await last.end('SIGTERM');
  for (const { protocol } of PROTOCOLS) assertSmooth(await untilSent(server, protocol));
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  for (const { collector } of receivers) await collector.end('SIGTERM');
  const rows = await logRows(join(data, 'log'), 0n);
  for (const signal of SIGNALS) {
    // The same seed makes the same records: those of the killed Collector may be there before.
    const sent = last.received(signal);
    assert.ok(sent.length > 0 && rows[signal].length > sent.length, `${signal}: the killed Collectors sent nothing`);
    assert.deepEqual(
      rowDifference(rows[signal], sent).missing.slice(0, 2),
      [],
      `${signal} of the Collector that lived`,
    );
    for (const [i, { protocol }] of PROTOCOLS.entries()) {
      assertSameRows(received(signal, receivers[i]!), rows[signal], `${signal} by ${protocol}`);
    }
  }
});

for (const { protocol, scheme } of PROTOCOLS) {
  test(`kill -9 of a server that pushes to a Collector by ${protocol} loses nothing, and repeats what its cursor had not passed (seed ${KILL_SEED})`, {
    skip,
  }, async (t) => {
    const directory = scratchDirectory(t);
    const data = join(directory, 'data');
    const log = await writeNumberedLog(data, LOG);
    const { collector, addresses } = await startReceiver(t, join(directory, 'receiver'), { isUnbuffered: true });
    let server = await startServer(t, data, ['--export', `copy=${scheme}://${addresses[protocol]}?from=start`]);
    const kills: PushKill[] = [];
    for (const place of placesIn(log.durableOffset)) {
      await untilAcked(server, 'copy', place);
      await server.end('SIGKILL');
      kills.push({ cursor: cursorOnDisk(data, 'copy'), counts: countArrivals(log, arrivalsAtCollectors([collector])) });
      server = await startServer(t, data);
    }
    assertSmooth(await untilSent(server, 'copy'));
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
    await collector.end('SIGTERM');
    const arrivals = arrivalsAtCollectors([collector]);
    const counts = countArrivals(log, arrivals);
    assertKept(log, counts);
    assertInOrder(log, arrivals);
    const repeated = assertAccounted(log, kills, counts);
    const cursors = kills.map(({ cursor }) => cursor).join(', ');
    t.diagnostic(`cursors ${cursors} of ${log.durableOffset}; ${repeated} records came again`);
  });

  test(`kill -9 of a Collector that is pushed to by ${protocol} loses nothing, and repeats no more than the exporter says (seed ${KILL_SEED})`, {
    skip,
  }, async (t) => {
    const directory = scratchDirectory(t);
    const data = join(directory, 'data');
    const log = await writeNumberedLog(data, LOG);
    const receivers: Receiver[] = [await startReceiver(t, join(directory, '0'), { isUnbuffered: true })];
    const { addresses } = receivers[0]!;
    const server = await startServer(t, data, ['--export', `copy=${scheme}://${addresses[protocol]}?from=start`]);
    for (const place of placesIn(log.durableOffset)) {
      await untilAcked(server, 'copy', place);
      const before = receivers.at(-1)!;
      await before.collector.end('SIGKILL');
      receivers.push(await startReceiver(t, join(directory, String(place)), { before, isUnbuffered: true }));
    }
    const figures = await untilSent(server, 'copy');
    assert.deepEqual([figures.setAside.entries, figures.lostEntries, figures.fallback], [0, 0, null]);
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
    await receivers.at(-1)!.collector.end('SIGTERM');
    const arrivals = arrivalsAtCollectors(receivers.map(({ collector }) => collector));
    assertKept(log, countArrivals(log, arrivals));
    assertInOrder(log, arrivals);
    const repeated = repeatedRequests(arrivals);
    t.diagnostic(`${repeated} requests came again, the exporter sent ${figures.resentBatches} again`);
    assert.ok(repeated <= figures.resentBatches, `${repeated} came again, ${figures.resentBatches} were sent again`);
  });
}

function ready(): Tools {
  if (typeof tools === 'string') throw new Error(tools);
  return tools;
}

/** Slow enough that a Collector can be killed amid it. */
function steady(seed: number): string[] {
  return ['-scenario', 'steady', '-rows', '1000', '-seed', String(40 + seed)];
}

/** Where to kill: offsets that are acknowledged by then. */
function placesIn(durableOffset: bigint): number[] {
  const random = seededRandom(KILL_SEED);
  const part = Math.floor(Number(durableOffset) / (KILLS + 1));
  return Array.from({ length: KILLS }, (_, kill) => kill * part + 1 + random.below(part));
}

async function startServer(t: TestContext, data: string, flags: readonly string[] = []): Promise<ServerProcess> {
  const server = await startServerProcess(data, '127.0.0.1:0', flags);
  t.after(() => server.end('SIGKILL'));
  return server;
}

async function startSender(t: TestContext, server: ServerProcess, directory: string) {
  const sender = await startCollector(ready(), server.grpc, directory);
  t.after(() => sender.end('SIGKILL'));
  return sender;
}
