/**
 * Goal: a write that was not finished is recovered from exactly, wherever and however it broke off (row 3 of the fault tests).
 * Method: a log of two frames on real files, the last one of one row, of 16 rows, or with a STATE row. From each byte of that frame on
 * the file is cut, is zeros, or is seeded garbage; then the log is opened. At every eighth byte an entry is appended and read again.
 * `TREASURY_TEST_ROUNDS` 1 and more: rounds of garbage (1).
 * Invariant: recovery keeps all of the frame before and nothing of the torn one; what it cuts is kept aside, byte by byte (but zeros
 * at its end, which no write left, and a frame's first bytes if with zeros they are a seal); the next entry gets the torn frame's first offset.
 * What scans say of torn frames is in test/log/recovery.test.ts, what a full disk does to the copy too; forged frames within torn ones
 * in test/log/forged-frames.test.ts.
 */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ENTRY_KINDS, listSegments, type Log, openLog } from '../../src/log/index.ts';
import { END_OF_STREAM, segmentFileName } from '../../src/log/layout.ts';
import { openSegmentIndex, type SegmentIndex } from '../../src/log/segment-index.ts';
import { readAll, record, scratch, update } from '../log/log-helpers.ts';
import { seededRandom } from '../helpers/random.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const GARBAGE_ROUNDS = Number(process.env['TREASURY_TEST_ROUNDS'] ?? 1);
const APPEND_EVERY = 8;
/** Files in memory: it is what is in them that counts here, and syncs of a disk would take a hundred times as long. */
const ROOT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A segment as a killed process leaves it, whose last frame begins at `last` with offset `offset`. */
interface TwoFrames {
  readonly baseOffset: bigint;
  readonly bytes: Buffer;
  readonly last: number;
  readonly offset: bigint;
}

const FRAMES: Readonly<Record<string, { rows: number; make: (log: Log) => Promise<unknown> }>> = {
  'one row': { rows: 1, make: (log) => append(log, 'torn') },
  '16 rows': {
    rows: 16,
    make: (log) => Promise.all(Array.from({ length: 16 }, (_, i) => append(log, `row ${i}`))),
  },
  'a STATE row': {
    rows: 3,
    async make(log) {
      const stream = log.openStream(1);
      const send = (updates: string[], body: string) =>
        stream.append({ batchId: 0n, record: record(updates, body), stateUpdates: updates.map(update) });
      await send(['S0', 'D1=x'], 'before');
      // Long enough to begin a segment; the state is carried into it behind an entry of its own frame.
      await append(log, 'fill'.repeat(1000));
      await append(log, 'first');
      await Promise.all([send(['d1=y'], 'torn'), append(log, 'beside')]);
    },
  },
};

for (const [name, { rows, make }] of Object.entries(FRAMES)) {
  test(`frame of ${name} torn at any byte is cut off to its start (seed ${SEED})`, async (t) => {
    const torn = await twoFrames(t, make);
    assert.equal(torn.kinds.length, rows, 'the frame is what the test is about');
    assert.equal(torn.kinds.includes(ENTRY_KINDS.STATE), name === 'a STATE row');
    const random = seededRandom(SEED);
    const rounds: [string, (bytes: Buffer) => void][] = [
      ['cut', () => {}],
      ['zeros', (bytes) => bytes.fill(0)],
      ...Array.from({ length: GARBAGE_ROUNDS }, (): [string, (bytes: Buffer) => void] => [
        'garbage',
        (bytes) => bytes.forEach((_, i) => (bytes[i] = random.below(256))),
      ]),
    ];
    const index = openSegmentIndex(':memory:');
    const directory = mkdtempSync(join(ROOT, 'treasury-torn-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    for (const [how, damage] of rounds) {
      for (let at = torn.last; at < torn.bytes.length; at++) {
        const bytes = Buffer.from(torn.bytes.subarray(0, how === 'cut' ? at : undefined));
        damage(bytes.subarray(at));
        if (bytes.equals(torn.bytes)) continue;
        await assertRecovered(join(directory, `${how}-${at}`), { torn, bytes, index }).catch((error: unknown) => {
          throw new Error(`${how} at byte ${at - torn.last} of the frame, seed ${SEED}`, { cause: error });
        });
      }
    }
    index.close({ clean: false });
  });
}

async function assertRecovered(
  directory: string,
  { torn, bytes, index }: { torn: TwoFrames; bytes: Buffer; index: SegmentIndex },
): Promise<void> {
  const { baseOffset, last, offset } = torn;
  const path = join(directory, segmentFileName(baseOffset));
  mkdirSync(directory);
  writeFileSync(path, bytes);
  // One that knows nothing, for all: making one takes longer than recovery.
  const log = await openLog({
    directory,
    openIndex: () => ({ ...index, isTrusted: false, logUuid: null, close() {} }),
  });
  try {
    const { durableOffset, segmentBytes, quarantinedRanges, gaps } = log.status();
    assert.deepEqual([durableOffset, segmentBytes, quarantinedRanges, gaps], [offset, last, 0, []]);
    const kept = readFileSync(path);
    assert.deepEqual(kept.subarray(0, last), torn.bytes.subarray(0, last));
    assert.ok(kept.subarray(last).every((byte) => byte === 0));
    assertKeptAside(directory, bytes.subarray(last));
    if (bytes.length % APPEND_EVERY === 0) {
      assert.equal(await append(log, 'next'), offset);
      const read = readAll(log, directory).map((entry) => Buffer.from(entry.record).toString());
      assert.equal(read.at(-1), 'next');
      assert.equal(BigInt(read.length), offset - baseOffset + 1n);
    }
  } finally {
    await log.close();
  }
  rmSync(directory, { recursive: true });
}

function assertKeptAside(directory: string, tail: Buffer): void {
  const folder = join(directory, 'quarantine');
  const names = readdirSync(folder);
  const isSeal = tail.indexOf(END_OF_STREAM) === 0;
  if (tail.subarray(isSeal ? END_OF_STREAM.length : 0).every((byte) => byte === 0)) return;
  assert.equal(names.length, 1);
  const copy = readFileSync(join(folder, names[0]!));
  assert.deepEqual(copy, tail.subarray(0, copy.length));
  assert.ok(tail.subarray(copy.length).every((byte) => byte === 0));
}

async function twoFrames(
  t: TestContext,
  make: (log: Log) => Promise<unknown>,
): Promise<TwoFrames & { readonly kinds: readonly number[] }> {
  const directory = scratch(t);
  const log = await openLog({ directory, limits: { segmentBytesMax: 6000 } });
  await append(log, 'zero');
  await make(log);
  const entries = readAll(log, directory);
  await log.close();
  const index = openSegmentIndex(join(directory, 'index.sqlite'));
  const frame = index.lastFrame()!;
  const frames = index.content().frames.filter((row) => row['segment'] === frame.segment);
  index.close({ clean: true });
  assert.ok(frames.length > 1, 'a frame is before the torn one');
  assert.equal(listSegments(directory).at(-1)!.baseOffset, frame.segment);
  const end = frame.position + frame.bytes;
  const path = join(directory, segmentFileName(frame.segment));
  assert.ok(statSync(path).size >= end);
  return {
    baseOffset: frame.segment,
    bytes: readFileSync(path).subarray(0, end),
    last: frame.position,
    offset: frame.baseOffset,
    kinds: entries.filter((entry) => entry.offset >= frame.baseOffset).map(({ kind }) => kind),
  };
}

async function append(log: Log, body: string): Promise<bigint> {
  return (await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from(body)] })).offset;
}
