/**
 * Goal: retention deletes what it may and nothing else, says so, and leaves a log like any other.
 * Method: logs on real files with small segments and a clock that the test moves; sweeps when the test says so.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger, silentLogger } from '../../src/base/index.ts';
import { type Deletion, openDeletionRecord } from '../../src/log/deletion-record.ts';
import { realFileSystem } from '../../src/log/file-system.ts';
import { openLog, openLogReader, verifyLog } from '../../src/log/index.ts';
import { readIndex, rebuildIndex } from '../../src/log/offline.ts';
import { drain, readAll, scratch } from './log-helpers.ts';
import {
  appendText,
  appendTexts,
  DAY_MS,
  decodedTexts,
  durableOf,
  from,
  handClock,
  ONE_ENTRY_A_SEGMENT,
  sendStreams,
} from './retention-helpers.ts';

function segmentNumbers(directory: string): number[] {
  return (
    readdirSync(directory)
      // The file that is made ahead of the next segment has no byte yet.
      .filter((name) => name.endsWith('.arrows') && statSync(join(directory, name)).size > 0)
      .map((name) => Number.parseInt(name, 10))
      .sort((a, b) => a - b)
  );
}

function recordedIn(directory: string): Deletion[] {
  const lines = readFileSync(join(directory, 'deletions.jsonl'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Deletion);
}

const KEEP_A_WEEK = { ageMaxMs: 7 * DAY_MS, bytesMax: null };

test('segments past their age go, the newest stays, and the index equals a rebuild', async (t) => {
  const directory = scratch(t);
  const clock = handClock();
  const log = await openLog({ directory, clock, limits: ONE_ENTRY_A_SEGMENT, retention: KEEP_A_WEEK });
  for (let day = 0; day < 10; day++) {
    await appendText(log, `day ${day}`);
    clock.pass(DAY_MS);
  }
  await log.sweep();
  assert.deepEqual(segmentNumbers(directory), [3, 4, 5, 6, 7, 8, 9]);
  const { firstOffset, segments, gaps, retention } = log.status();
  assert.deepEqual([firstOffset, segments, gaps, retention.deletedTo], [3n, 7, [], 3n]);
  assert.equal(retention.deleted.age.segments, 3);
  assert.equal(retention.deleted.age.entries, 3n);
  clock.pass(100 * DAY_MS);
  clock.pass(6 * 3_600_000);
  await log.sweep();
  await log.sweep();
  assert.deepEqual(segmentNumbers(directory), [9]);
  assert.equal(await appendText(log, 'next'), 10n);
  await log.close();
  assert.deepEqual(readIndex(directory), rebuildIndex(directory));
  assert.deepEqual(verifyLog(directory), []);
});

test('clock that jumps ten years ahead and back deletes nothing, three days back neither', async (t) => {
  const directory = scratch(t);
  const clock = handClock();
  const log = await openLog({ directory, clock, limits: ONE_ENTRY_A_SEGMENT, retention: KEEP_A_WEEK });
  for (const jump of [0, 3_650, -3_650, -3, 3]) {
    clock.jump(jump * DAY_MS);
    await appendText(log, `after ${jump}`);
    clock.pass(3_600_000);
    await log.sweep();
  }
  assert.equal(log.status().firstOffset, 0n);
  for (let day = 0; day < 10; day++) {
    clock.pass(DAY_MS);
    await log.sweep();
    await appendText(log, `day ${day}`);
  }
  await log.sweep();
  assert.deepEqual(segmentNumbers(directory)[0], 7, 'and they go when they are old');
  await log.close();
});

test('log stays below its bytes and one segment, and what is left decodes', async (t) => {
  const directory = scratch(t);
  const bytesMax = 60_000;
  const limits = { ...ONE_ENTRY_A_SEGMENT, segmentBytesMax: 1_000_000, frameBytesMax: 4_000, frameEntriesMax: 8 };
  const log = await openLog({ directory, limits, retention: { ageMaxMs: null, bytesMax } });
  let most = 0;
  log.onDurable(() => {
    most = Math.max(most, log.status().bytes);
  });
  const expected = await sendStreams(log, 120);
  await log.sweep();
  const { firstOffset, bytes, retention } = log.status();
  assert.ok(bytes <= bytesMax && most < bytesMax + 2 * (bytesMax / 8) + 4_000, `${bytes}, at most ${most}`);
  assert.ok(firstOffset > 0n && retention.deleted.bytes.segments > 0);
  await log.close();
  assert.deepEqual(decodedTexts(readAll(log, directory)), from(firstOffset, expected));
  assert.deepEqual(readIndex(directory), rebuildIndex(directory));
});

test('each deletion is recorded and logged, across restarts and without the index', async (t) => {
  const directory = scratch(t);
  const lines: string[] = [];
  const logger = createLogger({ format: 'text', level: 'info', write: (line) => lines.push(line) });
  const clock = handClock();
  const options = { directory, clock, logger, limits: ONE_ENTRY_A_SEGMENT };
  const log = await openLog({ ...options, retention: KEEP_A_WEEK });
  await appendTexts(log, 3);
  await log.sweep();
  clock.pass(8 * DAY_MS);
  await appendTexts(log, 2);
  await log.sweep();
  await log.close();
  const [deletion] = recordedIn(directory);
  assert.equal(deletion!.at, new Date(Number(clock.nowUnixNano() / 1_000_000n)).toISOString());
  const { from: first, to, entries, segments, reason, passed } = deletion!;
  assert.deepEqual([first, to, entries, segments, reason, passed], [0, 3, 3, 3, 'age', []]);
  assert.match(lines.join(''), /INFO {2}Deleted log segments from=0 to=3 entries=3 segments=3 bytes=\d+ reason="age"/);

  rmSync(join(directory, 'index.sqlite'));
  const again = await openLog(options);
  assert.deepEqual([again.status().firstOffset, again.status().retention.deletedTo], [3n, 3n]);
  await again.close();
  assert.equal(recordedIn(directory).length, 1);

  rmSync(join(directory, '00000000000000000003.arrows'));
  const third = await openLog(options);
  assert.deepEqual([third.status().firstOffset, third.status().gaps, third.status().quarantinedRanges], [4n, [], 0]);
  await third.close();
  const last = recordedIn(directory).at(-1)!;
  assert.deepEqual([last.from, last.to, last.reason], [3, 4, 'unrecorded']);
  assert.deepEqual(readIndex(directory), rebuildIndex(directory));
});

test('consumers are waited for, or passed over and told', async (t) => {
  const directory = scratch(t);
  const lines: string[] = [];
  const logger = createLogger({ format: 'text', level: 'warn', write: (line) => lines.push(line) });
  const clock = handClock();
  const retention = { ageMaxMs: 7 * DAY_MS, bytesMax: 1 };
  const log = await openLog({ directory, clock, logger, limits: ONE_ENTRY_A_SEGMENT, retention });
  const archive = log.hold('archive', { offset: 0n, policy: 'hold' });
  const tables = log.hold('tables', { offset: 2n, policy: 'drop' });
  await appendTexts(log, 6);
  clock.pass(8 * DAY_MS);
  await log.sweep();
  assert.equal(log.status().firstOffset, 0n, 'held in spite of age and bytes');
  archive.advance(3n);
  await log.sweep();
  assert.equal(log.status().firstOffset, 3n);
  assert.match(lines.join(''), /a consumer had not read consumers=\["tables"\]/);
  assert.equal(log.status().retention.holds[1]!.passedEntries, 1n);
  archive.release();
  tables.release();
  await log.sweep();
  assert.equal(log.status().firstOffset, 5n);
  await log.close();
  assert.ok(recordedIn(directory).some(({ passed }) => passed.includes('tables')));
});

test('reader below the log gets both bounds; one inside a deleted segment ends it first', async (t) => {
  const directory = scratch(t);
  const retention = { ageMaxMs: null, bytesMax: 1 };
  const log = await openLog({ directory, limits: ONE_ENTRY_A_SEGMENT, retention });
  const hold = log.hold('test', { offset: 0n, policy: 'hold' });
  await appendTexts(log, 6);
  const durable = durableOf(log.status());
  const reader = openLogReader({ directory, from: 0n, durable });
  const notBegun = openLogReader({ directory, from: 1n, durable });
  assert.deepEqual(
    reader.nextFrame()!.map(({ offset }) => offset),
    [0n],
  );
  assert.deepEqual(
    reader.nextFrame()!.map(({ offset }) => offset),
    [1n],
  );
  hold.advance(4n);
  await log.sweep();
  const range = (requested: string) => ({
    code: 'TREASURY_OFFSET_OUT_OF_RANGE',
    facts: { requested, firstOffset: '4', nextOffset: '6' },
  });
  assert.throws(() => reader.nextFrame(), range('2'));
  assert.throws(() => notBegun.nextFrame(), range('1'));
  assert.throws(() => openLogReader({ directory, from: 3n, durable }), range('3'));
  assert.deepEqual([reader.skipped, notBegun.skipped], [[], []]);
  reader.close();
  notBegun.close();
  const rest = drain(openLogReader({ directory, from: 4n, durable }));
  assert.deepEqual(
    rest.map(({ offset }) => offset),
    [4n, 5n],
  );
  await log.close();
});

test('damage and gaps go with their segments', async (t) => {
  const directory = scratch(t);
  const limits = { ...ONE_ENTRY_A_SEGMENT, segmentBytesMax: 4_000 };
  const log = await openLog({ directory, limits });
  await appendTexts(log, 12);
  await log.close();
  const [first, second] = segmentNumbers(directory).map((base) =>
    join(directory, `${String(base).padStart(20, '0')}.arrows`),
  );
  for (const path of [first!, second!]) {
    const bytes = readFileSync(path);
    // The first frame behind the header: what it holds is lost.
    bytes.fill(0xff, 1_500, 1_600);
    writeFileSync(path, bytes);
  }
  rmSync(join(directory, 'index.sqlite'));
  const bases = segmentNumbers(directory).map(BigInt);
  const again = await openLog({ directory, limits, retention: { ageMaxMs: null, bytesMax: 1 } });
  const hold = again.hold('test', { offset: bases[1]!, policy: 'hold' });
  assert.deepEqual([again.status().gaps.length, again.status().quarantinedRanges], [2, 2]);
  for (const [i, offset] of [bases[1]!, bases[2]!].entries()) {
    hold.advance(offset);
    await again.sweep();
    assert.equal(again.status().firstOffset, offset);
    assert.deepEqual([again.status().gaps.length, again.status().quarantinedRanges], [1 - i, 1 - i]);
  }
  await again.close();
  assert.deepEqual(readIndex(directory), rebuildIndex(directory));
});

test('record of deletions stays short, and a damaged one is set aside', async (t) => {
  const directory = scratch(t);
  realFileSystem.makeDirectory(join(directory, 'quarantine'));
  const options = { directory, fileSystem: realFileSystem, logger: silentLogger, logUuid: 'u' };
  const record = await openDeletionRecord(options);
  const deletion = (i: number): Deletion => ({
    at: 'now',
    log: 'u',
    from: i,
    to: i + 1,
    entries: 1,
    segments: 1,
    bytes: 2,
    reason: 'age',
    receivedUntil: null,
    passed: i === 3 ? ['a'] : [],
  });
  for (let i = 0; i < 25; i++) {
    await record.add(Array.from({ length: 100 }, (_, j) => deletion(i * 100 + j)));
  }
  const lines = recordedIn(directory);
  assert.ok(lines.length <= 1_000);
  assert.deepEqual([lines[0]!.reason, lines[0]!.from, lines[0]!.passed], ['several', 0, ['a']]);
  assert.equal(
    lines.reduce((sum, { entries }) => sum + entries!, 0),
    2_500,
  );
  lines.reduce((end, { from: first, to }) => {
    assert.equal(first, end);
    return to;
  }, 0);
  assert.equal((await openDeletionRecord(options)).deletedTo, 2_500n);
  assert.equal((await openDeletionRecord({ ...options, logUuid: 'other' })).deletedTo, null);

  writeFileSync(join(directory, 'deletions.jsonl'), '{"at":');
  assert.equal((await openDeletionRecord(options)).deletedTo, null);
  assert.match(readdirSync(join(directory, 'quarantine'))[0]!, /^deletions\.jsonl\.\d+$/);
});
