/** Protobuf written front to back into one growing buffer. The length of a nested message is filled in when it ends. */
import { assert } from '../base/index.ts';

/** Lengths of messages take four bytes however small they are (a varint may be padded), so that nothing has to move. */
const LENGTH_BYTES = 4;
const LENGTH_MAX = 2 ** (7 * LENGTH_BYTES) - 1;
const CAPACITY_MIN_BYTES = 256;
const VARINT_BYTES_MAX = 10;
/** Strings below this are copied byte by byte: cheaper than a call. */
const COPY_BYTES_MIN = 48;

export class ProtobufOutput {
  length = 0;
  readonly #bytesMax: number;
  readonly #tooLarge: () => Error;
  #bytes: Uint8Array;
  #view: DataView;

  /** Throws what `tooLarge` makes when more than `bytesMax` are written. */
  constructor(options: { capacityBytes: number; bytesMax: number; tooLarge: () => Error }) {
    this.#bytesMax = options.bytesMax;
    this.#tooLarge = options.tooLarge;
    assert(this.#capacityMax() <= LENGTH_MAX, 'a length must fit its bytes');
    this.#bytes = new Uint8Array(Math.min(this.#capacityMax(), Math.max(CAPACITY_MIN_BYTES, options.capacityBytes)));
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** All that was written: a view. */
  finish(): Uint8Array {
    if (this.length > this.#bytesMax) throw this.#tooLarge();
    return this.#bytes.subarray(0, this.length);
  }

  /** An unsigned integer below 2^32. */
  writeVarint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX);
    this.#putVarint(value);
  }

  /** 64 bits as two unsigned halves. */
  writeVarint64(high: number, low: number): void {
    this.#reserve(VARINT_BYTES_MAX);
    let upper = high;
    let lower = low;
    while (upper !== 0) {
      this.#bytes[this.length++] = (lower & 0x7f) | 0x80;
      lower = ((lower >>> 7) | (upper << 25)) >>> 0;
      upper >>>= 7;
    }
    this.#putVarint(lower);
  }

  writeFixed32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
  }

  writeFixed64(high: number, low: number): void {
    this.#reserve(8);
    this.#view.setUint32(this.length, low, true);
    this.#view.setUint32(this.length + 4, high, true);
    this.length += 8;
  }

  writeDouble(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  writeByte(byte: number): void {
    if (this.length === this.#bytes.length) this.#reserve(1);
    this.#bytes[this.length++] = byte;
  }

  /** Bytes without a length before them. */
  writeBytes(source: Uint8Array, start: number, end: number): void {
    const size = end - start;
    this.#reserve(size);
    if (size >= COPY_BYTES_MIN) this.#bytes.set(source.subarray(start, end), this.length);
    else for (let i = 0; i < size; i++) this.#bytes[this.length + i] = source[start + i]!;
    this.length += size;
  }

  /** Begins a nested message, string or packed list of a length not known yet; `end` takes what this returns. */
  begin(): number {
    this.#reserve(LENGTH_BYTES);
    this.length += LENGTH_BYTES;
    return this.length;
  }

  end(start: number): void {
    let size = this.length - start;
    for (let at = start - LENGTH_BYTES; at < start - 1; at++) {
      this.#bytes[at] = (size & 0x7f) | 0x80;
      size >>>= 7;
    }
    this.#bytes[start - 1] = size;
  }

  /** A varint reserves more than most need. */
  #capacityMax(): number {
    return this.#bytesMax + VARINT_BYTES_MAX;
  }

  #putVarint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.length++] = rest;
  }

  #reserve(size: number): void {
    const needed = this.length + size;
    if (needed <= this.#bytes.length) return;
    if (needed > this.#capacityMax()) throw this.#tooLarge();
    const bytes = new Uint8Array(Math.min(this.#capacityMax(), Math.max(needed, this.#bytes.length * 2)));
    bytes.set(this.#bytes.subarray(0, this.length));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}
