/** Types and encodings that no capture has: streams that apache-arrow writes, read by both, cell by cell. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  Binary,
  Bool,
  CompressionType,
  compressionRegistry,
  type Data,
  type DataType,
  DateDay,
  DenseUnion,
  Dictionary,
  Duration,
  Field,
  FixedSizeBinary,
  FixedSizeList,
  Float32,
  Float64,
  Int16,
  Int32,
  Int64,
  Int8,
  LargeBinary,
  LargeUtf8,
  List,
  makeData,
  Map_,
  Null,
  type RecordBatch,
  RecordBatchReader,
  SparseUnion,
  Struct,
  Timestamp,
  TimeUnit,
  Uint16,
  Uint32,
  Uint64,
  Uint8,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import { compress } from 'lz4js';
import { LIMITS } from '../../src/base/index.ts';
import { decodeRecordBatch } from '../../src/otap/arrow-fragment-decoder.ts';
import { scanBatchEnvelope } from '../../src/otap/batch-envelope.ts';
import { createDecodeBudget } from '../../src/otap/decode-budget.ts';
import { bufferBytes, bufferStart, walkIpcMessages } from '../../src/otap/ipc-messages.ts';
import { decompressLz4 } from '../../src/otap/lz4.ts';
import { StreamState } from '../../src/otap/stream-state.ts';
import { compressZstd, decompressZstd, initZstd } from '../../src/otap/zstd.ts';
import { cellsEqual, ourCell, theirCell } from '../helpers/arrow-cells.ts';
import { batchOfData, splitAtBatches, streamOf } from '../helpers/arrow-streams.ts';
import { encodeBatch } from '../helpers/otap-messages.ts';

const BUFFER_BYTES_MAX = 1 << 20;
const ROWS = 37;
const EVERY = [CompressionType.ZSTD, CompressionType.LZ4_FRAME, null] as const;

before(async () => {
  await initZstd();
  compressionRegistry.set(CompressionType.ZSTD, {
    encode: (bytes) => remember(compressZstd(bytes), bytes.length),
    decode: (bytes) => decompressZstd(bytes, BUFFER_BYTES_MAX),
  });
  compressionRegistry.set(CompressionType.LZ4_FRAME, {
    encode: (bytes) => remember(compress(bytes), bytes.length),
    decode: (bytes) => decompressLz4(bytes, originalLengths.get(textOf(bytes))!),
  });
});

after(() => assert.ok(compressedBuffers > 100, `only ${compressedBuffers} buffers were compressed`));

let compressedBuffers = 0;

/** Lengths of what was compressed, by the compressed bytes. */
const originalLengths = new Map<string, number>();

