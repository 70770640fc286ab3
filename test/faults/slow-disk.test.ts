/**
 * Goal: a slow disk slows senders down and nothing else, and one that stands still makes them come again.
 * Method: a real server whose syncs of segments wait 50 ms, 1 s and 10 s (LD_PRELOAD). Senders of both protocols offer more than such a
 * disk takes, while its pages are asked for all the time.
 * Invariant: memory and bytes in flight stay below their limits; a batch that waits too long is answered UNAVAILABLE or 503 with a hint
 * when to come again, within the time that exporters wait, never RESOURCE_EXHAUSTED; SQL, metrics and health are answered meanwhile, and
 * health says that the disk is slow; the server takes everything once the disk is quick; each acknowledged unit is in the log once.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../../src/base/index.ts';
import { FaultLoad, SentUnits } from '../helpers/fault-load.ts';
import { faultShim } from '../helpers/fault-shim.ts';
import { fetchSql, scratchDirectory, startServerProcess } from '../helpers/server-process.ts';

const MIB = 1024 * 1024;
/** What exporters wait for an answer. */
const EXPORTER_WAIT_MS = 5_000;
/** A page that waits for the disk takes as long as its sync. */
const PAGE_WAIT_MAX_MS = 3_000;
/** Twice the bytes in flight for the copies on their way, and what a V8 heap grows by under load. */
const GROWTH_MAX_BYTES = 2 * LIMITS.inFlightBytesMax + 384 * MIB;

interface Case {
  readonly delayMs: number;
  readonly senders: number;
  readonly unitBytes: number;
  readonly loadMs: number;
  /** What health says of the log, and whether it is red; null where it has nothing to say. */
  readonly health: { readonly ok: boolean; readonly reason: RegExp } | null;
}

const CASES: readonly Case[] = [
  { delayMs: 50, senders: 6, unitBytes: MIB, loadMs: 1_500, health: null },
  { delayMs: 1_000, senders: 12, unitBytes: 2 * MIB, loadMs: 4_000, health: { ok: true, reason: /^The disk is slow/ } },
  {
    delayMs: 10_000,
    senders: 12,
    unitBytes: 4 * MIB,
    loadMs: 7_000,
    health: { ok: false, reason: /^The disk is slow/ },
  },
];

for (const setting of CASES) {
  test(`disk that takes ${setting.delayMs} ms a sync slows senders down and nothing else`, (t) => run(t, setting));
}

async function run(t: TestContext, { delayMs, senders, unitBytes, loadMs, health }: Case): Promise<void> {
  const shim = faultShim(t);
  if (shim === null) return;
  const data = scratchDirectory(t);
  const server = await startServerProcess(data, '127.0.0.1:0', [], shim.env);
  t.after(() => server.end('SIGKILL'));
  const units = new SentUnits();
  const loads = await Promise.all(Array.from({ length: senders }, () => FaultLoad.connect(server, units)));
  t.after(() => loads.forEach((load) => load.close()));
  const [watcher] = loads as [FaultLoad];
  await watcher.assertTaken();
  const before = metric(await watcher.page('/metrics'), 'treasury_resident_memory_bytes');
  shim.set([{ calls: ['sync'], path: '.arrows', delayMs }]);

  const endMs = performance.now() + loadMs;
  let answered = 0;
  const send = async (load: FaultLoad, protocol: 'otap' | 'otlp' | 'otlpGrpc'): Promise<void> => {
    while (performance.now() < endMs) {
      const sentMs = performance.now();
      const answer = await load[protocol](unitBytes);
      answered++;
      const tookMs = performance.now() - sentMs;
      if (typeof answer === 'number') assert.ok([0, 14].includes(answer), `gRPC status ${answer}`);
      else if ('code' in answer) assert.ok([0, 14].includes(answer.code), `${answer.code} ${answer.message}`);
      else {
        assert.ok([200, 503].includes(answer.status), `${answer.status} ${answer.body}`);
        if (answer.status === 503) assert.ok(Number(answer.headers['retry-after']) > 0, 'no Retry-After');
      }
      assert.ok(tookMs < EXPORTER_WAIT_MS + PAGE_WAIT_MAX_MS, `${protocol} was answered after ${tookMs} ms`);
      // As an exporter that was refused would.
      if (tookMs < 100) await sleep(100);
    }
  };
  const sending = loads.flatMap((load) => [send(load, 'otap'), send(load, 'otlp'), send(load, 'otlpGrpc')]);
  const watched = { pageMs: 0, rss: 0, inFlight: 0, reasons: new Set<string>(), parts: [] as LogPart[] };
  while (performance.now() < endMs) {
    const askedMs = performance.now();
    const part = (JSON.parse((await watcher.page('/readyz')).text) as { parts: { log: LogPart } }).parts.log;
    watched.parts.push(part);
    watched.pageMs = Math.max(watched.pageMs, performance.now() - askedMs);
    const metrics = await watcher.page('/metrics');
    assert.equal((await fetchSql(server, 'SELECT 1'))[0]![0], 1);
    watched.rss = Math.max(watched.rss, metric(metrics, 'treasury_resident_memory_bytes'));
    watched.inFlight = Math.max(watched.inFlight, metric(metrics, 'treasury_log_in_flight_bytes'));
    await sleep(50);
  }
  await Promise.all(sending);
  shim.clear();
  t.diagnostic(
    `${answered} units answered, ${units.acked.size} acknowledged; at most ${watched.inFlight / MIB} MiB in flight, ` +
      `memory grew by ${Math.round((watched.rss - before) / MIB)} MiB, health took ${Math.round(watched.pageMs)} ms`,
  );
  assert.ok(watched.pageMs < PAGE_WAIT_MAX_MS, `health took ${watched.pageMs} ms`);
  assert.ok(watched.inFlight <= LIMITS.inFlightBytesMax, `${watched.inFlight} bytes in flight`);
  assert.ok(watched.rss - before < GROWTH_MAX_BYTES, `memory grew by ${watched.rss - before} bytes`);
  const told =
    health === null || watched.parts.some(({ ok, reason }) => ok === health.ok && health.reason.test(reason ?? ''));
  assert.ok(told, `health does not say it: ${JSON.stringify(watched.parts.slice(-3))}`);
  if (health?.ok === false) assert.ok(units.refused.size > 0, 'nothing was refused: the test shows nothing');
  else assert.ok(units.acked.size > 2, 'nothing was taken from the slow disk');
  await watcher.untilWell();
  await watcher.assertTaken();
  for (const load of loads) load.close();
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  units.assertKept(data);
}

interface LogPart {
  readonly ok: boolean;
  readonly reason?: string;
}

function metric({ text }: { text: string }, name: string): number {
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}
