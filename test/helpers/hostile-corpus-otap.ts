/** Files of test/fixtures/hostile for the OTAP port: what a client writes on one stream, gRPC frames and all. */
import {
  type Data,
  Dictionary,
  Field,
  makeData,
  makeVector,
  Struct,
  Uint16,
  Uint8,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import { gzipSync } from 'node:zlib';
import { scanBatchEnvelope } from '../../src/otap/batch-envelope.ts';
import { IPC_CODECS, walkIpcMessages } from '../../src/otap/ipc-messages.ts';
import { batchOfData, splitAtBatches, streamOf } from './arrow-streams.ts';
import { readArrowStreams } from './captures.ts';
import { encodeBatch } from './otap-messages.ts';
import { lengthField, varintField } from './otlp-wire-messages.ts';

/** By name. */
export function hostileOtap(): Record<string, Buffer> {
  return { ...frames(), ...envelopes(), ...ipcMessages(), ...values(), ...headers() };
}

const UNCOMPRESSED = 0;
const COMPRESSED = 1;
const STRING_TYPE = 1;
const MIB = 1024 * 1024;
/** What receivers of the tables would show, were anything of a refused batch in them. */
const TEXT = 'hostile';

function frames(): Record<string, Buffer> {
  return {
    'otap-frame-flags-7': frame(logs(), 7),
    'otap-frame-length-4-gib': frame(logs(), UNCOMPRESSED, 0xffff_ffff),
    'otap-frame-compressed-without-encoding': frame(gzipSync(logs()), COMPRESSED),
    'otap-frame-encoding-unknown': frame(logs(), COMPRESSED),
    'otap-gzip-truncated': frame(gzipSync(logs()).subarray(0, -12), COMPRESSED),
    'otap-gzip-bomb-65-mib': frame(gzipSync(Buffer.alloc(65 * MIB), { level: 9 }), COMPRESSED),
    'otap-zstd-bomb-128-mib': frame(zstdBomb(1024), COMPRESSED),
    'otap-zstd-window-2-gib': frame([...ZSTD_MAGIC, 0x00, 21 << 3, 0x09, 0x00, 0x00, 7], COMPRESSED),
    'otap-zstd-content-size-2-power-63': frame(
      [...ZSTD_MAGIC, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x01, 0x00, 0x00],
      COMPRESSED,
    ),
  };
}

function envelopes(): Record<string, Buffer> {
  const good = logs();
  const record = rootRecord();
  const payload = { name: 'LOGS' as const, record };
  return {
    'otap-envelope-garbage': frame(Buffer.alloc(64, 0xff)),
    'otap-envelope-truncated': frame(good.subarray(0, -30)),
    'otap-envelope-payload-as-varint': frame(Buffer.concat([varintField(1, 1n), varintField(2, 77n)])),
    'otap-envelope-group': frame(Buffer.concat([good, Buffer.from([(2 << 3) | 3, (2 << 3) | 4])])),
    'otap-envelope-field-0': frame(Buffer.concat([good, Buffer.from([0, 0])])),
    'otap-envelope-varint-11-bytes': frame([0x08, ...Array<number>(10).fill(0xff), 0x01]),
    'otap-envelope-length-2-power-35': frame([0x08, 1, 0x12, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1, 2, 3]),
    'otap-envelope-no-payload': frame(varintField(1, 1n)),
    'otap-envelope-no-root': frame(encodeBatch([{ name: 'LOG_ATTRS', record: attributesRecord([0]) }])),
    'otap-envelope-payload-twice': frame(encodeBatch([payload, payload])),
    'otap-envelope-payloads-33': frame(encodeBatch(Array(33).fill({ name: 'LOGS', record: Buffer.alloc(0) }))),
    'otap-envelope-payload-of-traces': frame(
      encodeBatch([payload, { name: 'SPAN_ATTRS', record: attributesRecord([0]) }]),
    ),
    'otap-envelope-payload-type-9999': frame(
      Buffer.concat([good, lengthField(2, Buffer.concat([varintField(2, 9999n), lengthField(3, record)]))]),
    ),
    'otap-envelope-schema-id-10-kib': frame(encodeBatch([{ ...payload, schemaId: 'x'.repeat(10 * 1024) }])),
  };
}

function ipcMessages(): Record<string, Buffer> {
  const record = rootRecord();
  const [schema, batch] = walkIpcMessages(record, 0, record.length) as [Ipc, Ipc];
  const root = (content: Uint8Array): Buffer => frame(encodeBatch([{ name: 'LOGS', record: content }]));
  const changed = (change: (view: DataView) => void): Buffer => {
    const copy = Uint8Array.from(record);
    change(new DataView(copy.buffer));
    return root(copy);
  };
  const rows = slotOf(record, headerOf(record, batch.start), 4);
  const bodyLength = slotOf(record, rootOf(record, batch.start), 10);
  const delta = dictionaryRecord(Uint8Array.of(0));
  const [dictionarySchema, dictionary] = walkIpcMessages(delta, 0, delta.length) as [Ipc, Ipc];
  return {
    'otap-ipc-no-continuation': changed((view) => view.setUint32(schema.start, 1, true)),
    'otap-ipc-metadata-length-2-gib': changed((view) => view.setInt32(schema.start + 4, 0x7fff_fff8, true)),
    'otap-ipc-metadata-length-negative': changed((view) => view.setInt32(schema.start + 4, -8, true)),
    'otap-ipc-root-table-outside': changed((view) => view.setUint32(batch.start + 8, 0xffff_fff0, true)),
    'otap-ipc-body-length-negative': changed((view) => view.setBigInt64(bodyLength, -8n, true)),
    'otap-ipc-body-length-2-power-62': changed((view) => view.setBigInt64(bodyLength, 2n ** 62n, true)),
    'otap-ipc-rows-2-power-40': changed((view) => view.setBigInt64(rows, 2n ** 40n, true)),
    'otap-ipc-rows-negative': changed((view) => view.setBigInt64(rows, -1n, true)),
    'otap-ipc-record-batch-first': root(record.subarray(batch.start)),
    'otap-ipc-schema-alone': root(record.subarray(0, schema.end)),
    'otap-ipc-schema-behind-record-batch': root(Buffer.concat([record, record.subarray(0, schema.end)])),
    'otap-ipc-schema-depth-100': root(splitAtBatches(streamOf([batchOfData({ id: nested(100) })]))[0]!),
    'otap-ipc-schema-fields-1100': frame(
      gzipSync(encodeBatch([{ name: 'LOGS', record: wideRecord(1100) }])),
      COMPRESSED,
    ),
    'otap-ipc-dictionary-undeclared': root(
      Buffer.concat([
        record.subarray(0, schema.end),
        delta.subarray(dictionary.start, dictionary.end),
        record.subarray(batch.start),
      ]),
    ),
    'otap-ipc-dictionary-missing': root(
      Buffer.concat([delta.subarray(0, dictionarySchema.end), delta.subarray(dictionary.end)]),
    ),
    'otap-ipc-buffer-of-1-gib': claimedBytes(1024n * 1024n * 1024n),
    'otap-ipc-buffer-of-wrong-length': claimedBytes(3n),
  };
}

function values(): Record<string, Buffer> {
  const root = (data: Record<string, Data>): Buffer =>
    frame(encodeBatch([{ name: 'LOGS', record: splitAtBatches(streamOf([batchOfData(data)]))[0]! }]));
  const text = Buffer.from(TEXT);
  const utf8 = (bytes: Uint8Array, offsets: readonly number[]): Data =>
    makeData({
      type: new Utf8(),
      length: offsets.length - 1,
      nullCount: 0,
      valueOffsets: Int32Array.from(offsets),
      data: bytes,
    });
  const ids = (...deltas: number[]): Data => makeData({ type: new Uint16(), data: Uint16Array.from(deltas) });
  const dictionary = (index: number): Buffer =>
    frame(encodeBatch([{ name: 'LOGS', record: dictionaryRecord(Uint8Array.of(index)) }]));
  return {
    'otap-dictionary-index-past-end': dictionary(200),
    'otap-text-offsets-backwards': root({ id: ids(0, 1), severity_text: utf8(text, [0, 7, 3]) }),
    'otap-text-offsets-outside': root({ id: ids(0), severity_text: utf8(text, [0, 7_000_000]) }),
    'otap-text-not-utf8': root({
      id: ids(0),
      severity_text: utf8(Uint8Array.of(0x68, 0xff, 0xfe, 0xc0, 0x80), [0, 5]),
    }),
    'otap-ids-wrapped': frame(
      encodeBatch([
        { name: 'LOGS', record: rootRecord([60_000, 60_000, 0]) },
        { name: 'LOG_ATTRS', record: attributesRecord([60_000]) },
      ]),
    ),
    'otap-parent-ids-of-nobody': frame(
      encodeBatch([
        { name: 'LOGS', record: rootRecord([0]) },
        { name: 'LOG_ATTRS', record: attributesRecord([41_000]) },
      ]),
    ),
    'otap-column-of-another-type': root({ id: ids(0), time_unix_nano: utf8(text, [0, 7]) }),
  };
}

/** Field 3 of the envelope, HPACK blocks, in front of a batch that is sound. */
function headers(): Record<string, Buffer> {
  const withBlock = (...block: number[]): Buffer => frame(Buffer.concat([logs(), lengthField(3, Buffer.from(block))]));
  return {
    'otap-hpack-garbage': withBlock(...Array.from({ length: 64 }, (_, i) => (i * 151 + 63) & 0xff)),
    'otap-hpack-index-out-of-range': withBlock(0xff, 0xff, 0xff, 0xff, 0x07),
    'otap-hpack-integer-without-end': withBlock(...Array<number>(40).fill(0xff)),
    'otap-hpack-string-length-2-gib': withBlock(0x40, 0x7f, 0x80, 0xff, 0xff, 0xff, 0x07, 0x61),
    'otap-hpack-huffman-padding': withBlock(0x40, 0x81, 0x00, 0x81, 0x00),
    'otap-hpack-table-size-4-gib': withBlock(0x3f, 0xe0, 0xff, 0xff, 0xff, 0x0f),
  };
}

const ZSTD_MAGIC = [0x28, 0xb5, 0x2f, 0xfd];

/** A zstd frame of so many blocks of 128 KiB of one repeated byte each, without a content size. */
export function zstdBomb(blocks: number): Buffer {
  const block = (1 << 1) | ((128 * 1024) << 3);
  const content = Buffer.alloc(blocks * 4);
  for (let i = 0; i < blocks; i++) content.writeUIntLE(i === blocks - 1 ? block | 1 : block, i * 4, 3);
  return Buffer.concat([Buffer.from([...ZSTD_MAGIC, 0x00, 0x38]), content]);
}

function frame(content: Uint8Array | readonly number[], flags = UNCOMPRESSED, claimedBytes = content.length): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(claimedBytes, 1);
  return Buffer.concat([head, Buffer.from(content)]);
}

