/**
 * The frames of Arrow IPC: what lies in a payload's record (encapsulated messages of the streaming format, Arrow columnar format
 * 1.x, Message.fbs and Schema.fbs), checked to the last offset without touching the values. The inspector stops here; the decoder
 * reads columns from the positions found here and parses nothing twice.
 */
import { BatchMalformedError, LIMITS } from '../base/index.ts';
import {
  type Flatbuffer,
  lengthAt,
  readBool,
  readInt16,
  readInt64,
  readLength,
  readTable,
  readUint8,
  readVector,
  rootTable,
  tableInVector,
} from './flatbuffer-reader.ts';

/** What compresses the buffers of a body. Numbers of CompressionType in Message.fbs; NONE is not on the wire. */
export const IPC_CODECS = { NONE: -1, LZ4_FRAME: 0, ZSTD: 1 } as const;

type IpcCodec = (typeof IPC_CODECS)[keyof typeof IPC_CODECS];

/** One encapsulated message. All positions are absolute in the bytes that were walked. */
export interface IpcMessage {
  readonly kind: 'schema' | 'dictionary' | 'recordBatch';
  /** The message as a whole, from the continuation marker to the end of the body. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly bodyStart: number;
  /** The metadata. */
  readonly flatbuffer: Flatbuffer;
  /** Position of the Schema table, the DictionaryBatch table or the RecordBatch table in `flatbuffer`. */
  readonly header: number;
  /** Of a dictionary; 0 for other kinds. */
  readonly dictionaryId: bigint;
  /** Whether a dictionary extends the one that is there; false for other kinds. */
  readonly isDelta: boolean;
  /** Rows of a record batch, entries of a dictionary; 0 for a schema. */
  readonly rowCount: number;
  /** Arrays in depth-first order of the schema's fields; read them with `nodeLength` and `nodeNullCount`. */
  readonly nodeCount: number;
  readonly nodesStart: number;
  /** Buffers in order of the arrays; read them with `bufferStart` and `bufferBytes`. */
  readonly bufferCount: number;
  readonly buffersStart: number;
  readonly codec: IpcCodec;
  /** What all buffers have after decompression, as they claim; at most LIMITS.batchDecodedBytesMax. */
  readonly decodedBytes: number;
}

const CONTINUATION = 0xffffffff;
const PREFIX_BYTES = 8;
const METADATA_ALIGNMENT_BYTES = 8;
/** MetadataVersion: V5 is what Arrow writes since 1.0; V4 differs in unions only, which OTAP does not have. */
const VERSION_V4 = 3;
const VERSION_V5 = 4;
/** MessageHeader. */
const HEADER_TYPES = { SCHEMA: 1, DICTIONARY_BATCH: 2, RECORD_BATCH: 3 } as const;
const MESSAGE_SLOTS = { VERSION: 4, HEADER_TYPE: 6, HEADER: 8, BODY_LENGTH: 10 } as const;
const SCHEMA_SLOTS = { ENDIANNESS: 4, FIELDS: 6 } as const;
const FIELD_SLOTS = { DICTIONARY: 12, CHILDREN: 14 } as const;
const DICTIONARY_ENCODING_SLOTS = { ID: 4 } as const;
const DICTIONARY_BATCH_SLOTS = { ID: 4, DATA: 6, IS_DELTA: 8 } as const;
const RECORD_BATCH_SLOTS = { LENGTH: 4, NODES: 6, BUFFERS: 8, COMPRESSION: 10 } as const;
const COMPRESSION_SLOTS = { CODEC: 4, METHOD: 6 } as const;
/** FieldNode {length, null_count} and Buffer {offset, length}: two 64-bit integers each. */
const STRUCT_BYTES = 16;
/** Before a compressed buffer: its length after decompression, or -1 when it was stored as it is. */
const UNCOMPRESSED_LENGTH_BYTES = 8;

/**
 * Finds and checks the encapsulated messages in `bytes` from `start` to `end` (exclusive; the caller vouches for the range). An
 * end-of-stream marker is accepted as the last thing. Which messages may follow which is the caller's to judge.
 * Throws BatchMalformedError with the position: no continuation marker, metadata or body past the range, offsets that break out,
 * unknown versions, headers and codecs, negative lengths, more nulls than rows, buffers outside the body, limits exceeded.
 */
export function walkIpcMessages(bytes: Uint8Array, start: number, end: number): IpcMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: IpcMessage[] = [];
  let position = start;
  while (position < end) {
    if (end - position < PREFIX_BYTES) throw malformed('a message prefix is truncated', position);
    if (view.getUint32(position, true) !== CONTINUATION) throw malformed('a continuation marker is missing', position);
    const metadataBytes = view.getUint32(position + 4, true);
    if (metadataBytes === 0) {
      if (position + PREFIX_BYTES !== end) throw malformed('bytes follow the end of the stream', position);
      break;
    }
    const message = readMessage(bytes, view, position, metadataBytes, end);
    messages.push(message);
    position = message.end;
  }
  return messages;
}

