/** How payloads become canonical tables, and what a stream keeps, loses and renews. Batches are made by apache-arrow. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import {
  Binary,
  Bool,
  type Data,
  type DataType,
  Dictionary,
  FixedSizeBinary,
  Float64,
  Int32,
  Int64,
  List,
  makeData,
  type RecordBatch,
  Struct,
  Field,
  TimestampNanosecond,
  Uint16,
  Uint32,
  Uint8,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import { BatchMalformedError, LIMITS } from '../../src/base/index.ts';
import { createStreamDecoder, initZstd, type LogsBatch, type PayloadName } from '../../src/otap/index.ts';
import { walkIpcMessages } from '../../src/otap/ipc-messages.ts';
import { batchOfData, splitAtBatches, streamOf } from '../helpers/arrow-streams.ts';
import { encodeBatch } from '../helpers/otap-messages.ts';

before(() => initZstd());

test('columns come in any order and dictionary width, unknown ones are ignored', () => {
  const names = ['a', 'b', 'a'];
  const widths: DataType[] = [new Utf8()];
  for (const index of [new Uint8(), new Uint16()]) widths.push(new Dictionary(new Utf8(), index, 1));
  for (const type of widths) {
    const batch = decodeLogs({
      unknown: column(['x', 'y', 'z'], new Utf8()),
      severity_text: column(names, type),
      severity_number: column([9, 9, 17], new Dictionary(new Int32(), new Uint8(), 2)),
      id: column([0, 1, 1], new Uint16()),
    });
    const text = batch.logs.severityText!;
    const entries = names.map((_, row) => (text.indices === null ? row : text.indices[row]!));
    const strings = entries.map((entry) =>
      Buffer.from(text.pool.bytes.subarray(text.pool.offsets[entry], text.pool.offsets[entry + 1])).toString(),
    );
    assert.deepEqual(strings, names);
    assert.deepEqual([...batch.logs.severityNumber!.values], [9, 9, 17]);
    assert.deepEqual([...batch.logs.id!.values], [0, 1, 2]);
  }
});

test('columns and structs that are not there are null', () => {
  const batch = decodeLogs({ flags: column([1], new Uint32()) });
  const { rowCount, flags, ...others } = batch.logs;
  assert.equal(rowCount, 1);
  assert.deepEqual([...flags!.values], [1]);
  for (const [name, value] of Object.entries(others)) assert.equal(value, null, name);
  assert.equal(batch.logAttrs, null);
});

test('resource ids are read where their struct is present only', () => {
  const id = makeData({ type: new Uint16(), length: 4, nullCount: 0, data: Uint16Array.of(0, 7, 1, 1) });
  const resource = makeData({
    type: new Struct([new Field('id', new Uint16(), true)]),
    length: 4,
    nullCount: 1,
    nullBitmap: Uint8Array.of(0b1101),
    children: [id],
  });
  const { resourceId } = decodeLogs({ resource }).logs;
  assert.deepEqual([...resourceId!.values], [0, 0, 1, 2]);
  assert.deepEqual([...resourceId!.validity!], [1, 0, 1, 1]);
});

test('a value under a null struct is null, also beside nulls of its own', () => {
  const resource = makeData({
    type: new Struct([new Field('id', new Uint16(), true)]),
    length: 4,
    nullCount: 2,
    // Rows 0 and 2 are there.
    nullBitmap: Uint8Array.of(0b0101),
    children: [
      makeData({
        type: new Uint16(),
        length: 4,
        nullCount: 1,
        nullBitmap: Uint8Array.of(0b1011),
        data: Uint16Array.of(7, 1, 1, 1),
      }),
    ],
  });
  const { resourceId } = decodeLogs({ resource }).logs;
  assert.deepEqual([...resourceId!.validity!], [1, 0, 0, 0]);
  assert.deepEqual([...resourceId!.values], [7, 0, 0, 0]);
});

test('a column of a wrong type is refused by name', () => {
  const wrong: [string, Data, RegExp][] = [
    ['severity_number', column(['x'], new Utf8()), /LOGS: column severity_number: its type is utf8 instead of i32/],
    ['severity_text', column([1], new Int32()), /column severity_text: its type is int \(Int32Array\) instead of utf8/],
    [
      'trace_id',
      column([new Uint8Array(8)], new FixedSizeBinary(8)),
      /column trace_id: .* instead of binary of 16 bytes/,
    ],
    ['time_unix_nano', column([1n], new Int64()), /column time_unix_nano: .* instead of timestamp/],
    ['resource', column([1], new Int32()), /column resource: .* instead of struct/],
    ['body', structOf({ type: column([8], new Uint8()) }), /column body.type: value type 8 is unknown/],
    ['body', structOf({ str: column(['x'], new Utf8()) }), /column type: it is missing/],
  ];
  for (const [name, data, message] of wrong) {
    assert.throws(
      () => decodeLogs({ [name]: data }),
      (error) => error instanceof BatchMalformedError && message.test(error.message),
      name,
    );
  }
});

test('attributes need parent, key and type', () => {
  const columns = {
    parent_id: column([0], new Uint16()),
    key: column(['k'], new Utf8()),
    type: column([1], new Uint8()),
  };
  for (const missing of Object.keys(columns)) {
    const rest = Object.fromEntries(Object.entries(columns).filter(([name]) => name !== missing));
    assert.throws(
      () => decodeWith({ LOGS: { flags: column([1], new Uint32()) }, LOG_ATTRS: rest }),
      new RegExp(`LOG_ATTRS: column ${missing}: it is missing`),
    );
  }
});

test('attribute parents may be u16, u32 or a dictionary of u32, and follow the encoding in the metadata', () => {
  const expectations: [Record<string, string>, number[]][] = [
    [{}, [1, 2, 3]],
    [{ encoding: 'quasidelta' }, [1, 2, 3]],
    [{ encoding: 'delta' }, [1, 2, 3]],
    [{ encoding: 'plain' }, [1, 1, 1]],
  ];
  for (const type of [new Uint16(), new Uint32(), new Dictionary(new Uint32(), new Uint8(), 9)] as DataType[]) {
    for (const [metadata, parents] of expectations) {
      const batch = decodeWith({
        LOGS: { flags: column([1], new Uint32()) },
        LOG_ATTRS: {
          parent_id: { data: column([1, 1, 1], type), metadata },
          key: column(['k', 'k', 'k'], new Utf8()),
          type: column([4, 4, 4], new Uint8()),
          bool: column([true, true, true], new Bool()),
        },
      });
      assert.deepEqual([...batch.logAttrs!.parentId], parents, `type ${type.typeId} ${JSON.stringify(metadata)}`);
    }
  }
  assert.throws(
    () => decodeLogs({ id: { data: column([1], new Uint16()), metadata: { encoding: 'zigzag' } } }),
    /column id: its encoding is zigzag/,
  );
});

test('row ids are deltas unless the metadata says that they are plain', () => {
  const idsUnder = (metadata: Record<string, string>) =>
    decodeLogs({ id: { data: column([3, 1, 1], new Uint16()), metadata } }).logs.id!.values;
  assert.deepEqual([...idsUnder({})], [3, 4, 5]);
  assert.deepEqual([...idsUnder({ encoding: 'delta' })], [3, 4, 5]);
  assert.deepEqual([...idsUnder({ encoding: 'plain' })], [3, 1, 1]);
});

test('NaN attribute values are equal under the Rust encoding only', () => {
  const parents = (metadata: Record<string, string>) =>
    decodeWith({
      LOGS: { flags: column([1], new Uint32()) },
      LOG_ATTRS: {
        parent_id: { data: column([5, 1], new Uint16()), metadata },
        key: column(['k', 'k'], new Utf8()),
        type: column([3, 3], new Uint8()),
        double: column([NaN, NaN], new Float64()),
      },
    }).logAttrs!.parentId;
  assert.deepEqual([...parents({})], [5, 1]);
  assert.deepEqual([...parents({ encoding: 'quasidelta' })], [5, 6]);
});

test('trace and span ids may be binary of the right length', () => {
  const id = Uint8Array.from({ length: 16 }, (_, i) => i);
  const { traceId } = decodeLogs({ trace_id: binaryColumn([id, new Uint8Array(0), id]) }).logs;
  assert.deepEqual([...traceId!.validity!], [1, 0, 1]);
  assert.deepEqual(traceId!.values.subarray(32), id);
  assert.throws(() => decodeLogs({ trace_id: binaryColumn([id.subarray(1)]) }), /column trace_id/);
});

test('invalid UTF-8 is replaced and counted, in plain columns and dictionaries', () => {
  const invalid = makeData({
    type: new Utf8(),
    length: 2,
    nullCount: 0,
    valueOffsets: Int32Array.of(0, 1, 2),
    data: Uint8Array.of(0xc3, 0xbc),
  });
  const dictionary = vectorFromArray(['a'], new Utf8()).data[0]!;
  dictionary.values[0] = 0xff;
  const type = new Dictionary(new Utf8(), new Uint8(), 5);
  const text = makeData({ type, length: 2, nullCount: 0, data: Uint8Array.of(0, 0), dictionary: vectorOf(dictionary) });
  const batch = decodeLogs({ event_name: invalid, severity_text: text });
  assert.equal(batch.repairedStrings, 3);
  assert.equal(Buffer.from(batch.logs.eventName!.pool.bytes).toString(), '\ufffd\ufffd');
});

test('indices, offsets and lists that reach outside are refused by name', () => {
  const type = new Dictionary(new Utf8(), new Uint8(), 1);
  const dictionary = vectorFromArray(['a', 'b'], new Utf8());
  const index = makeData({ type, length: 2, nullCount: 0, data: Uint8Array.of(1, 2), dictionary });
  assert.throws(
    () => decodeLogs({ severity_text: index }),
    /column severity_text: index 2 of row 1: the dictionary has 2/,
  );
  const offsets = (valueOffsets: Int32Array) =>
    makeData({ type: new Utf8(), length: 2, nullCount: 0, valueOffsets, data: Buffer.from('abc') });
  for (const wrong of [Int32Array.of(0, 3, 1), Int32Array.of(-1, 0, 1), Int32Array.of(0, 1, 2_000_000)]) {
    assert.throws(() => decodeLogs({ event_name: offsets(wrong) }), /LOGS: column event_name: /);
  }
  const child = makeData({ type: new Float64(), length: 2, nullCount: 0, data: Float64Array.of(1, 2) });
  const list = makeData({
    type: new List(new Field('item', new Float64())),
    length: 2,
    nullCount: 0,
    valueOffsets: Int32Array.of(0, 1, 2),
    child,
  });
  const record = streamOf([batchOfData({ unknown: list })]);
  record[Buffer.from(record.buffer).indexOf(Buffer.from(Int32Array.of(0, 1, 2).buffer)) + 8] = 3;
  assert.throws(
    () => createStreamDecoder('logs').decode(encodeBatch([{ name: 'LOGS', record }])),
    /LOGS: column unknown: an offset is 3, there are 2 values/,
  );
});

test('a dictionary that unfolds to more than a batch may hold is refused', () => {
  const width = 1 << 20;
  const dictionary = vectorFromArray([new Uint8Array(width)], new FixedSizeBinary(width));
  const type = new Dictionary(new FixedSizeBinary(width), new Uint8(), 1);
  const bomb = makeData({ type, length: 300, nullCount: 0, data: new Uint8Array(300), dictionary });
  assert.throws(() => decodeLogs({ unknown: bomb }), /more than 268435456 bytes/);
});

test('batches of other signals, without a root, or with a payload twice are refused', () => {
  const record = streamOf([batchOfData({ flags: column([1], new Uint32()) })]);
  const decode = (names: PayloadName[]) =>
    createStreamDecoder('logs').decode(encodeBatch(names.map((name) => ({ name, record }))));
  assert.throws(() => decode(['SPANS']), /payload type is SPANS/);
  assert.throws(() => decode(['MULTIVARIATE_METRICS']), BatchMalformedError);
  assert.throws(() => decode([]), /it has no payload LOGS/);
  assert.throws(() => decode(['LOGS', 'LOGS']), /Cannot decode LOGS: it occurs twice/);
  assert.throws(() => createStreamDecoder('logs').decode(Buffer.of(0x12, 0xff)), BatchMalformedError);
});

/** A stream of three batches of one dictionary column: schema and dictionary, extension, no state. */
function threeBatches(name: PayloadName = 'LOGS'): Buffer[] {
  const type = new Dictionary(new Utf8(), new Uint8(), 1);
  const few = vectorFromArray(['a', 'b'], new Utf8());
  // Shared: the writer sends it with the second batch, and the third one has nothing but indices.
  const more = vectorFromArray(['a', 'b', 'c'], new Utf8());
  const batch = (dictionary: typeof few, indices: number[]): RecordBatch =>
    batchOfData({
      severity_text: makeData({
        type,
        length: indices.length,
        nullCount: 0,
        data: Uint8Array.from(indices),
        dictionary,
      }),
    });
  const batches = [batch(few, [0, 1]), batch(more, [2, 1]), batch(more, [0, 2])];
  return splitAtBatches(streamOf(batches)).map((record) => encodeBatch([{ name, record }]));
}

