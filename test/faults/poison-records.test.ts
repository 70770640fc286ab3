/**
 * Goal: no record of the log, however it came there, keeps the server from starting, from going on behind it, or from starting again.
 * Method: records that kill, hang or exhaust decoders are appended to a log among good ones, as if an older version had accepted them.
 * Hostile lengths, counts, indices, nesting and compression (and seeded mutations) go to a real server, which is restarted. What no
 * decoder of today dies of is planted: a thread with flawed decoders that runs out of memory, hangs or ends at marked records, and
 * whole processes that are killed by one.
 * Invariant: the engine passes them by, each with offset and reason in status, log line, metric and `meta.quarantine`; what they do
 * not touch is in the tables as it is without them; the engine does not die of what decoders refuse, dies at most twice of an entry
 * (its process `entryDeathsMax` times), and never again of it at later starts.
 * The parts have tests of their own in test/materialize: entry-attempts, failed-range, supervised-engine, engine-loss.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LIMITS, type Logger, type Signal, SIGNAL_CODES, silentLogger, systemClock } from '../../src/base/index.ts';
import { ENTRY_FLAGS, type Log, openLog } from '../../src/log/index.ts';
import { startEngineWorker } from '../../src/materialize/engine.ts';
import { superviseEngine } from '../../src/materialize/supervised-engine.ts';
import type { Engine } from '../../src/materialize/types.ts';
import { initZstd } from '../../src/otap/index.ts';
import { readArrowStreams, readCapture } from '../helpers/captures.ts';
import { loaderFlags } from '../helpers/checkout.ts';
import {
  appendCapture,
  durableOf,
  engineOptions,
  engineRows,
  engineUntil,
  openTestLog,
  startTestEngine,
  tableHashes,
} from '../helpers/engine-log.ts';
import { connectOtap, replayStreams } from '../helpers/otap-client.ts';
import { DEADLY_MARKS, marked, poisonRecords, type PoisonRecord } from '../helpers/poison-records.ts';
import { mutate, seededRandom } from '../helpers/random.ts';
import { fetchSql, scratchDirectory, startServerProcess, untilMaterialized } from '../helpers/server-process.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const MUTATIONS = 40;
const POISON_MIN = 20;
const DEADLY_WORKER = new URL('../helpers/deadly-engine-worker.ts', import.meta.url);
const VICTIM = fileURLToPath(new URL('../helpers/engine-victim.ts', import.meta.url));
const QUARANTINED = 'SELECT entry_offset, reason FROM meta.quarantine ORDER BY ALL';
const PROTOBUF = new Map([['content-type', 'application/x-protobuf']]);

await initZstd();

test(`server passes by poison records in its log, and starts again with them (seed ${SEED})`, async (t) => {
  const poison = poisonRecords();
  assert.ok(poison.filter(({ leavesRowsOut }) => leavesRowsOut !== true).length >= POISON_MIN);
  const data = scratchDirectory(t);
  const control = scratchDirectory(t);
  const poisoned = await writeLog(data, poison);
  await writeLog(
    control,
    poison.map((one) => ({ ...one, record: new Uint8Array() })),
  );
  let server = await startServerProcess(data);
  t.after(() => server.end('SIGKILL'));
  const status = await untilMaterialized(server);
  const quarantined = await fetchSql(server, QUARANTINED);
  const passed = new Set(quarantined.map(([offset]) => BigInt(offset as string)));
  const missing = [...poisoned].filter(([offset]) => !passed.has(offset)).map(([, name]) => name);
  assert.deepEqual(missing, [], 'poison records that are not in quarantine');
  for (const [offset, reason] of quarantined) {
    assert.ok(poisoned.has(BigInt(offset as string)), `entry ${String(offset)} is good: ${String(reason)}`);
    assert.ok(String(reason).length > 0);
    assert.match(server.stderr(), new RegExp(`Entry quarantined.*offset["=: ]+${String(offset)}\\b`));
  }
  const { quarantine, engine } = status as unknown as {
    quarantine: { total: number; newest: { offset: number; reason: string }[] };
    engine: { restarts: number };
  };
  assert.equal(quarantine.total, poisoned.size);
  assert.ok(quarantine.newest.every(({ offset, reason }) => poisoned.has(BigInt(offset)) && reason !== ''));
  assert.equal(engine.restarts, 0);
  assert.match(
    await textOf(server.http, 'metrics'),
    new RegExp(`treasury_quarantined_entries_total ${poisoned.size}\\b`),
  );
  assert.equal((await fetch(`http://${server.http}/readyz`)).status, 200);

  for (let start = 0; start < 2; start++) {
    await server.end(start === 0 ? 'SIGKILL' : 'SIGTERM');
    server = await startServerProcess(data);
    await untilMaterialized(server);
    assert.deepEqual(await fetchSql(server, QUARANTINED), quarantined);
  }
  const before = await hashesOf(data, server);
  assert.deepEqual(before, await hashesOf(control), 'tables differ from those of the same log without poison');

  server = await startServerProcess(data);
  const client = await connectOtap(server.grpc);
  for (const { statuses } of await replayStreams(client, readArrowStreams('rich-1'))) {
    assert.ok(statuses.every(({ code }) => code === 0));
  }
  await client.close();
  await untilMaterialized(server);
  assert.equal((await fetchSql(server, QUARANTINED)).length, poisoned.size);
  assert.equal(await server.end('SIGTERM'), 0);
});

test(`engine lives through mutations of good records in its log (seed ${SEED})`, async (t) => {
  const directory = scratchDirectory(t);
  const random = seededRandom(SEED);
  const log = await openTestLog(directory);
  const streams = readArrowStreams('odd-1').filter(({ messages }) => messages.length > 0);
  const requests = readCapture('rich-1', 'expect').filter(({ t: kind }) => kind === 'otlp');
  for (let at = 0; at < MUTATIONS; at++) {
    const { arrowSignal, messages } = random.pick(streams);
    const stream = log.openStream(SIGNAL_CODES[arrowSignal]);
    await stream.append({ batchId: BigInt(at), record: [mutate(random.pick(messages), random)], flags: STATEFUL });
    stream.close();
    const { signal, body } = random.pick(requests);
    await log.appendOtlp(SIGNAL_CODES[signal!], { batchId: 0n, record: [mutate(body, random)], headers: PROTOBUF });
  }
  await appendCapture(log, 'rich-1');
  const engine = await startTestEngine(directory, log.status());
  t.after(() => engine.stop());
  await caughtUp(engine, log);
  await log.close();
  assert.ok(Number((await engineRows(engine, 'SELECT count(*) FROM logs'))[0]![0]) >= 1036);
});

test('engine leaves out entries that its thread dies of twice, and those alone', { timeout: 120_000 }, async (t) => {
  const data = scratchDirectory(t);
  const control = scratchDirectory(t);
  const deaths = ['heap', 'hang', 'exit'] as const;
  const deadly = await writeDeadlyLog(data, deaths, true);
  await writeDeadlyLog(control, deaths, false);
  const log = await openTestLog(data);
  t.after(() => log.close());
  const lines: string[] = [];
  const tell: Logger['warn'] = (line, fields) =>
    void lines.push(
      `${line} ${JSON.stringify(fields, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value))}`,
    );
  const logger: Logger = { ...silentLogger, warn: tell, error: tell };
  const start = () => superviseEngine({ start: startDeadly, logger, limits: { engineRestartMinMs: 10 } });
  const startDeadly = () =>
    startEngineWorker(DEADLY_WORKER, engineOptions(data, log.status()), logger, {
      entryWorkMaxMs: 4_000,
      engineWatchIntervalMs: 100,
    });
  for (const isFirst of [true, false]) {
    const engine = await start();
    await untilCaughtUp(engine, log);
    assert.equal(engine.health().restarts > 0, isFirst);
    const rows = (await engineRows(engine, QUARANTINED)) as [string, string][];
    const killed = rows.filter(([, reason]) => /^The engine died of the entry 2 times$/.test(reason));
    assert.deepEqual(
      killed.map(([offset]) => BigInt(offset)),
      deadly.killing,
    );
    const dependents = rows.filter(([, reason]) => /an entry that was left out has state/.test(reason));
    assert.deepEqual(
      dependents.map(([offset]) => BigInt(offset)),
      deadly.dependent,
    );
    assert.equal(rows.length, killed.length + dependents.length);
    const { quarantined } = await engine.status();
    assert.ok(deadly.killing.every((offset) => quarantined.some((shown) => shown.offset === offset)));
    await engine.stop();
  }
  const died = lines.filter((line) => line.startsWith('Engine died'));
  assert.equal(died.length, 2 * deadly.killing.length, lines.join('\n'));
  await log.close();
  const all = [...deadly.killing, ...deadly.dependent];
  assert.deepEqual(await keptRows(data, all), await keptRows(control, all), 'other entries have other rows');
});

test('processes stop dying of an entry after a few times', { timeout: 120_000 }, async (t) => {
  const data = scratchDirectory(t);
  const { killing } = await writeDeadlyLog(data, ['abort'], true);
  const log = await openTestLog(data);
  const status = log.status();
  await log.close();
  const facts = { directory: data, uuid: status.uuid, worker: DEADLY_WORKER.href, ...durableOf(status) };
  const ends: boolean[] = [];
  while (!ends.includes(true) && ends.length < 3 * LIMITS.entryDeathsMax) ends.push(await runVictim(facts));
  assert.deepEqual(ends, [...Array<boolean>(LIMITS.entryDeathsMax * killing.length).fill(false), true]);
  const engine = await startTestEngine(data, status);
  t.after(() => engine.stop());
  const rows = (await engineRows(engine, QUARANTINED)) as [string, string][];
  assert.deepEqual(
    rows.filter(([, reason]) => reason === REASON_OF_PROCESSES).map(([offset]) => BigInt(offset)),
    killing,
  );
});

const REASON_OF_PROCESSES = `The engine died of the entry ${LIMITS.entryDeathsMax} times`;
const STATEFUL = ENTRY_FLAGS.HAS_SCHEMA | ENTRY_FLAGS.HAS_DICTIONARY;

/** A log of captures with these records between them; returns their names by offset. */
async function writeLog(data: string, poison: readonly PoisonRecord[]): Promise<Map<bigint, string>> {
  const offsets = new Map<bigint, string>();
  const log = await openFixedLog(data);
  await appendCapture(log, 'odd-1');
  for (const [at, one] of poison.entries()) {
    const { offset } = await appendRecord(log, one);
    if (one.leavesRowsOut !== true) offsets.set(offset, one.name);
    if (at % 8 === 0) await appendCapture(log, 'telemetrygen-1');
  }
  await appendCapture(log, 'rich-1');
  await log.close();
  return offsets;
}

