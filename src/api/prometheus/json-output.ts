/** JSON as bytes, handed on in chunks while it is written: no answer is ever whole in memory. */
import { withoutStrayBytes } from '../query/promql/stray-bytes.ts';

/** Takes a chunk over; settles when more may come. */
export type Emit = (chunk: Uint8Array<ArrayBuffer>) => Promise<void>;

const CHUNK_BYTES = 65_536;
/** What a chunk may grow beyond that between two looks at `isFull`: a number or short text fits without a check. */
const SLACK_BYTES = 512;

export class JsonOutput {
  readonly #emit: Emit;
  #bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES + SLACK_BYTES);
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
    this.#bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES + SLACK_BYTES);
    this.#length = 0;
    await this.#emit(own);
  }

  /** Text of ASCII that is JSON already. */
  ascii(text: string): void {
    this.#reserve(text.length);
    for (let at = 0; at < text.length; at++) this.#bytes[this.#length++] = text.charCodeAt(at);
  }

  /** Bytes that are JSON already. */
  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A string. */
  text(text: string): void {
    this.bytes(Buffer.from(JSON.stringify(withoutStrayBytes(text)), 'utf8'));
  }

  /** Anything small. */
  value(value: unknown): void {
    this.bytes(Buffer.from(JSON.stringify(value), 'utf8'));
  }

  /** Milliseconds as seconds, with three digits behind the point or none. */
  time(timeMs: number): void {
    this.#reserve(32);
    let rest = Math.trunc(timeMs);
    if (rest < 0) {
      this.#bytes[this.#length++] = MINUS;
      rest = -rest;
    }
    const seconds = Math.floor(rest / 1000);
    const fraction = rest % 1000;
    this.ascii(seconds < 1e21 ? String(seconds) : BigInt(seconds).toString());
    if (fraction === 0) return;
    this.#bytes[this.#length++] = POINT;
    this.#bytes[this.#length++] = ZERO + Math.floor(fraction / 100);
    this.#bytes[this.#length++] = ZERO + (Math.floor(fraction / 10) % 10);
    this.#bytes[this.#length++] = ZERO + (fraction % 10);
  }

  /** A sample's value: a string. Very small and very large ones have an exponent, as upstream writes JSON. */
  float(value: number): void {
    this.#reserve(32);
    this.#bytes[this.#length++] = QUOTE;
    this.ascii(floatText(value));
    this.#bytes[this.#length++] = QUOTE;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#length + bytes));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

const QUOTE = 0x22;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;

/** Go and JavaScript take exponents from the same numbers on; Go's have two digits at least. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const text = String(value);
  return text.at(-3) === 'e' ? `${text.slice(0, -1)}0${text.at(-1)}` : text;
}

function trimmed(chunk: Buffer<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
