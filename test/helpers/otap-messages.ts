/** BatchArrowRecords made by hand. */
import { type PayloadName, PAYLOAD_TYPES } from '../../src/otap/index.ts';

/** One ArrowPayload to encode. */
export interface PayloadParts {
  readonly name: PayloadName;
  readonly schemaId?: string;
  /** Concatenated IPC messages. */
  readonly record: Uint8Array;
}

/** A BatchArrowRecords message. */
export function encodeBatch(payloads: readonly PayloadParts[], batchId = 0): Buffer {
  return Buffer.concat([
    Buffer.from([0x08]),
    varint(batchId),
    ...payloads.map(({ name, schemaId = '0', record }) =>
      field(
        2,
        Buffer.concat([
          field(1, Buffer.from(schemaId)),
          Buffer.from([0x10]),
          varint(PAYLOAD_TYPES[name]),
          field(3, record),
        ]),
      ),
    ),
  ]);
}

function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2]), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  bytes.push(left);
  return Buffer.from(bytes);
}
