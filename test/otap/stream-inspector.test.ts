import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { makeData, Null } from 'apache-arrow';
import { BatchMalformedError, BatchTooLargeError, LIMITS, type Signal } from '../../src/base/index.ts';
import { fieldPosition } from '../../src/otap/flatbuffer-reader.ts';
import { walkIpcMessages } from '../../src/otap/ipc-messages.ts';
import { PAYLOAD_TYPES } from '../../src/otap/payload-types.ts';
import { createStreamInspector } from '../../src/otap/stream-inspector.ts';
import type { InspectedBatch } from '../../src/otap/stream-types.ts';
import {
  type ArrowPayload,
  type BatchArrowRecords,
  BatchArrowRecordsSchema,
} from '../gen/opentelemetry/proto/experimental/arrow/v1/arrow_service_pb.js';
import { batchOfData, splitAtBatches, streamOf } from '../helpers/arrow-streams.ts';
import { captureNames, readArrowStreams, sharedCapturesMissing } from '../helpers/captures.ts';
import { encodeBatch } from '../helpers/otap-messages.ts';

test('createStreamInspector accepts every captured message of the repository and stores it as it came', () => {
  assert.ok(inspectCaptures(captureNames({ shared: false })) >= 50);
});

test('createStreamInspector accepts every captured message of the shared collection', {
  skip: sharedCapturesMissing(),
}, () => {
  // Bodies of wire-1 are compressed: the receiver's business.
  const names = captureNames({ shared: true }).filter((name) => name !== 'wire-1');
  assert.ok(inspectCaptures(names) >= 900);
});

test('createStreamInspector points out the state of a batch, verbatim and in order', () => {
  const [first, second] = logs();
  const inspector = createStreamInspector('logs');
  for (const message of [first, second]) {
    const batch = parse(message);
    const expected = batch.arrowPayloads.flatMap((payload) =>
      walkIpcMessages(payload.record, 0, payload.record.length)
        .filter((ipc) => ipc.kind !== 'recordBatch')
        .map((ipc) => ({
          payloadType: Number(payload.type),
          schemaId: payload.schemaId,
          kind: ipc.isDelta ? 'delta' : ipc.kind,
          dictionaryId: ipc.dictionaryId,
          bytes: Buffer.from(payload.record.subarray(ipc.start, ipc.end)),
        })),
    );
    const inspected = inspector.inspect(message);
    assert.deepEqual(
      inspected.stateMessages.map((state) => ({ ...state, bytes: Buffer.from(state.bytes) })),
      expected,
    );
    for (const { bytes } of inspected.stateMessages) assert.equal(bytes.buffer, message.buffer, 'a view');
    assert.equal(inspected.batchId, batch.batchId);
    const root = batch.arrowPayloads[0]!.record;
    assert.equal(inspected.rootRows, walkIpcMessages(root, 0, root.length).at(-1)!.rowCount);
  }
});

test('createStreamInspector takes payloads in any order', () => {
  const inspector = createStreamInspector('logs');
  let rootRows: number[] = [];
  for (const message of logs()) {
    const batch = parse(message);
    batch.arrowPayloads.reverse();
    rootRows = [...rootRows, inspector.inspect(serialize(batch)).rootRows];
  }
  const inOrder = createStreamInspector('logs');
  assert.deepEqual(
    rootRows,
    logs().map((message) => inOrder.inspect(message).rootRows),
  );
});

test('createStreamInspector refuses payloads that are not of its signal, twice there, or without a root', () => {
  refuses('traces', [logs()[0]], /Cannot inspect payload LOGS: a batch of traces has no payload of this type/);
  refuses(
    'logs',
    [change(logs()[0], (batch) => batch.arrowPayloads.push(batch.arrowPayloads[0]!))],
    /payload of this type already/,
  );
  refuses('logs', [change(logs()[0], (batch) => batch.arrowPayloads.shift())], /it has no payload LOGS/);
  refuses('logs', [new Uint8Array()], /it has no payload LOGS/);
  refuses(
    'logs',
    [change(logs()[0], (batch) => setType(batch.arrowPayloads[0]!, 99))],
    /Cannot inspect payload of type 99/,
  );
  refuses(
    'metrics',
    [change(logs()[0], (batch) => setType(batch.arrowPayloads[0]!, PAYLOAD_TYPES.MULTIVARIATE_METRICS))],
    /MULTIVARIATE/,
  );
});

