/**
 * The envelope of a batch: BatchArrowRecords and its ArrowPayloads (arrow_service.proto) as positions in the received message.
 * Runs for every message at receipt and again when it is replayed.
 */
import { isUtf8 } from 'node:buffer';
import { LIMITS } from '../base/index.ts';
import { ProtobufReader, WIRE_TYPES } from './protobuf-reader.ts';

/** One ArrowPayload. */
export interface EnvelopePayload {
  readonly schemaId: string;
  /** ArrowPayloadType as on the wire: may be a number that no type has. */
  readonly type: number;
  /** Its IPC messages in the message that was scanned; an absent record is an empty range. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** One occurrence of the `headers` field. */
export interface EnvelopeHeaders {
  /** The HPACK block. */
  readonly start: number;
  readonly end: number;
  /** The whole field, tag and length included: cutting these bytes leaves a valid message. It ends at `end`. */
  readonly fieldStart: number;
}

/** What `scanBatchEnvelope` found. */
export interface BatchEnvelope {
  /** The last one when there are several, 0 when there is none. */
  readonly batchId: bigint;
  /** In order of arrival. */
  readonly payloads: readonly EnvelopePayload[];
  /** In order of arrival; exporters send at most one. */
  readonly headers: readonly EnvelopeHeaders[];
}

const BATCH_FIELDS = { BATCH_ID: 1, PAYLOADS: 2, HEADERS: 3 } as const;
const PAYLOAD_FIELDS = { SCHEMA_ID: 1, TYPE: 2, RECORD: 3 } as const;

/**
 * Finds the parts of a BatchArrowRecords without copying. Unknown fields are skipped; types, counts of a type and IPC messages are
 * not checked here. Throws BatchMalformedError naming field and position: wrong wire type, value past its message, varint of more
 * than 64 bits, more than `payloadsMax` payloads, a schema id above LIMITS.schemaIdBytesMax or not UTF-8.
 */
export function scanBatchEnvelope(message: Uint8Array, payloadsMax: number = LIMITS.batchPayloadsMax): BatchEnvelope {
  const reader = new ProtobufReader(message);
  let batchId = 0n;
  const payloads: EnvelopePayload[] = [];
  const headers: EnvelopeHeaders[] = [];
  while (reader.readTag('BatchArrowRecords')) {
    switch (reader.fieldNumber) {
      case BATCH_FIELDS.BATCH_ID:
        reader.expect(WIRE_TYPES.VARINT, 'batch_id');
        batchId = reader.readInt64('batch_id');
        break;
      case BATCH_FIELDS.PAYLOADS: {
        const end = reader.readValueEnd('arrow_payloads');
        if (payloads.length === payloadsMax) {
          throw reader.malformed('arrow_payloads', `there are more than ${payloadsMax}`);
        }
        payloads.push(scanPayload(message, reader.position, end));
        reader.position = end;
        break;
      }
      case BATCH_FIELDS.HEADERS: {
        const end = reader.readValueEnd('headers');
        headers.push({ start: reader.position, end, fieldStart: reader.fieldStart });
        reader.position = end;
        break;
      }
      default:
        reader.skipValue('BatchArrowRecords');
    }
  }
  return { batchId, payloads, headers };
}

function scanPayload(message: Uint8Array, payloadStart: number, payloadEnd: number): EnvelopePayload {
  const reader = new ProtobufReader(message, payloadStart, payloadEnd);
  let schemaId = '';
  let type = 0;
  let start = payloadEnd;
  let end = payloadEnd;
  while (reader.readTag('ArrowPayload')) {
    switch (reader.fieldNumber) {
      case PAYLOAD_FIELDS.SCHEMA_ID: {
        const valueEnd = reader.readValueEnd('schema_id');
        schemaId = readSchemaId(reader, valueEnd);
        reader.position = valueEnd;
        break;
      }
      case PAYLOAD_FIELDS.TYPE:
        reader.expect(WIRE_TYPES.VARINT, 'type');
        type = reader.readUint32('type') | 0;
        break;
      case PAYLOAD_FIELDS.RECORD:
        end = reader.readValueEnd('record');
        start = reader.position;
        reader.position = end;
        break;
      default:
        reader.skipValue('ArrowPayload');
    }
  }
  return { schemaId, type, start, end };
}

/** Exporters count schemas from "0": the strings of the small numbers are made once. */
const COUNTER_DIGITS_MAX = 4;
const COUNTERS: (string | undefined)[] = [];
const DIGIT_ZERO = 0x30;

function readSchemaId(reader: ProtobufReader, end: number): string {
  const { bytes, position } = reader;
  const length = end - position;
  if (length > LIMITS.schemaIdBytesMax) {
    throw reader.malformed('schema_id', `it has ${length} bytes, above ${LIMITS.schemaIdBytesMax}`);
  }
  return length === 0 ? '' : (readCounter(bytes, position, end) ?? readText(reader, end));
}

/** The string of a short decimal number without leading zeros, or undefined for anything else. */
function readCounter(bytes: Uint8Array, start: number, end: number): string | undefined {
  const length = end - start;
  if (length > COUNTER_DIGITS_MAX || (length > 1 && bytes[start] === DIGIT_ZERO)) return undefined;
  let counter = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - DIGIT_ZERO;
    if (digit < 0 || digit > 9) return undefined;
    counter = counter * 10 + digit;
  }
  return (COUNTERS[counter] ??= String(counter));
}

/** Schema ids are keys of state that is written out and read again: a lossy decoding would merge two of them. */
function readText(reader: ProtobufReader, end: number): string {
  const text = reader.bytes.subarray(reader.position, end);
  if (!isUtf8(text)) throw reader.malformed('schema_id', 'it is not UTF-8');
  return Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('utf8');
}