/** A sound batch of one row. */
function logs(): Buffer {
  return encodeBatch([{ name: 'LOGS', record: rootRecord() }]);
}

function rootRecord(deltas: readonly number[] = [0]): Uint8Array {
  const id = makeData({ type: new Uint16(), data: Uint16Array.from(deltas) });
  const type = vectorFromArray(
    deltas.map(() => STRING_TYPE),
    new Uint8(),
  ).data[0]!;
  const str = vectorFromArray(
    deltas.map(() => TEXT),
    new Utf8(),
  ).data[0]!;
  const fields = [new Field('type', type.type, true), new Field('str', str.type, true)];
  const body = makeData({ type: new Struct(fields), length: deltas.length, nullCount: 0, children: [type, str] });
  return splitAtBatches(streamOf([batchOfData({ id, body })]))[0]!;
}

function attributesRecord(parents: readonly number[]): Uint8Array {
  const texts = parents.map(() => TEXT);
  const columns = {
    parent_id: {
      data: makeData({ type: new Uint16(), data: Uint16Array.from(parents) }),
      metadata: { encoding: 'plain' },
    },
    key: vectorFromArray(texts, new Utf8()).data[0]!,
    type: makeData({ type: new Uint8(), data: Uint8Array.from(parents, () => STRING_TYPE) }),
    str: vectorFromArray(texts, new Utf8()).data[0]!,
  };
  return splitAtBatches(streamOf([batchOfData(columns)]))[0]!;
}