test('createStreamInspector refuses payloads without exactly one record batch at the end', () => {
  const parts = split(logs()[0]);
  const cases: [Uint8Array[], RegExp][] = [
    [[], /its last message is not a record batch/],
    [[parts.schema], /its last message is not a record batch/],
    [[parts.schema, ...parts.dictionaries], /its last message is not a record batch/],
    [[parts.schema, ...parts.dictionaries, parts.recordBatch, parts.recordBatch], /messages follow its record batch/],
    [[parts.schema, parts.recordBatch, ...parts.dictionaries], /its last message is not a record batch/],
    [[parts.schema, ...parts.dictionaries, parts.schema, parts.recordBatch], /a schema does not come first/],
  ];
  for (const [messages, reason] of cases) refuses('logs', [withRoot(messages)], reason);
});

test('createStreamInspector refuses state that the stream does not have', () => {
  const [first, second] = logs();
  refuses('logs', [second], /its schema id "\d+" is new and it has no schema/);
  refuses(
    'logs',
    [first, change(second, (batch) => (batch.arrowPayloads[0]!.schemaId = 'new'))],
    /its schema id "new" is new/,
  );
  const { schema, dictionaries, recordBatch } = split(first);
  refuses(
    'logs',
    [withRoot([schema, withDictionaryId(dictionaries, 77n), recordBatch])],
    /dictionary 77 is not in its schema/,
  );
  refuses('logs', [withRoot([schema, delta(), recordBatch])], /dictionary \d+ is extended before it was sent/);
});

test('createStreamInspector keeps state by payload type and schema id', () => {
  const inspector = createStreamInspector('logs');
  const [first, second] = logs();
  // All payloads under one id, as a producer may do whose counters are by type.
  const oneId = (message: Uint8Array): Uint8Array =>
    change(message, (batch) => {
      for (const payload of batch.arrowPayloads) payload.schemaId = '0';
    });
  inspector.inspect(oneId(first));
  inspector.inspect(oneId(second));
});

test('createStreamInspector starts a schema anew when it comes again, dictionaries included', () => {
  const [first] = logs();
  const { schema, recordBatch } = split(first);
  createStreamInspector('logs').inspect(first);
  refuses('logs', [first, withRoot([schema, delta(), recordBatch])], /is extended before it was sent/);
});

test('createStreamInspector forgets the oldest schemas above its limit', () => {
  const inspector = createStreamInspector('logs');
  const { schema, dictionaries, recordBatch } = split(logs()[0]);
  const withId = (id: number, messages: Uint8Array[]): Uint8Array =>
    change(withRoot(messages), (batch) => (batch.arrowPayloads[0]!.schemaId = String(id)));
  const whole = [schema, ...dictionaries, recordBatch];
  for (let id = 0; id <= LIMITS.streamSchemasMax; id++) inspector.inspect(withId(id, whole));
  inspector.inspect(withId(1, [recordBatch]));
  assert.throws(() => inspector.inspect(withId(0, [recordBatch])), /its schema id "0" is new/);
});

