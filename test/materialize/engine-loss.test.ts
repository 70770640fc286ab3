/**
 * Goal: the tables go on when the log has lost its beginning, and when the engine's thread dies with the real database open.
 * Method: a real log and the real store; segments are deleted between starts, the thread is broken while it works.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Logger, silentLogger } from '../../src/base/index.ts';
import type { Log } from '../../src/log/index.ts';
import { startEngineWorker } from '../../src/materialize/engine.ts';
import { moveTablesAside } from '../../src/materialize/engine-session.ts';
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
const COUNT = 'SELECT count(*) FROM logs';

async function temporary(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'engine-loss-'));
  t.after(() => rm(directory, { recursive: true, maxRetries: 3 }));
  return directory;
}

/** A log of captures in many segments, closed. */
async function makeLog(directory: string, captures: readonly string[]): Promise<void> {
  const log = await openTestLog(directory, { segmentBytesMax: 20_000 });
  for (const name of captures) await appendCapture(log, name);
  await log.close();
}

async function deleteSegments(directory: string, isDeleted: (at: number, count: number) => boolean): Promise<void> {
  const names = (await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.arrows')).sort();
  await Promise.all(
    names.filter((_name, at) => isDeleted(at, names.length)).map((name) => rm(join(directory, 'log', name))),
  );
}

async function caughtUp(engine: Engine, log: Log): Promise<void> {
  const { durableOffset } = log.status();
  engine.advance(durableOf(log.status()));
  await engineUntil(engine, ({ materializedOffset }) => materializedOffset >= durableOffset);
}

function recordingLogger(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const at = (message: string) => void lines.push(message);
  return { ...silentLogger, lines, warn: at, error: at };
}

test('tables are moved aside beside older ones of the same time', async (t) => {
  const directory = await temporary(t);
  t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 0, 1) });
  const file = join(directory, 'treasury.duckdb');
  const names: string[] = [];
  for (const text of ['first', 'second', 'third']) {
    await writeFile(file, text);
    // Of the second only its write-ahead log is still there.
    if (text === 'second') await rename(file, `${file}.wal`);
    names.push(await moveTablesAside(directory, 'broken'));
  }
  const name = 'treasury.duckdb.broken-2026-01-01T000000.000Z';
  assert.deepEqual(names, [name, `${name}-2`, `${name}-3`]);
  assert.deepEqual((await readdir(directory)).toSorted(), [name, `${name}-2.wal`, `${name}-3`]);
});

test('engine has caught up with a log whose segments are all gone', { timeout: 60_000 }, async (t) => {
  const directory = await temporary(t);
  await makeLog(directory, ['rich-1']);
  await deleteSegments(directory, () => true);
  const log = await openTestLog(directory);
  t.after(() => log.close());
  const engine = await startTestEngine(directory, log.status());
  t.after(() => engine.stop());
  await caughtUp(engine, log);
  await appendCapture(log, 'rich-1');
  await caughtUp(engine, log);
  assert.ok(Number((await engineRows(engine, COUNT))[0]![0]) > 0);
});

test('engine keeps its rows and goes on behind segments that were deleted before it read them', async (t) => {
  const directory = await temporary(t);
  await makeLog(directory, ['rich-1']);
  let log = await openTestLog(directory);
  const first = await startTestEngine(directory, log.status());
  await caughtUp(first, log);
  const [kept] = await engineRows(first, COUNT);
  await first.stop();
  await log.close();
  await makeLog(directory, ['odd-1', 'rich-1']);
  await deleteSegments(directory, (at, count) => at < count - 2);
  log = await openTestLog(directory);
  t.after(() => log.close());
  const logger = recordingLogger();
  const second = await startTestEngine(directory, log.status(), logger);
  t.after(() => second.stop());
  await caughtUp(second, log);
  assert.deepEqual(logger.lines, ['Older entries are gone from the log, going on behind them']);
  assert.equal((await second.status()).quarantinedTotal, 0);
  const firstOffset = log.status().firstOffset;
  const old = await engineRows(second, `${COUNT} WHERE entry_offset < ${firstOffset}`);
  assert.deepEqual(old, [kept]);
  assert.ok(Number((await engineRows(second, `${COUNT} WHERE entry_offset >= ${firstOffset}`))[0]![0]) > 0);
});

for (const [how, reason] of [
  ['throw', /broken on purpose/],
  ['exit', /ended with code 7/],
  ['heap', /memory limit/],
] as const) {
  test(`engine whose thread ends by ${how} gives its database to the next one`, { timeout: 120_000 }, async (t) => {
    const directory = await temporary(t);
    const log = await openTestLog(directory);
    t.after(() => log.close());
    await appendCapture(log, 'rich-1');
    const logger = recordingLogger();
    const engine = await superviseEngine({
      start: () => startEngineWorker(BREAKABLE, engineOptions(directory, log.status()), logger),
      logger,
      limits: { engineRestartMinMs: 50 },
    });
    t.after(() => engine.stop());
    await caughtUp(engine, log);
    const before = await engineRows(engine, ROWS);
    const breaking = join(directory, 'tables', 'break');
    await writeFile(breaking, how);
    while (engine.health().running) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.match(engine.health().reason ?? '', reason);
    await rm(breaking);
    while (!engine.health().running) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(await engineRows(engine, ROWS), before);
    await appendCapture(log, 'rich-1');
    await caughtUp(engine, log);
    assert.deepEqual(await engineRows(engine, ROWS), [before[0]!.map((count) => String(2 * Number(count)))]);
    assert.ok(!logger.lines.some((line) => line.startsWith('Tables')), 'the tables were not built anew');
  });
}
