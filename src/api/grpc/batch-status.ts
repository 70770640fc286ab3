/** BatchStatus on the wire, and the one field of a refused batch that its answer needs. */

/** Codes of a BatchStatus: the numbers of gRPC. Exporters lose data on every other one (collector-behaviour, section 1). */
export const BATCH_STATUS_CODES = { OK: 0, INVALID_ARGUMENT: 3, UNAVAILABLE: 14 } as const;

export type BatchStatusCode = (typeof BATCH_STATUS_CODES)[keyof typeof BATCH_STATUS_CODES];

/** Encodes `BatchStatus{int64 batch_id = 1; StatusCode status_code = 2; string status_message = 3}`; defaults are left out. */
export function encodeBatchStatus(batchId: bigint, code: BatchStatusCode, message: string): Buffer {
  const text = Buffer.from(message);
  const bytes: number[] = [];
  if (batchId !== 0n) pushVarint(pushByte(bytes, 0x08), BigInt.asUintN(64, batchId));
  if (code !== 0) pushVarint(pushByte(bytes, 0x10), BigInt(code));
  if (text.length === 0) return Buffer.from(bytes);
  pushVarint(pushByte(bytes, 0x1a), BigInt(text.length));
  return Buffer.concat([Buffer.from(bytes), text]);
}

/**
 * The batch id of a BatchArrowRecords that was found malformed: its first field 1, or 0 when the message can be walked to its end
 * without one. undefined when it cannot: answering a guessed id could refuse another batch.
 */
export function peekBatchId(message: Uint8Array): bigint | undefined {
  let position = 0;
  while (position < message.length) {
    const key = readVarint(message, position);
    if (key === undefined) return undefined;
    position = key.end;
    const field = key.value >> 3n;
    switch (Number(key.value & 7n)) {
      case 0: {
        const varint = readVarint(message, position);
        if (varint === undefined) return undefined;
        if (field === 1n) return BigInt.asIntN(64, varint.value);
        position = varint.end;
        break;
      }
      case 1:
        position += 8;
        break;
      case 2: {
        const length = readVarint(message, position);
        if (length === undefined || length.value > BigInt(message.length)) return undefined;
        position = length.end + Number(length.value);
        break;
      }
      case 5:
        position += 4;
        break;
      default:
        return undefined;
    }
  }
  return position === message.length ? 0n : undefined;
}

/** A 64-bit number takes at most 10 bytes of 7 bits. */
const VARINT_BYTES_MAX = 10;

function readVarint(bytes: Uint8Array, start: number): { value: bigint; end: number } | undefined {
  let value = 0n;
  for (let i = 0; i < VARINT_BYTES_MAX; i++) {
    const byte = bytes[start + i];
    if (byte === undefined) return undefined;
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    if (byte < 0x80) return { value: BigInt.asUintN(64, value), end: start + i + 1 };
  }
  return undefined;
}

function pushByte(bytes: number[], byte: number): number[] {
  bytes.push(byte);
  return bytes;
}

function pushVarint(bytes: number[], value: bigint): void {
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
}
