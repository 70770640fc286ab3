/**
 * Goal: what a pull gives from any offset decodes alone, holds every entry from there on once and verbatim, and tells what is missing.
 * Method: logs of toy streams (their records list the state that they change) over several segments; every offset, piece size and cut.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { RecordBatchReader } from 'apache-arrow';
import fc from 'fast-check';
import { OffsetOutOfRangeError, TreasuryError } from '../../src/base/index.ts';
import {
  createEntryStreamReader,
  ENTRY_FLAGS,
  ENTRY_KINDS,
  type EntryPullOptions,
  type EntryStreamReader,
  type Log,
  type LogEntry,
  openEntryPull,
  openLog,
} from '../../src/log/index.ts';
import { segmentPath } from '../../src/log/layout.ts';
import { pythonMissing, runPythonJson } from '../helpers/python.ts';
import { applyMessages, messagesOf, readAll, record, scratch, SMALL_LIMITS, stateText, update } from './log-helpers.ts';

const STREAMS = 3;

/** Writes rounds of entries from streams whose dictionaries grow; some streams end and begin anew on the way. */
async function writeLog(directory: string, rounds: number): Promise<Log> {
  const log = await openLog({ directory, limits: SMALL_LIMITS });
  const streams = Array.from({ length: STREAMS }, () => log.openStream(1));
  const isBegun = streams.map(() => false);
  for (let i = 0; i < rounds; i++) {
    const appends: Promise<unknown>[] = [];
    streams.forEach((stream, at) => {
      const updates = [
        ...(isBegun[at] === true ? [] : ['S0', 'D1=a']),
        ...((i + at) % 3 === 0 ? [`d1=${i}`] : []),
        ...((i + at) % 7 === 0 ? [`D2=${i}`] : []),
      ];
      isBegun[at] = true;
      const flags = updates.length > 0 ? ENTRY_FLAGS.HAS_DICTIONARY | ENTRY_FLAGS.HAS_SCHEMA : 0;
      appends.push(
        stream.append({
          batchId: BigInt(i),
          record: record(updates, `${i}/${at}`),
          flags,
          stateUpdates: updates.map(update),
          headers: new Map([['round', String(i)]]),
        }),
      );
    });
    appends.push(log.appendOtlp(2, { batchId: 0n, record: [Buffer.from(`|otlp ${i}`)] }));
    await Promise.all(appends);
    if (i % 11 === 10) {
      streams[i % STREAMS]!.close();
      streams[i % STREAMS] = log.openStream(1);
      isBegun[i % STREAMS] = false;
    }
  }
  return log;
}

function pullOptions(log: Log, directory: string, from: bigint): EntryPullOptions {
  const { durableOffset, segment, segmentBytes, uuid } = log.status();
  const durable = { durableOffset, segment, segmentBytes };
  return { directory, logUuid: uuid, from, limit: null, signal: null, durable };
}

function pull(options: EntryPullOptions): Buffer {
  const walk = openEntryPull(options);
  const parts = [walk.head()];
  for (let step = walk.next(); step !== null; step = walk.next()) parts.push(...step.parts);
  parts.push(...walk.tail());
  walk.close();
  return Buffer.concat(parts);
}

function read(bytes: Buffer, pieceBytes = bytes.length): { entries: LogEntry[]; reader: EntryStreamReader } {
  const reader = createEntryStreamReader();
  const entries: LogEntry[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes)
    entries.push(...reader.push(bytes.subarray(at, at + pieceBytes)));
  return { entries, reader };
}

/** Offset, state and body of the BARs from an offset on, decoded from these entries alone. */
function decoded(entries: readonly LogEntry[], from: bigint): string[] {
  const states = new Map<bigint, Map<string, string[]>>();
  const rows: string[] = [];
  for (const { streamId, kind, record: bytes, offset } of entries) {
    const state = states.get(streamId) ?? new Map<string, string[]>();
    states.set(streamId, state);
    if (kind === ENTRY_KINDS.STATE) state.clear();
    if (kind !== ENTRY_KINDS.BAR && kind !== ENTRY_KINDS.STATE) continue;
    applyMessages(state, messagesOf(bytes));
    if (kind === ENTRY_KINDS.BAR && offset >= from) {
      rows.push(`${offset} ${stateText(state)} ${Buffer.from(bytes).toString('latin1')}`);
    }
  }
  return rows;
}

/** With a copy of the record: equality is of bytes then. */
const asStored = (entry: LogEntry) => ({ ...entry, record: Buffer.from(entry.record) });

test('entry stream from every offset of a log of several segments decodes alone to the same rows', async (t) => {
  const directory = scratch(t);
  const log = await writeLog(directory, 60);
  t.after(() => log.close());
  const all = readAll(log, directory);
  assert.ok(log.status().segments > 3, 'the log has several segments');
  const { durableOffset } = log.status();
  for (let from = 0n; from <= durableOffset; from++) {
    const { entries, reader } = read(pull(pullOptions(log, directory, from)));
    assert.ok(reader.isEnded);
    assert.equal(reader.nextOffset, durableOffset);
    assert.equal(reader.logUuid, log.status().uuid);
    assert.deepEqual(decoded(entries, from), decoded(all, from), `from ${from}`);
    assert.deepEqual(
      entries.filter(({ offset }) => offset >= from).map(asStored),
      all.filter(({ offset }) => offset >= from).map(asStored),
    );
  }
});

