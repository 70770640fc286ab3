/**
 * Protobuf written back to front: the last field first, and what is inside a message before its length. So every length is known when
 * it is written and takes no more bytes than it needs, in one pass and without moving anything.
 */

/** What a tag, a length or a number takes at most. */
const VARINT_BYTES_MAX = 10;
const CAPACITY_MIN_BYTES = 256;
/** Strings below this are copied byte by byte: cheaper than a call. */
const COPY_BYTES_MIN = 32;

export class BackwardOutput {
  readonly #bytesMax: number;
  readonly #tooLarge: () => Error;
  #bytes: Uint8Array;
  #view: DataView;
  /** What is written begins here. */
  #at: number;

  /** Throws what `tooLarge` makes when more than `bytesMax` are written. */
  constructor(options: { capacityBytes: number; bytesMax: number; tooLarge: () => Error }) {
    this.#bytesMax = options.bytesMax;
    this.#tooLarge = options.tooLarge;
    const capacity = Math.min(this.#capacityMax(), Math.max(CAPACITY_MIN_BYTES, options.capacityBytes));
    this.#bytes = allocate(capacity);
    this.#view = new DataView(this.#bytes.buffer);
    this.#at = capacity;
  }

  /** Bytes written. What is added between two reads of it is the size of what was written. */
  get length(): number {
    return this.#bytes.length - this.#at;
  }

  /** All that was written: a view. */
  finish(): Uint8Array {
    if (this.length > this.#bytesMax) throw this.#tooLarge();
    return this.#bytes.subarray(this.#at);
  }

  /** An unsigned integer below 2^32. */
  putVarint(value: number): void {
    if (this.#at < VARINT_BYTES_MAX) this.#grow(VARINT_BYTES_MAX);
    if (value < 0x80) {
      this.#bytes[--this.#at] = value;
      return;
    }
    let at = this.#at - (value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5);
    this.#at = at;
    const bytes = this.#bytes;
    let rest = value;
    for (; rest >= 0x80; rest >>>= 7) bytes[at++] = (rest & 0x7f) | 0x80;
    bytes[at] = rest;
  }

  /** 64 bits as two unsigned halves. */
  putVarint64(high: number, low: number): void {
    if (high === 0) {
      this.putVarint(low);
      return;
    }
    if (this.#at < VARINT_BYTES_MAX) this.#grow(VARINT_BYTES_MAX);
    let at = this.#at - Math.ceil((64 - Math.clz32(high)) / 7);
    this.#at = at;
    const bytes = this.#bytes;
    let upper = high;
    let lower = low;
    while (upper !== 0 || lower >= 0x80) {
      bytes[at++] = (lower & 0x7f) | 0x80;
      lower = ((lower >>> 7) | (upper << 25)) >>> 0;
      upper >>>= 7;
    }
    bytes[at] = lower;
  }

  putFixed32(value: number): void {
    if (this.#at < 4) this.#grow(4);
    this.#at -= 4;
    this.#view.setUint32(this.#at, value, true);
  }

  putFixed64(high: number, low: number): void {
    if (this.#at < 8) this.#grow(8);
    this.#at -= 8;
    this.#view.setUint32(this.#at, low, true);
    this.#view.setUint32(this.#at + 4, high, true);
  }

  putDouble(value: number): void {
    if (this.#at < 8) this.#grow(8);
    this.#at -= 8;
    this.#view.setFloat64(this.#at, value, true);
  }

  /** Bytes without a length before them. */
  putBytes(source: Uint8Array, start: number, end: number): void {
    const size = end - start;
    if (this.#at < size) this.#grow(size);
    const at = this.#at - size;
    this.#at = at;
    const bytes = this.#bytes;
    if (size >= COPY_BYTES_MIN) bytes.set(source.subarray(start, end), at);
    else for (let i = 0; i < size; i++) bytes[at + i] = source[start + i]!;
  }

  /** A field of a string or bytes. */
  putField(tag: number, source: Uint8Array, start: number, end: number): void {
    this.putBytes(source, start, end);
    this.#putHead(tag, end - start);
  }

  /** Puts length and tag before all that was written since `length` was `before`: a nested message, string or packed list. */
  close(before: number, tag: number): void {
    this.#putHead(tag, this.length - before);
  }

  #putHead(tag: number, length: number): void {
    const at = this.#at;
    if ((length | tag) < 0x80 && at >= 2) {
      const bytes = this.#bytes;
      bytes[at - 1] = length;
      bytes[at - 2] = tag;
      this.#at = at - 2;
    } else {
      this.putVarint(length);
      this.putVarint(tag);
    }
  }

  /** A varint asks for more room than most need. */
  #capacityMax(): number {
    return this.#bytesMax + VARINT_BYTES_MAX;
  }

  #grow(size: number): void {
    const { length } = this;
    const needed = length + size;
    if (needed > this.#capacityMax()) throw this.#tooLarge();
    const bytes = allocate(Math.min(this.#capacityMax(), Math.max(needed, this.#bytes.length * 2)));
    this.#at = bytes.length - length;
    bytes.set(this.#bytes.subarray(this.#bytes.length - length), this.#at);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

/** Not filled with zeros: every byte that is handed out was written. */
function allocate(size: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
}
