/**
 * Goal: what a process leaves at the end of its log when its disk fails is sorted out by the next one, and said right.
 * Method: the situations that the simulation (simulation.test.ts) found, each made by hand.
 * Invariant: what was shown once stays (I2, I3), and index, gaps and verifyLog say what the segments say (I6).
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type LogFileSystem, openLog, openLogReader, verifyLog } from '../../src/log/index.ts';
import { indexPath, segmentPath } from '../../src/log/layout.ts';
import { readIndex, rebuildIndex } from '../../src/log/offline.ts';
import { encodeSegmentHeader } from '../../src/log/segment-header.ts';
import { openSegmentIndex } from '../../src/log/segment-index.ts';
import { openSqlite } from '../../src/log/sqlite.ts';
import { seededRandom } from '../helpers/random.ts';
import { readAll, scratch } from './log-helpers.ts';
import { MemoryFileSystem } from './memory-file-system.ts';
import { FAIR, SimulatedDisk } from './simulation/simulated-disk.ts';
import { SimulatedTime } from './simulation/simulated-time.ts';

const ENTRY = { batchId: 0n, record: [Buffer.from('entry')] };

function simulatedDisk(directory: string, seed: number): SimulatedDisk {
  const options = { random: seededRandom(seed), time: new SimulatedTime(), sectorBytes: 512, root: dirname(directory) };
  return new SimulatedDisk(options);
}

function logDirectory(t: TestContext): string {
  const directory = join(scratch(t), 'log');
  mkdirSync(directory);
  return directory;
}

async function offsetsOf(directory: string, fileSystem: LogFileSystem): Promise<bigint[]> {
  const log = await openLog({ directory, fileSystem });
  const offsets = readAll(log, directory, fileSystem).map(({ offset }) => offset);
  await log.close();
  return offsets;
}

test('folder of a new log outlives a power cut', async (t) => {
  for (let seed = 0; seed < 10; seed++) {
    const directory = logDirectory(t);
    const disk = simulatedDisk(directory, seed);
    const log = await openLog({ directory, fileSystem: disk.mount() });
    await log.appendOtlp(1, ENTRY);
    await log.close();
    disk.cutPower();
    assert.deepEqual(await offsetsOf(directory, disk.mount()), [0n]);
  }
});

test('entry whose failed sync lost it from the disk stays once it was shown', async (t) => {
  let shown = 0;
  for (let seed = 0; seed < 24; seed++) {
    const directory = logDirectory(t);
    const disk = simulatedDisk(directory, seed);
    const log = await openLog({ directory, fileSystem: disk.mount() });
    await log.appendOtlp(1, ENTRY);
    disk.setWeather({ ...FAIR, faults: { dataSync: 1, truncate: 1 } });
    await assert.rejects(log.appendOtlp(1, ENTRY), { code: 'TREASURY_LOG_UNAVAILABLE' });
    // Closes the files of SQLite; the disk belongs to the next process.
    await log.close();
    disk.setWeather(FAIR);
    disk.kill();
    const offsets = await offsetsOf(directory, disk.mount());
    disk.cutPower();
    assert.deepEqual(await offsetsOf(directory, disk.mount()), offsets);
    shown += offsets.length - 1;
  }
  assert.ok(shown > 0);
});

test('segments without entries at the end of a log are all taken away, and none is missed', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  await log.appendOtlp(1, ENTRY);
  await log.close();
  const { uuid } = log.status();
  for (const baseOffset of [1n, 2n]) {
    const header = { logUuid: uuid, baseOffset, previousEnd: 1n, previousCrc: 0, streamIdNext: 1n };
    writeFileSync(segmentPath(directory, baseOffset), encodeSegmentHeader(header));
  }
  const again = await openLog({ directory });
  assert.deepEqual([again.status().gaps, again.status().durableOffset], [[], 1n]);
  await again.appendOtlp(1, ENTRY);
  await again.close();
  assert.deepEqual([existsSync(segmentPath(directory, 1n)), verifyLog(directory)], [false, []]);
});

test('gap before the durable end begins behind the last entry, also when an empty segment follows it', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  await log.appendOtlp(1, ENTRY);
  await log.close();
  const index = openSegmentIndex(indexPath(directory));
  index.keepEnd(log.status().uuid, 9n);
  index.close({ clean: true });
  writeFileSync(segmentPath(directory, 4n), '');
  const again = await openLog({ directory });
  assert.deepEqual(again.status().gaps, [{ from: 1n, to: 9n }]);
  await again.close();
});

test('torn write that cannot be kept aside for want of room ends the log at its last entry', async (t) => {
  const directory = scratch(t);
  const disk = new MemoryFileSystem();
  const log = await openLog({ directory, fileSystem: disk });
  const { uuid } = log.status();
  await log.close();
  const header = { logUuid: uuid, baseOffset: 0n, previousEnd: 0n, previousCrc: 0, streamIdNext: 1n };
  const file = await disk.create(segmentPath(directory, 0n));
  await file.write([encodeSegmentHeader(header), Buffer.alloc(500, 1)], 0);
  disk.fault = (operation, path) => (operation === 'write' && path.endsWith('.torn') ? 'fail' : 'none');
  for (let restart = 0; restart < 2; restart++) {
    const again = await openLog({ directory, fileSystem: disk });
    assert.equal(again.status().durableOffset, 0n);
    assert.deepEqual(again.status().gaps, []);
    await again.close();
  }
  assert.deepEqual(readIndex(directory), rebuildIndex(directory, { fileSystem: disk }));
});

test('seal that reached the disk although it failed is in the index after a restart', async (t) => {
  const directory = scratch(t);
  const disk = new MemoryFileSystem();
  const limits = { segmentBytesMax: 1 };
  const log = await openLog({ directory, fileSystem: disk, limits });
  await log.appendOtlp(1, ENTRY);
  // Of the rotation: the seal is written, its sync and its removal fail.
  disk.fault = (operation, path) => {
    const isFirst = path === segmentPath(directory, 0n);
    return isFirst && (operation === 'dataSync' || operation === 'truncate') ? 'fail' : 'none';
  };
  await log.appendOtlp(1, ENTRY);
  await log.close();
  disk.fault = () => 'none';
  await (await openLog({ directory, fileSystem: disk })).close();
  assert.deepEqual(readIndex(directory), rebuildIndex(directory, { fileSystem: disk }));
  // The kernel took the seal for written: it is gone with its memory.
  const sealed = await disk.openForWriting(segmentPath(directory, 0n));
  await sealed.write([Buffer.alloc(8)], disk.bytes(segmentPath(directory, 0n)).length - 8);
  await (await openLog({ directory, fileSystem: disk })).close();
  assert.deepEqual(readIndex(directory), rebuildIndex(directory, { fileSystem: disk }));
});

test('reader takes no segment in which nothing is durable yet', async (t) => {
  const directory = scratch(t);
  const disk = new MemoryFileSystem();
  const durable = { durableOffset: 0n, segment: 0n, segmentBytes: 0 };
  await disk.create(segmentPath(directory, 1n));
  openLogReader({ directory, from: 0n, durable, fileSystem: disk }).close();
  await disk.remove(segmentPath(directory, 1n));
  await disk.create(segmentPath(directory, 0n));
  const reader = openLogReader({ directory, from: 0n, durable, fileSystem: disk });
  assert.equal(reader.nextFrame(), null);
  await disk.remove(segmentPath(directory, 0n));
  const log = await openLog({ directory, fileSystem: disk });
  await log.appendOtlp(1, ENTRY);
  reader.advance(log.status());
  assert.deepEqual(
    reader.nextFrame()?.map(({ offset }) => offset),
    [0n],
  );
  reader.close();
  await log.close();
});

test('reader begins at an empty segment below the durable end of a log that has lost everything', async (t) => {
  const directory = scratch(t);
  const disk = new MemoryFileSystem();
  await disk.create(segmentPath(directory, 0n));
  const durable = { durableOffset: 1n, segment: 0n, segmentBytes: 0 };
  const reader = openLogReader({ directory, from: 0n, durable, fileSystem: disk });
  assert.equal(reader.nextFrame(), null);
  assert.deepEqual(reader.skipped, [{ from: 0n, to: 1n, reason: 'entries are missing' }]);
  reader.close();
});

test('index file alone says whether it is in use or was closed cleanly', (t) => {
  const directory = scratch(t);
  const path = indexPath(directory);
  const cleanOf = (name: string) => {
    const copy = join(directory, name);
    // Without its write-ahead log, which a power cut may take.
    copyFileSync(path, copy);
    const database = openSqlite(copy);
    const clean = database.prepare("SELECT value FROM meta WHERE key = 'clean'").pluck().get();
    database.close();
    return clean;
  };
  const index = openSegmentIndex(path);
  index.markChanging();
  assert.equal(cleanOf('open.sqlite'), '0');
  index.keepEnd('log', 7n);
  index.close({ clean: true });
  assert.equal(cleanOf('closed.sqlite'), '1');
});
