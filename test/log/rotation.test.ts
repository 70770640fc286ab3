/**
 * Goal: a change of segments holds up no commit for long, and whatever is on the disk in the middle of it is a whole log.
 * Method: a disk in memory whose operations are held, fail, or are the last before the machine loses its power.
 * Invariant: what was acknowledged is there; before the next start nothing counts as damage, after it `verify` finds nothing; a refused
 * frame is never read once later entries were acknowledged.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Log, openLog, type RetainedLog, verifyLog } from '../../src/log/index.ts';
import { END_OF_STREAM, segmentBaseOffsets, segmentPath } from '../../src/log/layout.ts';
import { openSegmentIndex } from '../../src/log/segment-index.ts';
import { readAll, scratch } from './log-helpers.ts';
import { type Fault, MemoryFileSystem, type Operation } from './memory-file-system.ts';

/** Two entries to a segment. */
const LIMITS = { segmentBytesMax: 3_500, frameEntriesMax: 1 };
const BODY_BYTES = 400;
/** For how much of a cut file's unsynced end is there afterwards. */
const SURVIVALS: readonly ((bytes: number) => number)[] = [() => 0, (bytes) => bytes >> 1, (bytes) => bytes];

/** A disk that says what happens to it and can hold one operation back. */
class WatchedDisk extends MemoryFileSystem {
  #held: { readonly isIt: (operation: Operation, path: string) => boolean; readonly until: Promise<void> } | null =
    null;

  /** Holds operations until the returned function is called. */
  holdBack(isIt: (operation: Operation, path: string) => boolean): () => void {
    let release = () => {};
    const until = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#held = { isIt, until };
    return () => {
      this.#held = null;
      release();
    };
  }

  override async create(path: string): ReturnType<MemoryFileSystem['create']> {
    await this.#wait('create', path);
    const file = await super.create(path);
    return {
      ...file,
      write: async (parts, position) => {
        await this.#wait('write', path);
        return file.write(parts, position);
      },
      dataSync: async () => {
        await this.#wait('dataSync', path);
        await file.dataSync();
      },
    };
  }

  #wait(operation: Operation, path: string): Promise<void> | undefined {
    return this.#held?.isIt(operation, path) ? this.#held.until : undefined;
  }
}

test('next segment is there before the last frame of the one before is durable', async (t) => {
  const { directory, disk, log } = await openWatched(t);
  await append(log, 0);
  const release = disk.holdBack((operation) => operation === 'dataSync');
  const last = append(log, 1);
  while (!bases(disk, directory).includes(2n)) await turn();
  // Without a header: that says how the frame went.
  assert.equal(disk.bytes(segmentPath(directory, 2n)).length, 0);
  release();
  assert.equal(await last, 1n);
  await append(log, 2);
  assert.deepEqual(bodies(log, directory, disk), [0, 1, 2]);
  await closeAndVerify(log, directory, disk);
});

test('entries go into the next segment while the one before waits for its seal', async (t) => {
  const { directory, disk, log } = await openWatched(t);
  await append(log, 0);
  const first = segmentPath(directory, 0n);
  await append(log, 1);
  const release = disk.holdBack((operation, path) => path === first && operation !== 'create');
  assert.deepEqual([await append(log, 2), await append(log, 3)], [2n, 3n]);
  assert.ok(!disk.bytes(first).subarray(-END_OF_STREAM.length).equals(END_OF_STREAM));
  assert.deepEqual(bodies(log, directory, disk), [0, 1, 2, 3]);
  release();
  await closeAndVerify(log, directory, disk);
  assert.ok(disk.bytes(first).subarray(-END_OF_STREAM.length).equals(END_OF_STREAM));
});

test('segment that is deleted while it waits for its seal stays deleted', async (t) => {
  const { directory, disk, log, index } = await openWatched(t, { ageMaxMs: null, bytesMax: 1 });
  for (const number of [0, 1]) await append(log, number);
  const first = segmentPath(directory, 0n);
  const release = disk.holdBack((operation, path) => path === first && operation === 'write');
  for (const number of [2, 3]) await append(log, number);
  await log.sweep();
  const { firstOffset } = log.status();
  assert.ok(firstOffset > 0n, 'nothing was deleted');
  release();
  await log.close();
  assert.ok(!bases(disk, directory).includes(0n));
  assert.equal(index.at(-1)!.segments()[0]!.baseOffset, firstOffset);
});

test('next segment that cannot be made ahead of time is made when it is needed', async (t) => {
  const { directory, disk, log } = await openWatched(t);
  await append(log, 0);
  let failures = 1;
  disk.fault = (operation) => (operation === 'create' && failures-- > 0 ? 'fail' : 'none');
  for (const number of [1, 2]) await append(log, number);
  assert.equal(failures, -1, 'it was tried twice');
  assert.deepEqual(bodies(log, directory, disk), [0, 1, 2]);
  await closeAndVerify(log, directory, disk);
});

