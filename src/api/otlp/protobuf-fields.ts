/** Fields of protobuf messages, written. Field numbers up to 15: their tags take one byte. */
import { assert } from '../../base/index.ts';

/** A varint field; empty for 0, which proto3 leaves out. `value` is a non-negative integer. */
export function varintField(number: number, value: number): Buffer {
  assert(Number.isSafeInteger(value) && value >= 0, 'a varint field holds a non-negative integer');
  if (value === 0) return Buffer.alloc(0);
  return Buffer.from([tag(number, WIRE_TYPE_VARINT), ...varint(value)]);
}

/** A string, bytes or message field, written even when empty. */
export function bytesField(number: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([tag(number, WIRE_TYPE_BYTES), ...varint(content.length)]), content]);
}

const WIRE_TYPE_VARINT = 0;
const WIRE_TYPE_BYTES = 2;
const TAG_NUMBER_MAX = 15;

function tag(number: number, wireType: number): number {
  assert(number > 0 && number <= TAG_NUMBER_MAX, 'a tag fits one byte');
  return (number << 3) | wireType;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  // Not by shifts: they cut at 32 bits.
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return bytes;
}