test('createStreamInspector refuses a batch whose buffers together claim too much', () => {
  const claim = BigInt(LIMITS.batchDecodedBytesMax / 2 + 1);
  const bomb = change(logs()[0], (batch) => {
    for (const payload of batch.arrowPayloads.slice(0, 2)) {
      const ipc = walkIpcMessages(payload.record, 0, payload.record.length).at(-1)!;
      const view = new DataView(payload.record.buffer, payload.record.byteOffset, payload.record.byteLength);
      for (let at = ipc.buffersStart; ; at += 16) {
        if (view.getBigInt64(at + 8, true) === 0n) continue;
        view.setBigInt64(ipc.bodyStart + Number(view.getBigInt64(at, true)), claim, true);
        break;
      }
    }
  });
  assert.throws(() => createStreamInspector('logs').inspect(bomb), BatchTooLargeError);
});

test('createStreamInspector refuses rows that take no bytes, in one table and over all', () => {
  const inspect = (rootRows: number, childRows: number) =>
    createStreamInspector('logs').inspect(
      encodeBatch([
        { name: 'LOGS', record: nullTable(rootRows) },
        { name: 'LOG_ATTRS', record: nullTable(childRows) },
      ]),
    );
  const { rootRowsMax, batchRowsMax } = LIMITS;
  assert.equal(inspect(rootRowsMax, batchRowsMax - rootRowsMax).rootRows, rootRowsMax);
  assert.throws(() => inspect(rootRowsMax + 1, 0), BatchTooLargeError);
  assert.throws(() => inspect(rootRowsMax, batchRowsMax - rootRowsMax + 1), BatchTooLargeError);
});

/** A table of one column of Arrow's null type: a few hundred bytes, however many rows it has. */
function nullTable(length: number): Uint8Array {
  const [table] = splitAtBatches(streamOf([batchOfData({ nothing: makeData({ type: new Null(), length }) })]));
  return table!;
}

test('createStreamInspector is of no use after an error', () => {
  const inspector = createStreamInspector('logs');
  assert.throws(() => inspector.inspect(Uint8Array.of(0xff)), BatchMalformedError);
  assert.throws(() => inspector.inspect(logs()[0]), /an earlier one of its stream was malformed/);
});

test('createStreamInspector keeps harmless headers and cuts the field when one is secret', () => {
  const inspector = createStreamInspector('logs');
  const [first, second, third] = logs();
  const harmless = inspector.inspect(
    withHeaders(first, literal('user-agent', 'collector/1'), literal('baggage', 'user=7')),
  );
  assert.deepEqual([...harmless.headers], [['user-agent', 'collector/1']]);
  assert.equal(harmless.record.length, 1);
  const message = withHeaders(second, literal('authorization', 'Bearer hunter2'), literal('x-scope-orgid', 'acme'));
  const secret = inspector.inspect(message);
  assert.deepEqual([...secret.headers], [['x-scope-orgid', 'acme']]);
  assert.deepEqual(stored(secret), Buffer.from(withHeaders(second)));
  for (const part of secret.record) assert.equal(part.buffer, message.buffer, 'a view');
  // Index 63 is the older of the two that the second batch added to the table: the credential.
  const byIndex = inspector.inspect(withHeaders(third, Buffer.from([0xbf])));
  assert.deepEqual(stored(byIndex), Buffer.from(withHeaders(third)));
});

test('createStreamInspector cuts headers that their sender marked as sensitive', () => {
  const inspector = createStreamInspector('logs');
  const [first] = logs();
  const name = Buffer.from('user-agent');
  const value = Buffer.from('me');
  const neverIndexed = Buffer.concat([Buffer.from([0x10, name.length]), name, Buffer.from([value.length]), value]);
  const inspected = inspector.inspect(withHeaders(first, neverIndexed));
  assert.deepEqual([...inspected.headers], []);
  assert.deepEqual(stored(inspected), Buffer.from(withHeaders(first)));
});

test('createStreamInspector cuts headers that it cannot decode, and all later ones of the stream', () => {
  const inspector = createStreamInspector('logs');
  const [first, second, third] = logs();
  const undecodable = inspector.inspect(withHeaders(first, literal('user-agent', 'x'), Buffer.from([0x80])));
  assert.deepEqual(stored(undecodable), Buffer.from(withHeaders(first)));
  assert.deepEqual([...undecodable.headers], []);
  const later = inspector.inspect(withHeaders(second, literal('user-agent', 'x')));
  assert.deepEqual(stored(later), Buffer.from(withHeaders(second)));
  assert.deepEqual([...later.headers], []);
  assert.deepEqual(stored(inspector.inspect(withHeaders(third))), Buffer.from(withHeaders(third)));
});

