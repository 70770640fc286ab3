/** Records that a log may hold and that no decoder can make rows of: hostile lengths, counts, indices, nesting, compression. */
import {
  CompressionType,
  compressionRegistry,
  type Data,
  Dictionary,
  Int32,
  makeData,
  Uint16,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import type { Signal } from '../../src/base/index.ts';
import { compressZstd } from '../../src/otap/zstd.ts';
import { batchOfData, splitAtBatches, streamOf } from './arrow-streams.ts';
import { readArrowStreams, readCapture } from './captures.ts';
import { encodeBatch } from './otap-messages.ts';
import { toOtlpJson } from './otlp-json.ts';
import { lengthField, varint } from './otlp-wire-messages.ts';

/** In a record, what makes `deadly-engine-worker.ts` die. */
export const DEADLY_MARKS = {
  heap: 'deadly: heap',
  hang: 'deadly: hang',
  exit: 'deadly: exit',
  abort: 'deadly: abort',
} as const;

export interface PoisonRecord {
  readonly name: string;
  readonly signal: Signal;
  /** Null: a batch of an Arrow stream. Else the content type of an OTLP request, '' for none. */
  readonly contentType: string | null;
  readonly record: Uint8Array;
  /** It decodes, without the rows that are to blame. */
  readonly leavesRowsOut?: true;
}

/** All of them. zstd must be initialized. */
export function poisonRecords(): PoisonRecord[] {
  return [...arrowPoison(), ...protobufPoison(), ...jsonPoison()];
}

/** A batch with a mark: a field that no reader knows. */
export function marked(record: Uint8Array, death: keyof typeof DEADLY_MARKS): Uint8Array {
  return Buffer.concat([record, lengthField(15, Buffer.from(DEADLY_MARKS[death]))]);
}

const ROWS = 12_345;

function arrowPoison(): PoisonRecord[] {
  const arrow = (name: string, record: Uint8Array, signal: Signal = 'logs') => {
    return { name, signal, contentType: null, record };
  };
  const logs = readArrowStreams('rich-1').find(({ arrowSignal }) => arrowSignal === 'logs')!.messages;
  const spans = readArrowStreams('rich-1').find(({ arrowSignal }) => arrowSignal === 'traces')!.messages[0]!;
  const batch = logs[0]!;
  const marker = batch.indexOf(Buffer.from([0xff, 0xff, 0xff, 0xff]));
  const withLength = (bytes: number[]) =>
    Buffer.concat([batch.subarray(0, marker + 4), Buffer.from(bytes), batch.subarray(marker + 8)]);
  const plain = logsOf({ id: idData(ROWS) });
  compressionRegistry.set(CompressionType.ZSTD, { encode: (bytes) => compressZstd(bytes) });
  const compressed = Buffer.from(logsOf({ id: idData(ROWS) }, CompressionType.ZSTD));
  const zstd = compressed.indexOf(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]));
  return [
    arrow('half of a batch', batch.subarray(0, batch.length >> 1)),
    arrow('an IPC message of 2 GiB', withLength([0xff, 0xff, 0xff, 0x7f])),
    arrow('an IPC message of negative length', withLength([0, 0, 0, 0x80])),
    arrow('an IPC message without metadata', withLength([0, 0, 0, 0])),
    arrow('2^31 rows', withCount(plain, 2n ** 31n)),
    arrow('2^53 rows', withCount(plain, 2n ** 53n)),
    arrow('-1 rows', withCount(plain, -1n)),
    arrow('a dictionary index out of range', logsOf({ id: idData(1), severity_text: dictionary(99) })),
    arrow('a negative offset of a string', logsOf({ id: idData(1), severity_text: brokenStrings(-5) })),
    arrow(
      'an offset of a string beyond its bytes',
      logsOf({ id: idData(1), severity_text: brokenStrings(0x7fff_ffff) }),
    ),
    arrow('a zstd buffer of 1 TiB', patched(compressed, zstd - 8, 2n ** 40n)),
    arrow('a zstd buffer of negative size', patched(compressed, zstd - 8, -7n)),
    arrow(
      'a zstd buffer of noise',
      Buffer.concat([compressed.subarray(0, zstd), Buffer.alloc(compressed.length - zstd, 0x5a)]),
    ),
    arrow('a payload that is longer than its batch', Buffer.concat([Buffer.from([0x12]), varint(2n ** 40n), batch])),
    arrow('a varint without an end', Buffer.alloc(64, 0xff)),
    arrow('spans on a stream of logs', spans),
    arrow('a batch without the schema before it', logs[1]!),
  ];
}