function textsOf(batch: unknown): string[] {
  const { pool, indices } = (batch as LogsBatch).logs.severityText!;
  return [...indices!].map((entry) =>
    Buffer.from(pool.bytes.subarray(pool.offsets[entry], pool.offsets[entry + 1])).toString(),
  );
}

test('batches need the state of the ones before them, which applyState takes as well', () => {
  const [first, second, third] = threeBatches() as [Buffer, Buffer, Buffer];
  const decoder = createStreamDecoder('logs');
  assert.deepEqual(textsOf(decoder.decode(first)), ['a', 'b']);
  assert.ok(decoder.stateBytes > 0);
  decoder.applyState(second);
  assert.deepEqual(textsOf(decoder.decode(third)), ['a', 'c']);
  assert.throws(() => createStreamDecoder('logs').decode(third), /its schema was not sent.*LOGS/);
});

test('earlier batches keep their strings when the dictionary grows', () => {
  const [first, second] = threeBatches() as [Buffer, Buffer];
  const decoder = createStreamDecoder('logs');
  const batch = decoder.decode(first);
  decoder.decode(second);
  assert.deepEqual(textsOf(batch), ['a', 'b']);
});

test('restoreState replaces all state by that of a state record', () => {
  const [first, second, third] = threeBatches() as [Buffer, Buffer, Buffer];
  const state = encodeBatch([{ name: 'LOGS', record: Buffer.concat([stateOf(first), stateOf(second)]) }]);
  const decoder = createStreamDecoder('logs');
  decoder.restoreState(state);
  const bytes = decoder.stateBytes;
  assert.deepEqual(textsOf(decoder.decode(third)), ['a', 'c']);
  decoder.restoreState(state);
  assert.equal(decoder.stateBytes, bytes);
  decoder.restoreState(encodeBatch([]));
  assert.equal(decoder.stateBytes, 0);
  assert.throws(() => decoder.decode(third), /its schema was not sent/);
});

