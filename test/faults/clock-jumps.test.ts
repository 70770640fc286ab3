/**
 * Goal: a clock that is days behind, years ahead, or jumps back and forth costs no data and stops nothing.
 * Method: (1) seeded rounds on a log with a clock in hand: entries, hours that pass, jumps by -3 days and +10 years, and starts, one of
 * them in each state of the clock; the clock is never ahead for as long as it takes to be believed. (2) A real server whose clock a
 * preloaded library moves: jumps under OTLP requests and an open OTAP stream, and starts with every clock, orderly and after a kill.
 * A running server looks at its tables once a minute, longer than a test
 * can wait: for them, and other single cases, see test/log/retention{,-rules}.test.ts, test/materialize/table-retention.test.ts, test/base/base.test.ts.
 * Invariant: offsets are contiguous; retention by age takes no entry and no row before its age (less the days that its own stamp is
 * behind), never the newest segment, and in the end all that is old; segments rotate by time that passed; ages, uptimes, totals and
 * lags are never negative; streams and health do not notice.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../../src/base/index.ts';
import { ENTRY_KINDS, openLog, readEntries, verifyLog } from '../../src/log/index.ts';
import { readArrowStreams } from '../helpers/captures.ts';
import { type ClockShim, clockShim } from '../helpers/clock-shim.ts';
import { connectOtap, type OtapStream } from '../helpers/otap-client.ts';
import { withBatchId } from '../helpers/otap-load.ts';
import { seededRandom } from '../helpers/random.ts';
import {
  fetchSql,
  fetchStatus,
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';
import { SMALL_LIMITS_ENV } from '../helpers/write-script.ts';
import { appendText, DAY_MS, handClock, ONE_ENTRY_A_SEGMENT } from '../log/retention-helpers.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 12);
const ROUNDS = Number(process.env['TREASURY_TEST_CLOCK_ROUNDS'] ?? 10);
const HOUR_MS = 3_600_000;
const BEHIND_MS = -3 * DAY_MS;
const AHEAD_MS = 3_650 * DAY_MS;
const AGE_MS = 7 * DAY_MS;

for (let round = 0; round < ROUNDS; round++) {
  const seed = SEED * 1_000 + round;
  test(`log keeps what is young whatever its clock says (seed ${seed})`, async (t) => {
    const random = seededRandom(seed);
    const directory = scratchDirectory(t);
    const clock = handClock();
    const options = {
      directory,
      clock,
      limits: ONE_ENTRY_A_SEGMENT,
      retention: { ageMaxMs: AGE_MS, bytesMax: null },
    };
    let log = await openLog(options);
    let aheadMs = 0;
    let trueMs = 0;
    let aheadSinceMs = 0;
    const receivedMs: number[] = [];

    async function append(): Promise<void> {
      assert.equal(await appendText(log, `${receivedMs.length}`), BigInt(receivedMs.length), 'offsets are contiguous');
      receivedMs.push(trueMs);
    }

    async function sweep(): Promise<void> {
      await log.sweep();
      const { firstOffset, durableOffset } = log.status();
      assert.equal(durableOffset, BigInt(receivedMs.length));
      if (receivedMs.length > 0) assert.ok(firstOffset < durableOffset, 'the newest segment stays');
      const youngest = receivedMs[Number(firstOffset) - 1];
      if (youngest === undefined) return;
      const age = trueMs - youngest;
      assert.ok(age > AGE_MS + BEHIND_MS, `offset ${firstOffset - 1n} went ${age / HOUR_MS} hours old`);
    }

    function set(ms: number): void {
      clock.jump(ms - aheadMs);
      if (ms > 0 && aheadMs <= 0) aheadSinceMs = trueMs;
      aheadMs = ms;
    }

    async function pass(ms: number): Promise<void> {
      clock.pass(ms);
      trueMs += ms;
      await sweep();
    }

    for (let step = 0; step < 120; step++) {
      const chance = random.below(10);
      if (chance < 4) await append();
      else if (chance < 7) await pass(aheadMs > 0 ? HOUR_MS / 2 : random.pick([1_000, HOUR_MS, 10 * HOUR_MS]));
      else if (chance < 9) set(random.pick([0, 0, BEHIND_MS, AHEAD_MS]));
      else {
        await log.close();
        log = await openLog(options);
      }
      await sweep();
      if (aheadMs > 0 && trueMs - aheadSinceMs > LIMITS.clockTrustMs / 2) set(0);
      await sweep();
    }

    set(0);
    await append();
    for (let day = 0; day < 15; day++) await pass(DAY_MS);
    await append();
    await sweep();
    assert.equal(log.status().firstOffset, BigInt(receivedMs.length - 1), 'what is old goes in the end');
    await log.close();
    assert.deepEqual(verifyLog(directory), []);
  });
}

test('segments rotate by the time that passed, not by the clock', async (t) => {
  const clock = handClock();
  const log = await openLog({ directory: scratchDirectory(t), clock, limits: { segmentAgeMaxMs: 1_000 } });
  await appendText(log, 'first');
  for (const jumpMs of [AHEAD_MS, -AHEAD_MS, BEHIND_MS]) {
    clock.jump(jumpMs);
    await appendText(log, 'jumped');
    assert.equal(log.status().segments, 1);
  }
  clock.jump(-1_000);
  clock.pass(1_000);
  await appendText(log, 'old enough');
  assert.equal(log.status().segments, 2);
  await log.close();
});

test(`server goes on through jumps of its clock and starts with a wrong one (seed ${SEED})`, async (t) => {
  const clock = clockShim(t);
  if (clock === null) return;
  const random = seededRandom(SEED);
  const data = scratchDirectory(t);
  const sent = new Sent(clock);
  const start = async (): Promise<ServerProcess> => {
    const server = await startServerProcess(data, '127.0.0.1:0', RETENTION, { ...SMALL_LIMITS_ENV, ...clock.env });
    t.after(() => server.child.kill('SIGKILL'));
    return server;
  };

  const first = await start();
  const client = await connectOtap(first.grpc);
  t.after(() => client.destroy());
  const stream = client.openStream('logs', { encoding: 'zstdarrow1' });
  await sent.round(first, stream);
  const jumps = [BEHIND_MS, 0, AHEAD_MS, 0, AHEAD_MS, BEHIND_MS];
  for (let i = 0; i < 4; i++) jumps.push(random.pick([0, BEHIND_MS, AHEAD_MS, HOUR_MS, -1_000]));
  for (const jump of [...jumps, 0]) {
    sent.setClock(jump);
    // The server's clock and what it showed before, when the jump came.
    await assertSane(first);
    await sent.round(first, stream);
    await sleep(SWEEPS_MS);
    await assertSane(first);
  }
  stream.halfClose();
  assert.equal((await stream.ended).code, 0, 'the stream lived as long as its client wanted');
  await sent.assertKept(first);
  assert.equal(await first.end('SIGTERM'), 0, first.stderr());

  for (const { aheadMs, signal } of [
    { aheadMs: BEHIND_MS, signal: 'SIGKILL' },
    { aheadMs: AHEAD_MS, signal: 'SIGKILL' },
    { aheadMs: AHEAD_MS + HOUR_MS, signal: 'SIGTERM' },
    { aheadMs: 0, signal: 'SIGTERM' },
  ] as const) {
    sent.setClock(aheadMs);
    const server = await start();
    await untilRetained(server);
    await assertSane(server);
    await sent.round(server, null);
    await sleep(SWEEPS_MS);
    await assertSane(server);
    await sent.assertKept(server);
    assert.equal(await server.end(signal), signal === 'SIGTERM' ? 0 : null, server.stderr());
  }
  sent.assertStamps(data);
  assert.deepEqual(verifyLog(join(data, 'log')), []);
});

const RETENTION = ['--retention-age', '24h', '--tables-retention-age', '24h'];
/** Several sweeps of the log with the limits of SMALL_LIMITS_ENV. */
const SWEEPS_MS = 200;
/** Three of them fill a segment. */
const BODY_BYTES = 90_000;
const REQUESTS_A_ROUND = 4;

