/**
 * Goal: what is in the log is in the tables, exactly once, whatever happens to the engine (I8).
 * Method: captures of a real Collector in a real log; the engine is stopped, killed with its process, and robbed of its tables.
 * Invariant: the tables equal those of one undisturbed replay.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Log } from '../../src/log/index.ts';
import type { Engine } from '../../src/materialize/types.ts';
import { loaderFlags } from '../helpers/checkout.ts';
import {
  appendCapture,
  durableOf,
  engineRows,
  engineUntil,
  openTestLog,
  startTestEngine,
  tableHashes,
} from '../helpers/engine-log.ts';

const CAPTURES = ['rich-1', 'odd-1', 'hostmetrics-1', 'telemetrygen-1', 'empties-1', 'disabled-1'];

interface Setup {
  readonly directory: string;
  readonly log: Log;
  start(): Promise<Engine>;
  caughtUp(engine: Engine): Promise<void>;
}

async function setUp(t: TestContext, limits = {}): Promise<Setup> {
  const directory = await mkdtemp(join(tmpdir(), 'engine-log-'));
  const log = await openTestLog(directory, limits);
  const engines: Engine[] = [];
  t.after(async () => {
    await Promise.all(engines.map((engine) => engine.stop()));
    await log.close();
    await rm(directory, { recursive: true });
  });
  return {
    directory,
    log,
    async start() {
      const engine = await startTestEngine(directory, log.status());
      engines.push(engine);
      return engine;
    },
    async caughtUp(engine) {
      // The ends of streams are still on their way when their last batch is durable.
      const { durableOffset } = log.status();
      engine.advance(durableOf(log.status()));
      await engineUntil(engine, ({ materializedOffset }) => materializedOffset >= durableOffset);
    },
  };
}

test('engine shows what is appended while it runs', async (t) => {
  const { log, start, caughtUp } = await setUp(t);
  const engine = await start();
  t.after(log.onDurable((position) => engine.advance(position)));
  const batches = await appendCapture(log, 'rich-1');
  await caughtUp(engine);
  const status = await engine.status();
  assert.equal(status.entriesDecoded, batches);
  assert.deepEqual(status.quarantined, []);
  const [counts] = await engineRows(
    engine,
    'SELECT (SELECT count(*) FROM logs), (SELECT count(*) FROM spans), (SELECT count(*) FROM samples)',
  );
  for (const count of counts!) assert.ok(Number(count) > 0);
});

test('engine gives the same tables live, replayed over many segments, and after the tables are gone', async (t) => {
  const { directory, log, start, caughtUp } = await setUp(t, { segmentBytesMax: 20_000 });
  const live = await start();
  t.after(log.onDurable((position) => live.advance(position)));
  for (const name of CAPTURES) await appendCapture(log, name);
  assert.ok(log.status().segments > 10);
  await caughtUp(live);
  const expected = await tableHashes(live);
  assert.equal((await live.status()).quarantinedTotal, 0);
  await live.stop();

  const again = await start();
  await caughtUp(again);
  assert.equal((await again.status()).rowsWritten, 0);
  assert.deepEqual(await tableHashes(again), expected);
  await again.stop();

  await rm(join(directory, 'tables'), { recursive: true });
  const rebuilt = await start();
  await caughtUp(rebuilt);
  assert.deepEqual(await tableHashes(rebuilt), expected);
});

test('engine goes on in the middle of streams after a stop', async (t) => {
  const { directory, log, start, caughtUp } = await setUp(t);
  let engine = await start();
  t.after(log.onDurable((position) => engine.advance(position)));
  for (const name of ['rich-1', 'odd-1', 'hostmetrics-1']) {
    const appending = appendCapture(log, name);
    await engine.stop();
    engine = await start();
    await appending;
    engine.advance(durableOf(log.status()));
  }
  await caughtUp(engine);
  assert.equal((await engine.status()).quarantinedTotal, 0);
  await engine.stop();
  const stopped = await start();
  await caughtUp(stopped);
  const resumed = await tableHashes(stopped);
  await stopped.stop();
  await rm(join(directory, 'tables'), { recursive: true });
  const whole = await start();
  await caughtUp(whole);
  assert.deepEqual(resumed, await tableHashes(whole));
});

test('engine killed with its process loses nothing and repeats nothing', async (t) => {
  const { directory, log, start, caughtUp } = await setUp(t, { segmentBytesMax: 200_000 });
  for (let round = 0; round < 3; round++) for (const name of CAPTURES) await appendCapture(log, name);
  const whole = await start();
  await caughtUp(whole);
  const expected = await tableHashes(whole);
  await whole.stop();

  const victim = await mkdtemp(join(tmpdir(), 'engine-victim-'));
  t.after(() => rm(victim, { recursive: true }));
  // Before the copy: what is durable now is in it.
  const status = log.status();
  await cp(join(directory, 'log'), join(victim, 'log'), { recursive: true });
  let commits = 0;
  for (const killAfterCommits of [1, 1, 2]) commits += await runVictim(victim, status, killAfterCommits);
  assert.ok(commits > 0);
  const survivor = await startTestEngine(victim, status);
  t.after(() => survivor.stop());
  await engineUntil(survivor, ({ materializedOffset }) => materializedOffset >= status.durableOffset);
  assert.deepEqual(await tableHashes(survivor), expected);
});

/** Runs an engine in a child process and kills it when it has committed so often (or is done). Returns the commits seen. */
async function runVictim(
  directory: string,
  status: ReturnType<Log['status']>,
  killAfterCommits: number,
): Promise<number> {
  const script = fileURLToPath(new URL('../helpers/engine-victim.ts', import.meta.url));
  const facts = { directory, uuid: status.uuid, ...durableOf(status) };
  const argument = JSON.stringify(facts, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
  const child = spawn(process.execPath, [...loaderFlags, script, argument], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let commits = 0;
  for await (const data of child.stdout) {
    for (const line of String(data).trim().split('\n')) {
      const seen = JSON.parse(line) as { commits: number; done: boolean };
      commits = seen.commits;
      if (seen.done || commits >= killAfterCommits) child.kill('SIGKILL');
    }
  }
  await exited;
  return commits;
}