test('restoreState takes as many schemas as a stream may have used', () => {
  const [first] = threeBatches() as [Buffer];
  const record = stateOf(first);
  const payloads = Array.from({ length: 300 }, (_, i) => ({ name: 'LOGS' as const, schemaId: String(i), record }));
  const decoder = createStreamDecoder('logs');
  decoder.restoreState(encodeBatch(payloads));
  const rows = recordOf(first).subarray(record.length);
  for (const schemaId of ['0', '299']) {
    assert.deepEqual(textsOf(decoder.decode(encodeBatch([{ name: 'LOGS', schemaId, record: rows }]))), ['a', 'b']);
  }
});

test('dictionaries past the memory of a stream push out the schema that was used longest ago', () => {
  const text = Buffer.alloc(50 << 20, 'a');
  const dictionary = makeData({
    type: new Utf8(),
    length: 1,
    nullCount: 0,
    valueOffsets: Int32Array.of(0, text.length),
    data: text,
  });
  const type = new Dictionary(new Utf8(), new Uint8(), 1);
  const data = makeData({ type, length: 1, nullCount: 0, data: Uint8Array.of(0), dictionary: vectorOf(dictionary) });
  const [whole] = splitAtBatches(streamOf([batchOfData({ severity_text: data })]));
  const rows = whole!.subarray(walkIpcMessages(whole!, 0, whole!.length).at(-1)!.start);
  const batch = (schemaId: string, record: Uint8Array) => encodeBatch([{ name: 'LOGS', schemaId, record }]);
  const decoder = createStreamDecoder('logs');
  decoder.decode(batch('0', whole!));
  decoder.decode(batch('1', whole!));
  decoder.decode(batch('0', rows));
  decoder.decode(batch('2', whole!));
  decoder.decode(batch('0', rows));
  assert.throws(() => decoder.decode(batch('1', rows)), /its schema was not sent/);
  assert.ok(decoder.stateBytes <= LIMITS.streamDictionaryBytesMax);
});

