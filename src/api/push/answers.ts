/** What targets answer in protobuf: export responses, `google.rpc.Status` with its hint when to come again, BatchStatus. */
import { LIMITS } from '../../base/index.ts';
import { ProtobufReader } from '../../otap/index.ts';

/** What a target says it left out. */
export interface PartialSuccess {
  readonly rejectedItems: number;
  readonly message: string;
}

/** Reads `Export…ServiceResponse{partial_success = 1 {rejected = 1, error_message = 2}}`. What cannot be read says nothing. */
export function decodeExportResponse(bytes: Uint8Array): PartialSuccess {
  let rejectedItems = 0;
  let message = '';
  quietly(() => {
    eachField(new ProtobufReader(bytes), (reader, field) => {
      if (field !== 1) return false;
      eachField(nested(reader), (partial, name) => {
        if (name === 1) rejectedItems = Number(partial.readInt64('rejected'));
        else if (name === 2) message = text(partial);
        return name === 1 || name === 2;
      });
      return true;
    });
  });
  return { rejectedItems: Math.max(0, rejectedItems), message: printable(message) };
}

/** A `google.rpc.Status`. */
export interface RpcStatus {
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** Reads `Status{code = 1, message = 2, details = 3}` and a RetryInfo among its details. Null when it is none. */
export function decodeRpcStatus(bytes: Uint8Array): RpcStatus | null {
  let message = '';
  let retryAfterMs: number | undefined;
  const isRead = quietly(() => {
    eachField(new ProtobufReader(bytes), (reader, field) => {
      if (field === 2) message = text(reader);
      else if (field === 3) retryAfterMs = retryDelay(nested(reader)) ?? retryAfterMs;
      return field === 2 || field === 3;
    });
  });
  if (!isRead) return null;
  return { message: printable(message), ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** A decoded BatchStatus. */
export interface BatchAnswer {
  readonly batchId: bigint;
  readonly code: number;
  readonly message: string;
}

/** Reads `BatchStatus{batch_id = 1, status_code = 2, status_message = 3}`. Null when it is none. */
export function decodeBatchAnswer(bytes: Uint8Array): BatchAnswer | null {
  let batchId = 0n;
  let code = 0;
  let message = '';
  const isRead = quietly(() => {
    eachField(new ProtobufReader(bytes), (reader, field) => {
      if (field === 1) batchId = reader.readInt64('batch_id');
      else if (field === 2) code = Number(reader.readInt64('status_code'));
      else if (field === 3) message = text(reader);
      return field >= 1 && field <= 3;
    });
  });
  return isRead ? { batchId, code, message: printable(message) } : null;
}

const MESSAGE_CHARS_MAX = 512;

/** A reason from outside as one short line. */
export function printable(message: string): string {
  return message
    .replaceAll(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, MESSAGE_CHARS_MAX);
}

/** A wait that a target asks for, within reason. */
export function boundedWait(ms: number): number {
  return Math.min(Math.max(0, ms), LIMITS.pushRetryAfterMaxMs);
}

const RETRY_INFO = 'google.rpc.RetryInfo';
const MS_PER_SECOND = 1000;
const NANOS_PER_MS = 1_000_000;

/** The delay of `Any{type_url = 1, value = 2}` with `RetryInfo{retry_delay = 1 {seconds = 1, nanos = 2}}`. */
function retryDelay(any: ProtobufReader): number | undefined {
  let type = '';
  let value: ProtobufReader | null = null;
  eachField(any, (reader, field) => {
    if (field === 1) type = text(reader);
    else if (field === 2) value = nested(reader);
    return field === 1 || field === 2;
  });
  if (value === null || !type.endsWith(RETRY_INFO)) return undefined;
  let ms = 0;
  eachField(value, (info, field) => {
    if (field !== 1) return false;
    eachField(nested(info), (duration, part) => {
      if (part === 1) ms += Number(duration.readInt64('seconds')) * MS_PER_SECOND;
      else if (part === 2) ms += Number(duration.readInt64('nanos')) / NANOS_PER_MS;
      return part === 1 || part === 2;
    });
    return true;
  });
  return boundedWait(ms);
}

/** Calls `read` with each field; what it does not take (false) is skipped. */
function eachField(reader: ProtobufReader, read: (reader: ProtobufReader, field: number) => boolean): void {
  while (reader.readTag('an answer')) if (!read(reader, reader.fieldNumber)) reader.skipValue('an answer');
}

function nested(reader: ProtobufReader): ProtobufReader {
  const end = reader.readValueEnd('a message');
  const inner = new ProtobufReader(reader.bytes, reader.position, end);
  reader.position = end;
  return inner;
}

function text(reader: ProtobufReader): string {
  const end = reader.readValueEnd('a text');
  const bytes = reader.bytes.subarray(reader.position, end);
  reader.position = end;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}

/** False when the bytes are not what they should be. */
function quietly(read: () => void): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}
