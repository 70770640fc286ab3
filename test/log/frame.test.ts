import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { RecordBatchReader } from 'apache-arrow';
import { damagedRows, encodeFrame, type FrameRow, frameEntries, parseFrame } from '../../src/log/frame.ts';
import { END_OF_STREAM } from '../../src/log/layout.ts';
import { decodeSegmentHeader, encodeSegmentHeader } from '../../src/log/segment-header.ts';

const HEADER = {
  logUuid: '01234567-89ab-4cde-8f01-23456789abcd',
  baseOffset: 41n,
  previousEnd: 40n,
  previousCrc: 0xdeadbeef,
  streamIdNext: 7n,
};

function row(record: string, changes: Partial<FrameRow> = {}): FrameRow {
  const bytes = Buffer.from(record);
  return {
    receivedAtUnixNano: 1_700_000_000_000_000_000n,
    streamId: 3n,
    streamSeq: 9,
    batchId: -1n,
    signal: 1,
    kind: 1,
    flags: 2,
    headers: new Uint8Array(),
    record: [bytes.subarray(0, 2), bytes.subarray(2)],
    recordBytes: bytes.length,
    recordCrc: crc32(bytes),
    ...changes,
  };
}

const PLACE = { position: 0, baseOffset: 41n, previousCrc: 5 };

function reader(bytes: Buffer) {
  return (position: number, length: number) =>
    position + length <= bytes.length ? bytes.subarray(position, position + length) : null;
}

test('frames and header make a stream that apache-arrow reads', () => {
  const first = encodeFrame({ position: 0, baseOffset: 41n, previousCrc: 0xdeadbeef }, [
    row('hello'),
    row('', { headers: Buffer.from('{"a":"b"}') }),
  ]);
  const place = { position: first.bytes, baseOffset: 43n, previousCrc: first.crc };
  const second = encodeFrame(place, [row('another record')]);
  const stream = Buffer.concat([encodeSegmentHeader(HEADER), ...first.parts, ...second.parts, END_OF_STREAM]);
  const arrow = RecordBatchReader.from(stream).open();
  const schema = arrow.schema;
  const batches = [...arrow];
  assert.equal(schema.metadata.get('treasury.log_uuid'), HEADER.logUuid);
  assert.equal(schema.metadata.get('treasury.base_offset'), '00000000000000000041');
  assert.deepEqual(
    schema.fields.map((field) => [field.name, String(field.type), field.nullable]),
    [
      ['offset', 'Uint64', false],
      ['received_at', 'Int64', false],
      ['stream_id', 'Uint64', false],
      ['stream_seq', 'Uint32', false],
      ['batch_id', 'Int64', false],
      ['signal', 'Uint8', false],
      ['kind', 'Uint8', false],
      ['flags', 'Uint8', false],
      ['crc', 'Uint32', false],
      ['headers', 'Binary', false],
      ['record', 'Binary', false],
    ],
  );
  const rows = batches.flatMap((batch) => batch.toArray().map((value) => ({ ...value.toJSON() })));
  assert.deepEqual(
    rows.map((value) => [
      value['offset'],
      value['batch_id'],
      value['stream_seq'],
      Buffer.from(value['record']).toString(),
    ]),
    [
      [41n, -1n, 9, 'hello'],
      [42n, -1n, 9, ''],
      [43n, -1n, 9, 'another record'],
    ],
  );
  assert.equal(Buffer.from(rows[1]!['headers']).toString(), '{"a":"b"}');
  assert.equal(batches[1]!.metadata.get('prev'), first.crc.toString(16).padStart(8, '0'));
});

test('header reads back and every flipped bit of it is noticed', () => {
  const bytes = Buffer.from(encodeSegmentHeader(HEADER));
  assert.deepEqual(decodeSegmentHeader(bytes), { version: '2', ...HEADER });
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(typeof decodeSegmentHeader(bytes), 'string', `bit ${bit}`);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
  }
});

test('frame reads back as the entries that went in', () => {
  const frame = encodeFrame(PLACE, [row('hello'), row('x', { headers: Buffer.from('{"a":"b"}') })]);
  const bytes = Buffer.concat(frame.parts);
  assert.equal(bytes.length, frame.bytes);
  assert.equal(bytes.length % 8, 0);
  const view = parseFrame(reader(bytes), 0, true);
  assert.ok(typeof view !== 'string');
  assert.deepEqual(damagedRows(view), []);
  const entries = frameEntries(view, 41n);
  assert.equal(Buffer.from(entries[0]!.record).toString(), 'hello');
  assert.deepEqual(entries[1]!.headers, new Map([['a', 'b']]));
  assert.equal(entries[1]!.offset, 42n);
  assert.equal(view.previousCrc, 5);
});

test('frame is one only where it was written', () => {
  const position = 6 * 1024 ** 3;
  const bytes = Buffer.concat(encodeFrame({ ...PLACE, position }, [row('hello')]).parts);
  const at = (start: number) => parseFrame((from, length) => reader(bytes)(from - start, length), start, true);
  assert.ok(typeof at(position) !== 'string');
  for (const elsewhere of [0, 8, position - 8, position + 8, position % 2 ** 32]) {
    assert.equal(at(elsewhere), 'frame does not match its CRC');
  }
});

test('every flipped bit of a frame is noticed', () => {
  const bytes = Buffer.concat(encodeFrame(PLACE, [row('hello'), row('you'), row('there!')]).parts);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    const view = parseFrame(reader(bytes), 0, true);
    assert.ok(typeof view === 'string' || damagedRows(view).length > 0, `bit ${bit}`);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
  }
});
