import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import {
  acquireDataDirectoryLock,
  ENTRY_FLAGS,
  listSegments,
  type LogFileSystem,
  openLog,
  openLogReader,
  verifyLog,
} from '../../src/log/index.ts';
import { realFileSystem } from '../../src/log/file-system.ts';
import { readIndex, rebuildIndex } from '../../src/log/offline.ts';
import { SEGMENT_HEADER_BYTES } from '../../src/log/segment-header.ts';
import { scanSegment } from '../../src/log/segment-scan.ts';
import { decodeSegments, drain, readAll, record, scratch, update } from './log-helpers.ts';
import { MemoryFileSystem } from './memory-file-system.ts';

/** A log of one entry a frame; with `segmentBytesMax` 1 also of one frame a segment. Sealed. */
async function makeLog(directory: string, bodies: readonly string[], segmentBytesMax = 1_000_000): Promise<void> {
  const log = await openLog({ directory, limits: { segmentBytesMax } });
  for (const body of bodies) await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from(`|${body}`)] });
  await log.close();
}

function segmentNames(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.arrows'))
    .sort();
}

async function bodiesOf(directory: string): Promise<string[]> {
  const log = await openLog({ directory });
  const bodies = readAll(log, directory).map((entry) => Buffer.from(entry.record).toString().slice(1));
  await log.close();
  return bodies;
}

/** Bytes of an unsealed segment with frames `one` and `two`, and where the last frame begins. */
async function unsealed(t: TestContext): Promise<{ bytes: Buffer; last: number }> {
  const directory = scratch(t);
  await makeLog(directory, ['one', 'two']);
  const sealed = readFileSync(join(directory, segmentNames(directory)[0]!));
  const bytes = sealed.subarray(0, sealed.length - 8);
  return { bytes, last: (bytes.length + SEGMENT_HEADER_BYTES) / 2 };
}

test('tail torn at every byte of the last frame is told from the frames before it exactly', async (t) => {
  const { bytes, last } = await unsealed(t);
  for (let cut = last; cut <= bytes.length; cut++) {
    for (const zeros of [0, 24]) {
      const disk = new MemoryFileSystem();
      await (await disk.create('/log/00000000000000000000.arrows')).write(
        [bytes.subarray(0, cut), Buffer.alloc(zeros)],
        0,
      );
      const scan = scanSegment({
        directory: '/log',
        fileSystem: disk,
        baseOffset: 0n,
        limitOffset: null,
        tornFrom: 0n,
        records: true,
      });
      // The frame ends with four bytes of padding, which zeros replace.
      const isWhole = cut === bytes.length || (zeros > 0 && cut >= bytes.length - 4);
      assert.equal(scan.bytes, isWhole ? bytes.length : last, `cut at ${cut}`);
      assert.equal(scan.endOffset, isWhole ? 2n : 1n);
      assert.equal(scan.tail === null, scan.fileBytes === scan.bytes);
      assert.deepEqual([scan.damage, scan.sealed], [[], false]);
    }
  }
});

test('torn tail is cut, kept aside, and the log goes on behind the last good frame', async (t) => {
  const { bytes, last } = await unsealed(t);
  for (let cut = last + 1; cut < bytes.length; cut += 97) {
    const directory = scratch(t);
    const path = join(directory, '00000000000000000000.arrows');
    writeFileSync(path, bytes.subarray(0, cut));
    const log = await openLog({ directory });
    assert.equal(statSync(path).size, last);
    assert.equal((await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('|three')] })).offset, 1n);
    await log.close();
    const [kept] = readdirSync(join(directory, 'quarantine'));
    assert.deepEqual(readFileSync(join(directory, 'quarantine', kept!)), bytes.subarray(last, cut));
    assert.deepEqual(await bodiesOf(directory), ['one', 'three']);
  }
});

test('torn tail is not cut while a full disk takes no copy of it', async (t) => {
  const { bytes, last } = await unsealed(t);
  const directory = scratch(t);
  const path = join(directory, '00000000000000000000.arrows');
  const torn = bytes.subarray(0, last + 500);
  writeFileSync(path, torn);
  const fileSystem: LogFileSystem = {
    ...realFileSystem,
    async create(name) {
      const file = await realFileSystem.create(name);
      return { ...file, write: (parts, position) => file.write([parts[0]!.subarray(0, 100)], position) };
    },
  };
  const log = await openLog({ directory, fileSystem });
  assert.deepEqual(
    readAll(log, directory).map((entry) => Buffer.from(entry.record).toString()),
    ['|one'],
  );
  await log.close();
  assert.deepEqual(readFileSync(path), torn);
  assert.deepEqual(readdirSync(join(directory, 'quarantine')), []);
  assert.deepEqual(readIndex(directory), rebuildIndex(directory));
  assert.deepEqual(await bodiesOf(directory), ['one']);
});