function protobufPoison(): PoisonRecord[] {
  const otlp = (name: string, record: Uint8Array, signal: Signal = 'logs', contentType = 'application/x-protobuf') => {
    return { name, signal, contentType, record };
  };
  const request = requestOf('traces');
  let deep: Uint8Array = Buffer.from([0x10, 1]);
  for (let level = 0; level < 5_000; level++) deep = lengthField(5, lengthField(1, deep));
  return [
    otlp('a request that is cut', request.subarray(0, request.length - 3), 'traces'),
    otlp('a resource of 2^63 bytes', Buffer.concat([Buffer.from([0x0a]), varint(2n ** 63n), request]), 'metrics'),
    otlp('nothing but ones', Buffer.alloc(1_000_000, 0xff)),
    {
      ...otlp('a value in 5,000 arrays', lengthField(1, lengthField(2, lengthField(2, lengthField(5, deep))))),
      leavesRowsOut: true,
    },
    otlp('a request without a content type', request, 'traces', ''),
    otlp('a request of an unknown content type', request, 'traces', 'text/html'),
  ];
}

function jsonPoison(): PoisonRecord[] {
  const json = (name: string, text: string, signal: Signal = 'logs') => {
    return { name, signal, contentType: 'application/json', record: Buffer.from(text) };
  };
  const whole = toOtlpJson('logs', requestOf('logs'));
  return [
    json('100,000 open brackets', '['.repeat(100_000)),
    json('100,000 open objects', '{"resourceLogs":'.repeat(100_000)),
    json('a string without an end', whole.slice(0, whole.lastIndexOf('"'))),
    json(
      'a time of a million digits',
      `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"${'9'.repeat(1_000_000)}"}]}]}]}`,
    ),
    json('a number where a list is due', '{"resourceLogs":1e999999999}'),
  ];
}

function requestOf(signal: Signal): Buffer {
  return readCapture('rich-1', 'expect').find((record) => record.t === 'otlp' && record.signal === signal)!.body;
}

function idData(length: number): Data {
  return makeData({ type: new Uint16(), length, nullCount: 0, data: Uint16Array.from({ length }, (_none, at) => at) });
}

/** Row `index` of a dictionary with one entry. */
function dictionary(index: number): Data {
  const type = new Dictionary(new Utf8(), new Int32());
  const values = vectorFromArray(['only'], new Utf8());
  return makeData({ type, length: 1, nullCount: 0, data: Int32Array.of(index), dictionary: values });
}

/** A string that ends at `offset` of six bytes. */
function brokenStrings(offset: number): Data {
  const valueOffsets = Int32Array.of(0, offset);
  return makeData({ type: new Utf8(), length: 1, nullCount: 0, valueOffsets, data: Buffer.from('string') });
}

function logsOf(columns: Readonly<Record<string, Data>>, codec: CompressionType | null = null): Buffer {
  const [record] = splitAtBatches(streamOf([batchOfData(columns)], codec));
  return encodeBatch([{ name: 'LOGS', record: record! }]);
}

/** The batch with `count` wherever it says `ROWS`. */
function withCount(batch: Buffer, count: bigint): Buffer {
  const said = Buffer.alloc(8);
  said.writeBigInt64LE(BigInt(ROWS));
  let at = batch.indexOf(said);
  let patchedBatch = batch;
  for (; at >= 0; at = batch.indexOf(said, at + 8)) patchedBatch = patched(patchedBatch, at, count);
  return patchedBatch;
}

function patched(bytes: Buffer, at: number, value: bigint): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeBigInt64LE(BigInt.asIntN(64, value), at);
  return copy;
}