test('entry stream resumes without gap or repeat wherever it was limited, whatever the signal', async (t) => {
  const directory = scratch(t);
  const log = await writeLog(directory, 40);
  t.after(() => log.close());
  const all = readAll(log, directory);
  const { durableOffset } = log.status();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(null, 1, 2),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 3_000 }),
      async (signal, limits, pieceBytes) => {
        const got: LogEntry[] = [];
        let from = 0n;
        for (let i = 0; from < durableOffset; i++) {
          const limit = limits[i % limits.length]!;
          const options = { ...pullOptions(log, directory, from), limit: BigInt(limit), signal };
          const { entries, reader } = read(pull(options), pieceBytes);
          const fresh = entries.filter(({ offset }) => offset >= from);
          assert.ok(fresh.length <= limit);
          assert.deepEqual(
            decoded(entries, from),
            decoded(all, from)
              .slice(0, decoded(entries, from).length)
              .filter(() => signal !== 2),
          );
          got.push(...fresh);
          assert.ok(reader.nextOffset! > from || reader.nextOffset === durableOffset);
          from = reader.nextOffset!;
        }
        assert.deepEqual(
          got.map(({ offset }) => offset),
          all.filter((entry) => signal === null || entry.signal === signal).map(({ offset }) => offset),
        );
      },
    ),
    { numRuns: 15 },
  );
});

test('entry stream follows: what becomes durable later comes without gap or repeat', async (t) => {
  const directory = scratch(t);
  const log = await writeLog(directory, 5);
  t.after(() => log.close());
  const walk = openEntryPull(pullOptions(log, directory, 3n));
  t.after(() => walk.close());
  const reader = createEntryStreamReader();
  const offsets: bigint[] = [];
  reader.push(walk.head());
  for (let round = 0; round < 50; round++) {
    for (let step = walk.next(); step !== null; step = walk.next()) {
      for (const part of step.parts) for (const entry of reader.push(part)) offsets.push(entry.offset);
    }
    await log.appendOtlp(1, { batchId: 0n, record: [Buffer.alloc(500)] });
    walk.advance(pullOptions(log, directory, 0n).durable);
  }
  const live = offsets.filter((offset) => offset >= 3n);
  assert.deepEqual(
    live,
    Array.from({ length: live.length }, (_, i) => BigInt(i) + 3n),
  );
  assert.equal(live.at(-1), log.status().durableOffset - 2n);
});

test('entry stream tells gaps that damage left, and marks what depends on lost entries', async (t) => {
  const directory = scratch(t);
  const log = await writeLog(directory, 40);
  t.after(() => log.close());
  const all = readAll(log, directory);
  const victim = all.find(({ kind, offset, flags }) => kind === ENTRY_KINDS.BAR && offset > 5n && flags !== 0)!;
  const path = segmentPath(directory, victim.segment);
  const bytes = readFileSync(path);
  bytes[bytes.indexOf(Buffer.from(victim.record))]! ^= 1;
  writeFileSync(path, bytes);
  for (const from of [0n, victim.offset, victim.offset + 1n]) {
    const { entries, reader } = read(pull(pullOptions(log, directory, from)));
    const isBelow = from > victim.offset;
    assert.deepEqual(
      reader.gaps,
      isBelow ? [] : [{ from: victim.offset, to: victim.offset + 1n, reason: 'record does not match its CRC' }],
    );
    const seen = new Set(entries.map(({ offset }) => offset));
    assert.deepEqual(
      all.filter(({ offset }) => offset >= from && !seen.has(offset)).map(({ offset }) => offset),
      isBelow ? [] : [victim.offset],
    );
    const marked = entries.filter(({ flags }) => (flags & ENTRY_FLAGS.UNDECODABLE) !== 0);
    assert.ok(marked.length > 0);
    assert.ok(marked.every(({ streamId, segment }) => streamId === victim.streamId && segment === victim.segment));
  }
});

test('entry stream that a limit cuts before damage goes on where it was cut', async (t) => {
  const directory = scratch(t);
  const log = await writeLog(directory, 20);
  t.after(() => log.close());
  const all = readAll(log, directory);
  // The last of the four that a round appends to one frame.
  const victim = all.find(({ kind, offset }) => kind === ENTRY_KINDS.OTLP && offset > 5n)!;
  const path = segmentPath(directory, victim.segment);
  const bytes = readFileSync(path);
  bytes[bytes.indexOf(Buffer.from(victim.record))]! ^= 1;
  writeFileSync(path, bytes);
  const got: bigint[] = [];
  const gaps: unknown[] = [];
  for (let from = victim.offset - 3n; from < victim.offset + 2n; ) {
    const { entries, reader } = read(pull({ ...pullOptions(log, directory, from), limit: 1n }));
    got.push(...entries.map(({ offset }) => offset).filter((offset) => offset >= from));
    gaps.push(...reader.gaps);
    from = reader.nextOffset!;
  }
  const around = [-3n, -2n, -1n, 1n].map((at) => victim.offset + at);
  assert.deepEqual(got, around);
  assert.deepEqual(gaps, [{ from: victim.offset, to: victim.offset + 1n, reason: 'record does not match its CRC' }]);
});

