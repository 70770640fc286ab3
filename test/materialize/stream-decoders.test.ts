import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENTRY_KINDS, type LogEntry } from '../../src/log/index.ts';
import { createStreamDecoders } from '../../src/materialize/stream-decoders.ts';
import { type SmallEntry, smallDecoder, smallEntries } from '../helpers/small-engine.ts';

function makeDecoders(entries: readonly LogEntry[], limits: { statesBytesMax?: number; streamsMax?: number }) {
  const reads: bigint[] = [];
  const decoders = createStreamDecoders({
    createDecoder: smallDecoder,
    readSegment(segment, end) {
      reads.push(end);
      return entries.filter((entry) => entry.segment === segment && entry.offset < end);
    },
    ...limits,
  });
  return { decoders, reads };
}

const valueOf = (batch: unknown) => (batch as { value: string }).value;

test('stream decoders read a forgotten stream again from its segment', () => {
  const list: SmallEntry[] = [];
  for (let stream = 1n; stream <= 4n; stream++) list.push({ stream, record: { set: { a: `first of ${stream}` } } });
  list.push({ stream: 1n, record: 'bad' }, { stream: 1n, record: { set: { a: 'second of 1' } } });
  for (let stream = 1n; stream <= 4n; stream++) list.push({ stream, record: { use: 'a' } });
  const entries = smallEntries(list);
  for (const limits of [{ streamsMax: 1 }, { streamsMax: 2 }, { statesBytesMax: 20 }]) {
    const { decoders, reads } = makeDecoders(entries, limits);
    const values = entries.map((entry) => {
      try {
        return valueOf(decoders.decode(entry, 'logs'));
      } catch (error) {
        return String(error);
      }
    });
    assert.deepEqual(values.slice(-4), ['second of 1', 'first of 2', 'first of 3', 'first of 4']);
    assert.ok(reads.length > 0);
    assert.ok(decoders.streams <= 2);
  }
});

test('stream decoders forget everything where a segment begins and a stream when it ends', () => {
  const entries = smallEntries([
    { record: { set: { a: 'x' } } },
    { segment: 1n, record: { use: 'a' } },
    { segment: 1n, kind: ENTRY_KINDS.STATE, record: { set: { a: 'y' } } },
    { segment: 1n, record: { use: 'a' } },
  ]);
  const { decoders } = makeDecoders(entries, {});
  decoders.applyState(entries[0]!, 'logs');
  assert.equal(decoders.stateBytes, 1);
  assert.throws(() => decoders.decode(entries[1]!, 'logs'), /Unknown name/);
  assert.equal(decoders.stateBytes, 0);
  decoders.restoreState(entries[2]!, 'logs');
  assert.equal(valueOf(decoders.decode(entries[3]!, 'logs')), 'y');
  decoders.drop(1n);
  assert.deepEqual([decoders.stateBytes, decoders.streams], [0, 0]);
});
