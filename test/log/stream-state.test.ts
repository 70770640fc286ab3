/** The STATE record of a stream, read back by a protobuf library: all that later batches need, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import type { StateUpdate } from '../../src/log/index.ts';
import { createStreamState } from '../../src/log/stream-state.ts';
import { BatchArrowRecordsSchema } from '../gen/opentelemetry/proto/experimental/arrow/v1/arrow_service_pb.js';

/** Lengths on both sides of where a protobuf length takes another byte. */
const SIZES = [1, 127, 128, 16_383, 16_384];

const updates: fc.Arbitrary<StateUpdate[]> = fc.array(
  fc.record({
    payloadType: fc.constantFrom(1, 30, 200),
    schemaId: fc.constantFrom('', 'a', 'ü'.repeat(100)),
    kind: fc.constantFrom('schema' as const, 'dictionary' as const, 'delta' as const, 'delta' as const),
    dictionaryId: fc.constantFrom(0n, 1n, -1n),
    bytes: fc.tuple(fc.constantFrom(...SIZES), fc.nat(255)).map(([size, byte]) => new Uint8Array(size).fill(byte)),
  }),
  { maxLength: 20 },
);

test('stream state counts and records the last schema, the last whole dictionaries and their deltas', () => {
  fc.assert(
    fc.property(updates, (all) => {
      const state = createStreamState();
      for (const update of all) state.apply(update);
      const expected = new Map(
        [...model(all)].map(([key, messages]) => [key, Buffer.concat(messages).toString('hex')]),
      );
      const bytes = [...expected.values()].reduce((sum, hex) => sum + hex.length / 2, 0);
      assert.equal(state.bytes, bytes);
      const record = state.record();
      if (record === null) return assert.equal(expected.size, 0);
      const message = Buffer.concat(record.parts);
      assert.equal(record.bytes, message.length);
      const { arrowPayloads } = fromBinary(BatchArrowRecordsSchema, message);
      const found = new Map(
        arrowPayloads.map((payload) => [
          `${payload.type}/${payload.schemaId}`,
          Buffer.from(payload.record).toString('hex'),
        ]),
      );
      assert.equal(arrowPayloads.length, expected.size);
      assert.deepEqual(found, expected);
    }),
  );
});

test('stream state without updates has no record', () => {
  assert.equal(createStreamState().record(), null);
});

/** Messages by payload type and schema id, in the order in which a decoder needs them. */
function model(all: readonly StateUpdate[]): Map<string, Uint8Array[]> {
  const pairs = new Map<string, { schema: Uint8Array[]; dictionaries: Map<bigint, Uint8Array[]> }>();
  for (const { payloadType, schemaId, kind, dictionaryId, bytes } of all) {
    const key = `${payloadType}/${schemaId}`;
    const pair = pairs.get(key) ?? { schema: [], dictionaries: new Map<bigint, Uint8Array[]>() };
    pairs.set(key, pair);
    if (kind === 'schema') pairs.set(key, { schema: [bytes], dictionaries: new Map() });
    else if (kind === 'delta' && pair.dictionaries.has(dictionaryId)) pair.dictionaries.get(dictionaryId)!.push(bytes);
    else pair.dictionaries.set(dictionaryId, [bytes]);
  }
  return new Map(
    [...pairs].map(([key, { schema, dictionaries }]) => [key, [...schema, ...[...dictionaries.values()].flat()]]),
  );
}
