import { WIRE_TYPES } from './protobuf-reader.ts';

/**
 * A cursor over a request that `inspectOtlpProtobuf` has passed: tags, lengths and varints are known to be sound and to fit their
 * message, so nothing is checked again. 64-bit varints come as two halves, for columns of 32-bit words.
 */
export class OtlpWire {
  readonly bytes: Uint8Array;
  /** Where the next read begins. */
  at = 0;
  /** Halves of the last `int64`. */
  low = 0;
  high = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** A tag: field number and wire type. */
  tag(): number {
    const byte = this.bytes[this.at]!;
    if (byte >= 0x80) return this.#longVarint();
    this.at++;
    return byte;
  }

  /** The low 32 bits of a varint, unsigned. */
  uint32(): number {
    const byte = this.bytes[this.at]!;
    if (byte >= 0x80) return this.#longVarint();
    this.at++;
    return byte;
  }

  /** A zigzag varint of 32 bits. */
  sint32(): number {
    const value = this.uint32();
    return (value >>> 1) ^ -(value & 1);
  }

  /** Reads a length; returns where the value behind it ends. */
  valueEnd(): number {
    const length = this.uint32();
    return this.at + length;
  }

  /** A varint of 64 bits, into `low` and `high`. */
  int64(): void {
    const { bytes } = this;
    let at = this.at;
    let low = 0;
    let high = 0;
    let shift = 0;
    for (;;) {
      const byte = bytes[at++]!;
      const bits = byte & 0x7f;
      if (shift < 28) {
        low |= bits << shift;
      } else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else {
        high |= bits << (shift - 32);
      }
      if (byte < 0x80) break;
      shift += 7;
    }
    this.at = at;
    this.low = low >>> 0;
    this.high = high >>> 0;
  }

  /** Whether a varint is anything but 0. */
  bool(): boolean {
    this.int64();
    return (this.low | this.high) !== 0;
  }

  /** 4 bytes, unsigned. */
  fixed32(): number {
    const { bytes, at } = this;
    this.at = at + 4;
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
  }

  /** 8 bytes, into `low` and `high`. */
  fixed64(): void {
    this.low = this.fixed32();
    this.high = this.fixed32();
  }

  /** Skips the value behind a tag. */
  skip(tag: number): void {
    switch (tag & 7) {
      case WIRE_TYPES.VARINT:
        while (this.bytes[this.at]! >= 0x80) this.at++;
        this.at++;
        return;
      case WIRE_TYPES.FIXED64:
        this.at += 8;
        return;
      case WIRE_TYPES.BYTES:
        this.at = this.valueEnd();
        return;
      default:
        this.at += 4;
    }
  }

  #longVarint(): number {
    const { bytes } = this;
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[this.at++]!;
      if (shift <= 28) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }
}
