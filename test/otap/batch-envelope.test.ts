import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { BatchMalformedError, LIMITS } from '../../src/base/index.ts';
import { scanBatchEnvelope } from '../../src/otap/batch-envelope.ts';
import {
  type ArrowPayloadType,
  BatchArrowRecordsSchema,
} from '../gen/opentelemetry/proto/experimental/arrow/v1/arrow_service_pb.js';

test('scanBatchEnvelope finds what an independent encoder wrote', () => {
  const payload = fc.record(
    {
      schemaId: fc.oneof(
        fc.nat(20_000).map(String),
        fc.string({ unit: 'grapheme', maxLength: 40 }),
        fc.constant('007'),
      ),
      // Numbers that no type has must come through as well.
      type: fc.constantFrom<ArrowPayloadType[]>(0, 1, 30, 45, 1000 as ArrowPayloadType, -7 as ArrowPayloadType),
      record: fc.uint8Array({ maxLength: 300 }),
    },
    { noNullPrototype: true },
  );
  const batch = fc.record(
    {
      batchId: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      arrowPayloads: fc.array(payload, { maxLength: 8 }),
      headers: fc.uint8Array({ maxLength: 50 }),
    },
    { noNullPrototype: true },
  );
  const property = fc.property(batch, (expected) => {
    const bytes = toBinary(BatchArrowRecordsSchema, create(BatchArrowRecordsSchema, expected));
    const envelope = scanBatchEnvelope(bytes);
    assert.equal(envelope.batchId, expected.batchId);
    assert.deepEqual(
      envelope.payloads.map(({ schemaId, type, start, end }) => ({ schemaId, type, record: bytes.slice(start, end) })),
      expected.arrowPayloads,
    );
    assert.equal(envelope.headers.length, expected.headers.length === 0 ? 0 : 1);
    for (const { start, end, fieldStart } of envelope.headers) {
      assert.deepEqual(bytes.slice(start, end), expected.headers);
      const cut = Buffer.concat([bytes.subarray(0, fieldStart), bytes.subarray(end)]);
      const bare = create(BatchArrowRecordsSchema, { ...expected, headers: new Uint8Array() });
      assert.deepEqual(cut, Buffer.from(toBinary(BatchArrowRecordsSchema, bare)));
    }
  });
  fc.assert(property, { numRuns: 300 });
});

test('scanBatchEnvelope skips unknown fields and takes the last of repeated scalars', () => {
  const payload = new BinaryWriter().tag(9, 2).string('later').tag(1, 2).string('1').tag(1, 2).string('2').finish();
  const bytes = new BinaryWriter()
    .tag(1, 0)
    .int64(4n)
    .tag(100, 5)
    .fixed32(1)
    .tag(2, 2)
    .bytes(payload)
    .tag(101, 1)
    .fixed64(1n)
    .tag(1, 0)
    .int64(5n)
    .finish();
  const envelope = scanBatchEnvelope(bytes);
  assert.equal(envelope.batchId, 5n);
  assert.equal(envelope.payloads.length, 1);
  const [{ schemaId, type, start, end }] = envelope.payloads as [(typeof envelope.payloads)[0]];
  assert.deepEqual({ schemaId, type, length: end - start }, { schemaId: '2', type: 0, length: 0 });
});

test('scanBatchEnvelope reports every occurrence of headers', () => {
  const bytes = new BinaryWriter()
    .tag(3, 2)
    .bytes(Uint8Array.of(1, 2))
    .tag(1, 0)
    .int64(1n)
    .tag(3, 2)
    .bytes(Uint8Array.of(3))
    .finish();
  assert.deepEqual(scanBatchEnvelope(bytes).headers, [
    { fieldStart: 0, start: 2, end: 4 },
    { fieldStart: 6, start: 8, end: 9 },
  ]);
});

test('scanBatchEnvelope of no bytes is an empty batch', () => {
  assert.deepEqual(scanBatchEnvelope(new Uint8Array()), { batchId: 0n, payloads: [], headers: [] });
});

test('scanBatchEnvelope names field and position of what is malformed', () => {
  const payload = (bytes: Uint8Array): Uint8Array => new BinaryWriter().tag(2, 2).bytes(bytes).finish();
  const cases: [Uint8Array, string, number][] = [
    [new BinaryWriter().tag(1, 2).bytes(Uint8Array.of(1)).finish(), 'batch_id', 1],
    [new BinaryWriter().tag(2, 0).int32(1).finish(), 'arrow_payloads', 1],
    [new BinaryWriter().tag(3, 5).fixed32(1).finish(), 'headers', 1],
    [Uint8Array.of(0x12, 0x7f, 0), 'arrow_payloads', 2],
    [Uint8Array.of(0x1a, 0x02, 0), 'headers', 2],
    [Uint8Array.of(0x08, ...Array(10).fill(0xff), 1), 'batch_id', 11],
    [payload(Uint8Array.of(0x1a, 0x05, 0)), 'record', 4],
    [payload(Uint8Array.of(0x12, 0x01, 0)), 'type', 3],
    [payload(Uint8Array.of(0x0a, 0x02, 0xff, 0xfe)), 'schema_id', 4],
    [payload(new BinaryWriter().tag(1, 2).bytes(new Uint8Array(257)).finish()), 'schema_id', 6],
  ];
  for (const [bytes, field, position] of cases) {
    assert.throws(
      () => scanBatchEnvelope(bytes),
      (error: unknown) => {
        assert.ok(error instanceof BatchMalformedError);
        assert.deepEqual(error.facts, { field, position }, error.message);
        return true;
      },
    );
  }
});

test('scanBatchEnvelope bounds the number of payloads', () => {
  const payloads = (count: number): Uint8Array => Uint8Array.from(Array(count).fill([0x12, 0]).flat());
  assert.equal(scanBatchEnvelope(payloads(LIMITS.batchPayloadsMax)).payloads.length, LIMITS.batchPayloadsMax);
  assert.throws(() => scanBatchEnvelope(payloads(LIMITS.batchPayloadsMax + 1)), /there are more than 32/);
});

test('scanBatchEnvelope keeps apart schema ids that a lossy decoding would merge', () => {
  const idOf = (text: string): string => {
    const record = create(BatchArrowRecordsSchema, { arrowPayloads: [{ schemaId: text }] });
    return scanBatchEnvelope(toBinary(BatchArrowRecordsSchema, record)).payloads[0]!.schemaId;
  };
  for (const text of ['', '0', '00', '01', '9999', '10000', '1a', 'é', '\u{1f600}', '\u{fffd}'])
    assert.equal(idOf(text), text);
});