test('entry stream of one signal tells how far it is where only others come', async (t) => {
  const directory = scratch(t);
  const log = await writeLog(directory, 30);
  t.after(() => log.close());
  const walk = openEntryPull({ ...pullOptions(log, directory, 3n), signal: 3 });
  t.after(() => walk.close());
  const reader = createEntryStreamReader();
  reader.push(walk.head());
  const takeAll = () => {
    for (let step = walk.next(); step !== null; step = walk.next()) {
      for (const part of step.parts) assert.deepEqual(reader.push(part), []);
    }
  };
  takeAll();
  assert.equal(reader.isEnded, false);
  assert.equal(reader.nextOffset, log.status().durableOffset);
  await log.appendOtlp(2, { batchId: 0n, record: [Buffer.from('|otlp')] });
  const { durableOffset, segment, segmentBytes } = log.status();
  walk.advance({ durableOffset, segment, segmentBytes });
  takeAll();
  assert.equal(reader.nextOffset, durableOffset);
});

test('entry stream that was cut anywhere is not ended, and damage on the way is told with its place', async (t) => {
  const directory = scratch(t);
  const log = await writeLog(directory, 6);
  t.after(() => log.close());
  const bytes = pull(pullOptions(log, directory, 2n));
  for (let end = 0; end < bytes.length; end += 61)
    assert.equal(read(bytes.subarray(0, end), 977).reader.isEnded, false);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(7), (at, bit) => {
      const broken = Buffer.from(bytes);
      broken[at]! ^= 1 << bit;
      try {
        const { entries, reader } = read(broken);
        // Only numbers in a note have no check sum: entries are as they were or not there.
        const good = read(bytes).entries;
        assert.ok(!reader.isEnded || entries.length === good.length);
      } catch (error) {
        assert.ok(error instanceof TreasuryError);
        assert.equal(error.code, 'TREASURY_LOG_CORRUPT');
        assert.equal(typeof error.facts['position'], 'number');
      }
    }),
    { numRuns: 300 },
  );
});

test('entry stream of an offset that the log does not hold is refused with both bounds', async (t) => {
  const directory = scratch(t);
  const log = await writeLog(directory, 3);
  t.after(() => log.close());
  const { durableOffset } = log.status();
  assert.throws(
    () => openEntryPull(pullOptions(log, directory, durableOffset + 1n)),
    (error) =>
      error instanceof OffsetOutOfRangeError &&
      error.facts['firstOffset'] === '0' &&
      error.facts['nextOffset'] === String(durableOffset),
  );
});

test('apache-arrow reads an entry stream as it comes', async (t) => {
  const directory = scratch(t);
  const log = await writeLog(directory, 40);
  t.after(() => log.close());
  const bytes = pull(pullOptions(log, directory, 17n));
  const offsets: bigint[] = [];
  for (const batch of RecordBatchReader.from(bytes)) {
    offsets.push(...(batch.getChild('offset')?.toArray() as BigUint64Array));
  }
  assert.deepEqual(
    offsets,
    read(bytes).entries.map(({ offset }) => offset),
  );
});

test('pyarrow reads an entry stream as it comes', { skip: pythonMissing('pyarrow') }, async (t) => {
  const directory = scratch(t);
  const log = await writeLog(directory, 40);
  t.after(() => log.close());
  const bytes = pull(pullOptions(log, directory, 17n));
  const table = await runPythonJson<{ offsets: string[]; records: string[]; notes: number }>(
    `
import base64, json, sys, pyarrow.ipc as ipc
reader = ipc.open_stream(sys.stdin.buffer)
offsets, records, notes = [], [], 0
while True:
    try: batch, metadata = reader.read_next_batch_with_custom_metadata()
    except StopIteration: break
    batch.validate(full=True)
    if batch.num_rows == 0: notes += b'segment' in metadata[b'treasury.note']
    offsets += [str(o) for o in batch.column('offset').to_pylist()]
    records += [base64.b64encode(r).decode() for r in batch.column('record').to_pylist()]
print(json.dumps(dict(offsets=offsets, records=records, notes=notes)))`,
    { input: bytes },
  );
  const { entries } = read(bytes);
  assert.deepEqual(
    table.offsets,
    entries.map(({ offset }) => String(offset)),
  );
  assert.deepEqual(
    table.records,
    entries.map((entry) => Buffer.from(entry.record).toString('base64')),
  );
  assert.ok(table.notes > 1);
});
