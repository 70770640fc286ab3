import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RecordBatchReader } from 'apache-arrow';
import { LogUnavailableError } from '../../src/base/index.ts';
import { ENTRY_KINDS, openLog, openLogReader, readEntry, verifyLog } from '../../src/log/index.ts';
import { scanSegment } from '../../src/log/segment-scan.ts';
import { decodeSegments, drain, readAll, record, scratch, SMALL_LIMITS, update } from './log-helpers.ts';
import { MemoryFileSystem } from './memory-file-system.ts';

test('openLog makes an empty log without a segment and opens it again', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  const { uuid, durableOffset, nextOffset, segments } = log.status();
  assert.deepEqual([durableOffset, nextOffset, segments], [0n, 0n, 0]);
  await log.close();
  const again = await openLog({ directory });
  assert.equal(again.status().uuid, uuid);
  await again.close();
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith('.arrows')),
    [],
  );
});

test('append settles with its offset and entries read back as they went in', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  const stream = log.openStream(2);
  const first = stream.append({
    batchId: 7n,
    record: record(['S0'], 'one'),
    stateUpdates: [update('S0')],
    headers: new Map([['a', 'b']]),
  });
  const second = log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('otlp')] });
  assert.equal((await first).offset, 1n);
  assert.equal((await second).offset, 2n);
  stream.close();
  await log.close();
  assert.deepEqual(
    readAll(log, directory).map((entry) => [entry.offset, entry.kind, entry.signal, entry.streamSeq]),
    [
      [0n, ENTRY_KINDS.STREAM_OPEN, 2, 0],
      [1n, ENTRY_KINDS.BAR, 2, 1],
      [2n, ENTRY_KINDS.OTLP, 1, 0],
      [3n, ENTRY_KINDS.STREAM_CLOSE, 2, 2],
    ],
  );
  const entry = readEntry(directory, 1n)!;
  assert.equal(Buffer.from(entry.record).toString(), '<S0>|one');
  assert.deepEqual(entry.headers, new Map([['a', 'b']]));
  assert.equal(entry.batchId, 7n);
  assert.deepEqual(verifyLog(directory), []);
  const [name] = readdirSync(directory).filter((file) => file.endsWith('.arrows'));
  const rows = [...RecordBatchReader.from(readFileSync(join(directory, name!)))].flatMap((batch) => batch.toArray());
  assert.equal(rows.length, 4);
});

test('stream state goes before the first record of a stream in a new segment, and after absorbed state', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory, limits: { segmentBytesMax: 1 } });
  const stream = log.openStream(1);
  const send = (updates: string[], body: string) =>
    stream.append({ batchId: 0n, record: record(updates, body), stateUpdates: updates.map(update) });
  await send(['S0', 'D1=x'], 'one');
  await send(['d1=y'], 'two');
  stream.absorb([update('d1=z')]);
  await send([], 'three');
  await log.close();
  assert.deepEqual(
    decodeSegments(readAll(log, directory)).map(({ state, body }) => [state, body]),
    [
      ['1:D1=x schema:S0', 'one'],
      ['1:D1=x,d1=y schema:S0', 'two'],
      ['1:D1=x,d1=y,d1=z schema:S0', 'three'],
    ],
  );
  assert.equal(log.status().segments, 3);
});

test('segments are not filled with the state of their streams alone', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory, limits: { segmentBytesMax: 20_000 } });
  const streams = Array.from({ length: 8 }, () => log.openStream(1));
  const state = { ...update('S0'), bytes: Buffer.alloc(5000) };
  for (const stream of streams) stream.absorb([state]);
  // Each round is some 8 kB of frames; the state of all streams is twice a segment.
  for (let round = 0; round < 10; round++) {
    for (const stream of streams) await stream.append({ batchId: 0n, record: record([], 'x') });
  }
  const { segments } = log.status();
  assert.ok(segments > 2 && segments < 8, `${segments} segments`);
  await log.close();
});

test('frame holds no more bytes and entries than its limits, and one entry of any size', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory, limits: { frameBytesMax: 100, frameEntriesMax: 4 } });
  // In one turn: what fits goes into one frame.
  const sizes = [40, 40, 40, 300, 1, 1, 1, 1, 1];
  await Promise.all(sizes.map((bytes) => log.appendOtlp(1, { batchId: 0n, record: [Buffer.alloc(bytes)] })));
  await log.close();
  const reader = openLogReader({ directory, from: 0n, durable: log.status() });
  const frames: number[][] = [];
  for (let frame = reader.nextFrame(); frame !== null; frame = reader.nextFrame()) {
    frames.push(frame.map((entry) => entry.record.length));
  }
  reader.close();
  assert.deepEqual(frames, [[40, 40], [40], [300], [1, 1, 1, 1], [1]]);
});