test('header torn at any byte is moved aside', async (t) => {
  const { bytes } = await unsealed(t);
  const directory = scratch(t);
  const path = join(directory, '00000000000000000000.arrows');
  for (const cut of [0, 1, 100, SEGMENT_HEADER_BYTES - 1, SEGMENT_HEADER_BYTES]) {
    writeFileSync(path, bytes.subarray(0, cut));
    const log = await openLog({ directory });
    assert.ok(!existsSync(path));
    await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('|x')] });
    await log.close();
    for (const name of segmentNames(directory)) rmSync(join(directory, name));
    rmSync(join(directory, 'index.sqlite'));
  }
});

test('every flipped bit of a sealed frame is found, kept in place and skipped by readers', async (t) => {
  const directory = scratch(t);
  await makeLog(directory, ['one', 'two', 'three']);
  const path = join(directory, segmentNames(directory)[0]!);
  const bytes = readFileSync(path);
  const frameBytes = (bytes.length - 8 - SEGMENT_HEADER_BYTES) / 3;
  const durable = { durableOffset: 3n, segment: 0n, segmentBytes: bytes.length };
  const disk = new MemoryFileSystem();
  const file = await disk.create(path);
  await file.write([bytes], 0);
  const start = SEGMENT_HEADER_BYTES + frameBytes;
  for (let bit = start * 8; bit < (start + frameBytes) * 8; bit++) {
    disk.bytes(path)[bit >> 3]! ^= 1 << (bit & 7);
    const reader = openLogReader({ directory, from: 0n, durable, fileSystem: disk });
    const bodies = drain(reader).map((entry) => Buffer.from(entry.record).toString());
    // Damaged padding takes no entry with it, but verification finds it.
    if (bodies.length === 2) {
      assert.deepEqual(bodies, ['|one', '|three'], `bit ${bit}`);
      assert.deepEqual(
        reader.skipped.map(({ from, to }) => [from, to]),
        [[1n, 2n]],
      );
    } else {
      assert.deepEqual(bodies, ['|one', '|two', '|three'], `bit ${bit}`);
      assert.ok(
        verifyLog(directory, { fileSystem: disk }).some(({ kind }) => kind === 'damage'),
        `bit ${bit}`,
      );
    }
    disk.bytes(path)[bit >> 3]! ^= 1 << (bit & 7);
  }
});

test('damage in the middle is quarantined, shown as a gap, and its dependents are marked', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  const streams = [log.openStream(1), log.openStream(1)];
  const send = (i: number, updates: string[], body: string) =>
    streams[i]!.append({ batchId: 0n, record: record(updates, body), stateUpdates: updates.map(update) });
  await send(0, ['S0'], 'a1');
  await send(1, ['S0'], 'b1');
  await send(0, ['D1=x'], 'damaged');
  await send(1, [], 'b2');
  await send(0, [], 'a3');
  await log.close();
  const path = join(directory, segmentNames(directory)[0]!);
  const bytes = readFileSync(path);
  bytes[bytes.indexOf('damaged')]! ^= 1;
  writeFileSync(path, bytes);
  rmSync(join(directory, 'index.sqlite'));
  const again = await openLog({ directory });
  assert.deepEqual(again.status().gaps, [{ from: 4n, to: 5n }]);
  assert.equal(again.status().quarantinedRanges, 1);
  assert.deepEqual(
    decodeSegments(readAll(again, directory)).map(({ body, flags }) => [body, flags]),
    [
      ['a1', 0],
      ['b1', 0],
      ['b2', 0],
      ['a3', ENTRY_FLAGS.UNDECODABLE],
    ],
  );
  await again.close();
  assert.deepEqual(readFileSync(path), bytes);
  assert.ok(verifyLog(directory).some(({ kind }) => kind === 'damage'));
  assert.deepEqual(readIndex(directory), rebuildIndex(directory));
});