/** What was sent to the servers of one data directory, and what their clock showed then. */
class Sent {
  readonly #clock: ClockShim;
  readonly #messages = readArrowStreams('rich-1').find(
    ({ arrowSignal, messages }) => arrowSignal === 'logs' && messages.length > 0,
  )!.messages;
  /** How far the clock was off when each entry was sent. */
  readonly #aheadMs: number[] = [];
  #now = 0;
  #requests = 0;
  #batches = 0;

  constructor(clock: ClockShim) {
    this.#clock = clock;
  }

  setClock(aheadMs: number): void {
    this.#clock.set(aheadMs);
    this.#now = aheadMs;
  }

  /** Requests that fill a segment, their rows with a time of now or none, and a batch on the stream while it has some left. */
  async round(server: ServerProcess, stream: OtapStream | null): Promise<void> {
    for (let i = 0; i < REQUESTS_A_ROUND; i++) {
      const timeUnixNano = i % 2 === 0 ? '0' : `${BigInt(Date.now()) * 1_000_000n}`;
      const body = { stringValue: `${this.#requests++} `.padEnd(BODY_BYTES, 'x') };
      const answer = await fetch(`http://${server.otlpHttp}/v1/logs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          resourceLogs: [
            {
              resource: { attributes: [{ key: 'service.name', value: { stringValue: 'clock' } }] },
              scopeLogs: [{ logRecords: [{ timeUnixNano, body }] }],
            },
          ],
        }),
      });
      assert.equal(answer.status, 200, await answer.text());
      this.#aheadMs.push(this.#now);
    }
    const message = this.#messages[this.#batches];
    if (stream === null || message === undefined) return;
    await stream.send(withBatchId(message, BigInt(this.#batches++)));
    assert.equal((await stream.nextStatus()).code, 0);
    this.#aheadMs.push(this.#now);
  }

  async assertKept(server: ServerProcess): Promise<void> {
    await untilMaterialized(server);
    const { firstOffset } = await fetchStatus(server);
    assert.equal(Number(firstOffset), 0, server.stderr());
    const rows = await fetchSql(server, "SELECT count(*) FROM logs WHERE service_name = 'clock'");
    assert.equal(Number(rows[0]![0]), this.#requests, server.stderr());
  }

  /** The log tells what the clock showed. */
  assertStamps(data: string): void {
    const entries = [...readEntries(join(data, 'log'), { from: 0n })];
    assert.ok(
      entries.every(({ offset }, place) => offset === BigInt(place)),
      'offsets are contiguous',
    );
    const received = entries.filter(({ kind }) => kind === ENTRY_KINDS.BAR || kind === ENTRY_KINDS.OTLP);
    assert.equal(received.length, this.#aheadMs.length);
    for (const [place, { offset, receivedAtUnixNano }] of received.entries()) {
      const aheadMs = Number(receivedAtUnixNano / 1_000_000n) - Date.now();
      const distance = Math.abs(aheadMs - this.#aheadMs[place]!);
      assert.ok(distance < HOUR_MS / 4, `offset ${offset} is stamped ${distance} ms off`);
    }
  }
}

/** Waits until retention has looked at the tables, which it does once after a start and then every minute. */
async function untilRetained(server: ServerProcess): Promise<void> {
  for (;;) {
    const { retention } = (await fetchStatus(server))['engine'] as { retention?: { runs: number } };
    if (retention !== undefined && retention.runs > 0) return;
    await sleep(20);
  }
}

/** Health, status and metrics as they are of a server whose clock is right. */
async function assertSane(server: ServerProcess): Promise<void> {
  for (const path of ['healthz', 'readyz']) {
    const answer = await fetch(`http://${server.http}/${path}`);
    assert.equal(answer.status, 200, `${path}: ${await answer.text()}`);
  }
  const status = await fetchStatus(server);
  assert.equal(Number(status.firstOffset), 0, server.stderr());
  assertNotNegative(status, 'status');
  const uptimeSeconds = Number(status['uptimeSeconds']);
  assert.ok(uptimeSeconds < 3_600, `${uptimeSeconds} s`);
  const { retention } = status['log'] as unknown as { retention: { failing: string | null } };
  assert.equal(retention.failing, null);
  const engine = status['engine'] as { retention?: { failing: string | null }; stuck?: string | null };
  assert.deepEqual([engine.retention?.failing, engine.stuck], [null, null]);
  const metrics = await (await fetch(`http://${server.http}/metrics`)).text();
  for (const line of metrics.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const value = Number(line.slice(line.lastIndexOf(' ') + 1));
    assert.ok(value >= 0, line);
  }
}

function assertNotNegative(value: unknown, path: string): void {
  if (typeof value === 'number') assert.ok(value >= 0, `${path} is ${value}`);
  if (typeof value !== 'object' || value === null) return;
  for (const [name, part] of Object.entries(value)) assertNotNegative(part, `${path}.${name}`);
}