test('state larger than a frame is written with the record it precedes', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory, limits: { ...SMALL_LIMITS, segmentBytesMax: 1 } });
  const stream = log.openStream(1);
  const large = `D1=${'x'.repeat(5_000)}`;
  await stream.append({
    batchId: 0n,
    record: record(['S0', large], 'one'),
    stateUpdates: [update('S0'), update(large)],
  });
  await stream.append({ batchId: 1n, record: record([], 'two') });
  await log.close();
  assert.equal(decodeSegments(readAll(log, directory))[1]!.state, `1:${large} schema:S0`);
  assert.deepEqual(verifyLog(directory), []);
});

test('append beyond the bytes in flight is refused at once and the next one brings the state', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory, limits: { inFlightBytesMax: 20 } });
  const stream = log.openStream(1);
  const one = stream.append({ batchId: 0n, record: record(['S0'], 'one'), stateUpdates: [update('S0')] });
  await assert.rejects(
    stream.append({ batchId: 1n, record: record(['D1=x'], 'too much'), stateUpdates: [update('D1=x')] }),
    LogUnavailableError,
  );
  await one;
  await stream.append({ batchId: 2n, record: record([], 'three') });
  await log.close();
  assert.deepEqual(
    decodeSegments(readAll(log, directory)).map(({ state, body }) => [state, body]),
    [
      ['schema:S0', 'one'],
      ['1:D1=x schema:S0', 'three'],
    ],
  );
});

test('append that waits too long behind a slow disk is refused before it is written', async (t) => {
  const directory = scratch(t);
  const fileSystem = new MemoryFileSystem();
  const clock = manualClock();
  const log = await openLog({ directory, fileSystem, clock, limits: { appendWaitMaxMs: 20 } });
  const stream = log.openStream(1);
  const send = (body: string, updates: string[] = []) =>
    stream.append({ batchId: 0n, record: record(updates, body), stateUpdates: updates.map(update) });
  await send('one', ['S0']);
  let finish = () => {};
  const slow = new Promise<void>((resolve) => {
    finish = resolve;
  });
  fileSystem.hold = slow;
  const two = send('two', ['D1=x']);
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  const three = send('three', ['d1=y']);
  clock.pass(20);
  await assert.rejects(three, LogUnavailableError);
  fileSystem.hold = null;
  finish();
  await two;
  await send('four');
  await log.close();
  assert.deepEqual(
    decodeSegments(readAll(log, directory, fileSystem)).map(({ state, body }) => [state, body]),
    [
      ['schema:S0', 'one'],
      ['1:D1=x schema:S0', 'two'],
      ['1:D1=x,d1=y schema:S0', 'four'],
    ],
  );
});

test('segment is rotated at its age, but not while it is empty', async (t) => {
  const directory = scratch(t);
  const clock = manualClock();
  const log = await openLog({ directory, clock, limits: { segmentAgeMaxMs: 1_000 } });
  const send = () => log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('x')] });
  await send();
  clock.pass(999);
  await send();
  assert.equal(log.status().segments, 1);
  clock.pass(1);
  await send();
  assert.equal(log.status().segments, 2);
  await log.close();
});

test('offsets of a frame that could not be synced are given up, and shown as a gap', async (t) => {
  const directory = scratch(t);
  const fileSystem = new MemoryFileSystem();
  const log = await openLog({ directory, fileSystem });
  const send = (body: string) => log.appendOtlp(1, { batchId: 0n, record: [Buffer.from(body)] });
  await send('one');
  fileSystem.fault = (operation) => (operation === 'dataSync' ? 'fail' : 'none');
  await assert.rejects(send('two'), LogUnavailableError);
  fileSystem.fault = () => 'none';
  // Its bytes may be on the disk under offset 1: nothing else may ever be known by that name.
  assert.equal((await send('three')).offset, 2n);
  assert.deepEqual(log.status().gaps, [{ from: 1n, to: 2n }]);
  await log.close();
});

