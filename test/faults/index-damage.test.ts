/**
 * Goal: the SQLite index may be lost, damaged, of another time or wrong in any number: the log loses nothing by it.
 * Method: a log with several segments, streams whose state is carried forward, a gap and a quarantined range. Its index, closed in
 * order or as a killed process leaves it, is deleted, cut, flipped (each page of the file and of the write-ahead log, whole and a few
 * bytes), mixed with an older copy, put ahead of the segments or changed by SQL; then the log is opened.
 * Invariant: open works, every entry is read as before, the next append gets the next offset, and the index equals one that is built from
 * the segments, row for row (I6); `log verify` has nothing to say of it. Only an index of a later release, and something that is no file,
 * are refused by name and left as they are.
 *
 * More of it: test/log/index-trust.test.ts (power cuts), test/log/index-schema.test.ts (releases), test/log/retention-disk.test.ts (full
 * disk). TREASURY_TEST_FLIPS: flips of a few bytes for each page (6). TREASURY_TEST_SEED: another seed.
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { type Log, type LogEntry, openLog, verifyLog } from '../../src/log/index.ts';
import { readIndex, rebuildIndex } from '../../src/log/offline.ts';
import { makeLog } from '../commands/log-directories.ts';
import { runTreasury, temporaryDirectory } from '../commands/process.ts';
import { type Random, seededRandom } from '../helpers/random.ts';
import { readAll } from '../log/log-helpers.ts';
import { appendText, appendTexts, sendStreams } from '../log/retention-helpers.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const FLIPS = Number(process.env['TREASURY_TEST_FLIPS'] ?? 6);
/** What SQLite makes pages of here, and how it frames them in the write-ahead log. */
const PAGE_BYTES = 4096;
const WAL_HEADER_BYTES = 32;
const WAL_FRAME_BYTES = 24 + PAGE_BYTES;
const LIMITS = { segmentBytesMax: 40_000, frameEntriesMax: 2, diskReserveBytes: 0, retentionIntervalMs: 1e9 };
const STREAM_BATCHES = 30;
const TEXTS = 60;
const NOBODY = 65_534;
const MIGRATIONS = fileURLToPath(new URL('../../migrations/index/0001_log_index.sql', import.meta.url));
const INDEX = 'index.sqlite';
const WAL = `${INDEX}-wal`;

/** The files of a log directory by name. */
type Files = ReadonlyMap<string, Buffer>;

/** A log directory, and what is to be found in it whatever happens to its index. */
interface Fixture {
  readonly files: Files;
  /** The same log a while ago. */
  readonly older: Files;
  readonly entries: readonly string[];
  readonly end: bigint;
  readonly gaps: readonly { from: bigint; to: bigint }[];
  readonly findings: readonly unknown[];
}

let closed: Fixture;
let killed: Fixture;