test('missing and swapped segments are found and the rest is served', async (t) => {
  const directory = scratch(t);
  await makeLog(directory, ['one', 'two', 'three', 'four'], 1);
  const names = segmentNames(directory);
  rmSync(join(directory, names[1]!));
  assert.deepEqual(await bodiesOf(directory), ['one', 'three', 'four']);
  assert.ok(verifyLog(directory).some(({ kind }) => kind === 'missing'));
  renameSync(join(directory, names[2]!), join(directory, 'x'));
  renameSync(join(directory, names[3]!), join(directory, names[2]!));
  renameSync(join(directory, 'x'), join(directory, names[3]!));
  assert.deepEqual(await bodiesOf(directory), ['one']);
  assert.deepEqual(segmentNames(directory), [names[0], names[2], names[3]]);
  const log = await openLog({ directory });
  assert.ok((await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('|five')] })).offset >= 4n);
  await log.close();
});

test('segment of another log is refused by name', async (t) => {
  const directories = [scratch(t), scratch(t)];
  await makeLog(directories[0]!, ['one', 'two'], 1);
  await makeLog(directories[1]!, ['one', 'two'], 1);
  const name = segmentNames(directories[1]!)[1]!;
  copyFileSync(join(directories[1]!, name), join(directories[0]!, name));
  await assert.rejects(openLog({ directory: directories[0]! }), {
    code: 'TREASURY_LOG_CORRUPT',
    message: new RegExp(name),
  });
});

test('index that is missing, damaged, older or ahead of the log is rebuilt without loss', async (t) => {
  const directory = scratch(t);
  const index = join(directory, 'index.sqlite');
  await makeLog(directory, ['one', 'two'], 1);
  copyFileSync(index, join(directory, 'older'));
  await makeLog(directory, ['three'], 1);
  const newest = readFileSync(index);
  const spoil: (() => void)[] = [
    () => rmSync(index),
    () => writeFileSync(index, 'this is no database'),
    () => writeFileSync(index, newest.subarray(0, 5000)),
    () => writeFileSync(index, Buffer.concat([newest.subarray(0, 4096), Buffer.alloc(newest.length - 4096, 7)])),
    () => copyFileSync(join(directory, 'older'), index),
  ];
  for (const act of spoil) {
    act();
    assert.deepEqual(await bodiesOf(directory), ['one', 'two', 'three']);
    assert.deepEqual(readIndex(directory), rebuildIndex(directory));
  }
  rmSync(join(directory, segmentNames(directory)[2]!));
  const log = await openLog({ directory });
  assert.equal((await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('|four')] })).offset, 3n);
  assert.deepEqual(log.status().gaps, [{ from: 2n, to: 3n }]);
  await log.close();
});

test('listSegments describes what is there', async (t) => {
  const directory = scratch(t);
  await makeLog(directory, ['one', 'two'], 1);
  assert.deepEqual(
    listSegments(directory).map(({ baseOffset, endOffset, frames, sealed }) => [baseOffset, endOffset, frames, sealed]),
    [
      [0n, 1n, 1, true],
      [1n, 2n, 1, true],
    ],
  );
});

test('stream ids are not given out again after a restart', async (t) => {
  const directory = scratch(t);
  const ids = new Set<bigint>();
  for (let i = 0; i < 3; i++) {
    const log = await openLog({ directory });
    for (let j = 0; j < 3; j++) {
      const stream = log.openStream(1);
      assert.ok(!ids.has(stream.id));
      if (j !== i) continue;
      await stream.append({ batchId: 0n, record: record([], 'x') });
      ids.add(stream.id);
    }
    await log.close();
    rmSync(join(directory, 'index.sqlite'));
  }
});

test('data directory is held by one process, and a dead or recycled holder is replaced', (t) => {
  const directory = join(scratch(t), 'data');
  const lock = acquireDataDirectoryLock(directory);
  assert.throws(() => acquireDataDirectoryLock(directory), {
    code: 'TREASURY_DATA_DIRECTORY_LOCKED',
    message: new RegExp(`process ${process.pid}`),
  });
  const own = JSON.parse(readFileSync(lock.path, 'utf8')) as { bootId: string | null };
  lock.release();
  acquireDataDirectoryLock(directory).release();
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  for (const stale of [`{"pid":${pid}}`, `{"pid":${process.pid},"startTicks":"1"}`, '', 'garbage']) {
    if (stale.includes('startTicks') && !existsSync('/proc/self/stat')) continue;
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'lock'), stale);
    acquireDataDirectoryLock(directory).release();
  }
  if (own.bootId !== null) {
    // After a reboot the same number and start time may be those of another process.
    writeFileSync(join(directory, 'lock'), JSON.stringify({ ...own, bootId: 'of the boot before' }));
    acquireDataDirectoryLock(directory).release();
  }
  assert.deepEqual(readdirSync(directory), []);
});