test('createStreamInspector cuts each secret occurrence of headers wherever it stands', () => {
  const body = Buffer.from(withHeaders(logs()[0]));
  const field = (block: Buffer): Buffer => Buffer.concat([Buffer.from([0x1a, block.length]), block]);
  const secret = field(literal('cookie', 'a=b'));
  const harmless = field(literal('traceparent', '00-1-2-01'));
  const inspected = createStreamInspector('logs').inspect(Buffer.concat([secret, harmless, body, secret]));
  assert.deepEqual(stored(inspected), Buffer.concat([harmless, body]));
  assert.equal(inspected.record.length, 1);
  assert.deepEqual([...inspected.headers], [['traceparent', '00-1-2-01']]);
});

test('createStreamInspector accepts or refuses mutated messages, and never fails otherwise', () => {
  const random = createRandom(7541);
  let accepted = 0;
  let refused = 0;
  for (const name of ['rich-1', 'odd-1', 'hostmetrics-1']) {
    for (const { arrowSignal, messages } of readArrowStreams(name)) {
      for (let run = 0; run < 400 && messages.length > 0; run++) {
        const inspector = createStreamInspector(arrowSignal);
        const mutantAt = Math.floor(random() * Math.min(messages.length, 3));
        for (const before of messages.slice(0, mutantAt)) inspector.inspect(before);
        const mutant = mutate(messages[mutantAt]!, random);
        try {
          const inspected = inspector.inspect(mutant);
          assert.ok(stored(inspected).length <= mutant.length);
          accepted++;
        } catch (error) {
          assert.ok(error instanceof BatchMalformedError, String(error));
          refused++;
        }
      }
    }
  }
  assert.ok(accepted + refused >= 2000, `${accepted + refused} mutants`);
  assert.ok(accepted > 100 && refused > 100, `${accepted} accepted, ${refused} refused`);
});

/** Inspects all streams of some captures and returns the number of messages. */
function inspectCaptures(names: readonly string[]): number {
  let count = 0;
  for (const name of names) {
    for (const { arrowSignal, messages } of readArrowStreams(name)) {
      const inspector = createStreamInspector(arrowSignal);
      for (const [index, message] of messages.entries()) {
        const inspected = inspector.inspect(message);
        assert.equal(inspected.batchId, BigInt(index));
        assert.deepEqual(inspected.record, [message]);
        assert.deepEqual([...inspected.headers.keys()].sort(), ['grpc-timeout', 'otlp-pdata-size']);
        assert.ok(inspected.rootRows > 0);
        count++;
      }
    }
  }
  return count;
}

type ThreeMessages = readonly [Uint8Array, Uint8Array, Uint8Array];

/** The first messages of a captured log stream. */
function logs(): ThreeMessages {
  const stream = readArrowStreams('rich-1').find(({ arrowSignal }) => arrowSignal === 'logs');
  return stream!.messages as readonly Uint8Array[] as ThreeMessages;
}

function parse(message: Uint8Array): BatchArrowRecords {
  return fromBinary(BatchArrowRecordsSchema, message);
}

function serialize(batch: BatchArrowRecords): Uint8Array {
  return toBinary(BatchArrowRecordsSchema, batch);
}

function change(message: Uint8Array, edit: (batch: BatchArrowRecords) => unknown): Uint8Array {
  const batch = parse(Buffer.from(message));
  edit(batch);
  return serialize(batch);
}

function setType(payload: ArrowPayload, type: number): void {
  payload.type = type;
}

