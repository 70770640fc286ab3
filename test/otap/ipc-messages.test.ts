import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type DataType,
  Field,
  Int8,
  MessageReader,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Table,
  tableFromArrays,
  tableToIPC,
} from 'apache-arrow';
import { BatchMalformedError, LIMITS } from '../../src/base/index.ts';
import { scanBatchEnvelope } from '../../src/otap/batch-envelope.ts';
import { fieldPosition, readTable, rootTable } from '../../src/otap/flatbuffer-reader.ts';
import {
  bufferBytes,
  bufferStart,
  IPC_CODECS,
  type IpcMessage,
  nodeLength,
  nodeNullCount,
  schemaDictionaryIds,
  walkIpcMessages,
} from '../../src/otap/ipc-messages.ts';
import { captureNames, readArrowStreams } from '../helpers/captures.ts';

const END_OF_STREAM = Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

test('walkIpcMessages finds what apache-arrow finds in captured payloads', () => {
  const kinds = new Map<string, number>();
  for (const record of capturedRecords()) {
    const messages = walkIpcMessages(record, 0, record.length);
    const reader = new MessageReader(record);
    let end = 0;
    for (const message of messages) {
      kinds.set(message.kind, (kinds.get(message.kind) ?? 0) + 1);
      assert.equal(message.start, end);
      end = message.end;
      const expected = reader.next().value;
      const body = reader.readMessageBody(expected.bodyLength);
      assert.equal(message.end - message.bodyStart, body.length);
      if (expected.isSchema()) {
        assert.equal(message.kind, 'schema');
        assert.deepEqual(schemaDictionaryIds(message), new Set([...expected.header().dictionaries.keys()].map(BigInt)));
        continue;
      }
      let batch = expected.header();
      if (expected.isDictionaryBatch()) {
        const dictionary = expected.header();
        assert.equal(message.kind, 'dictionary');
        assert.equal(message.dictionaryId, BigInt(dictionary.id));
        assert.equal(message.isDelta, dictionary.isDelta);
        batch = dictionary.data;
      } else {
        assert.equal(message.kind, 'recordBatch');
      }
      assert.equal(message.codec, IPC_CODECS.ZSTD);
      assert.equal(message.rowCount, Number(batch.length));
      assert.deepEqual(
        Array.from({ length: message.nodeCount }, (_, i) => [nodeLength(message, i), nodeNullCount(message, i)]),
        batch.nodes.map((node: { length: number; nullCount: number }) => [Number(node.length), Number(node.nullCount)]),
      );
      assert.deepEqual(
        Array.from({ length: message.bufferCount }, (_, i) => [
          bufferStart(message, i) - message.bodyStart,
          bufferBytes(message, i),
        ]),
        batch.buffers.map((buffer: { offset: number; length: number }) => [
          Number(buffer.offset),
          Number(buffer.length),
        ]),
      );
    }
    assert.equal(end, record.length);
  }
  assert.deepEqual([...kinds.keys()].sort(), ['dictionary', 'recordBatch', 'schema']);
});

test('walkIpcMessages reads a message wherever it lies', () => {
  const [record] = capturedRecords() as [Buffer];
  const shifted = Buffer.concat([Buffer.alloc(13, 0xff), record, Buffer.alloc(9, 0xff)]);
  const plain = walkIpcMessages(record, 0, record.length);
  const moved = walkIpcMessages(shifted, 13, 13 + record.length);
  assert.deepEqual(
    moved.map((message) => [
      message.kind,
      message.start - 13,
      message.end - 13,
      message.nodesStart - 13,
      message.buffersStart - 13,
    ]),
    plain
      .map((message) => [message.kind, message.start, message.end, message.nodesStart, message.buffersStart])
      .map((row) => (row[0] === 'schema' ? [row[0], row[1], row[2], -13, -13] : row)),
  );
});

test('walkIpcMessages reads uncompressed streams and accepts an end-of-stream marker only at the end', () => {
  const stream = Buffer.from(tableToIPC(tableFromArrays({ n: Int32Array.of(1, 2, 3), s: ['a', 'b', 'a'] }), 'stream'));
  const messages = walkIpcMessages(stream, 0, stream.length);
  assert.deepEqual(
    messages.map((message) => message.kind),
    ['schema', 'dictionary', 'recordBatch'],
  );
  const batch = messages.at(-1)!;
  assert.equal(batch.rowCount, 3);
  assert.equal(batch.codec, IPC_CODECS.NONE);
  assert.equal(
    batch.decodedBytes,
    sum(batch, (i) => bufferBytes(batch, i)),
  );
  assert.ok(stream.subarray(-8).equals(END_OF_STREAM));
  const without = stream.subarray(0, -8);
  assert.equal(walkIpcMessages(without, 0, without.length).length, 3);
  assert.deepEqual(walkIpcMessages(END_OF_STREAM, 0, 8), []);
  assert.deepEqual(walkIpcMessages(without, 0, 0), []);
  refuses(Buffer.concat([stream, without]), /bytes follow the end of the stream/);
  refuses(Buffer.concat([stream, Buffer.from([0])]), /bytes follow the end of the stream/);
});