test('seal of a segment survives a power cut', async (t) => {
  const directory = scratch(t);
  const fileSystem = new MemoryFileSystem();
  const log = await openLog({ directory, fileSystem });
  await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('one')] });
  await log.close();
  const scan = scanSegment({
    directory,
    fileSystem: fileSystem.afterPowerCut(),
    baseOffset: 0n,
    limitOffset: null,
    records: true,
  });
  assert.deepEqual([scan.sealed, scan.endOffset], [true, 1n]);
});

test('append after a full disk is refused, then works again in the same process', async (t) => {
  const directory = scratch(t);
  const fileSystem = new MemoryFileSystem();
  const log = await openLog({ directory, fileSystem });
  const stream = log.openStream(1);
  const send = (body: string) => stream.append({ batchId: 0n, record: record([], body) });
  await send('one');
  fileSystem.fault = (operation) => (operation === 'write' ? 'short' : 'none');
  await assert.rejects(send('two'), LogUnavailableError);
  assert.match(log.status().refusing ?? '', /bytes were taken/);
  fileSystem.fault = () => 'none';
  await send('three');
  assert.equal(log.status().refusing, null);
  await log.close();
  assert.deepEqual(
    decodeSegments(readAll(log, directory, fileSystem)).map(({ body }) => body),
    ['one', 'three'],
  );
});

test('log finds out without traffic that its disk is well again', async (t) => {
  const directory = scratch(t);
  const fileSystem = new MemoryFileSystem();
  const log = await openLog({ directory, fileSystem, limits: { logProbeIntervalMs: 1 } });
  fileSystem.fault = (operation) => (operation === 'create' ? 'fail' : 'none');
  await assert.rejects(log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('x')] }), LogUnavailableError);
  assert.notEqual(log.status().refusing, null);
  fileSystem.fault = () => 'none';
  while (log.status().refusing !== null) await new Promise((resolve) => setTimeout(resolve, 1));
  await log.close();
});

test('trial of the disk that began before a refusal does not end it', async (t) => {
  const directory = scratch(t);
  const fileSystem = new MemoryFileSystem();
  const log = await openLog({ directory, fileSystem, limits: { logProbeIntervalMs: 1 } });
  const send = () => log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('x')] });
  fileSystem.fault = (operation) => (operation === 'create' ? 'fail' : 'none');
  await assert.rejects(send(), LogUnavailableError);
  let isTried = false;
  let release = () => {};
  fileSystem.hold = new Promise((resolve) => {
    release = resolve;
  });
  fileSystem.fault = (operation, path) => {
    isTried ||= operation === 'dataSync' || (operation === 'write' && path.endsWith('probe'));
    return 'none';
  };
  const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
  while (!isTried) await turn();
  fileSystem.fault = (operation) => (operation === 'create' ? 'fail' : 'none');
  await assert.rejects(send(), LogUnavailableError);
  let trials = 0;
  fileSystem.fault = (operation) => {
    if (operation === 'create') trials++;
    return operation === 'create' ? 'fail' : 'none';
  };
  fileSystem.hold = null;
  release();
  // The next trial, which fails, is the one that counts.
  while (trials === 0) {
    assert.notEqual(log.status().refusing, null);
    await turn();
  }
  assert.notEqual(log.status().refusing, null);
  fileSystem.fault = () => 'none';
  while (log.status().refusing !== null) await turn();
  await log.close();
});

test('reader follows the durable position into new segments', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory, limits: { segmentBytesMax: 1 } });
  const reader = openLogReader({ directory, from: 0n });
  log.onDurable((position) => reader.advance(position));
  assert.equal(reader.nextFrame(), null);
  for (let i = 0; i < 4; i++) {
    await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from(String(i))] });
    assert.equal(Buffer.from(reader.nextFrame()![0]!.record).toString(), String(i));
    assert.equal(reader.nextFrame(), null);
  }
  reader.close();
  await log.close();
  const late = openLogReader({ directory, from: 2n, durable: log.status() });
  assert.deepEqual(
    drain(late).map(({ offset }) => offset),
    [2n, 3n],
  );
  assert.throws(() => openLogReader({ directory, from: 9n, durable: log.status() }), {
    code: 'TREASURY_OFFSET_OUT_OF_RANGE',
  });
});

/** A clock that stands still until it is told otherwise. */
function manualClock() {
  let nowMs = 0;
  return {
    nowUnixNano: () => BigInt(nowMs) * 1_000_000n,
    monotonicMs: () => nowMs,
    pass(ms: number) {
      nowMs += ms;
    },
  };
}