/** A batch with nothing but a root payload of these messages. */
function withRoot(messages: readonly Uint8Array[]): Uint8Array {
  return serialize(
    create(BatchArrowRecordsSchema, {
      arrowPayloads: [{ schemaId: '0', type: PAYLOAD_TYPES.LOGS, record: Buffer.concat(messages) }],
    }),
  );
}

/** The messages of the root payload. */
function split(message: Uint8Array): { schema: Uint8Array; dictionaries: Uint8Array[]; recordBatch: Uint8Array } {
  const { record } = parse(message).arrowPayloads[0]!;
  const parts = walkIpcMessages(record, 0, record.length).map((ipc) => record.subarray(ipc.start, ipc.end));
  return { schema: parts[0]!, dictionaries: parts.slice(1, -1), recordBatch: parts.at(-1)! };
}

/** A copy of a dictionary under another id: one whose id is not the default, which is not on the wire. */
function withDictionaryId(dictionaries: readonly Uint8Array[], id: bigint): Uint8Array {
  for (const dictionary of dictionaries) {
    const copy = Buffer.from(dictionary);
    const { flatbuffer, header } = walkIpcMessages(copy, 0, copy.length)[0]!;
    const position = fieldPosition(flatbuffer, header, 4, 8);
    if (position === 0) continue;
    copy.writeBigInt64LE(id, position);
    return copy;
  }
  throw new Error('No dictionary has an id on the wire');
}

/** The first delta of a root payload that the stream sends. */
function delta(): Uint8Array {
  for (const message of logs().slice(1)) {
    const { record } = parse(message).arrowPayloads[0]!;
    const found = walkIpcMessages(record, 0, record.length).find((ipc) => ipc.isDelta);
    if (found !== undefined) return record.subarray(found.start, found.end);
  }
  throw new Error('No root payload has a delta');
}

/** The message with these header representations as its only headers; without any, with no headers at all. */
function withHeaders(message: Uint8Array, ...representations: Buffer[]): Uint8Array {
  return change(message, (batch) => (batch.headers = Buffer.concat(representations)));
}

/** A literal that is added to the dynamic table. */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0x40, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}

function stored(inspected: InspectedBatch): Buffer {
  return Buffer.concat(inspected.record);
}

function refuses(signal: Signal, messages: readonly Uint8Array[], reason: RegExp): void {
  const inspector = createStreamInspector(signal);
  for (const message of messages.slice(0, -1)) inspector.inspect(message);
  assert.throws(
    () => inspector.inspect(messages.at(-1)!),
    (error: unknown) => error instanceof BatchMalformedError && reason.test(error.message),
    reason.source,
  );
}

/** Flips, overwrites, removes, repeats or cuts some bytes; half of the time near the beginning, where the metadata is. */
function mutate(message: Uint8Array, random: () => number): Buffer {
  let mutant = Buffer.from(message);
  const changes = 1 + Math.floor(random() * 4);
  for (let i = 0; i < changes && mutant.length > 0; i++) {
    const reach = random() < 0.5 ? Math.min(2000, mutant.length) : mutant.length;
    const at = Math.floor(random() * reach);
    const length = 1 + Math.floor(random() * 16);
    switch (Math.floor(random() * 6)) {
      case 0:
        mutant[at]! ^= 1 << Math.floor(random() * 8);
        break;
      case 1:
        mutant[at] = [0, 1, 0x7f, 0x80, 0xff][Math.floor(random() * 5)]!;
        break;
      case 2:
        mutant.fill(random() < 0.5 ? 0xff : 0, at, Math.min(at + 4, mutant.length));
        break;
      case 3:
        mutant = Buffer.concat([mutant.subarray(0, at), mutant.subarray(at + length)]);
        break;
      case 4:
        mutant = Buffer.concat([mutant.subarray(0, at + length), mutant.subarray(at)]);
        break;
      default:
        mutant = mutant.subarray(0, at);
    }
  }
  return mutant;
}

/** A linear congruential generator: the same numbers in every run. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
