/**
 * Goal: the log never takes the last of its disk: it deletes what it may, then refuses entries, reads on, and takes them again by itself.
 * Method: disks that say how much room they have, or have none at all (a small tmpfs where the machine mounts one).
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { listSegments, type LogFileSystem, openLog } from '../../src/log/index.ts';
import { realFileSystem } from '../../src/log/file-system.ts';
import { END_OF_STREAM } from '../../src/log/layout.ts';
import { readIndex, rebuildIndex } from '../../src/log/offline.ts';
import { makeScratch, readAll, scratch } from './log-helpers.ts';
import { appendText, appendTexts, ONE_ENTRY_A_SEGMENT } from './retention-helpers.ts';

const RESERVE = 10_000;
const LIMITS_WITH_RESERVE = { ...ONE_ENTRY_A_SEGMENT, diskReserveBytes: RESERVE };
const ON_SMALL_DISK = { ...ONE_ENTRY_A_SEGMENT, retentionIntervalMs: 20, logProbeIntervalMs: 20 };
const KEEP_ALL = { ageMaxMs: null, bytesMax: 1e9 };

/** Real files, and whatever the test says of the room that is left. */
function diskWith(disk: { free: number | Error }): LogFileSystem {
  return {
    ...realFileSystem,
    async freeBytes() {
      if (disk.free instanceof Error) throw disk.free;
      return disk.free;
    },
  };
}

test('reserve is restored from the oldest segments, no further', async (t) => {
  const directory = scratch(t);
  const disk = { free: RESERVE };
  const fileSystem = diskWith(disk);
  const log = await openLog({ directory, fileSystem, limits: LIMITS_WITH_RESERVE, retention: KEEP_ALL });
  await appendTexts(log, 6);
  const each = Math.floor(log.status().bytes / 6);
  disk.free = RESERVE - Math.floor(1.5 * each);
  await log.sweep();
  assert.equal(log.status().firstOffset, 2n);
  assert.equal(log.status().retention.deleted.reserve.segments, 2);
  await log.sweep();
  assert.equal(log.status().firstOffset, 2n, 'the disk may give the space back a little later');
  await log.close();
});

test('below the reserve entries are refused and read, and taken again once there is room', async (t) => {
  const directory = scratch(t);
  const disk: { free: number | Error } = { free: 1e9 };
  const fileSystem = diskWith(disk);
  const limits = { ...LIMITS_WITH_RESERVE, retentionIntervalMs: 5 };
  const log = await openLog({ directory, fileSystem, limits, retention: KEEP_ALL });
  log.hold('archive', { offset: 0n, policy: 'hold' });
  await appendTexts(log, 3);
  disk.free = RESERVE - 1;
  await assert.rejects(appendText(log, 'too much'), {
    code: 'TREASURY_LOG_UNAVAILABLE',
    retryable: true,
    message: 'Cannot append: Too little room on the disk: 9999 bytes are free, 10000 are kept in reserve',
  });
  assert.match(log.status().refusing ?? '', /^Too little room on the disk/);
  assert.equal(readAll(log, directory).length, 3, 'what is held is kept');
  await sleep(50);
  await assert.rejects(appendText(log, 'still too much'), { code: 'TREASURY_LOG_UNAVAILABLE' });
  disk.free = RESERVE;
  while (log.status().refusing !== null) await sleep(5);
  assert.equal(await appendText(log, 'taken'), 3n);
  disk.free = new Error('no such call');
  while (log.status().retention.freeBytes !== null) await sleep(5);
  assert.equal(await appendText(log, 'a disk that says nothing is believed to have room'), 4n);
  await log.close();
});

test('idle log notices the reserve by itself', async (t) => {
  const directory = scratch(t);
  const disk = { free: 1e9 };
  const limits = { ...LIMITS_WITH_RESERVE, retentionIntervalMs: 5 };
  const log = await openLog({ directory, fileSystem: diskWith(disk), limits });
  disk.free = 5;
  while (log.status().refusing === null) await sleep(5);
  await log.close();
});

test('log may grow by a part of what is free at its start unless told otherwise', async (t) => {
  const directory = scratch(t);
  const fileSystem = diskWith({ free: 1_000_000 });
  const log = await openLog({ directory, fileSystem, limits: LIMITS_WITH_RESERVE });
  assert.equal(log.status().retention.bytesMax, 800_000);
  await appendTexts(log, 2);
  await log.close();
  const bytes = readdirSync(directory)
    .filter((name) => name.endsWith('.arrows'))
    .reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  assert.ok(bytes > 0);
  const again = await openLog({ directory, fileSystem, limits: LIMITS_WITH_RESERVE });
  assert.equal(again.status().retention.bytesMax, 800_000 + bytes);
  await again.close();
});

