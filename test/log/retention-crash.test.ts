/**
 * Goal: a deletion that is cut short anywhere leaves a log that opens as if its oldest segments had never been.
 * Method: a log with stateful streams on a disk in memory, its index on real files. At every operation of a sweep the power fails (before
 * and after it, the index as it is then), or the operation fails.
 * Invariant: no gap, no damage, no warning; what is left is a suffix, decodes, and its index equals a rebuild (I1, I2, I6, I7).
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLogger } from '../../src/base/index.ts';
import { openLog, type RetainedLog } from '../../src/log/index.ts';
import { segmentBaseOffsets } from '../../src/log/layout.ts';
import { readIndex, rebuildIndex } from '../../src/log/offline.ts';
import { readAll, scratch } from './log-helpers.ts';
import { type Fault, MemoryFileSystem } from './memory-file-system.ts';
import { decodedTexts, from, ONE_ENTRY_A_SEGMENT, sendStreams } from './retention-helpers.ts';

const BATCHES = 12;
const SMALL = { ...ONE_ENTRY_A_SEGMENT, frameEntriesMax: 2 };

interface Made {
  readonly directory: string;
  readonly disk: MemoryFileSystem;
  readonly expected: ReadonlyMap<bigint, string>;
  readonly index: ReadonlyMap<string, Buffer>;
}

/** A closed log of two streams. */
async function make(t: TestContext): Promise<Made> {
  const directory = scratch(t);
  const disk = new MemoryFileSystem();
  const log = await openLog({ directory, fileSystem: disk, limits: SMALL });
  const expected = await sendStreams(log, BATCHES);
  await log.close();
  return { directory, disk: disk.afterPowerCut(), expected, index: indexFiles(directory) };
}

function indexFiles(directory: string): Map<string, Buffer> {
  const names = readdirSync(directory).filter((name) => name.startsWith('index.sqlite'));
  return new Map(names.map((name) => [name, readFileSync(join(directory, name))]));
}

function putIndex(directory: string, files: ReadonlyMap<string, Buffer>): void {
  for (const name of indexFiles(directory).keys()) rmSync(join(directory, name));
  for (const [name, bytes] of files) writeFileSync(join(directory, name), bytes);
}

/** Opens a log that may keep half of what there is. */
async function openHalf(directory: string, disk: MemoryFileSystem, warnings: string[] = []): Promise<RetainedLog> {
  const logger = createLogger({ format: 'text', level: 'warn', write: (line) => warnings.push(line) });
  const probe = await openLog({ directory, fileSystem: disk, limits: SMALL });
  const bytesMax = Math.floor(probe.status().bytes / 2);
  await probe.close();
  return openLog({ directory, fileSystem: disk, logger, limits: SMALL, retention: { ageMaxMs: null, bytesMax } });
}

/** Opens what is left, without a limit, and looks at all of it. */
async function check({ directory, expected }: Made, disk: MemoryFileSystem): Promise<bigint> {
  const warnings: string[] = [];
  const logger = createLogger({ format: 'text', level: 'warn', write: (line) => warnings.push(line) });
  const log = await openLog({ directory, fileSystem: disk, logger, limits: SMALL });
  const { firstOffset, gaps, quarantinedRanges, durableOffset } = log.status();
  assert.deepEqual([gaps, quarantinedRanges, warnings], [[], 0, []]);
  assert.equal(firstOffset, segmentBaseOffsets(disk.list(directory))[0]);
  assert.deepEqual(decodedTexts(readAll(log, directory, disk)), from(firstOffset, expected));
  const appended = await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('|more')] });
  assert.ok(appended.offset >= durableOffset);
  await log.close();
  assert.deepEqual(readIndex(directory), rebuildIndex(directory, { fileSystem: disk }));
  return firstOffset;
}

test('power cut at any operation of a deletion leaves a whole log', async (t) => {
  const made = await make(t);
  const log = await openHalf(made.directory, made.disk);
  const cuts: { disk: MemoryFileSystem; index: ReadonlyMap<string, Buffer> }[] = [];
  const cut = (): void => {
    cuts.push({ disk: made.disk.afterPowerCut(), index: indexFiles(made.directory) });
  };
  made.disk.fault = () => {
    cut();
    return 'none';
  };
  await log.sweep();
  cut();
  made.disk.fault = () => 'none';
  const { firstOffset } = log.status();
  await log.close();
  assert.ok(cuts.length > 20, `${cuts.length} operations`);
  const seen = new Set<bigint>();
  for (const { disk, index } of cuts) {
    putIndex(made.directory, index);
    seen.add(await check(made, disk.afterPowerCut()));
    putIndex(made.directory, new Map());
    await check(made, disk.afterPowerCut());
  }
  assert.ok(seen.has(0n) && seen.has(firstOffset) && seen.size > 5);
});

for (const fault of ['fail', 'lie'] as const satisfies Fault[]) {
  test(`operation of a deletion that fails (${fault}) is made up for later`, { timeout: 120_000 }, async (t) => {
    const made = await make(t);
    for (let failing = 0, isThrough = false; !isThrough; failing++) {
      const disk = made.disk.afterPowerCut();
      putIndex(made.directory, made.index);
      const log = await openHalf(made.directory, disk);
      let operations = 0;
      disk.fault = () => (operations++ === failing ? fault : 'none');
      await log.sweep();
      isThrough = operations <= failing;
      const crashed = disk.afterPowerCut();
      const index = indexFiles(made.directory);
      disk.fault = () => 'none';
      await log.sweep();
      const { firstOffset, retention } = log.status();
      assert.equal(retention.failing, null);
      assert.ok(firstOffset > 0n && retention.deletedTo === firstOffset);
      assert.deepEqual(decodedTexts(readAll(log, made.directory, disk)), from(firstOffset, made.expected));
      await log.close();
      assert.equal(await check(made, disk.afterPowerCut()), firstOffset);
      putIndex(made.directory, index);
      await check(made, crashed);
    }
  });
}

test('disk that fails all deletions goes on taking entries, says so, and is not asked to forget what is there', async (t) => {
  const made = await make(t);
  const warnings: string[] = [];
  const log = await openHalf(made.directory, made.disk, warnings);
  made.disk.fault = (operation) => (operation === 'remove' ? 'fail' : 'none');
  for (let i = 0; i < 3; i++) await log.sweep();
  await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('|more')] });
  assert.match(log.status().retention.failing ?? '', /EIO/);
  assert.equal(warnings.filter((line) => line.includes('Cannot delete a log segment')).length, 1);
  assert.equal(log.status().firstOffset, 0n);
  assert.equal(readAll(log, made.directory, made.disk).at(-1)!.offset, log.status().durableOffset - 1n);
  made.disk.fault = () => 'none';
  await log.close();
});
