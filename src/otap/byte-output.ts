/** Bytes written front to back into one buffer that grows: the IPC messages of a batch. */
import { LIMITS } from '../base/index.ts';

/** Arrow bodies, and the buffers in them, start at multiples of this. */
export const ALIGNMENT = 8;
const FIRST_CAPACITY_BYTES = 64 * 1024;

/** Positions count from the start of the buffer, which is aligned for every typed array. */
export class ByteOutput {
  #bytes = new Uint8Array(FIRST_CAPACITY_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #end = 0;

  get end(): number {
    return this.#end;
  }

  /** Starts anew. */
  reset(): void {
    this.#end = 0;
    if (this.#bytes.length > LIMITS.encoderOutputRetainedBytesMax) this.#allocate(FIRST_CAPACITY_BYTES);
  }

  /** Position of the next `count` bytes, whatever they hold: the caller writes each of them. */
  reserve(count: number): number {
    const at = this.#end;
    this.#end += count;
    if (this.#end > this.#bytes.length) {
      const old = this.#bytes;
      this.#allocate(Math.max(2 * old.length, this.#end));
      this.#bytes.set(old.subarray(0, at));
    }
    return at;
  }

  /** Zeros up to the next multiple of ALIGNMENT. */
  align(): void {
    const count = (ALIGNMENT - (this.#end % ALIGNMENT)) % ALIGNMENT;
    const at = this.reserve(count);
    this.#bytes.fill(0, at, at + count);
  }

  /** Appends bytes. */
  write(bytes: Uint8Array): number {
    const at = this.reserve(bytes.length);
    this.#bytes.set(bytes, at);
    return at;
  }

  /** Appends zeros. */
  zeros(count: number): number {
    const at = this.reserve(count);
    this.#bytes.fill(0, at, at + count);
    return at;
  }

  /** A view of what was written or reserved; good until the next `reserve`. */
  slice(start: number, end: number): Uint8Array {
    return this.#bytes.subarray(start, end);
  }

  /** Like `slice`, of 16-bit numbers; `start` is a multiple of 2. */
  u16(start: number, length: number): Uint16Array {
    return new Uint16Array(this.#bytes.buffer, start, length);
  }

  /** Like `slice`, of 32-bit numbers; `start` is a multiple of 4. */
  i32(start: number, length: number): Int32Array {
    return new Int32Array(this.#bytes.buffer, start, length);
  }

  /** Replaces a 32-bit number. */
  setU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  /** Replaces a 64-bit number by one of at most 53 bits. */
  setI64(at: number, value: number): void {
    this.#view.setUint32(at, value % TWO_POW_32, true);
    this.#view.setUint32(at + 4, Math.floor(value / TWO_POW_32), true);
  }

  #allocate(capacity: number): void {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }
}

const TWO_POW_32 = 4_294_967_296;