async function appendRecord(log: Log, { signal, contentType, record }: PoisonRecord): Promise<{ offset: bigint }> {
  if (contentType !== null) {
    const headers = new Map(contentType === '' ? [] : [['content-type', contentType] as const]);
    return log.appendOtlp(SIGNAL_CODES[signal], { batchId: 0n, record: [record], headers });
  }
  const stream = log.openStream(SIGNAL_CODES[signal]);
  const appended = await stream.append({ batchId: 1n, record: [record], flags: STATEFUL });
  stream.close();
  return appended;
}

/** Logs of different records that were received at the same time have the same rows for the others. */
function openFixedLog(data: string): Promise<Log> {
  const receivedAtUnixNano = 1_790_000_000_000_000_000n;
  const clock = { monotonicMs: () => systemClock.monotonicMs(), nowUnixNano: () => receivedAtUnixNano };
  return openLog({ directory: join(data, 'log'), clock });
}

interface DeadlyLog {
  readonly killing: bigint[];
  /** Entries that need what a deadly one would have told. */
  readonly dependent: bigint[];
}

/** For each death a marked OTLP request, for `exit` a marked batch at the beginning of a stream that goes on. Unmarked if not `isDeadly`. */
async function writeDeadlyLog(
  data: string,
  deaths: readonly (keyof typeof DEADLY_MARKS)[],
  isDeadly: boolean,
): Promise<DeadlyLog> {
  const found: DeadlyLog = { killing: [], dependent: [] };
  const log = await openFixedLog(data);
  const { body } = readCapture('rich-1', 'expect').find((record) => record.t === 'otlp' && record.signal === 'logs')!;
  const { messages } = readArrowStreams('rich-1').find(({ arrowSignal }) => arrowSignal === 'traces')!;
  // Resources are written as they come first: all of them come before what is left out.
  for (const capture of ['odd-1', 'rich-1']) await appendCapture(log, capture);
  for (const death of deaths) {
    const mark = (record: Uint8Array) => (isDeadly ? marked(record, death) : record);
    if (death !== 'exit') {
      const request = { batchId: 0n, record: [mark(body)], headers: PROTOBUF };
      found.killing.push((await log.appendOtlp(SIGNAL_CODES.logs, request)).offset);
      continue;
    }
    const stream = log.openStream(SIGNAL_CODES['traces' satisfies Signal]);
    for (const [at, message] of messages.slice(0, 3).entries()) {
      const record = [at === 0 ? mark(message) : message];
      const { offset } = await stream.append({ batchId: BigInt(at), record, flags: at === 0 ? STATEFUL : 0 });
      (at === 0 ? found.killing : found.dependent).push(offset);
    }
    stream.close();
  }
  await appendCapture(log, 'rich-1');
  await log.close();
  return found;
}