before(async () => {
  const directory = makeScratch();
  try {
    const log = await openLog({ directory, limits: LIMITS });
    await sendStreams(log, STREAM_BATCHES);
    await appendTexts(log, TEXTS);
    await log.close();
    damageOneFrame(directory);
    rmSync(join(directory, INDEX));
    await (await openLog({ directory, limits: LIMITS })).close();
    const older = filesOf(directory);
    const again = await openLog({ directory, limits: LIMITS });
    await sendStreams(again, STREAM_BATCHES);
    await appendTexts(again, TEXTS);
    await again.close();
    closed = await describe(filesOf(directory), older);
    const open = await openLog({ directory, limits: LIMITS });
    await sendStreams(open, STREAM_BATCHES);
    await untilIndexed(open, directory);
    // What a killed process leaves: the pages it has written, and a write-ahead log.
    const left = filesOf(directory);
    await open.close();
    killed = await describe(left, closed.files);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  assert.ok(pagesOf(closed.files.get(INDEX)!) >= 10, 'an index of several pages');
  assert.ok((killed.files.get(WAL)?.length ?? 0) > WAL_FRAME_BYTES * 4, 'a write-ahead log that is in use');
  for (const fixture of [closed, killed]) {
    assert.ok(fixture.gaps.length > 0);
    assert.doesNotMatch(JSON.stringify(fixture.findings, plain), /index/);
  }
});

test('log goes on as before with its index as it was left', async () => {
  for (const fixture of [closed, killed]) await check(fixture, 'nothing', () => {});
});

test('index that is deleted, cut or no database is made anew', async () => {
  const random = seededRandom(SEED);
  for (const fixture of [closed, killed]) {
    const { length } = fixture.files.get(INDEX)!;
    const sizes = [0, 1, 16, 100, PAGE_BYTES - 1, PAGE_BYTES, PAGE_BYTES + 1, length - PAGE_BYTES, length - 1];
    for (const size of [...sizes, random.below(length), random.below(length)]) {
      await check(fixture, `cut to ${size} bytes`, (files) => files.set(INDEX, files.get(INDEX)!.subarray(0, size)));
    }
    await check(fixture, 'deleted', (files) => files.delete(INDEX));
    await check(fixture, 'deleted with its log', (files) => files.delete(INDEX) && files.delete(WAL));
    await check(fixture, 'longer', (files) =>
      files.set(INDEX, Buffer.concat([files.get(INDEX)!, noise(random, 5_000)])),
    );
    await check(fixture, 'text', (files) => files.set(INDEX, Buffer.from('this is no database')));
  }
});

test('index with any of its pages flipped is found out', async () => {
  for (const fixture of [closed, killed]) {
    const random = seededRandom(SEED);
    for (let page = 0; page < pagesOf(fixture.files.get(INDEX)!); page++) {
      const at = page * PAGE_BYTES;
      await check(fixture, `page ${page} zeroed`, (files) =>
        alter(files, INDEX, (b) => b.fill(0, at, at + PAGE_BYTES)),
      );
      await check(fixture, `page ${page} of noise`, (files) =>
        alter(files, INDEX, (bytes) => noise(random, PAGE_BYTES).copy(bytes, at)),
      );
      for (let i = 0; i < FLIPS; i++) {
        await check(fixture, `page ${page}, flips ${i}`, (files) =>
          alter(files, INDEX, (bytes) => flipWritten(bytes, random, { from: at, to: at + PAGE_BYTES })),
        );
      }
    }
  }
});

test('index header with any of its bytes flipped is found out', async () => {
  for (let at = 0; at < 100; at += 3) {
    await check(closed, `byte ${at}`, (files) => alter(files, INDEX, (bytes) => (bytes[at]! ^= 0xff)));
  }
});

test('write-ahead log of the index may be lost, cut, flipped or of another time', async () => {
  const random = seededRandom(SEED);
  const { length } = killed.files.get(WAL)!;
  const frames = Math.floor((length - WAL_HEADER_BYTES) / WAL_FRAME_BYTES);
  await check(killed, 'deleted', (files) => files.delete(WAL));
  await check(killed, 'noise', (files) => files.set(WAL, noise(random, length)));
  await check(killed, 'header flipped', (files) => alter(files, WAL, (b) => flip(b, random, { from: 0, to: 32 })));
  for (let frame = 0; frame < frames; frame++) {
    const from = WAL_HEADER_BYTES + frame * WAL_FRAME_BYTES;
    const range = { from, to: from + WAL_FRAME_BYTES };
    await check(killed, `frame ${frame} flipped`, (files) => alter(files, WAL, (bytes) => flip(bytes, random, range)));
    await check(killed, `cut in frame ${frame}`, (files) =>
      files.set(WAL, files.get(WAL)!.subarray(0, from + random.below(WAL_FRAME_BYTES))),
    );
  }
  await check(closed, 'noise beside a closed index', (files) => files.set(WAL, noise(random, 9_000)));
  for (const fixture of [closed, killed]) {
    await check(fixture, '-shm of noise', (files) => files.set(`${INDEX}-shm`, noise(random, 32_768)));
    await check(fixture, '-shm of zeros', (files) => files.set(`${INDEX}-shm`, Buffer.alloc(32_768)));
  }
});

test('index of an older time is brought up to date', async () => {
  for (const fixture of [closed, killed]) {
    await check(fixture, 'older copy', (files) => {
      files.delete(WAL);
      files.set(INDEX, fixture.older.get(INDEX)!);
    });
    await check(fixture, 'older copy beside a newer log', (files) => files.set(INDEX, fixture.older.get(INDEX)!));
  }
  const pages = Math.min(...[closed.files, closed.older].map((files) => pagesOf(files.get(INDEX)!)));
  for (let page = 0; page < pages; page++) {
    const at = page * PAGE_BYTES;
    await check(closed, `page ${page} of an older copy`, (files) =>
      alter(files, INDEX, (bytes) => closed.older.get(INDEX)!.copy(bytes, at, at, at + PAGE_BYTES)),
    );
  }
});

test('index that is ahead of the segments keeps offsets from being given out twice', async () => {
  for (const fixture of [closed, killed]) {
    const names = segmentNames(fixture.files);
    const rules: readonly (readonly [string, (at: number) => boolean])[] = [
      ['first', (at) => at < 1],
      ['first three', (at) => at < 3],
      ['one in the middle', (at) => at === 4],
      ['last', (at) => at === names.length - 1],
      ['last three', (at) => at >= names.length - 3],
      ['all but the first', (at) => at > 0],
      ['all', () => true],
    ];
    for (const [what, isGone] of rules) {
      const gone = names.filter((_, at) => isGone(at));
      const rest = new Map([...fixture.files].filter(([name]) => !gone.includes(name)));
      const alone = await withoutIndex(rest);
      await inDirectory(rest, async (directory) => {
        const log = await openLog({ directory, limits: LIMITS });
        assert.equal(await appendText(log, 'next'), fixture.end, `without the ${what}`);
        const found = readTexts(log, directory);
        assert.deepEqual(found.slice(0, -1), alone, `without the ${what}`);
        await log.close();
        assert.deepEqual(readIndex(directory), rebuildIndex(directory), `without the ${what}`);
      });
    }
  }
});

const CHANGES = [
  'UPDATE frames SET received_at_max = received_at_max - 1 WHERE base_offset = (SELECT min(base_offset) FROM frames)',
  'UPDATE frames SET received_at_max = 9000000000000000000',
  'UPDATE frames SET position = position + 8 WHERE base_offset = (SELECT max(base_offset) FROM frames)',
  'UPDATE frames SET crc = crc + 1 WHERE base_offset = (SELECT max(base_offset) FROM frames WHERE segment = 0)',
  'UPDATE frames SET segment = segment + 1',
  'UPDATE frames SET "rows" = "rows" + 1000000 WHERE base_offset = (SELECT max(base_offset) FROM frames)',
  'UPDATE frames SET stream_id_max = 9223372036854775807',
  'UPDATE frames SET position = -1, bytes = -1',
  'DELETE FROM frames WHERE base_offset = (SELECT max(base_offset) FROM frames)',
  'DELETE FROM frames WHERE base_offset = (SELECT min(base_offset) FROM frames WHERE base_offset > 40)',
  'DELETE FROM frames',
  'INSERT INTO frames SELECT 1000000, segment, position, bytes, "rows", crc, 1, 1, 1 FROM frames LIMIT 1',
  'UPDATE segments SET end_offset = end_offset + 1',
  'UPDATE segments SET sealed = 1 - sealed',
  'UPDATE segments SET bytes = bytes - 8 WHERE base_offset = (SELECT max(base_offset) FROM segments)',
  'UPDATE segments SET bytes = -1',
  'UPDATE segments SET last_crc = 9223372036854775807',
  'UPDATE segments SET previous_crc = NULL, previous_end = NULL',
  'UPDATE segments SET stream_id_next = 9223372036854775807',
  'DELETE FROM segments WHERE base_offset = (SELECT max(base_offset) FROM segments)',
  'DELETE FROM segments WHERE base_offset = 0',
  'DELETE FROM segments',
  'INSERT INTO segments SELECT 1000000, 1, 1, 1, 2, 1, 1, 1',
  'DELETE FROM gaps',
  'UPDATE gaps SET to_offset = to_offset + 1',
  'INSERT INTO gaps VALUES (2, 3)',
  'DELETE FROM quarantined_ranges',
  "UPDATE quarantined_ranges SET reason = 'other'",
  "UPDATE meta SET value = value || '0' WHERE key LIKE 'kept_end%'",
  "UPDATE meta SET value = 'x' WHERE key LIKE 'kept_end%'",
  "UPDATE meta SET value = 'x' WHERE key = 'log_uuid'",
  "UPDATE meta SET value = 'x' WHERE key = 'check'",
  "UPDATE meta SET key = 'cheek' WHERE key = 'check'",
  'DELETE FROM meta',
  'DROP TABLE meta',
  'DROP TABLE gaps',
  'ALTER TABLE segments RENAME COLUMN last_crc TO mast_crc',
  'ALTER TABLE frames ADD COLUMN more INTEGER',
  'CREATE TRIGGER t AFTER INSERT ON frames BEGIN DELETE FROM gaps; END',
  "UPDATE migrations SET checksum = 'other'",
  'UPDATE migrations SET version = 65',
  'DELETE FROM migrations',
  'DROP TABLE migrations',
  'PRAGMA user_version = 77',
  'PRAGMA journal_mode = DELETE',
] as const;

test('index whose rows or tables were changed is made anew', async () => {
  for (const sql of CHANGES) {
    await check(
      closed,
      sql,
      () => {},
      (directory) => changeIndex(directory, sql),
    );
  }
});

test('index of a later release is refused and left as it is', async () => {
  await inDirectory(closed.files, async (directory) => {
    changeIndex(directory, "INSERT INTO migrations VALUES (99, '0099_later.sql', 'later')");
    const before = readFileSync(join(directory, INDEX));
    await assert.rejects(openLog({ directory }), { code: 'TREASURY_MIGRATION', message: /later release/ });
    assert.deepEqual(readFileSync(join(directory, INDEX)), before);
    rmSync(join(directory, INDEX));
    await assertWhole(directory, closed, 'after it was taken away');
  });
});

test('directory in the place of the index is refused by name and left as it is', async () => {
  for (const name of [INDEX, WAL]) {
    await inDirectory(closed.files, async (directory) => {
      const path = join(directory, name);
      rmSync(path, { force: true });
      mkdirSync(path);
      writeFileSync(join(path, 'kept'), 'kept');
      await assert.rejects(openLog({ directory }), (error: Error) => error.message.includes(name));
      assert.equal(readFileSync(join(path, 'kept'), 'utf8'), 'kept');
      rmSync(path, { recursive: true });
      await assertWhole(directory, closed, `after ${name} was taken away`);
    });
  }
});

test('index that may not be written is replaced', async (t) => {
  if (process.getuid?.() === 0 && !(await mayRead(MIGRATIONS))) {
    return t.skip('to root nothing is read-only, and the user nobody cannot read the sources');
  }
  for (const fixture of [closed, killed]) {
    await inDirectory(fixture.files, async (directory) => {
      chmodSync(join(directory, INDEX), 0o444);
      for (const path of ['', ...readdirSync(directory)]) giveAway(join(directory, path));
      await asNobody(() => assertWhole(directory, fixture, 'read-only'));
    });
  }
});

test('treasury log verify takes a log for whole whose damaged index was made anew', async (t) => {
  const data = temporaryDirectory(t);
  const directory = await makeLog(data, 20, LIMITS);
  changeIndex(directory, 'UPDATE frames SET crc = crc + 1 WHERE base_offset = 7');
  const spoiled = await runTreasury(['log', 'verify', '--data', data]);
  assert.equal(spoiled.code, 1, spoiled.stdout);
  assert.match(spoiled.stdout, /index table frames has/);
  await (await openLog({ directory, limits: LIMITS })).close();
  const mended = await runTreasury(['log', 'verify', '--data', data]);
  assert.equal(mended.code, 0, mended.stdout);
});

/** Runs as a user whom permissions bind. */
async function asNobody<T>(act: () => T): Promise<Awaited<T>> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid!(NOBODY);
  try {
    return await act();
  } finally {
    if (isRoot) process.seteuid!(0);
  }
}