test('a failed state message makes later batches fail until a schema comes', () => {
  const [first, second, third] = threeBatches() as [Buffer, Buffer, Buffer];
  const decoder = createStreamDecoder('logs');
  decoder.decode(first);
  assert.throws(() => decoder.decode(second.subarray(0, second.length - 8)), BatchMalformedError);
  assert.throws(() => decoder.decode(third), /its state was lost/);
  assert.equal(decoder.stateBytes, 0);
  assert.deepEqual(textsOf(decoder.decode(first)), ['a', 'b']);
  assert.deepEqual(textsOf(decoder.decode(second)), ['c', 'b']);
});

test('a payload that cannot be walked loses the state of its schema, and no other', () => {
  const [first, second, third] = threeBatches() as [Buffer, Buffer, Buffer];
  const decoder = createStreamDecoder('logs');
  decoder.decode(first);
  const truncated = encodeBatch([{ name: 'LOGS', record: recordOf(second).subarray(0, -8) }]);
  assert.throws(() => decoder.decode(truncated), /payload LOGS/);
  assert.throws(() => decoder.decode(third), /its state was lost/);
  decoder.decode(first);
  decoder.decode(second);
  assert.deepEqual(textsOf(decoder.decode(third)), ['a', 'c']);
});

test('a batch whose rows are wrong leaves its state in order', () => {
  const [first, second, third] = threeBatches() as [Buffer, Buffer, Buffer];
  const decoder = createStreamDecoder('logs');
  decoder.decode(first);
  const damaged = Buffer.from(second);
  // The indices are the last buffer, padded to 8 bytes: 2, 1.
  damaged[damaged.lastIndexOf(Buffer.of(2, 1, 0, 0))] = 200;
  assert.throws(() => decoder.decode(damaged), /index 200 of row 0/);
  assert.deepEqual(textsOf(decoder.decode(third)), ['a', 'c']);
});

