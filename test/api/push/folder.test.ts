/**
 * Goal: an exporter to a folder writes every row once, through stops, rewinds and a folder that cannot be written.
 * Method: a real log, the engine of exporters, real Parquet files, read back with DuckDB.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import type { ExporterConfig, ExporterProgress } from '../../../src/api/push/types.ts';
import { scratchDirectory } from '../../helpers/server-process.ts';
import { startPush } from './push-fixture.ts';

const OFTEN = { limits: { pushFolderIntervalMs: 20 } };

function exporter(endpoint: string): ExporterConfig {
  return { name: 'test', protocol: 'parquet', endpoint };
}

/** An exporter to a folder that runs from an offset to the end of the log. */
async function startRuns(t: TestContext, more: Partial<ExporterConfig> = {}) {
  const folder = join(scratchDirectory(t), 'out');
  const push = await startPush(t, OFTEN);
  return {
    folder,
    push,
    async runFrom(from: bigint): Promise<void> {
      const told = push.events.length;
      push.start({ ...exporter(folder), ...more }, from);
      const { durableOffset } = push.log.status();
      // What the run before told says nothing of this one.
      while (
        !push.events.slice(told).some((event) => event.type === 'progress' && isDone(event.progress, durableOffset))
      ) {
        await sleep(2);
      }
      await push.stop();
    },
  };
}

function isDone({ state, ackedOffset }: ExporterProgress, durableOffset: bigint): boolean {
  return state === 'idle' && ackedOffset === durableOffset;
}

function names(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => String(from + i));
}

/** What a folder says of its offsets. */
function stateOf(folder: string): Record<string, unknown> {
  const state = JSON.parse(readFileSync(join(folder, '_treasury.json'), 'utf8')) as Record<string, unknown>;
  return Object.fromEntries(Object.entries(state).filter(([name]) => !['format', 'logUuid'].includes(name)));
}

async function bodiesIn(folder: string): Promise<string[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const files = join(folder, 'logs', '*', '*', '*.parquet');
  const answer = await connection.runAndReadAll(`SELECT body FROM '${files}' ORDER BY entry_offset, row`);
  connection.closeSync();
  instance.closeSync();
  return answer.getRows().map(([body]) => String(body));
}

test('an exporter to a folder acknowledges what is in synced files, and goes on there', async (t) => {
  const folder = join(scratchDirectory(t), 'out');
  const push = await startPush(t, OFTEN);
  await push.append(['0', '1']);
  await push.append(['2']);
  push.start(exporter(folder));
  const progress = await push.untilSent();
  assert.deepEqual([progress.sentBatches, progress.sentItems, progress.ackedOffset], [2, 3, 2n]);
  assert.deepEqual(await bodiesIn(folder), ['0', '1', '2']);
  await push.stop();
  await push.append(['3']);
  push.start(exporter(folder), 2n);
  await push.until(({ ackedOffset }) => ackedOffset === 3n);
  assert.deepEqual(await bodiesIn(folder), ['0', '1', '2', '3']);
});

test('an exporter to a folder waits for the first entry of an empty log', async (t) => {
  const folder = join(scratchDirectory(t), 'out');
  const push = await startPush(t, OFTEN);
  push.start(exporter(folder));
  const waiting = await push.until(({ state }) => state !== 'running');
  assert.deepEqual([waiting.state, waiting.error, waiting.retries], ['idle', null, 0]);
  await push.append(['0']);
  const progress = await push.untilSent();
  assert.deepEqual([progress.ackedOffset, progress.error, progress.retries], [1n, null, 0]);
  assert.deepEqual(await bodiesIn(folder), ['0']);
});

test('an exporter to a folder that is rewound, or killed before it was told, writes nothing twice', async (t) => {
  const folder = join(scratchDirectory(t), 'out');
  const push = await startPush(t, OFTEN);
  for (const name of ['0', '1', '2']) await push.append([name]);
  push.start(exporter(folder));
  await push.untilSent();
  await push.stop();
  await push.append(['3']);
  push.start(exporter(folder), 0n);
  await push.until(({ ackedOffset }) => ackedOffset === 4n);
  assert.deepEqual(await bodiesIn(folder), ['0', '1', '2', '3']);
});

