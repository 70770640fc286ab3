/** JSON as bytes, handed on in chunks while it is written: no answer is ever whole in memory. */
import { CLOSE, COMMA, NUMBER_BYTES_MAX, OPEN, putAscii, putFloat, putPlainText, putTime } from './json-bytes.ts';
import { withoutStrayBytes } from '../query/promql/stray-bytes.ts';

/** Takes a chunk over; settles when more may come. */
export type Emit = (chunk: Uint8Array<ArrayBuffer>) => Promise<void>;

const CHUNK_BYTES = 131_072;
/** What a chunk may grow beyond that between two looks at `isFull`: a number or short text fits without a check. */
const SLACK_BYTES = 512;

export class JsonOutput {
  readonly #emit: Emit;
  #bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES + SLACK_BYTES);
  #view = viewOf(this.#bytes);
  #length = 0;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** Whether it is time for `flush`. */
  get isFull(): boolean {
    return this.#length >= CHUNK_BYTES;
  }

  /** Hands on what is written. */
  async flush(): Promise<void> {
    if (this.#length === 0) return;
    const chunk = this.#bytes.subarray(0, this.#length);
    // Only whole buffers change hands; a small rest is copied so that it does not hold a large one.
    const own = this.#length * 2 > this.#bytes.length ? trimmed(chunk) : new Uint8Array(chunk);
    this.#use(Buffer.allocUnsafeSlow(CHUNK_BYTES + SLACK_BYTES));
    this.#length = 0;
    await this.#emit(own);
  }

  /** Text of ASCII that is JSON already. */
  ascii(text: string): void {
    this.#reserve(text.length);
    this.#length = putAscii(this.#view, this.#length, text);
  }

  /** Bytes that are JSON already. */
  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A string. */
  text(text: string): void {
    this.#reserve(text.length + 2);
    const end = putPlainText(this.#view, this.#length, text);
    if (end === -1) this.bytes(Buffer.from(JSON.stringify(withoutStrayBytes(text)), 'utf8'));
    else this.#length = end;
  }

  /** Strings from one position on, with commas between, until all are written or this is full. Returns the next position. */
  texts(texts: readonly string[], from: number): number {
    let at = from;
    for (; at < texts.length && !this.isFull; at++) {
      if (at > 0) this.ascii(',');
      this.text(texts[at]!);
    }
    return at;
  }

  /** Anything small. */
  value(value: unknown): void {
    this.bytes(Buffer.from(JSON.stringify(value), 'utf8'));
  }

  /** Milliseconds as seconds, with three digits behind the point or none. */
  time(timeMs: number): void {
    this.#reserve(NUMBER_BYTES_MAX);
    this.#length = putTime(this.#view, this.#length, timeMs);
  }

  /** A sample's value: a string. Very small and very large ones have an exponent, as upstream writes JSON. */
  float(value: number): void {
    this.#reserve(NUMBER_BYTES_MAX);
    this.#length = putFloat(this.#view, this.#length, value);
  }

  /** Pairs of time and value from one position on, with commas between, until all are written or this is full. Returns the next position. */
  points(timesMs: Float64Array, values: Float64Array, from: number): number {
    this.#reserve(2 * NUMBER_BYTES_MAX);
    const view = this.#view;
    const fullAt = view.byteLength - 2 * NUMBER_BYTES_MAX;
    let length = this.#length;
    let at = from;
    for (; at < timesMs.length && length <= fullAt; at++) {
      if (at > 0) view.setUint8(length++, COMMA);
      view.setUint8(length++, OPEN);
      length = putTime(view, length, timesMs[at]!);
      view.setUint8(length++, COMMA);
      length = putFloat(view, length, values[at]!);
      view.setUint8(length++, CLOSE);
    }
    this.#length = length;
    return at;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#length + bytes));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#use(larger);
  }

  #use(bytes: Buffer<ArrayBuffer>): void {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer<ArrayBuffer>): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function trimmed(chunk: Buffer<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