test('walkIpcMessages refuses every truncation of a payload', () => {
  const stream = smallStream();
  const ends = new Set([0, ...walkIpcMessages(stream, 0, stream.length).map((message) => message.end)]);
  for (let length = 0; length < stream.length; length++) {
    if (ends.has(length)) assert.doesNotThrow(() => walkIpcMessages(stream, 0, length));
    else assert.throws(() => walkIpcMessages(stream, 0, length), BatchMalformedError, `truncated to ${length}`);
  }
});

test('walkIpcMessages refuses a missing marker, legacy framing and odd lengths', () => {
  const stream = smallStream();
  refuses(stream.subarray(4), /a continuation marker is missing/);
  refuses(
    patch(stream, (copy) => copy.writeUInt32LE(stream.readUInt32LE(4) - 1, 4)),
    /is not aligned/,
  );
  refuses(
    patch(stream, (copy) => copy.writeUInt32LE(0xfffffff8, 4)),
    /metadata of 4294967288 bytes is truncated/,
  );
});

test('walkIpcMessages refuses unknown versions, headers and codecs', () => {
  const { stream, batch } = lastBatch();
  const root = rootTable(batch.flatbuffer);
  const version = fieldPosition(batch.flatbuffer, root, 4, 2);
  refuses(
    patch(stream, (copy) => copy.writeInt16LE(2, version)),
    /metadata version is 2/,
  );
  assert.doesNotThrow(() => walk(patch(stream, (copy) => copy.writeInt16LE(3, version))));
  const headerType = fieldPosition(batch.flatbuffer, root, 6, 1);
  refuses(
    patch(stream, (copy) => copy.writeUInt8(4, headerType)),
    /message header type is 4/,
  );
  const compressed = firstCompressed();
  const codec = fieldPosition(
    compressed.batch.flatbuffer,
    readTable(compressed.batch.flatbuffer, compressed.batch.header, 10),
    4,
    1,
  );
  refuses(
    patch(compressed.stream, (copy) => copy.writeInt8(2, codec)),
    /compression codec is 2/,
  );
});

test('walkIpcMessages refuses bodies, buffers and nodes out of bounds', () => {
  const { stream, batch } = lastBatch();
  const bodyLength = fieldPosition(batch.flatbuffer, rootTable(batch.flatbuffer), 10, 8);
  const bodyBytes = batch.end - batch.bodyStart;
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(BigInt(bodyBytes + 8), bodyLength)),
    /body of \d+ bytes is truncated/,
  );
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(-8n, bodyLength)),
    /the length at byte \d+ is -8/,
  );
  const rows = fieldPosition(batch.flatbuffer, batch.header, 4, 8);
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(-1n, rows)),
    /is -1/,
  );
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(BigInt(LIMITS.tableRowsMax + 1), rows)),
    /a table of 16777217 rows/,
  );
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(-1n, batch.nodesStart)),
    /is -1/,
  );
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(2n ** 31n, batch.nodesStart)),
    /an array has 2147483648 values/,
  );
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(4n, batch.nodesStart + 8)),
    /an array of 3 values has 4 nulls/,
  );
  const offset = batch.buffersStart + 16;
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(-8n, offset)),
    /is -8/,
  );
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(BigInt(bodyBytes + 1), offset)),
    /is outside its body/,
  );
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(BigInt(bodyBytes + 1), offset + 8)),
    /is outside its body/,
  );
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(2n ** 62n, offset + 8)),
    /the length at byte/,
  );
});

