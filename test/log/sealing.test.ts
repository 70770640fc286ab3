/**
 * Goal: a segment that nobody writes any more gets its seal, whatever kept it from it, so that a backup of sealed segments has it.
 * Method: logs as kill -9 and failing disks leave them, on a disk in memory that fails or dies at each call, and on real files.
 * Invariant: what was acknowledged is there, before and after; a segment is sealed where it ends, once the disk takes it; what is in doubt
 * stays as it is; no start waits for any of it.
 */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type LogFileSystem, listSegments, openLog, type RetainedLog, verifyLog } from '../../src/log/index.ts';
import { realFileSystem } from '../../src/log/file-system.ts';
import { END_OF_STREAM, indexPath, quarantinePath, segmentPath } from '../../src/log/layout.ts';
import { readIndex, rebuildIndex } from '../../src/log/offline.ts';
import { type IndexContent, openSegmentIndex } from '../../src/log/segment-index.ts';
import { readAll, scratch } from './log-helpers.ts';
import { MemoryFileSystem } from './memory-file-system.ts';

/** Three entries to a segment; nothing is tried a second time but at a start. */
const LIMITS = { segmentBytesMax: 4_500, frameEntriesMax: 1, sealIntervalMs: 3_600_000 };
const OFTEN = { ...LIMITS, sealIntervalMs: 2 };
const BODY_BYTES = 400;
const FIRST = '00000000000000000000.arrows';

test('segment that a killed process left is sealed at the next start, and the next entry begins another', async (t) => {
  const { directory, killed } = await killedLog(t, 2);
  assert.deepEqual(sealsOf(killed), [false]);
  const log = await openLog({ directory: killed, limits: LIMITS });
  await until(() => sealsOf(killed)[0] === true);
  assert.deepEqual(textsOf(log, killed), ['0', '1']);
  await append(log, '2');
  await log.close();
  assert.deepEqual(sealsOf(killed), [true, true]);
  assert.deepEqual(verifyLog(killed), []);
  assert.deepEqual(readIndex(killed), rebuildIndex(killed));
  const begun = readFileSync(join(directory, FIRST));
  const sealed = readFileSync(join(killed, FIRST));
  assert.deepEqual(sealed, Buffer.concat([begun.subarray(0, sealed.length - 8), END_OF_STREAM]));
});

test('segments are sealed after a crash at any call of sealing, with or without power', async (t) => {
  const { disk, directory, texts, refused } = await brokenLog(t);
  let calls = 0;
  let isOver = false;
  for (let n = 0; !isOver; n++) {
    for (const effect of ['fail', 'lie'] as const) {
      const run = disk.afterKill();
      calls = 0;
      run.fault = () => {
        const call = calls++;
        if (call === n) return effect;
        return call > n ? 'fail' : 'none';
      };
      await openAndSeal(run, directory, () => calls > n);
      isOver = calls <= n;
      const hint = `${effect} at call ${n}`;
      for (const keep of [() => 0, (bytes: number) => bytes >> 1, (bytes: number) => bytes]) {
        await assertSealed({ disk: run.afterPowerCut(keep), directory, texts, hint: `${hint}, without power` });
      }
      const next = run.afterKill();
      await assertSealed({ disk: next, directory, texts, hint });
      const folder = quarantinePath(directory);
      const copies = next.list(folder).map((name) => next.bytes(join(folder, name)));
      assert.ok(
        copies.some((copy) => copy.equals(refused)),
        `${hint}: what is cut is kept`,
      );
    }
  }
  assert.ok(calls > 15, `${calls} calls`);
});

test('segment whose sync failed is sealed through another descriptor once the disk is well, while the log goes on', async (t) => {
  const directory = scratch(t);
  const disk = new MemoryFileSystem();
  const log = await openLog({ directory, fileSystem: disk, limits: OFTEN });
  await append(log, '0');
  disk.fault = (operation) => (operation === 'dataSync' || operation === 'truncate' ? 'fail' : 'none');
  await assert.rejects(append(log, 'refused'), { code: 'TREASURY_LOG_UNAVAILABLE' });
  disk.fault = () => 'none';
  await append(log, '1');
  await until(() => sealsOf(directory, disk)[0] === true);
  assert.equal(disk.retriedSyncs, 0);
  await append(log, '2');
  await log.close();
  assert.deepEqual(sealsOf(directory, disk), [true, true]);
  const again = await openLog({ directory, fileSystem: disk, limits: LIMITS });
  assert.deepEqual(textsOf(again, directory, disk), ['0', '1', '2']);
  await again.close();
  assert.deepEqual(verifyLog(directory, { fileSystem: disk }), []);
});

