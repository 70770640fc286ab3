/**
 * Goal: kill -9 of the server that pushes, or of the one it pushes to, loses nothing, and what comes twice is accounted for.
 * Method: a log of numbered records, in OTAP streams and OTLP requests of all signals; a server process on it pushes to another one;
 * one of them is killed and started again, at seeded places of the log. The target's tables tell how often each record came.
 * Invariant: each record is there, and those of a stream first came in their order. When the pushing server is killed, only what its cursor
 * on the disk had not passed comes again, once a kill. When the target is killed, no more requests come twice than the exporter says
 * that it sent again.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Arrival, arrivalsAtServer, countArrivals, repeatedRequests } from '../helpers/arrivals.ts';
import { cursorOnDisk, untilAcked, untilSent } from '../helpers/exporter-api.ts';
import { KILL_SEED } from '../helpers/kill-rounds.ts';
import { type NumberedLog, writeNumberedLog } from '../helpers/numbered-telemetry.ts';
import { assertAccounted, assertInOrder, assertKept, type PushKill } from '../helpers/push-accounts.ts';
import { seededRandom } from '../helpers/random.ts';
import {
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';

/** More by night: TREASURY_TEST_PUSH_KILLS=20. */
const KILLS = Number(process.env['TREASURY_TEST_PUSH_KILLS'] ?? 2);
/** Long enough that it is not sent before a cursor is written. */
const LOG = { streams: 4, batches: 250, requests: 500, records: 2 };
const SOURCE_FLAGS = ['--materialize', 'off'];

for (const scheme of ['otap', 'otlp']) {
  test(`kill -9 of a server that pushes by ${scheme} loses nothing, and repeats only what its cursor had not passed (seed ${KILL_SEED})`, async (t) => {
    const { log, places, data, target, first } = await startBoth(t, scheme);
    let source = first;
    const kills: PushKill[] = [];
    for (const place of places) {
      await untilAcked(source, 'copy', place);
      await source.end('SIGKILL');
      const counts = countArrivals(log, await settledArrivals(target));
      kills.push({ cursor: cursorOnDisk(data, 'copy'), counts });
      source = await startSource(t, data);
    }
    const figures = await untilSent(source, 'copy');
    const arrivals = await settledArrivals(target);
    const counts = countArrivals(log, arrivals);
    assert.deepEqual([figures.setAside.entries, figures.lostEntries, figures.resentBatches], [0, 0, 0]);
    assertKept(log, counts);
    assertInOrder(log, arrivals);
    const repeated = assertAccounted(log, kills, counts);
    const cursors = kills.map(({ cursor }) => cursor).join(', ');
    t.diagnostic(`cursors ${cursors} of ${log.durableOffset}; ${repeated} records came again`);
    await source.end('SIGTERM');
    await target.end('SIGTERM');
  });

  test(`kill -9 of the target of a push by ${scheme} loses nothing, and repeats no more than the exporter says (seed ${KILL_SEED})`, async (t) => {
    const both = await startBoth(t, scheme);
    const { log, places, first: source } = both;
    let { target } = both;
    for (const place of places) {
      await untilAcked(source, 'copy', place);
      await target.end('SIGKILL');
      target = await startTarget(t, target.data, target.grpc);
    }
    const figures = await untilSent(source, 'copy');
    const arrivals = await settledArrivals(target);
    assert.deepEqual([figures.setAside.entries, figures.lostEntries], [0, 0]);
    assertKept(log, countArrivals(log, arrivals));
    assertInOrder(log, arrivals);
    const repeated = repeatedRequests(arrivals);
    t.diagnostic(`${repeated} requests came again, the exporter sent ${figures.resentBatches} again`);
    assert.ok(repeated <= figures.resentBatches, `${repeated} came again, ${figures.resentBatches} were sent again`);
    await source.end('SIGTERM');
    await target.end('SIGTERM');
  });
}

async function startBoth(
  t: TestContext,
  scheme: string,
): Promise<{
  readonly log: NumberedLog;
  /** Where to kill: offsets that are acknowledged by then. */
  readonly places: readonly number[];
  readonly data: string;
  readonly target: ServerProcess;
  readonly first: ServerProcess;
}> {
  const data = scratchDirectory(t);
  const log = await writeNumberedLog(data, LOG);
  const target = await startTarget(t, scratchDirectory(t));
  const first = await startSource(t, data, ['--export', `copy=${scheme}://${target.grpc}?from=start`]);
  const random = seededRandom(KILL_SEED);
  const part = Math.floor(Number(log.durableOffset) / (KILLS + 1));
  const places = Array.from({ length: KILLS }, (_, kill) => kill * part + 1 + random.below(part));
  return { log, places, data, target, first };
}

async function startTarget(t: TestContext, data: string, grpc?: string): Promise<ServerProcess> {
  const target = await startServerProcess(data, grpc);
  t.after(() => target.end('SIGKILL'));
  return target;
}

async function startSource(t: TestContext, data: string, flags: readonly string[] = []): Promise<ServerProcess> {
  const source = await startServerProcess(data, '127.0.0.1:0', [...SOURCE_FLAGS, ...flags]);
  t.after(() => source.end('SIGKILL'));
  return source;
}

/** What is in the tables when all that was acknowledged is in them. */
async function settledArrivals(target: ServerProcess): Promise<Arrival[]> {
  await untilMaterialized(target);
  return arrivalsAtServer(target);
}