test('walkIpcMessages counts what compressed buffers claim and bounds it', () => {
  const { stream, batch } = firstCompressed();
  const index = Array.from({ length: batch.bufferCount }, (_, i) => i).find((i) => bufferBytes(batch, i) > 0)!;
  const prefix = bufferStart(batch, index);
  const claimed = Number(stream.readBigInt64LE(prefix));
  const stored = walk(patch(stream, (copy) => copy.writeBigInt64LE(-1n, prefix)));
  const asStored = stored.find((message) => message.start === batch.start)!;
  const others = batch.decodedBytes - (claimed === -1 ? bufferBytes(batch, index) - 8 : claimed);
  assert.equal(asStored.decodedBytes, others + bufferBytes(batch, index) - 8);
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(BigInt(LIMITS.batchDecodedBytesMax + 1), prefix)),
    /buffers of \d+ bytes are above/,
  );
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(-2n, prefix)),
    /is -2/,
  );
  const length = batch.buffersStart + index * 16 + 8;
  refuses(
    patch(stream, (copy) => copy.writeBigInt64LE(7n, length)),
    /a compressed buffer has 7 bytes/,
  );
});

test('walkIpcMessages refuses a big endian schema', () => {
  const stream = smallStream();
  const [schema] = walk(stream) as [IpcMessage];
  // The writer leaves the default (little endian) out, so the field is made to point at a byte that is not 0.
  const table = schema.header;
  const vtable = table - stream.readInt32LE(table);
  const target = fieldPosition(schema.flatbuffer, table, 6, 4) - table;
  refuses(
    patch(stream, (copy) => copy.writeUInt16LE(target, vtable + 4)),
    /values are big endian/,
  );
});

test('schemaDictionaryIds bounds nesting and number of fields', () => {
  const columns = Object.fromEntries(
    Array.from({ length: LIMITS.schemaFieldsMax + 1 }, (_, i) => [`c${i}`, Int8Array.of(1)]),
  );
  const stream = Buffer.from(tableToIPC(tableFromArrays(columns), 'stream'));
  assert.throws(() => schemaDictionaryIds(walk(stream)[0]!), /there are more than 1024 fields/);
  let type: DataType = new Int8();
  for (let depth = 1; depth < LIMITS.schemaDepthMax; depth++) type = new Struct([new Field('f', type)]);
  assert.equal(schemaDictionaryIds(walk(schemaStream(type))[0]!).size, 0);
  const deeper = walk(schemaStream(new Struct([new Field('f', type)])));
  assert.throws(() => schemaDictionaryIds(deeper[0]!), /fields are nested above 16/);
});

test('schemaDictionaryIds survives offsets that point anywhere', () => {
  const small = smallStream();
  const [schema] = walk(small) as [IpcMessage];
  for (let at = schema.flatbuffer.start; at < schema.flatbuffer.end - 4; at += 4) {
    for (const value of [0, 4, 8, 16, 0xffffffff, 0x80000000]) {
      const mutant = patch(small, (copy) => copy.writeUInt32LE(value, at));
      try {
        for (const message of walk(mutant)) if (message.kind === 'schema') schemaDictionaryIds(message);
      } catch (error) {
        assert.ok(error instanceof BatchMalformedError, String(error));
      }
    }
  }
});

function capturedRecords(): Buffer[] {
  const records: Buffer[] = [];
  for (const name of captureNames({ shared: false })) {
    for (const { messages } of readArrowStreams(name)) {
      for (const message of messages) {
        for (const { start, end } of scanBatchEnvelope(message).payloads) records.push(message.subarray(start, end));
      }
    }
  }
  return records;
}

function schemaStream(type: DataType): Buffer {
  return Buffer.from(tableToIPC(new Table(new Schema([new Field('root', type)])), 'stream'));
}

function smallStream(): Buffer {
  const table = tableFromArrays({ n: Int32Array.of(1, 2, 3), s: ['a', 'b', 'a'] });
  return Buffer.from(RecordBatchStreamWriter.writeAll(table).toUint8Array(true)).subarray(0, -8);
}

function lastBatch(): { stream: Buffer; batch: IpcMessage } {
  const stream = smallStream();
  return { stream, batch: walk(stream).at(-1)! };
}

function firstCompressed(): { stream: Buffer; batch: IpcMessage } {
  const [stream] = capturedRecords() as [Buffer];
  return { stream, batch: walk(stream).find((message) => message.kind === 'recordBatch')! };
}

function walk(stream: Uint8Array): IpcMessage[] {
  return walkIpcMessages(stream, 0, stream.length);
}

function patch(stream: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(stream);
  change(copy);
  return copy;
}

function refuses(stream: Buffer, reason: RegExp): void {
  assert.throws(
    () => walk(stream),
    (error: unknown) => error instanceof BatchMalformedError && reason.test(error.message),
    reason.source,
  );
}

function sum(message: IpcMessage, value: (index: number) => number): number {
  let total = 0;
  for (let i = 0; i < message.bufferCount; i++) total += value(i);
  return total;
}
