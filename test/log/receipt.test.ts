/** Goal: an offset has one time of receipt and a time one offset, also where clocks were put back, entries are lost or the log ends. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { OffsetOutOfRangeError } from '../../src/base/index.ts';
import { firstReceivedSince, type Log, openLog, readReceivedAt } from '../../src/log/index.ts';
import { segmentPath } from '../../src/log/layout.ts';
import { makeScratch, readAll, scratch } from './log-helpers.ts';

/** A log with one entry a frame and two or three frames a segment, received at these times. */
async function logOf(directory: string, times: readonly number[]): Promise<Log> {
  let now = 0n;
  let monotonic = 0;
  const log = await openLog({
    directory,
    clock: { nowUnixNano: () => now, monotonicMs: () => monotonic++ },
    limits: { segmentBytesMax: 4_000 },
  });
  for (const time of times) {
    now = BigInt(time);
    await log.appendOtlp(1, { batchId: 0n, record: [Buffer.alloc(300)] });
  }
  return log;
}

const durableOf = (log: Log) => {
  const { durableOffset, segment, segmentBytes } = log.status();
  return { durableOffset, segment, segmentBytes };
};

test('firstReceivedSince finds the first entry at or after a time while clocks go forward', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(5), { minLength: 1, maxLength: 25 }), fc.nat(70), async (steps, time) => {
      const directory = makeScratch();
      let at = 10;
      const times = steps.map((step) => (at += step));
      const log = await logOf(directory, times);
      const found = times.findIndex((received) => received >= time);
      assert.deepEqual(firstReceivedSince(directory, BigInt(time), durableOf(log)), {
        offset: BigInt(found === -1 ? times.length : found),
        receivedAtUnixNano: found === -1 ? null : BigInt(times[found]!),
      });
      await log.close();
      rmSync(directory, { recursive: true });
    }),
    { numRuns: 25 },
  );
});

test('firstReceivedSince with clocks put back decides by segments, then by entries, and always the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(20), { minLength: 1, maxLength: 25 }), fc.nat(25), async (times, time) => {
      const directory = makeScratch();
      const log = await logOf(directory, times);
      const entries = readAll(log, directory);
      const bases = [...new Set(entries.map(({ segment }) => segment))];
      const firsts = bases.map((base) => times[Number(base)]!);
      const reached = firsts.findIndex((first) => first >= time);
      const from = bases[Math.max(0, (reached === -1 ? bases.length : reached) - 1)]!;
      const expected = times.findIndex((received, offset) => offset >= Number(from) && received >= time);
      for (let i = 0; i < 2; i++) {
        const { offset } = firstReceivedSince(directory, BigInt(time), durableOf(log));
        assert.equal(offset, BigInt(expected === -1 ? times.length : expected));
      }
      await log.close();
      rmSync(directory, { recursive: true });
    }),
    { numRuns: 25 },
  );
});

test('readReceivedAt tells the time of every entry, and both bounds outside of the log', async (t) => {
  const directory = scratch(t);
  const times = [5, 7, 6, 9, 9, 12, 1, 30];
  const log = await logOf(directory, times);
  t.after(() => log.close());
  times.forEach((time, offset) => {
    assert.equal(readReceivedAt(directory, BigInt(offset), durableOf(log)), BigInt(time));
  });
  assert.equal(readReceivedAt(directory, 8n, durableOf(log)), null);
  assert.throws(() => readReceivedAt(directory, 9n, durableOf(log)), OffsetOutOfRangeError);
});

test('receipts are found behind damaged heads', async (t) => {
  const directory = scratch(t);
  const times = [5, 7, 8, 9, 10, 12, 13, 30];
  const log = await logOf(directory, times);
  t.after(() => log.close());
  const path = segmentPath(directory, 0n);
  const bytes = readFileSync(path);
  // In the columns of the first frame.
  bytes[1_464 + 800]! ^= 1;
  writeFileSync(path, bytes);
  assert.equal(readReceivedAt(directory, 0n, durableOf(log)), null);
  assert.equal(readReceivedAt(directory, 1n, durableOf(log)), 7n);
  assert.equal(firstReceivedSince(directory, 1n, durableOf(log)).offset, 1n);
});