test('an exporter to a folder that is rewound below where the folder begins writes what lies there, and nothing twice', async (t) => {
  const { folder, push, runFrom } = await startRuns(t);
  for (const name of names(3)) await push.append([name]);
  await runFrom(1n);
  assert.deepEqual(await bodiesIn(folder), ['1', '2']);
  await runFrom(0n);
  assert.deepEqual(await bodiesIn(folder), names(3));
  assert.deepEqual(stateOf(folder), { firstOffset: '0', nextOffset: '3' });
});

test('an exporter to a folder that is rewound forwards and then back fills the hole, and writes nothing twice', async (t) => {
  const { folder, push, runFrom } = await startRuns(t);
  for (const name of names(2)) await push.append([name]);
  await runFrom(0n);
  for (const name of names(6, 2)) await push.append([name]);
  await runFrom(4n);
  for (const name of names(4, 8)) await push.append([name]);
  await runFrom(10n);
  assert.deepEqual(await bodiesIn(folder), ['0', '1', '4', '5', '6', '7', '10', '11']);
  const gaps = [
    { from: '2', to: '4' },
    { from: '8', to: '10' },
  ];
  assert.deepEqual(stateOf(folder), { firstOffset: '0', nextOffset: '12', gaps });
  // Back to before the second hole: the first one stays.
  await runFrom(6n);
  assert.deepEqual(stateOf(folder), { firstOffset: '0', nextOffset: '12', gaps: gaps.slice(0, 1) });
  await runFrom(0n);
  assert.deepEqual(await bodiesIn(folder), names(12));
  assert.deepEqual(stateOf(folder), { firstOffset: '0', nextOffset: '12' });
});

test('files that fill a hole are taken away when their run ended before the folder had them, and come again', async (t) => {
  const { folder, push, runFrom } = await startRuns(t);
  for (const name of names(4)) await push.append([name]);
  await runFrom(2n);
  const before = readFileSync(join(folder, '_treasury.json'));
  await runFrom(0n);
  // As a kill leaves it between the files and what the folder says of itself.
  writeFileSync(join(folder, '_treasury.json'), before);
  await runFrom(3n);
  assert.deepEqual(await bodiesIn(folder), ['2', '3']);
  await runFrom(0n);
  assert.deepEqual(await bodiesIn(folder), names(4));
});

test('entries without rows leave no hole in a folder', async (t) => {
  const { folder, push, runFrom } = await startRuns(t, { filter: { attributes: { nobody: 'has this' } } });
  for (const name of names(3)) await push.append([name]);
  await runFrom(0n);
  await push.append(['3']);
  await runFrom(3n);
  assert.deepEqual(stateOf(folder), { firstOffset: '0', nextOffset: '4' });
});

test('an exporter that is stopped with rows in no file reads them again', async (t) => {
  const folder = join(scratchDirectory(t), 'out');
  const push = await startPush(t, { limits: { pushFolderRowsMax: 2 } });
  for (const name of ['0', '1', '2']) await push.append([name]);
  push.start(exporter(folder));
  await push.until(({ ackedOffset, readOffset }) => ackedOffset === 2n && readOffset === 3n);
  assert.equal((await push.stop()).ackedOffset, 2n);
  await push.append(['3']);
  push.start(exporter(folder), 2n);
  await push.untilSent();
  assert.deepEqual(await bodiesIn(folder), ['0', '1', '2', '3']);
});

test('an exporter waits for a folder that cannot be written, and says why', async (t) => {
  const folder = join(scratchDirectory(t), 'out');
  writeFileSync(folder, 'a file');
  const push = await startPush(t, OFTEN);
  await push.append(['0']);
  push.start(exporter(folder));
  const failed = await push.until(({ state }) => state === 'failed');
  assert.notEqual(failed.error, null);
  assert.equal(failed.ackedOffset, 0n);
  rmSync(folder);
  const progress = await push.untilSent();
  assert.equal(progress.error, null);
  assert.deepEqual(await bodiesIn(folder), ['0']);
  assert.ok(!readdirSync(folder).includes('.spill'));
});