async function caughtUp(engine: Engine, log: Log): Promise<void> {
  const { durableOffset } = log.status();
  engine.advance(durableOf(log.status()));
  await engineUntil(engine, ({ materializedOffset }) => materializedOffset >= durableOffset);
}

/** As `caughtUp`, for an engine that dies meanwhile. */
async function untilCaughtUp(engine: Engine, log: Log): Promise<void> {
  engine.advance(durableOf(log.status()));
  for (;;) {
    const status = await engine.status().catch(() => null);
    if (status !== null && status.materializedOffset >= log.status().durableOffset) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Hashes of all tables of a directory whose server is stopped, or was never started. */
async function hashesOf(data: string, server?: { end(signal: 'SIGTERM'): Promise<unknown> }) {
  await server?.end('SIGTERM');
  const log = await openTestLog(data);
  const engine = await startTestEngine(data, log.status());
  await caughtUp(engine, log);
  const hashes = await tableHashes(engine);
  await engine.stop();
  await log.close();
  return hashes;
}

/** A hash of the rows of other entries, by view. */
async function keptRows(data: string, without: readonly bigint[]): Promise<unknown[]> {
  const log = await openTestLog(data);
  const engine = await startTestEngine(data, log.status());
  try {
    await caughtUp(engine, log);
    const views = ['logs', 'spans', 'samples', 'histograms', 'exp_histograms', 'summaries', 'exemplars'];
    const hashes: unknown[] = [];
    for (const view of views) {
      const sql = `SELECT '${view}', count(*), sum(hash(t)) FROM ${view} AS t WHERE entry_offset NOT IN (${without.join(', ')})`;
      hashes.push(...(await engineRows(engine, sql)));
    }
    return hashes;
  } finally {
    await engine.stop();
    await log.close();
  }
}

/** Runs an engine in a process until it has caught up (true) or dies. */
async function runVictim(facts: Readonly<Record<string, unknown>>): Promise<boolean> {
  const argument = JSON.stringify(facts, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
  const child = spawn(process.execPath, [...loaderFlags, VICTIM, argument], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let isDone = false;
  for await (const data of child.stdout) {
    isDone ||= String(data).includes('"done":true');
    if (isDone) child.kill('SIGTERM');
  }
  await exited;
  return isDone;
}

async function textOf(address: string, path: string): Promise<string> {
  return (await fetch(`http://${address}/${path}`)).text();
}
