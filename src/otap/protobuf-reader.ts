/**
 * A pull reader of protobuf's wire format: the caller asks tag by tag and never gets a copy. Every read is checked against the end
 * of its message; `field` arguments only name the field in errors.
 */
import { BatchMalformedError } from '../base/index.ts';

/** Wire types of protobuf. Groups (3 and 4) are not in proto3 and are refused. */
export const WIRE_TYPES = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;

const VARINT_BYTES_MAX = 10;
/** A tag is a varint of 32 bits: four of them in the last byte. */
const TAG_BYTES_MAX = 5;
const TAG_LAST_BYTE_MAX = 0x0f;
/** Above 2^28 the next seven bits do not fit a 32-bit integer. */
const LOW_BITS = 28;

export class ProtobufReader {
  /** The message's bytes, not copied. */
  readonly bytes: Uint8Array;
  /** Where the next read begins. */
  position: number;
  /** End of the message (exclusive): no read goes past it. */
  readonly end: number;
  /** Field number and wire type of the last `readTag`. */
  fieldNumber = 0;
  wireType = 0;
  /** Where the tag of the current field began: fields are cut from here. */
  fieldStart: number;

  /** Reads `bytes` from `start` to `end` (exclusive); the caller vouches for the range. */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
    this.fieldStart = start;
  }

  /** Goes to the next field; false at the end of the message. Throws BatchMalformedError on field number 0 and bad wire types. */
  readTag(message: string): boolean {
    if (this.position >= this.end) return false;
    this.fieldStart = this.position;
    const tag = this.readUint32(message);
    this.wireType = tag & 7;
    this.fieldNumber = tag >>> 3;
    const tagBytes = this.position - this.fieldStart;
    if (
      tagBytes > TAG_BYTES_MAX ||
      (tagBytes === TAG_BYTES_MAX && this.bytes[this.position - 1]! > TAG_LAST_BYTE_MAX)
    ) {
      throw this.malformed(message, 'a tag is longer than 32 bits');
    }
    if (this.fieldNumber === 0) throw this.malformed(message, 'a field has number 0');
    return true;
  }

  /** Throws BatchMalformedError unless the current field has this wire type. */
  expect(wireType: number, field: string): void {
    if (this.wireType !== wireType) throw this.malformed(field, `its wire type is ${this.wireType}, not ${wireType}`);
  }

  /** A varint as unsigned 32-bit number; higher bits are dropped as protobuf says. Throws BatchMalformedError above 10 bytes. */
  readUint32(field: string): number {
    const { bytes } = this;
    let value = 0;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      if (this.position >= this.end) throw this.malformed(field, 'a varint is truncated');
      const byte = bytes[this.position++]!;
      if (i * 7 <= LOW_BITS) value |= (byte & 0x7f) << (i * 7);
      if (byte < 0x80) {
        if (i === VARINT_BYTES_MAX - 1 && byte > 1) break;
        return value >>> 0;
      }
    }
    throw this.malformed(field, 'a varint is longer than 64 bits');
  }

  /** A varint as signed 64-bit integer. Throws BatchMalformedError when it has more than 64 bits or 10 bytes. */
  readInt64(field: string): bigint {
    const { bytes } = this;
    let low = 0;
    let middle = 0;
    let high = 0;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      if (this.position >= this.end) throw this.malformed(field, 'a varint is truncated');
      const byte = bytes[this.position++]!;
      const bits = byte & 0x7f;
      // Three numbers of 28, 28 and 8 bits: no arithmetic on bigints until the end, and none at all for small values.
      if (i < 4) low |= bits << (i * 7);
      else if (i < 8) middle |= bits << ((i - 4) * 7);
      else high |= bits << ((i - 8) * 7);
      if (byte < 0x80) {
        if (i === VARINT_BYTES_MAX - 1 && byte > 1) break;
        if (middle === 0 && high === 0) return BigInt(low);
        return BigInt.asIntN(64, BigInt(low) | (BigInt(middle) << 28n) | (BigInt(high) << 56n));
      }
    }
    throw this.malformed(field, 'a varint is longer than 64 bits');
  }

  /**
   * Reads the length of a bytes, string or message field and returns where its value ends; `position` is then its start, and the
   * caller moves it on. Throws BatchMalformedError when the value does not fit.
   */
  readValueEnd(field: string): number {
    this.expect(WIRE_TYPES.BYTES, field);
    const { bytes } = this;
    let length = 0;
    let scale = 1;
    for (let i = 0; ; i++) {
      if (i === VARINT_BYTES_MAX) throw this.malformed(field, 'a varint is longer than 64 bits');
      if (this.position >= this.end) throw this.malformed(field, 'a varint is truncated');
      const byte = bytes[this.position++]!;
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 128;
    }
    if (length > this.end - this.position) {
      throw this.malformed(
        field,
        `its value of ${length} bytes is longer than what follows, ${this.end - this.position}`,
      );
    }
    return this.position + length;
  }

  /** Skips the value of the current field. Throws BatchMalformedError when it does not fit or has a bad wire type. */
  skipValue(message: string): void {
    const field = `${message}, field ${this.fieldNumber}`;
    switch (this.wireType) {
      case WIRE_TYPES.VARINT:
        this.readUint32(field);
        return;
      case WIRE_TYPES.FIXED64:
        this.skipBytes(8, field);
        return;
      case WIRE_TYPES.BYTES:
        this.position = this.readValueEnd(field);
        return;
      case WIRE_TYPES.FIXED32:
        this.skipBytes(4, field);
        return;
      default:
        throw this.malformed(field, `its wire type is ${this.wireType}`);
    }
  }

  /** The error to throw for a field of this message. */
  malformed(field: string, reason: string): BatchMalformedError {
    return new BatchMalformedError(`Cannot read ${field}: ${reason}, at byte ${this.position}`, {
      field,
      position: this.position,
    });
  }

  skipBytes(length: number, field: string): void {
    if (length > this.end - this.position) throw this.malformed(field, 'it is truncated');
    this.position += length;
  }
}