test('payloads behind a faulty one keep their state, other types are not touched', () => {
  const [first, second, third] = threeBatches() as [Buffer, Buffer, Buffer];
  const attributes = splitAtBatches(
    streamOf([
      batchOfData({
        parent_id: column([0], new Uint16()),
        key: column(['k'], new Utf8()),
        type: column([0], new Uint8()),
      }),
    ]),
  )[0]!;
  const decoder = createStreamDecoder('logs');
  decoder.decode(first);
  const faulty = encodeBatch([
    { name: 'SCOPE_ATTRS', record: Buffer.from('no ipc') },
    { name: 'LOGS', record: recordOf(second) },
    { name: 'LOG_ATTRS', record: attributes },
  ]);
  assert.throws(() => decoder.decode(faulty), /payload SCOPE_ATTRS/);
  assert.deepEqual(textsOf(decoder.decode(third)), ['a', 'c']);
});

test('an unreadable envelope loses all state', () => {
  const [first, second] = threeBatches() as [Buffer, Buffer];
  const decoder = createStreamDecoder('logs');
  decoder.decode(first);
  assert.throws(() => decoder.applyState(Buffer.of(0x12, 0xff)), BatchMalformedError);
  assert.throws(() => decoder.decode(second), /its state was lost/);
});

test('times in 64 bits come through as they are', () => {
  const time = makeData({
    type: new TimestampNanosecond('UTC'),
    length: 2,
    nullCount: 0,
    data: BigInt64Array.of(-1n, 2n ** 62n + 1n),
  });
  assert.deepEqual([...decodeLogs({ time_unix_nano: time }).logs.timeUnixNano!.values], [-1n, 2n ** 62n + 1n]);
});

type Columns = Parameters<typeof batchOfData>[0];

function decodeLogs(columns: Columns): LogsBatch {
  return decodeWith({ LOGS: columns });
}

function decodeWith(payloads: Partial<Record<PayloadName, Columns>>): LogsBatch {
  const parts = Object.entries(payloads).map(([name, columns]) => ({
    name: name as PayloadName,
    record: streamOf([batchOfData(columns)]),
  }));
  return createStreamDecoder('logs').decode(encodeBatch(parts)) as LogsBatch;
}

function column(values: unknown[], type: DataType): Data {
  return vectorFromArray(values, type).data[0]!;
}

function binaryColumn(values: Uint8Array[]): Data {
  return vectorFromArray(values, new Binary()).data[0]!;
}

function structOf(children: Record<string, Data>): Data {
  const fields = Object.entries(children).map(([name, data]) => new Field(name, data.type, true));
  const length = Object.values(children)[0]!.length;
  return makeData({ type: new Struct(fields), length, nullCount: 0, children: Object.values(children) });
}

function vectorOf(data: Data) {
  const vector = vectorFromArray(['a'], new Utf8());
  (vector.data as Data[])[0] = data;
  return vector;
}

/** The record of a batch of one payload: its last field. */
function recordOf(message: Buffer): Uint8Array {
  const marker = message.indexOf(Buffer.of(0xff, 0xff, 0xff, 0xff));
  return message.subarray(marker);
}

/** Schema and dictionary messages of a batch of one payload. */
function stateOf(message: Buffer): Uint8Array {
  const record = Uint8Array.from(recordOf(message));
  const messages = walkIpcMessages(record, 0, record.length);
  return record.subarray(0, messages.at(-1)!.start);
}