function remember(compressed: Uint8Array, length: number): Uint8Array {
  originalLengths.set(textOf(compressed), length);
  return compressed;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

const primitives: readonly (readonly [string, DataType, (row: number) => unknown])[] = [
  ['i8', new Int8(), (row) => row - 20],
  ['i16', new Int16(), (row) => row * -300],
  ['i32', new Int32(), (row) => row * -100_000],
  ['i64', new Int64(), (row) => BigInt(row) * -(2n ** 57n)],
  ['u8', new Uint8(), (row) => row * 5],
  ['u16', new Uint16(), (row) => row * 1000],
  ['u32', new Uint32(), (row) => row * 100_000_000],
  ['u64', new Uint64(), (row) => BigInt(row) * 2n ** 58n],
  ['f32', new Float32(), (row) => row / 4],
  ['f64', new Float64(), (row) => (row === 3 ? NaN : row === 4 ? -0 : row / 3)],
  ['bool', new Bool(), (row) => row % 3 === 0],
  ['utf8', new Utf8(), (row) => (row % 5 === 0 ? '' : `wörd ${row}`)],
  ['large utf8', new LargeUtf8(), (row) => `wörd ${row}`],
  ['binary', new Binary(), (row) => Uint8Array.of(row, 255, 128)],
  ['large binary', new LargeBinary(), (row) => Uint8Array.of(row, 255)],
  ['fixed binary', new FixedSizeBinary(16), (row) => new Uint8Array(16).fill(row + 1)],
  ['odd fixed binary', new FixedSizeBinary(3), (row) => new Uint8Array(3).fill(row + 1)],
  ['duration s', new Duration(TimeUnit.SECOND), (row) => BigInt(row)],
  ['duration ns', new Duration(TimeUnit.NANOSECOND), (row) => BigInt(row)],
  ['date', new DateDay(), (row) => new Date(row * 86_400_000)],
  ['list', new List(new Field('item', new Float64(), true)), (row) => Array.from({ length: row % 4 }, (_, i) => i / 7)],
  ['fixed list', new FixedSizeList(3, new Field('item', new Int32(), true)), (row) => [row, row + 1, row + 2]],
  [
    'struct',
    new Struct<Record<string, DataType>>([new Field('a', new Int32(), true), new Field('b', new Utf8(), true)]),
    (row) => ({ a: row % 4 === 0 ? null : row, b: `b${row}` }),
  ],
  [
    'map',
    new Map_(
      new Field(
        'entries',
        new Struct([new Field('key', new Utf8(), false), new Field('value', new Int32(), true)]),
        false,
      ) as never,
    ) as DataType,
    (row) => new Map([[`k${row}`, row]]),
  ],
];

for (const [name, type, value] of primitives) {
  test(`columns of ${name} equal apache-arrow's with and without nulls, under every codec`, () => {
    const values = Array.from({ length: ROWS }, (_, row) => value(row));
    const sparse = values.map((item, row) => (row % 3 === 1 ? null : item));
    for (const codec of EVERY) {
      checkBatches([batchOf({ full: vectorFromArray(values, type), sparse: vectorFromArray(sparse, type) })], codec);
    }
  });
}

test('timestamps of every unit come as nanoseconds', () => {
  for (const unit of [TimeUnit.SECOND, TimeUnit.MILLISECOND, TimeUnit.MICROSECOND, TimeUnit.NANOSECOND]) {
    const type = new Timestamp(unit, unit === TimeUnit.SECOND ? 'UTC' : null);
    const data = makeData({ type, length: 3, nullCount: 0, data: BigInt64Array.of(1_700_000_001n, -5n, 0n) });
    checkBatches([batchOfData({ t: data })], null);
  }
});

test('a null column has no buffers and every row null', () => {
  checkBatches([batchOfData({ n: makeData({ type: new Null(), length: 4 }), i: int32Data([1, 2, 3, 4]) })], null);
});

test('dense and sparse unions pick the child that the type id names', () => {
  const fields = [new Field('i', new Int32(), true), new Field('s', new Utf8(), true)];
  const dense = makeData({
    type: new DenseUnion([5, 7], fields),
    length: 4,
    typeIds: Int8Array.of(5, 7, 7, 5),
    valueOffsets: Int32Array.of(0, 0, 1, 1),
    children: [int32Data([10, 20]), vectorFromArray(['a', 'b'], new Utf8()).data[0]!],
  } as never) as Data;
  const sparse = makeData({
    type: new SparseUnion([0, 1], fields),
    length: 4,
    typeIds: Int8Array.of(0, 1, 1, 0),
    children: [int32Data([10, 0, 0, 20]), vectorFromArray(['', 'a', 'b', ''], new Utf8()).data[0]!],
  } as never) as Data;
  for (const codec of EVERY) checkBatches([batchOfData({ dense, sparse })], codec);
});

test('dictionaries of every index width and value type equal those of apache-arrow', () => {
  const values: readonly (readonly [DataType, (row: number) => unknown])[] = [
    [new Utf8(), (row) => `v${row % 7}`],
    [new Binary(), (row) => Uint8Array.of(row % 7)],
    [new Int32(), (row) => row % 7],
    [new Uint32(), (row) => row % 7],
    [new Int64(), (row) => BigInt(row % 7)],
    [new FixedSizeBinary(8), (row) => new Uint8Array(8).fill(row % 7)],
    [new FixedSizeBinary(16), (row) => new Uint8Array(16).fill(row % 7)],
    [new Duration(TimeUnit.NANOSECOND), (row) => BigInt(row % 7)],
    [new Bool(), (row) => row % 2 === 0],
  ];
  for (const index of [new Int8(), new Uint8(), new Int16(), new Uint16(), new Int32(), new Uint32()]) {
    for (const [type, value] of values) {
      const dictionary = new Dictionary<DataType, typeof index>(type, index, 1);
      const rows = Array.from({ length: ROWS }, (_, row) => (row % 5 === 2 ? null : value(row)));
      checkBatches([batchOf({ d: vectorFromArray(rows, dictionary) })], null);
    }
  }
});

test('batches keep their values when their dictionary is replaced or extended', () => {
  const type = new Dictionary(new Utf8(), new Uint8(), 3);
  const batchWith = (entries: string[], indices: number[]) =>
    batchOfData({
      d: makeData({
        type,
        length: indices.length,
        nullCount: 0,
        data: Uint8Array.from(indices),
        dictionary: vectorFromArray(entries, new Utf8()),
      }),
    });
  checkBatches(
    [
      batchWith(['a', 'b'], [0, 1, 1]),
      batchWith(['a', 'b', 'c'], [2, 1, 0]),
      batchWith(['x', 'y'], [0, 1, 0]),
      batchWith(['x', 'y', 'z', 'a'], [3, 2, 1]),
    ],
    null,
  );
});

test('a row whose dictionary entry is null is null', () => {
  const type = new Dictionary(new Utf8(), new Uint8(), 4);
  const dictionary = vectorFromArray(['a', null, 'c'], new Utf8());
  const data = makeData({ type, length: 4, nullCount: 0, data: Uint8Array.of(0, 1, 2, 1), dictionary });
  const column = decodeStream(streamOf([batchOfData({ d: data })]))[0]!.columns[0]!;
  assert.ok(column.kind === 'utf8');
  assert.deepEqual([...column.validity!], [1, 0, 1, 0]);
  assert.deepEqual([...column.indices!], [0, 0, 2, 0]);
});

test('what lies under null rows never shows: values are zero, strings empty, structs hide their children', () => {
  const bitmap = Uint8Array.of(0b101);
  const ints = makeData({
    type: new Int32(),
    length: 3,
    nullCount: 1,
    nullBitmap: bitmap,
    data: Int32Array.of(1, 2, 3),
  });
  const strings = makeData({
    type: new Utf8(),
    length: 3,
    nullCount: 1,
    nullBitmap: bitmap,
    valueOffsets: Int32Array.of(0, 1, 2, 3),
    data: Buffer.from('abc'),
  });
  const child = int32Data([7, 8, 9]);
  const struct = makeData({
    type: new Struct([new Field('c', new Int32(), true)]),
    length: 3,
    nullCount: 1,
    nullBitmap: bitmap,
    children: [child],
  });
  const [batch] = decodeStream(streamOf([batchOfData({ ints, strings, struct })]));
  const [i, s, t] = batch!.columns;
  assert.ok(i!.kind === 'int' && s!.kind === 'utf8' && t!.kind === 'struct');
  assert.deepEqual([...i.values], [1, 0, 3]);
  assert.deepEqual([...s.pool.offsets], [0, 1, 1, 2]);
  const inner = t.children[0]!;
  assert.ok(inner.kind === 'int');
  assert.deepEqual([...inner.validity!], [1, 0, 1]);
  assert.deepEqual([...inner.values], [7, 0, 9]);
});

function int32Data(values: number[]): Data<Int32> {
  return makeData({ type: new Int32(), length: values.length, nullCount: 0, data: Int32Array.from(values) });
}

function batchOf(vectors: Record<string, { readonly data: readonly Data[] }>): RecordBatch {
  return batchOfData(Object.fromEntries(Object.entries(vectors).map(([name, vector]) => [name, vector.data[0]!])));
}

function codedStreamOf(batches: RecordBatch[], codec: CompressionType | null): Uint8Array {
  const stream = streamOf(batches, codec);
  if (codec !== null) correctLengths(stream);
  return stream;
}

/** apache-arrow 21 writes the compressed length where the format wants the uncompressed one. */
function correctLengths(stream: Uint8Array): void {
  const view = new DataView(stream.buffer);
  for (const message of walkIpcMessages(stream, 0, stream.length)) {
    for (let i = 0; i < message.bufferCount; i++) {
      const start = bufferStart(message, i);
      const length = bufferBytes(message, i);
      if (length === 0 || view.getBigInt64(start, true) === -1n) continue;
      const original = originalLengths.get(textOf(stream.subarray(start + 8, start + length)));
      if (original === undefined) continue;
      view.setBigInt64(start, BigInt(original), true);
      compressedBuffers++;
    }
  }
}

/** One payload a record batch, as exporters cut streams. */
function decodeStream(stream: Uint8Array) {
  const state = new StreamState();
  return splitAtBatches(stream).map((record) => {
    const message = new Uint8Array(encodeBatch([{ name: 'LOGS', record }]));
    const [payload] = scanBatchEnvelope(message).payloads;
    const work = { budget: createDecodeBudget(LIMITS.batchDecodedBytesMax), repairs: { repairedStrings: 0 } };
    const { state: schema, rows } = state.take(message, payload!, 'LOGS', work);
    const context = { payload: 'LOGS', dictionaries: schema.dictionaries, ...work };
    return { fields: schema.fields, columns: decodeRecordBatch(schema.fields, rows!, context) };
  });
}

function checkBatches(batches: RecordBatch[], codec: CompressionType | null): void {
  const stream = codedStreamOf(batches, codec);
  const ours = decodeStream(stream);
  let index = 0;
  for (const theirs of RecordBatchReader.from(stream)) {
    const { fields, columns } = ours[index++]!;
    for (const [i, data] of theirs.data.children.entries()) {
      for (let row = 0; row < theirs.numRows; row++) {
        const [left, right] = [ourCell(columns[i]!, fields[i]!, row), theirCell(data, row)];
        if (!cellsEqual(left, right)) assert.deepEqual(left, right, `${fields[i]!.path} row ${row}`);
      }
    }
  }
  assert.equal(index, batches.length);
  assert.equal(ours.length, batches.length);
}