/** Length of array `index` (0 to nodeCount - 1). */
export function nodeLength(message: IpcMessage, index: number): number {
  return lengthAt(message.flatbuffer.view, message.nodesStart + index * STRUCT_BYTES);
}

/** Nulls of array `index`: never above its length. */
export function nodeNullCount(message: IpcMessage, index: number): number {
  return lengthAt(message.flatbuffer.view, message.nodesStart + index * STRUCT_BYTES + 8);
}

/** Absolute position of buffer `index` (0 to bufferCount - 1): inside the body, not aligned. */
export function bufferStart(message: IpcMessage, index: number): number {
  return message.bodyStart + lengthAt(message.flatbuffer.view, message.buffersStart + index * STRUCT_BYTES);
}

/** Bytes of buffer `index` as stored: with a codec, 8 bytes of uncompressed length (-1: stored as it is) come first unless it is 0. */
export function bufferBytes(message: IpcMessage, index: number): number {
  return lengthAt(message.flatbuffer.view, message.buffersStart + index * STRUCT_BYTES + 8);
}

/**
 * Ids of the dictionaries that a schema message's fields use, nested ones included; an id that several fields share occurs once.
 * Throws BatchMalformedError when fields break out, are nested too deep or are too many.
 */
export function schemaDictionaryIds(message: IpcMessage): Set<bigint> {
  const { flatbuffer } = message;
  const ids = new Set<bigint>();
  let fieldCount = 0;
  const visit = (table: number, slot: number, depth: number): void => {
    const fields = readVector(flatbuffer, table, slot, 4);
    if (fields.length === 0) return;
    if (depth > LIMITS.schemaDepthMax) throw malformed(`fields are nested above ${LIMITS.schemaDepthMax}`, table);
    fieldCount += fields.length;
    if (fieldCount > LIMITS.schemaFieldsMax)
      throw malformed(`there are more than ${LIMITS.schemaFieldsMax} fields`, table);
    for (let i = 0; i < fields.length; i++) {
      const field = tableInVector(flatbuffer, fields, i);
      const encoding = readTable(flatbuffer, field, FIELD_SLOTS.DICTIONARY);
      if (encoding !== 0) ids.add(readInt64(flatbuffer, encoding, DICTIONARY_ENCODING_SLOTS.ID, 0n));
      visit(field, FIELD_SLOTS.CHILDREN, depth + 1);
    }
  };
  visit(message.header, SCHEMA_SLOTS.FIELDS, 1);
  return ids;
}

function readMessage(bytes: Uint8Array, view: DataView, start: number, metadataBytes: number, end: number): IpcMessage {
  const metadataStart = start + PREFIX_BYTES;
  if (metadataBytes > end - metadataStart) throw malformed(`metadata of ${metadataBytes} bytes is truncated`, start);
  if (metadataBytes % METADATA_ALIGNMENT_BYTES !== 0)
    throw malformed(`metadata of ${metadataBytes} bytes is not aligned`, start);
  const bodyStart = metadataStart + metadataBytes;
  const flatbuffer: Flatbuffer = { bytes, view, start: metadataStart, end: bodyStart };
  const root = rootTable(flatbuffer);
  const version = readInt16(flatbuffer, root, MESSAGE_SLOTS.VERSION, 0);
  if (version !== VERSION_V5 && version !== VERSION_V4) throw malformed(`metadata version is ${version}`, start);
  const bodyBytes = readLength(flatbuffer, root, MESSAGE_SLOTS.BODY_LENGTH);
  if (bodyBytes > end - bodyStart) throw malformed(`a body of ${bodyBytes} bytes is truncated`, start);
  const headerType = readUint8(flatbuffer, root, MESSAGE_SLOTS.HEADER_TYPE, 0);
  const header = readTable(flatbuffer, root, MESSAGE_SLOTS.HEADER);
  if (header === 0) throw malformed('a message has no header', start);
  const frame = { start, end: bodyStart + bodyBytes, bodyStart, flatbuffer, header };
  switch (headerType) {
    case HEADER_TYPES.SCHEMA:
      return readSchema(frame);
    case HEADER_TYPES.DICTIONARY_BATCH:
      return readDictionary(frame);
    case HEADER_TYPES.RECORD_BATCH:
      return readBatch(frame, header, 'recordBatch', 0n, false);
    default:
      throw malformed(`message header type is ${headerType}`, start);
  }
}

/** What all messages have. */
interface IpcFrame {
  readonly start: number;
  readonly end: number;
  readonly bodyStart: number;
  readonly flatbuffer: Flatbuffer;
  readonly header: number;
}

function readSchema(frame: IpcFrame): IpcMessage {
  const { start, end, bodyStart, flatbuffer, header } = frame;
  if (end !== bodyStart) throw malformed('a schema has a body', start);
  if (readInt16(flatbuffer, header, SCHEMA_SLOTS.ENDIANNESS, 0) !== 0) throw malformed('values are big endian', start);
  return {
    kind: 'schema',
    start,
    end,
    bodyStart,
    flatbuffer,
    header,
    dictionaryId: 0n,
    isDelta: false,
    rowCount: 0,
    nodeCount: 0,
    nodesStart: 0,
    bufferCount: 0,
    buffersStart: 0,
    codec: IPC_CODECS.NONE,
    decodedBytes: 0,
  };
}

