/**
 * Goal: an exporter to a folder writes every row once, through stops, rewinds and a folder that cannot be written.
 * Method: a real log, the engine of exporters, real Parquet files, read back with DuckDB.
 */
import assert from 'node:assert/strict';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import type { ExporterConfig } from '../../../src/api/push/types.ts';
import { scratchDirectory } from '../../helpers/server-process.ts';
import { startPush } from './push-fixture.ts';

const OFTEN = { limits: { pushFolderIntervalMs: 20 } };

function exporter(endpoint: string): ExporterConfig {
  return { name: 'test', protocol: 'parquet', endpoint };
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

test('an exporter to a folder that is rewound below where the folder begins fails, and acknowledges nothing', async (t) => {
  const folder = join(scratchDirectory(t), 'out');
  const push = await startPush(t, OFTEN);
  for (const name of ['0', '1', '2']) await push.append([name]);
  push.start(exporter(folder), 1n);
  await push.untilSent();
  await push.stop();
  push.start(exporter(folder), 0n);
  const failed = await push.until(({ state }) => state === 'failed');
  assert.match(failed.error ?? '', /it begins at offset 1, and an earlier place needs another folder/);
  assert.equal((await push.stop()).ackedOffset, 0n);
  push.start(exporter(folder), 1n);
  await push.until(({ state, ackedOffset }) => state === 'idle' && ackedOffset === 3n);
  assert.deepEqual(await bodiesIn(folder), ['1', '2']);
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
