/** A BatchArrowRecords message around payloads that are written. */
import type { ByteOutput } from './byte-output.ts';

/** One payload: its IPC messages are `[start, end)` of the output. */
export interface WrittenPayload {
  readonly type: number;
  readonly schemaId: string;
  readonly start: number;
  readonly end: number;
}

/** The message as bytes of its own. */
export function payloadsMessage(output: ByteOutput, payloads: readonly WrittenPayload[], batchId: bigint): Uint8Array {
  const parts: Uint8Array[] = [];
  if (batchId !== 0n) parts.push(Uint8Array.of(BATCH_ID_KEY), varint(BigInt.asUintN(64, batchId)));
  for (const { type, schemaId, start, end } of payloads) {
    const id = Buffer.from(schemaId);
    const head = Buffer.concat([
      Uint8Array.of(SCHEMA_ID_KEY),
      varint(id.length),
      id,
      Uint8Array.of(TYPE_KEY),
      varint(type),
      Uint8Array.of(RECORD_KEY),
      varint(end - start),
    ]);
    parts.push(Uint8Array.of(PAYLOAD_KEY), varint(head.length + end - start), head, output.slice(start, end));
  }
  return Buffer.concat(parts);
}

/** Field number and wire type: opentelemetry/proto/experimental/arrow/v1/arrow_service.proto. */
const BATCH_ID_KEY = 0x08;
const PAYLOAD_KEY = 0x12;
const SCHEMA_ID_KEY = 0x0a;
const TYPE_KEY = 0x10;
const RECORD_KEY = 0x1a;

function varint(value: bigint | number): Uint8Array {
  const bytes: number[] = [];
  let left = BigInt(value);
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  bytes.push(Number(left));
  return Uint8Array.from(bytes);
}