function dictionaryRecord(indices: Uint8Array): Uint8Array {
  const type = new Dictionary(new Utf8(), new Uint8(), 7);
  const texts = vectorFromArray([TEXT], new Utf8());
  const severity = makeData({ type, length: indices.length, nullCount: 0, data: indices, dictionary: texts });
  const id = makeData({ type: new Uint16(), data: new Uint16Array(indices.length) });
  return splitAtBatches(streamOf([batchOfData({ id, severity_text: severity })]))[0]!;
}

function nested(depth: number): Data {
  let data: Data = makeVector(Uint16Array.of(0)).data[0]!;
  for (let level = 0; level < depth; level++) {
    const type = new Struct([new Field('x', data.type, true)]);
    data = makeData({ type, length: 1, nullCount: 0, children: [data] });
  }
  return data;
}

function wideRecord(fields: number): Uint8Array {
  const column = makeVector(Uint8Array.of(0)).data[0]!;
  const columns = Object.fromEntries(Array.from({ length: fields }, (_, i) => [`c${i}`, column]));
  return splitAtBatches(streamOf([batchOfData(columns)]))[0]!;
}

/** A batch of a real exporter whose first compressed buffer says that it has so many bytes. */
function claimedBytes(bytes: bigint): Buffer {
  const { messages } = readArrowStreams('telemetrygen-1').find(({ arrowSignal }) => arrowSignal === 'logs')!;
  const message = Buffer.from(messages[0]!);
  const ipcs = scanBatchEnvelope(message).payloads.flatMap(({ start, end }) => walkIpcMessages(message, start, end));
  const { bodyStart } = ipcs.find((ipc) => ipc.codec !== IPC_CODECS.NONE && ipc.end - ipc.bodyStart > 16)!;
  message.writeBigInt64LE(bytes, bodyStart);
  return frame(message);
}

type Ipc = ReturnType<typeof walkIpcMessages>[number];

/** Position of the root table of the metadata of the message at `start`. */
function rootOf(bytes: Uint8Array, start: number): number {
  return start + 8 + viewOf(bytes).getUint32(start + 8, true);
}

/** Position of the header's table: a schema, a dictionary or a record batch. */
function headerOf(bytes: Uint8Array, start: number): number {
  const at = slotOf(bytes, rootOf(bytes, start), 8);
  return at + viewOf(bytes).getUint32(at, true);
}

/** Position of a field of a flatbuffer's table. */
function slotOf(bytes: Uint8Array, table: number, slot: number): number {
  const view = viewOf(bytes);
  const offset = view.getUint16(table - view.getInt32(table, true) + slot, true);
  if (offset === 0) throw new Error(`Cannot find slot ${slot} of a table: it is left out`);
  return table + offset;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