test('start on a disk that takes no seal says why once, works, and seals when the disk takes it', async (t) => {
  const { killed } = await killedLog(t, 4);
  const warnings: string[] = [];
  let reason: string | null = 'EROFS: read-only file system';
  let attempts = 0;
  const fileSystem: LogFileSystem = {
    ...realFileSystem,
    async openForWriting(path) {
      const isFirst = path === segmentPath(killed, 0n);
      if (isFirst) attempts++;
      if (isFirst && reason !== null) throw Object.assign(new Error(reason), { code: 'EROFS' });
      const file = await realFileSystem.openForWriting(path);
      return {
        ...file,
        write: (parts, position) =>
          parts[0] === END_OF_STREAM && reason !== null ? Promise.resolve(3) : file.write(parts, position),
      };
    },
  };
  const warn = (message: string, facts?: object) => warnings.push(`${message} ${JSON.stringify(facts)}`);
  const logger = { debug() {}, info() {}, warn, error() {} };
  // As a crash in the middle of a change of segments leaves it: the first has no seal either.
  truncateSync(segmentPath(killed, 0n), listSegments(killed)[0]!.fileBytes - END_OF_STREAM.length);
  const log = await openLog({ directory: killed, fileSystem, limits: OFTEN, logger });
  await until(() => attempts > 2);
  await append(log, '4');
  assert.deepEqual(textsOf(log, killed), ['0', '1', '2', '3', '4']);
  assert.deepEqual(
    warnings.toSorted(),
    [
      `Cannot seal a segment, it is tried again {"segment":"${FIRST}","error":"${reason}"}`,
      'Cannot seal a segment, it is tried again {"segment":"00000000000000000003.arrows","error":"Cannot write the seal: 3 bytes were taken"}',
    ].toSorted(),
  );
  reason = null;
  await until(() => sealsOf(killed).filter((sealed) => sealed).length === 2);
  await log.close();
  assert.deepEqual(sealsOf(killed), [true, true, true]);
  assert.deepEqual(verifyLog(killed), []);
  assert.deepEqual(readIndex(killed), rebuildIndex(killed));
});

test('segment that has lost its end stays without a seal, at any start', async (t) => {
  const { killed, uuid } = await killedLog(t, 4);
  const index = openSegmentIndex(indexPath(killed));
  index.keepEnd(uuid, 9n);
  index.close({ clean: true });
  const lengths: number[] = [];
  for (let start = 0; start < 3; start++) {
    const log = await openLog({ directory: killed, limits: LIMITS });
    // Below what is known to have been durable no end is certain.
    if (start === 1) assert.equal(await append(log, 'behind'), 9n);
    await log.close();
    lengths.push(readFileSync(segmentPath(killed, 3n)).length);
  }
  assert.equal(new Set(lengths).size, 1);
  assert.deepEqual(sealsOf(killed), [true, false, true]);
});

test('segment that retention deletes before it is sealed is let go', async (t) => {
  const { killed } = await killedLog(t, 4);
  truncateSync(segmentPath(killed, 0n), listSegments(killed)[0]!.fileBytes - END_OF_STREAM.length);
  let attempts = 0;
  const fileSystem: LogFileSystem = {
    ...realFileSystem,
    openForWriting(path) {
      if (path !== segmentPath(killed, 0n)) return realFileSystem.openForWriting(path);
      attempts++;
      return Promise.reject(new Error('EACCES'));
    },
  };
  const limits = { ...OFTEN, retentionIntervalMs: 2 };
  const log = await openLog({ directory: killed, fileSystem, limits, retention: { ageMaxMs: null, bytesMax: 1 } });
  await until(() => log.status().firstOffset === 3n);
  const atDeletion = attempts;
  await until(() => sealsOf(killed)[0] === true);
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setTimeout(resolve, OFTEN.sealIntervalMs));
  assert.ok(attempts <= atDeletion + 1, `${attempts} attempts, ${atDeletion} before it was deleted`);
  await log.close();
  assert.deepEqual(verifyLog(killed), []);
});

test('segment that is old enough is sealed without another entry', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory, limits: { segmentAgeMaxMs: 1, sealIntervalMs: 2 } });
  await append(log, '0');
  await until(() => sealsOf(directory)[0] === true);
  assert.equal(await append(log, '1'), 1n);
  await until(() => sealsOf(directory)[1] === true);
  assert.deepEqual(textsOf(log, directory), ['0', '1']);
  await log.close();
  assert.deepEqual(verifyLog(directory), []);
});

