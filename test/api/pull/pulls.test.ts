/** Goal: the thread of pulls may die, the log may lose what a pull was about to read: clients are told, and the next pull works. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { createPulls, type LogPull, type Pulls, startPullWorker } from '../../../src/api/pull/pulls.ts';
import type { LogPullRequest } from '../../../src/api/pull/types.ts';
import { silentLogger, TreasuryError } from '../../../src/base/index.ts';
import { createEntryStreamReader, type Log, openLog } from '../../../src/log/index.ts';
import { segmentBaseOffsets, segmentPath } from '../../../src/log/layout.ts';
import { realFileSystem } from '../../../src/log/file-system.ts';
import { scratch } from '../../log/log-helpers.ts';

const ALL: LogPullRequest = { from: 0n, limit: null, signal: null, follow: false, decoded: false };

async function append(log: Log, count: number, bytes: number): Promise<void> {
  for (let i = 0; i < count; i++) await log.appendOtlp(1, { batchId: 0n, record: [Buffer.alloc(bytes, i)] });
}

function begin(pulls: Pulls, request: LogPullRequest, signal = new AbortController().signal): Promise<LogPull> {
  return pulls.pullLog(request, pulls.enter('log'), signal);
}

/** Offsets of a whole answer. */
async function offsetsOf(pull: LogPull): Promise<bigint[]> {
  const reader = createEntryStreamReader();
  const offsets: bigint[] = [];
  for await (const chunk of pull.chunks) offsets.push(...reader.push(chunk).map(({ offset }) => offset));
  assert.ok(reader.isEnded);
  return offsets;
}

test('the thread of pulls that dies fails those under way, and the next one starts it again', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  t.after(() => log.close());
  await append(log, 5, 10);
  const workers: Worker[] = [];
  const pulls = createPulls({
    log,
    logDirectory: directory,
    logger: silentLogger,
    startWorker(data) {
      const worker = startPullWorker(data);
      workers.push(worker);
      return worker;
    },
  });
  t.after(() => pulls.stop());
  const pull = await begin(pulls, { ...ALL, follow: true });
  const chunks = pull.chunks[Symbol.asyncIterator]();
  await chunks.next();
  await workers[0]!.terminate();
  await assert.rejects(
    async () => {
      while ((await chunks.next()).done !== true);
    },
    (error) => error instanceof TreasuryError && error.code === 'TREASURY_PULL_UNAVAILABLE' && error.retryable,
  );
  assert.deepEqual(await offsetsOf(await begin(pulls, ALL)), [0n, 1n, 2n, 3n, 4n]);
  assert.equal(workers.length, 2);
});

test('a pull that retention overtakes fails with both bounds behind what it had read', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory, limits: { segmentBytesMax: 1_000_000, frameEntriesMax: 1 } });
  t.after(() => log.close());
  await Promise.all(Array.from({ length: 300 }, () => append(log, 1, 100_000)));
  const pulls = createPulls({ log, logDirectory: directory, logger: silentLogger });
  t.after(() => pulls.stop());
  const pull = await begin(pulls, ALL);
  const reader = createEntryStreamReader();
  const chunks = pull.chunks[Symbol.asyncIterator]();
  // The first chunk may hold the head alone.
  for (let seen = 0; seen === 0; ) seen = reader.push((await chunks.next()).value as Uint8Array).length;
  const bases = segmentBaseOffsets(realFileSystem.list(directory));
  for (const base of bases.slice(0, -2)) rmSync(segmentPath(directory, base));
  await assert.rejects(
    async () => {
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) reader.push(next.value);
    },
    (error) =>
      error instanceof TreasuryError &&
      error.code === 'TREASURY_OFFSET_OUT_OF_RANGE' &&
      // The thread may look while some of them are still there.
      bases.includes(BigInt(error.facts['firstOffset'] as string)) &&
      BigInt(error.facts['firstOffset'] as string) > (reader.nextOffset ?? 0n) &&
      error.facts['nextOffset'] === '300',
  );
  assert.equal(reader.isEnded, false);
  assert.equal(pull.nextOffset, reader.nextOffset);
});

test('a pull whose client leaves ends in the thread too, whatever it waited for', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  t.after(() => log.close());
  await append(log, 1, 10);
  const pulls = createPulls({ log, logDirectory: directory, logger: silentLogger });
  t.after(() => pulls.stop());
  const abort = new AbortController();
  const pull = await begin(pulls, { ...ALL, follow: true }, abort.signal);
  const reading = offsetsOf(pull);
  abort.abort();
  await assert.rejects(reading, (error) => (error as TreasuryError).code === 'TREASURY_QUERY_CANCELLED');
  assert.deepEqual(await offsetsOf(await begin(pulls, ALL)), [0n]);
});

test('a log directory that cannot be read is told, not hidden', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  t.after(() => log.close());
  await append(log, 1, 10);
  const pulls = createPulls({ log, logDirectory: join(directory, 'nowhere'), logger: silentLogger });
  t.after(() => pulls.stop());
  await assert.rejects(begin(pulls, ALL), (error) => (error as TreasuryError).code === 'TREASURY_PULL_UNAVAILABLE');
});