for (const operation of ['write', 'dataSync'] as const) {
  test(`last frame of a segment whose ${operation} fails is given up, and the log goes on in the next segment`, async (t) => {
    const { directory, disk, log } = await openWatched(t);
    await append(log, 0);
    failOnce(disk, operation, segmentPath(directory, 0n));
    await assert.rejects(append(log, 1), { code: 'TREASURY_LOG_UNAVAILABLE' });
    assert.deepEqual(bases(disk, directory), [0n, 2n]);
    assert.equal(await append(log, 2), 2n);
    assert.deepEqual(log.status().gaps, [{ from: 1n, to: 2n }]);
    assert.deepEqual(bodies(log, directory, disk), [0, 2]);
    await closeAndVerify(log, directory, disk);
  });
}

test('log that is closed behind a full segment leaves no empty one', async (t) => {
  const { directory, disk, log } = await openWatched(t);
  for (const number of [0, 1]) await append(log, number);
  await closeAndVerify(log, directory, disk);
  assert.deepEqual(bases(disk, directory), [0n]);
  const again = await openWatched(t, undefined, { directory, disk });
  // Behind its header and its first frame.
  failOnce(disk, 'dataSync', segmentPath(directory, 2n), 2);
  await append(again.log, 2);
  await assert.rejects(append(again.log, 3), { code: 'TREASURY_LOG_UNAVAILABLE' });
  await closeAndVerify(again.log, directory, disk);
  assert.deepEqual(bases(disk, directory), [0n, 2n]);
});

test('power cut before any operation of a log that changes segments loses nothing and leaves no damage', async (t) => {
  const directory = scratch(t);
  const acked: number[] = [];
  const cuts: { readonly disk: MemoryFileSystem; readonly acked: readonly number[]; readonly what: string }[] = [];
  const disk = new MemoryFileSystem();
  let operations = 0;
  const failing = new Set([23, 41]);
  disk.fault = (operation, path): Fault => {
    for (const survival of SURVIVALS) {
      cuts.push({ disk: disk.afterPowerCut(survival), acked: [...acked], what: `${operation} of ${path}` });
    }
    return failing.has(++operations) && operation === 'write' ? 'short' : 'none';
  };
  const log = await open(directory, disk);
  let refused = 0;
  for (let number = 0; number < 12; number++) {
    await append(log, number).then(
      () => acked.push(number),
      () => refused++,
    );
  }
  await log.close();
  assert.ok(
    acked.length > 8 && cuts.length > 150,
    `${acked.length} acknowledged, ${refused} refused, ${cuts.length} cuts`,
  );
  for (const cut of cuts) {
    const hint = `cut before ${cut.what}, ${cut.acked.length} acknowledged`;
    const kinds = verifyLog(directory, { fileSystem: cut.disk }).map(({ kind }) => kind);
    assert.deepEqual(
      kinds.filter((kind) => kind !== 'torn'),
      [],
      hint,
    );
    const after = await open(directory, cut.disk);
    const found = bodies(after, directory, cut.disk);
    assert.deepEqual(
      cut.acked.filter((number) => !found.includes(number)),
      [],
      `${hint}: lost`,
    );
    await append(after, 99);
    assert.deepEqual(bodies(after, directory, cut.disk), [...found, 99], hint);
    await after.close();
    assert.deepEqual(verifyLog(directory, { fileSystem: cut.disk }), [], hint);
  }
});

interface Watched {
  readonly directory: string;
  readonly disk: WatchedDisk;
}

async function openWatched(
  t: TestContext,
  retention?: { ageMaxMs: null; bytesMax: number },
  place: Watched = { directory: scratch(t), disk: new WatchedDisk() },
) {
  const index: ReturnType<typeof openSegmentIndex>[] = [];
  const log = await openLog({
    directory: place.directory,
    fileSystem: place.disk,
    limits: LIMITS,
    ...(retention && { retention }),
    openIndex: () => {
      const opened = openSegmentIndex(':memory:');
      index.push({ ...opened, close() {} });
      return index.at(-1)!;
    },
  });
  return { ...place, log, index };
}

function open(directory: string, fileSystem: MemoryFileSystem): Promise<RetainedLog> {
  return openLog({ directory, fileSystem, limits: LIMITS, openIndex: () => openSegmentIndex(':memory:') });
}

/** Fails one operation on a file, after some that do not. */
function failOnce(disk: MemoryFileSystem, wanted: Operation, path: string, skip = 0): void {
  let left = skip;
  disk.fault = (operation, at) => {
    if (operation !== wanted || at !== path || left-- > 0) return 'none';
    disk.fault = () => 'none';
    return 'fail';
  };
}

async function append(log: Log, number: number): Promise<bigint> {
  const body = Buffer.from(String(number).padEnd(BODY_BYTES));
  return (await log.appendOtlp(1, { batchId: 0n, record: [body] })).offset;
}

function bodies(log: RetainedLog, directory: string, disk: MemoryFileSystem): number[] {
  return readAll(log, directory, disk).map((entry) => Number(Buffer.from(entry.record).toString()));
}

function bases(disk: MemoryFileSystem, directory: string): bigint[] {
  return segmentBaseOffsets(disk.list(directory));
}

async function closeAndVerify(log: RetainedLog, directory: string, disk: MemoryFileSystem): Promise<void> {
  await log.close();
  assert.deepEqual(verifyLog(directory, { fileSystem: disk }), []);
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