function readDictionary(frame: IpcFrame): IpcMessage {
  const { flatbuffer, header } = frame;
  const id = readInt64(flatbuffer, header, DICTIONARY_BATCH_SLOTS.ID, 0n);
  const isDelta = readBool(flatbuffer, header, DICTIONARY_BATCH_SLOTS.IS_DELTA, false);
  const data = readTable(flatbuffer, header, DICTIONARY_BATCH_SLOTS.DATA);
  if (data === 0) throw malformed(`dictionary ${id} has no data`, frame.start);
  return readBatch(frame, data, 'dictionary', id, isDelta);
}

function readBatch(
  frame: IpcFrame,
  batch: number,
  kind: 'dictionary' | 'recordBatch',
  dictionaryId: bigint,
  isDelta: boolean,
): IpcMessage {
  const { start, end, bodyStart, flatbuffer, header } = frame;
  const rowCount = readLength(flatbuffer, batch, RECORD_BATCH_SLOTS.LENGTH);
  if (rowCount > LIMITS.tableRowsMax)
    throw malformed(`a table of ${rowCount} rows is above ${LIMITS.tableRowsMax}`, start);
  const nodes = readVector(flatbuffer, batch, RECORD_BATCH_SLOTS.NODES, STRUCT_BYTES);
  checkNodes(flatbuffer.view, nodes.start, nodes.length);
  const codec = readCodec(flatbuffer, batch, start);
  const buffers = readVector(flatbuffer, batch, RECORD_BATCH_SLOTS.BUFFERS, STRUCT_BYTES);
  const decodedBytes = checkBuffers(frame, buffers.start, buffers.length, codec);
  return {
    kind,
    start,
    end,
    bodyStart,
    flatbuffer,
    header,
    dictionaryId,
    isDelta,
    rowCount,
    nodeCount: nodes.length,
    nodesStart: nodes.start,
    bufferCount: buffers.length,
    buffersStart: buffers.start,
    codec,
    decodedBytes,
  };
}

function checkNodes(view: DataView, start: number, count: number): void {
  const end = start + count * STRUCT_BYTES;
  for (let node = start; node < end; node += STRUCT_BYTES) {
    const length = lengthAt(view, node);
    if (length > LIMITS.arrayLengthMax) throw malformed(`an array has ${length} values`, node);
    const nullCount = lengthAt(view, node + 8);
    if (nullCount > length) throw malformed(`an array of ${length} values has ${nullCount} nulls`, node);
  }
}

function readCodec(flatbuffer: Flatbuffer, batch: number, start: number): IpcCodec {
  const compression = readTable(flatbuffer, batch, RECORD_BATCH_SLOTS.COMPRESSION);
  if (compression === 0) return IPC_CODECS.NONE;
  const method = readUint8(flatbuffer, compression, COMPRESSION_SLOTS.METHOD, 0);
  if (method !== 0) throw malformed(`compression method is ${method}`, start);
  const codec = readUint8(flatbuffer, compression, COMPRESSION_SLOTS.CODEC, IPC_CODECS.LZ4_FRAME);
  if (codec !== IPC_CODECS.LZ4_FRAME && codec !== IPC_CODECS.ZSTD)
    throw malformed(`compression codec is ${codec}`, start);
  return codec;
}

/** Returns what the buffers claim to be worth. Buffers may overlap: each counts in full, so none is decompressed for free. */
function checkBuffers(frame: IpcFrame, start: number, count: number, codec: IpcCodec): number {
  const { view } = frame.flatbuffer;
  const bodyBytes = frame.end - frame.bodyStart;
  const end = start + count * STRUCT_BYTES;
  let decodedBytes = 0;
  for (let buffer = start; buffer < end; buffer += STRUCT_BYTES) {
    const offset = lengthAt(view, buffer);
    const length = lengthAt(view, buffer + 8);
    if (offset > bodyBytes || length > bodyBytes - offset) {
      throw malformed(`a buffer of ${length} bytes at ${offset} is outside its body of ${bodyBytes}`, buffer);
    }
    if (length === 0) continue;
    decodedBytes += codec === IPC_CODECS.NONE ? length : uncompressedLength(view, frame.bodyStart + offset, length);
    if (decodedBytes > LIMITS.batchDecodedBytesMax) {
      throw malformed(`buffers of ${decodedBytes} bytes are above ${LIMITS.batchDecodedBytesMax}`, buffer);
    }
  }
  return decodedBytes;
}

function uncompressedLength(view: DataView, position: number, length: number): number {
  if (length < UNCOMPRESSED_LENGTH_BYTES) throw malformed(`a compressed buffer has ${length} bytes`, position);
  const isStored = view.getInt32(position, true) === -1 && view.getInt32(position + 4, true) === -1;
  return isStored ? length - UNCOMPRESSED_LENGTH_BYTES : lengthAt(view, position);
}

function malformed(reason: string, position: number): BatchMalformedError {
  return new BatchMalformedError(`Cannot read Arrow IPC messages: ${reason}, at byte ${position}`, { position });
}
