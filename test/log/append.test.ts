/** What an append promises beyond its offset: whose memory it keeps, what it counts, what its entry says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogUnavailableError } from '../../src/base/index.ts';
import { ENTRY_FLAGS, ENTRY_KINDS, openLog } from '../../src/log/index.ts';
import { decodeSegments, readAll, record, scratch, update } from './log-helpers.ts';

test('append after close is refused', async (t) => {
  const log = await openLog({ directory: scratch(t) });
  const stream = log.openStream(1);
  const before = log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('before')] });
  const closed = log.close();
  await assert.rejects(log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('behind')] }), LogUnavailableError);
  await assert.rejects(stream.append({ batchId: 0n, record: record([], 'behind') }), LogUnavailableError);
  assert.equal((await before).offset, 0n);
  await closed;
  assert.equal(log.status().durableOffset, 1n);
});

test('append gives back its bytes in flight, durable or refused', async (t) => {
  const log = await openLog({ directory: scratch(t), limits: { inFlightBytesMax: 10 } });
  const send = (bytes: number) => log.appendOtlp(1, { batchId: 0n, record: [Buffer.alloc(bytes)] });
  for (let i = 0; i < 3; i++) {
    const first = send(6);
    assert.equal(log.status().inFlightBytes, 6);
    await assert.rejects(send(6), LogUnavailableError);
    await first;
    assert.equal(log.status().inFlightBytes, 0);
  }
  assert.equal(log.status().appendFailures, 3);
  await log.close();
});

test('append keeps no view of the message: its memory may be used again', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory, limits: { segmentBytesMax: 1 } });
  const stream = log.openStream(1);
  const message = Buffer.from('<S0><D1=x>|one');
  const messageUpdate = (text: string) => ({
    ...update(text),
    bytes: message.subarray(message.indexOf(`<${text}>`), message.indexOf(`<${text}>`) + text.length + 2),
  });
  await stream.append({
    batchId: 0n,
    record: [message],
    stateUpdates: [messageUpdate('S0'), messageUpdate('D1=x')],
  });
  message.fill(0);
  await stream.append({ batchId: 1n, record: record([], 'two') });
  await log.close();
  assert.deepEqual(
    decodeSegments(readAll(log, directory)).map(({ state, body }) => [state, body]),
    [
      ['1:D1=x schema:S0', 'one'],
      ['1:D1=x schema:S0', 'two'],
    ],
  );
});

test('append flags its entry with what it changes in its stream, beside the flags it is given', async (t) => {
  const directory = scratch(t);
  const log = await openLog({ directory });
  const stream = log.openStream(1);
  const { HAS_SCHEMA, HAS_DICTIONARY, HEADERS_CUT } = ENTRY_FLAGS;
  const cases: readonly (readonly [readonly string[], number, number])[] = [
    [['S0', 'D1=x'], 0, HAS_SCHEMA | HAS_DICTIONARY],
    [['d1=y'], 0, HAS_DICTIONARY],
    [[], HEADERS_CUT, HEADERS_CUT],
    [[], 0, 0],
  ];
  for (const [updates, flags] of cases) {
    await stream.append({ batchId: 0n, record: record(updates, 'x'), stateUpdates: updates.map(update), flags });
  }
  await log.close();
  assert.deepEqual(
    readAll(log, directory)
      .filter(({ kind }) => kind === ENTRY_KINDS.BAR)
      .map(({ flags }) => flags),
    cases.map(([, , expected]) => expected),
  );
});
