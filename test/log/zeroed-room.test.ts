/**
 * Goal: zeros that are written ahead of frames make syncs cheaper and nothing else.
 * Method: segments as a running log, a killed one and one that lost power while it sealed leave them.
 * Invariant: at any moment the file is an Arrow stream of all entries; zeros are no damage, no entry, and gone after a seal or a start.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { RecordBatchReader } from 'apache-arrow';
import { LIMITS } from '../../src/base/index.ts';
import { type LogFileSystem, openLog, verifyLog } from '../../src/log/index.ts';
import { realFileSystem } from '../../src/log/file-system.ts';
import { END_OF_STREAM, quarantinePath } from '../../src/log/layout.ts';
import { SEGMENT_HEADER_BYTES } from '../../src/log/segment-header.ts';
import { readAll, scratch } from './log-helpers.ts';

const NAME = '00000000000000000000.arrows';

test('segment that is written has room of zeros, is an Arrow stream, and loses the room with its seal', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  const sizes = new Set<number>();
  for (let i = 0; i < 8; i++) {
    await append(log, `entry ${i}`);
    sizes.add(statSync(join(directory, NAME)).size);
  }
  assert.equal(sizes.size, 1, 'the file keeps its length');
  assert.equal([...sizes][0]! % 8, 0);
  const bytes = readFileSync(join(directory, NAME));
  assert.ok(bytes.subarray(log.status().segmentBytes).every((byte) => byte === 0));
  const rows = [...RecordBatchReader.from(bytes)].flatMap((batch) => batch.toArray());
  assert.equal(rows.length, 8);
  const { segmentBytes } = log.status();
  assert.equal(log.status().bytes, segmentBytes);
  await log.close();
  assert.equal(statSync(join(directory, NAME)).size, segmentBytes + END_OF_STREAM.length);
  assert.deepEqual(verifyLog(directory), []);
});

test('frames fill the room and go on behind it', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  const record = 'x'.repeat(LIMITS.logZeroedFrameBytesMax - 8192);
  for (let i = 0; i < 12; i++) {
    await append(log, `${i} ${record}`);
    // Too large to write zeros behind it: it may reach beyond the room.
    if (i % 4 === 3) await append(log, `${i} ${record}${record}`);
  }
  assert.equal(readAll(log, directory).length, 15);
  await log.close();
  const again = await openLog({ directory });
  assert.equal(readAll(again, directory).length, 15);
  assert.equal(again.status().quarantinedRanges, 0);
  await again.close();
});

test('killed log is cut behind its last frame, and nothing is set aside', async (t) => {
  const { killed } = await killedLog(t);
  // The index is written later than frames are.
  assert.deepEqual(
    verifyLog(killed).filter(({ kind }) => kind !== 'index'),
    [],
  );
  const again = await openLog({ directory: killed });
  assert.deepEqual(texts(again, killed), ['one', 'two']);
  assert.equal(again.status().nextOffset, 2n);
  assert.deepEqual(readdirSync(quarantinePath(killed)), []);
  await append(again, 'three');
  assert.deepEqual(texts(again, killed), ['one', 'two', 'three']);
  await again.close();
  assert.deepEqual(verifyLog(killed), []);
});

test('seal with zeros behind it, as power loss may leave it, is cut off', async (t) => {
  const { killed, end } = await killedLog(t);
  const bytes = readFileSync(join(killed, NAME));
  END_OF_STREAM.copy(bytes, end);
  writeFileSync(join(killed, NAME), bytes);
  const again = await openLog({ directory: killed });
  assert.deepEqual(texts(again, killed), ['one', 'two']);
  assert.deepEqual(readdirSync(quarantinePath(killed)), []);
  await again.close();
  assert.equal(statSync(join(killed, NAME)).size, end + END_OF_STREAM.length);
  assert.deepEqual(verifyLog(killed), []);
});

test('torn frame in the room is cut off and kept aside', async (t) => {
  const { killed, end } = await killedLog(t);
  const bytes = readFileSync(join(killed, NAME));
  // Its second half was written and its first was not.
  bytes.fill(0xab, end + 400, end + 800);
  writeFileSync(join(killed, NAME), bytes);
  const again = await openLog({ directory: killed });
  assert.deepEqual(texts(again, killed), ['one', 'two']);
  const [copy] = readdirSync(quarantinePath(killed));
  assert.deepEqual(readFileSync(join(quarantinePath(killed), copy!)), bytes.subarray(end));
  await again.close();
});

test('segment of a header and zeros is taken away', async (t) => {
  const { killed } = await killedLog(t);
  const empty = scratch(t);
  mkdirSync(empty, { recursive: true });
  const header = readFileSync(join(killed, NAME)).subarray(0, SEGMENT_HEADER_BYTES);
  writeFileSync(join(empty, NAME), Buffer.concat([header, Buffer.alloc(LIMITS.logZeroedBytes)]));
  const log = await openLog({ directory: empty });
  assert.ok(!existsSync(join(empty, NAME)));
  assert.equal(log.status().nextOffset, 0n);
  assert.deepEqual(readdirSync(quarantinePath(empty)), []);
  await log.close();
});

test('frame is taken when the disk has room for it and for no zeros', async (t) => {
  const directory = scratch(t);
  const fileSystem: LogFileSystem = {
    ...realFileSystem,
    async create(path) {
      const file = await realFileSystem.create(path);
      return {
        ...file,
        write(parts, position) {
          const isRoomy = parts.at(-1)!.length > 8192;
          return file.write(isRoomy ? [...parts.slice(0, -1), parts.at(-1)!.subarray(0, 100)] : parts, position);
        },
      };
    },
  };
  const log = await openLog({ directory, fileSystem });
  for (const text of ['one', 'two', 'three']) await append(log, text);
  assert.deepEqual(texts(log, directory), ['one', 'two', 'three']);
  assert.equal(log.status().refusing, null);
  await log.close();
  assert.deepEqual(verifyLog(directory), []);
});

/** The directory of a log with two entries as kill -9 leaves it. */
async function killedLog(t: TestContext): Promise<{ killed: string; end: number }> {
  const directory = scratch(t);
  const killed = scratch(t);
  const log = await openLog({ directory });
  await append(log, 'one');
  await append(log, 'two');
  cpSync(directory, killed, { recursive: true });
  const end = log.status().segmentBytes;
  await log.close();
  return { killed, end };
}

async function append(log: Awaited<ReturnType<typeof openLog>>, text: string): Promise<void> {
  await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from(text)] });
}

function texts(log: Awaited<ReturnType<typeof openLog>>, directory: string): string[] {
  return readAll(log, directory).map(({ record }) => Buffer.from(record).toString());
}