/** The directory of a log with entries as kill -9 leaves it, and the one that it is copied from, without what was written later. */
async function killedLog(
  t: TestContext,
  entries: number,
): Promise<{ directory: string; killed: string; uuid: string }> {
  const [directory, killed] = [scratch(t), scratch(t)];
  const log = await openLog({ directory, limits: LIMITS });
  for (let i = 0; i < entries; i++) await append(log, String(i));
  await until(() => sealsOf(directory).filter((sealed) => sealed).length === Math.floor((entries - 1) / 3));
  cpSync(directory, killed, { recursive: true });
  await log.close();
  return { directory, killed, uuid: log.status().uuid };
}

/**
 * A disk with a log of three segments without a seal, as a killed process leaves it: behind the first a refused frame that could not be
 * cut off, the second full, the third with room for more.
 */
async function brokenLog(
  t: TestContext,
): Promise<{ disk: MemoryFileSystem; directory: string; texts: string[]; refused: Buffer }> {
  const directory = scratch(t);
  const disk = new MemoryFileSystem();
  const log = await openLog({ directory, fileSystem: disk, limits: LIMITS });
  await append(log, '0');
  const { segmentBytes } = log.status();
  disk.fault = (operation) => {
    if (operation === 'dataSync') return 'lie';
    return operation === 'truncate' ? 'fail' : 'none';
  };
  await assert.rejects(append(log, 'refused'), { code: 'TREASURY_LOG_UNAVAILABLE' });
  const refused = disk.bytes(segmentPath(directory, 0n)).subarray(segmentBytes);
  const second = segmentPath(directory, 2n);
  for (const text of ['1', '2', '3', '4']) {
    // Nothing but its seal is written to it any more.
    const isFull = text === '4';
    disk.fault = (operation, path) => (isFull && operation === 'write' && path === second ? 'fail' : 'none');
    await append(log, text);
  }
  await until(() => disk.bytes(segmentPath(directory, 5n)).length > BODY_BYTES);
  const killed = disk.afterKill();
  disk.fault = () => 'none';
  await log.close();
  assert.deepEqual(sealsOf(directory, killed), [false, false, false]);
  // Each start makes its own, in memory.
  for (const suffix of ['', '-wal', '-shm']) rmSync(indexPath(directory) + suffix, { force: true });
  return { disk: killed, directory, texts: ['0', '1', '2', '3', '4'], refused };
}

/** Opens a log, if the disk lets it, and closes it when all of it is sealed, or at the end of its process. */
async function openAndSeal(disk: MemoryFileSystem, directory: string, isOver: () => boolean): Promise<void> {
  const openIndex = () => openSegmentIndex(':memory:');
  const log = await openLog({ directory, fileSystem: disk, limits: LIMITS, openIndex }).catch(() => null);
  await until(() => isOver() || isSealed(directory, disk));
  await log?.close();
}

async function assertSealed(options: {
  disk: MemoryFileSystem;
  directory: string;
  texts: readonly string[];
  hint: string;
}): Promise<void> {
  const { disk, directory, texts, hint } = options;
  let content: IndexContent | null = null;
  const openIndex = () => {
    const index = openSegmentIndex(':memory:');
    return {
      ...index,
      close(how: { clean: boolean }) {
        content = index.content();
        index.close(how);
      },
    };
  };
  const log = await openLog({ directory, fileSystem: disk, limits: OFTEN, openIndex });
  assert.deepEqual(textsOf(log, directory, disk), texts, hint);
  await until(() => isSealed(directory, disk));
  await log.close();
  assert.deepEqual(verifyLog(directory, { fileSystem: disk }), [], hint);
  assert.deepEqual(content, rebuildIndex(directory, { fileSystem: disk }), hint);
}

function isSealed(directory: string, disk: MemoryFileSystem): boolean {
  return sealsOf(directory, disk).every((sealed) => sealed);
}

/** Of each segment in order whether it has its seal. */
function sealsOf(directory: string, fileSystem?: LogFileSystem): boolean[] {
  return listSegments(directory, { ...(fileSystem && { fileSystem }) }).map(({ sealed }) => sealed);
}

function textsOf(log: RetainedLog, directory: string, fileSystem?: LogFileSystem): string[] {
  return readAll(log, directory, fileSystem).map(({ record }) => Buffer.from(record).toString().trimEnd());
}

async function append(log: RetainedLog, text: string): Promise<bigint> {
  return (await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from(text.padEnd(BODY_BYTES))] })).offset;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
}
