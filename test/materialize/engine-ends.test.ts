/**
 * Goal: however the engine's thread ends while DuckDB works in it, the process goes on and nothing is lost.
 * Method: a real log and the real store, queries that never end; the thread is broken, or ended by force, amid them.
 * Invariant: queries are told, the next engine has every row once. Were a call of DuckDB's left behind, this process would abort.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../../src/base/index.ts';
import type { Log } from '../../src/log/index.ts';
import { startEngineWorker } from '../../src/materialize/engine.ts';
import { superviseEngine } from '../../src/materialize/supervised-engine.ts';
import type { Engine } from '../../src/materialize/types.ts';
import {
  appendCapture,
  durableOf,
  engineOptions,
  engineRows,
  engineUntil,
  openTestLog,
  startTestEngine,
} from '../helpers/engine-log.ts';

const BREAKABLE = new URL('../helpers/breakable-engine-worker.ts', import.meta.url);
const ROWS = 'SELECT count(*), count(DISTINCT (entry_offset, row)) FROM logs';
const ENDLESS = 'SELECT sum(sqrt(range)) FROM range(1_000_000_000_000)';
const NEVER = new AbortController().signal;

async function openHouse(t: TestContext): Promise<{ directory: string; log: Log }> {
  const directory = await mkdtemp(join(tmpdir(), 'engine-ends-'));
  const log = await openTestLog(directory);
  t.after(async () => {
    await log.close();
    await rm(directory, { recursive: true, maxRetries: 3 });
  });
  return { directory, log };
}

async function caughtUp(engine: Engine, log: Log): Promise<void> {
  const { durableOffset } = log.status();
  engine.advance(durableOf(log.status()));
  await engineUntil(engine, ({ materializedOffset }) => materializedOffset >= durableOffset);
}

/** Resolves when `count` queries that never end run; what it returns resolves with their errors' codes. */
async function runEndless(engine: Engine, count: number): Promise<{ codes: Promise<string[]> }> {
  const request = { query: ENDLESS, params: [], format: 'json', rowsMax: 1, timeoutMs: 600_000 } as const;
  const codes = Array.from({ length: count }, () =>
    engine.sql(request, NEVER).then(
      () => 'answered',
      (error: NodeJS.ErrnoException) => String(error.code),
    ),
  );
  await engineUntil(engine, ({ queriesRunning }) => queriesRunning === count);
  return { codes: Promise.all(codes) };
}

for (const [how, reason] of [
  ['throw', /broken on purpose/],
  ['reject', /broken on purpose/],
  ['exit', /ended with code 7/],
] as const) {
  test(`engine whose thread ends by ${how} amid queries is started again`, { timeout: 120_000 }, async (t) => {
    const { directory, log } = await openHouse(t);
    await appendCapture(log, 'rich-1');
    const engine = await superviseEngine({
      start: () => startEngineWorker(BREAKABLE, engineOptions(directory, log.status()), silentLogger),
      logger: silentLogger,
      limits: { engineRestartMinMs: 50 },
    });
    t.after(() => engine.stop());
    await caughtUp(engine, log);
    const [before] = await engineRows(engine, ROWS);
    const { codes } = await runEndless(engine, 2);
    await appendCapture(log, 'rich-1');
    engine.advance(durableOf(log.status()));
    const breaking = join(directory, 'tables', 'break');
    await writeFile(breaking, how);
    assert.deepEqual(await codes, ['TREASURY_ENGINE_UNAVAILABLE', 'TREASURY_ENGINE_UNAVAILABLE']);
    while (engine.health().running) await sleep(5);
    assert.match(engine.health().reason ?? '', reason);
    await rm(breaking);
    while (!engine.health().running) await sleep(20);
    await caughtUp(engine, log);
    assert.deepEqual(await engineRows(engine, ROWS), [before!.map((count) => String(2 * Number(count)))]);
  });
}

test('engine that hangs amid queries is ended, and its database is free', { timeout: 120_000 }, async (t) => {
  const { directory, log } = await openHouse(t);
  await appendCapture(log, 'rich-1');
  const engine = await startEngineWorker(BREAKABLE, engineOptions(directory, log.status()), silentLogger);
  await caughtUp(engine, log);
  const before = await engineRows(engine, ROWS);
  const { codes } = await runEndless(engine, 2);
  const breaking = join(directory, 'tables', 'break');
  await writeFile(breaking, 'hang');
  // What does not answer hangs.
  for (let isHanging = false; !isHanging; ) {
    const answer = engine.status().then(
      () => 'answered',
      () => 'dead',
    );
    isHanging = (await Promise.race([answer, sleep(1_000, 'silent')])) === 'silent';
  }
  await engine.stop(1);
  assert.deepEqual(await codes, ['TREASURY_ENGINE_UNAVAILABLE', 'TREASURY_ENGINE_UNAVAILABLE']);
  await rm(breaking);
  const next = await startTestEngine(directory, log.status());
  t.after(() => next.stop());
  await caughtUp(next, log);
  assert.deepEqual(await engineRows(next, ROWS), before);
});

test('engine that is broken off at any moment of its work goes on there', { timeout: 240_000 }, async (t) => {
  const { directory, log } = await openHouse(t);
  for (let round = 0; round < 6; round++) {
    const engine = await startTestEngine(directory, log.status());
    const { codes } = await runEndless(engine, 1);
    await appendCapture(log, 'rich-1');
    engine.advance(durableOf(log.status()));
    await sleep(round * 10);
    await engine.stop(1);
    assert.match((await codes)[0]!, /^TREASURY_/);
  }
  const last = await startTestEngine(directory, log.status());
  t.after(() => last.stop());
  await caughtUp(last, log);
  const [rows, distinct] = (await engineRows(last, ROWS))[0]!;
  assert.equal(rows, distinct);
  assert.equal(Number(rows) % 6, 0);
  assert.ok(Number(rows) > 0);
  assert.equal((await last.status()).quarantinedTotal, 0);
});
