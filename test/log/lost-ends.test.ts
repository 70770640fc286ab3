/**
 * Goal: offsets are never given out twice (I2), also when durable entries are lost at the log's end and nothing is appended behind them.
 * Method: entries are taken away that an earlier process had acknowledged, then the log is opened again and again.
 * Invariant: the log goes on behind the highest offset that was ever durable.
 */
import assert from 'node:assert/strict';
import { readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLog } from '../../src/log/index.ts';
import { scratch } from './log-helpers.ts';

async function append(directory: string, count: number): Promise<bigint[]> {
  const log = await openLog({ directory });
  const offsets: bigint[] = [];
  for (let i = 0; i < count; i++) {
    offsets.push((await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('entry')] })).offset);
  }
  await log.close();
  return offsets;
}

function segments(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.arrows'))
    .map((name) => join(directory, name));
}

test('offsets of durable entries that are lost are not given out after several restarts', async (t) => {
  const directory = scratch(t);
  await append(directory, 5);
  const [segment] = segments(directory);
  truncateSync(segment!, statSync(segment!).size - 100);
  const damaged = statSync(segment!).size;
  for (let restart = 0; restart < 3; restart++) await append(directory, 0);
  // What is left of the lost entry is no torn write, at no start.
  assert.equal(statSync(segment!).size, damaged);
  assert.deepEqual(await append(directory, 1), [5n]);
});

test('offsets go on when all segments were deleted', async (t) => {
  const directory = scratch(t);
  await append(directory, 5);
  for (const path of segments(directory)) rmSync(path);
  for (let restart = 0; restart < 3; restart++) await append(directory, 0);
  assert.deepEqual(await append(directory, 2), [5n, 6n]);
  rmSync(join(directory, 'index.sqlite'));
  assert.deepEqual(await append(directory, 1), [7n]);
});