test('log opens without room for its index, and finds everything when there is room again', async (t) => {
  const directory = smallDisk(t);
  if (directory === null) return;
  const log = await openLog({ directory, limits: ON_SMALL_DISK });
  await appendTexts(log, 20);
  await log.close();
  for (const prepare of [
    () => {},
    () => rmSync(join(directory, 'index.sqlite')),
    () => truncateSync(join(directory, 'index.sqlite'), 5_000),
  ]) {
    prepare();
    const before = readAllTexts(directory);
    fill(directory);
    const full = await openLog({ directory, limits: ON_SMALL_DISK });
    assert.equal(full.status().durableOffset, BigInt(before));
    assert.equal(readAll(full, directory).length, before);
    await assert.rejects(appendText(full, 'no room'), { code: 'TREASURY_LOG_UNAVAILABLE' });
    rmSync(join(directory, 'ballast'));
    while (full.status().refusing !== null) await sleep(20);
    assert.equal(await appendText(full, 'room'), BigInt(before));
    await full.close();
    const again = await openLog({ directory, limits: ON_SMALL_DISK });
    assert.deepEqual([again.status().gaps, again.status().quarantinedRanges], [[], 0]);
    assert.equal(readAll(again, directory).length, before + 1);
    await again.close();
    assert.deepEqual(readIndex(directory), rebuildIndex(directory));
  }
});

test('torn end stays where it is on a full disk, and is cut when there is room', async (t) => {
  const directory = smallDisk(t);
  if (directory === null) return;
  const limits = { ...ON_SMALL_DISK, segmentBytesMax: 100_000 };
  const log = await openLog({ directory, limits });
  await appendTexts(log, 3);
  await log.close();
  const path = join(directory, '00000000000000000000.arrows');
  const bytes = readFileSync(path);
  // The seal and the end of the last frame are gone.
  const torn = bytes.subarray(0, bytes.length - 8 - 20);
  writeFileSync(path, torn);
  rmSync(join(directory, 'index.sqlite'));
  fill(directory);
  const full = await openLog({ directory, limits });
  assert.equal(readAll(full, directory).length, 2);
  assert.deepEqual(readFileSync(path), torn);
  rmSync(join(directory, 'ballast'));
  while (full.status().refusing !== null) await sleep(20);
  assert.equal(await appendText(full, 'behind it'), 2n);
  await full.close();
  const again = await openLog({ directory, limits });
  assert.deepEqual([again.status().gaps, again.status().quarantinedRanges], [[], 0]);
  assert.deepEqual(
    readAll(again, directory).map(({ record }) => Buffer.from(record).toString()),
    ['|text 0', '|text 1', '|behind it'],
  );
  await again.close();
  assert.ok(listSegments(directory).every(({ sealed }) => sealed));
  const copies = readdirSync(join(directory, 'quarantine')).map((name) => join(directory, 'quarantine', name));
  assert.deepEqual(
    copies.map((copy) => readFileSync(copy)),
    [torn.subarray(statSync(path).size - END_OF_STREAM.length)],
  );
  assert.deepEqual(readIndex(directory), rebuildIndex(directory));
});

function readAllTexts(directory: string): number {
  return rebuildIndex(directory).frames.length;
}

/** A disk of a few megabytes, gone when the test ends; null, and the test skipped, where the machine mounts none. */
function smallDisk(t: TestContext): string | null {
  const directory = makeScratch();
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', directory]);
  t.after(() => {
    if (mount.status === 0) spawnSync('umount', ['-l', directory]);
    rmSync(directory, { recursive: true, force: true });
  });
  if (mount.status !== 0) {
    t.skip(`this machine mounts no small disk: ${mount.stderr?.toString().trim() || mount.error?.message}`);
    return null;
  }
  const log = join(directory, 'log');
  mkdirSync(log);
  return log;
}

/** Takes all room that is left. */
function fill(directory: string): void {
  const path = join(directory, 'ballast');
  const { bavail, bsize } = statfsSync(directory);
  writeFileSync(path, Buffer.alloc(bavail * bsize));
}