function giveAway(path: string): void {
  if (process.getuid?.() === 0) chownSync(path, NOBODY, NOBODY);
}

async function mayRead(path: string): Promise<boolean> {
  try {
    await asNobody(() => closeSync(openSync(path, 'r')));
    return true;
  } catch {
    return false;
  }
}

/** Opens a log whose files were changed, and asserts all that must be as if they had not been. */
async function check(
  fixture: Fixture,
  what: string,
  damage: (files: Map<string, Buffer>) => unknown,
  act: (directory: string) => void = () => {},
): Promise<void> {
  const files = new Map(fixture.files);
  damage(files);
  await inDirectory(files, async (directory) => {
    act(directory);
    await assertWhole(directory, fixture, `${fixture === closed ? 'closed' : 'killed'}, ${what} (seed ${SEED})`);
  });
}

async function assertWhole(directory: string, fixture: Fixture, what: string): Promise<void> {
  let log: Log;
  try {
    log = await openLog({ directory, limits: LIMITS });
  } catch (error) {
    throw new Error(`Cannot open the log: ${what}`, { cause: error });
  }
  const { durableOffset, nextOffset, gaps } = log.status();
  assert.deepEqual([durableOffset, nextOffset, gaps], [fixture.end, fixture.end, fixture.gaps], what);
  assert.equal(await appendText(log, 'next'), fixture.end, what);
  assert.deepEqual(readTexts(log, directory), [...fixture.entries, textOf(fixture.end, '|next')], what);
  await log.close();
  assert.deepEqual(readIndex(directory), rebuildIndex(directory), what);
  assert.deepEqual(verifyLog(directory), fixture.findings, what);
}

/** What the files hold when they are read without an index. */
async function describe(files: Files, older: Files): Promise<Fixture> {
  const directory = makeScratch();
  try {
    putFiles(directory, files);
    for (const name of [INDEX, WAL]) rmSync(join(directory, name), { force: true });
    const log = await openLog({ directory, limits: LIMITS });
    const { durableOffset, gaps } = log.status();
    const entries = readTexts(log, directory);
    await log.close();
    return { files, older, entries, end: durableOffset, gaps, findings: verifyLog(directory) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function withoutIndex(files: Files): Promise<readonly string[]> {
  let entries: readonly string[] = [];
  const rest = new Map([...files].filter(([name]) => !name.startsWith(INDEX)));
  await inDirectory(rest, async (directory) => {
    const log = await openLog({ directory, limits: LIMITS });
    entries = readTexts(log, directory);
    await log.close();
  });
  return entries;
}

async function inDirectory(files: Files, act: (directory: string) => Promise<void>): Promise<void> {
  const directory = makeScratch();
  try {
    putFiles(directory, files);
    await act(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** In memory where that is to be had: what a sync does is no matter here, and hundreds of logs are opened. */
function makeScratch(): string {
  return mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'treasury-index-'));
}

function putFiles(directory: string, files: Files): void {
  for (const [name, bytes] of files) writeFileSync(join(directory, name), bytes);
}

function filesOf(directory: string): Map<string, Buffer> {
  const names = readdirSync(directory).filter((name) => name.startsWith(INDEX) || name.endsWith('.arrows'));
  return new Map(names.map((name) => [name, readFileSync(join(directory, name))]));
}

function segmentNames(files: Files): string[] {
  return [...files.keys()].filter((name) => name.endsWith('.arrows')).sort();
}

/** Flips a byte in a record of the second segment. */
function damageOneFrame(directory: string): void {
  const path = join(directory, segmentNames(filesOf(directory))[1]!);
  const bytes = readFileSync(path);
  bytes[bytes.indexOf('|text', bytes.length / 2) + 1]! ^= 1;
  writeFileSync(path, bytes);
}

async function untilIndexed(log: Log, directory: string): Promise<void> {
  const copy = makeScratch();
  try {
    for (;;) {
      putFiles(copy, filesOf(directory));
      const rows = readIndex(copy)?.['frames'] ?? [];
      const last = rows.at(-1);
      if (
        last !== undefined &&
        (last['base_offset'] as bigint) + (last['rows'] as bigint) === log.status().durableOffset
      )
        return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function readTexts(log: Log, directory: string): string[] {
  return readAll(log, directory).map((entry) => textOf(entry.offset, entryText(entry)));
}

function entryText({ kind, streamId, flags, record }: LogEntry): string {
  const text = Buffer.from(record).toString('latin1');
  return text === '|next' ? text : `${kind} ${streamId} ${flags} ${text}`;
}

function textOf(offset: bigint, text: string): string {
  return `${offset} ${text}`;
}

function changeIndex(directory: string, sql: string): void {
  const database = new Database(join(directory, INDEX));
  database.exec(sql);
  database.close();
}

function pagesOf(bytes: Buffer): number {
  return Math.ceil(bytes.length / PAGE_BYTES);
}

function alter(files: Map<string, Buffer>, name: string, change: (bytes: Buffer) => unknown): void {
  const bytes = Buffer.from(files.get(name)!);
  change(bytes);
  files.set(name, bytes);
}

interface Range {
  readonly from: number;
  readonly to: number;
}

/** Flips one to four bits. */
function flip(bytes: Buffer, random: Random, { from, to }: Range): void {
  for (let left = 1 + random.below(4); left > 0; left--) bytes[from + random.below(to - from)]! ^= 1 << random.below(8);
}

/** The same where something is written: what is free on a page means nothing. */
function flipWritten(bytes: Buffer, random: Random, { from, to }: Range): void {
  const places = [...bytes.subarray(from, to).keys()].filter((at) => bytes[from + at] !== 0);
  for (let left = 1 + random.below(4); left > 0; left--) bytes[from + random.pick(places)]! ^= 1 << random.below(8);
}

function noise(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)));
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
