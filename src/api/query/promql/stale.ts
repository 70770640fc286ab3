/**
 * Staleness markers: a NaN of one bit pattern says that a series has ended (Prometheus model/value/value.go). Bits are looked at in the array,
 * because a number that passes through JavaScript may lose them.
 */
export const STALE_BITS = 0x7ff0000000000002n;

const STALE_HIGH = 0x7ff00000;
const STALE_LOW = 2;
const LOW_WORD = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1;

/** Tells stale markers in a column of samples apart from other NaN; made once for a column, asked for many positions. */
export class StaleMarks {
  readonly #words: Uint32Array;

  constructor(values: Float64Array) {
    this.#words = new Uint32Array(values.buffer, values.byteOffset, values.length * 2);
  }

  at(index: number): boolean {
    return this.#words[index * 2 + 1 - LOW_WORD] === STALE_HIGH && this.#words[index * 2 + LOW_WORD] === STALE_LOW;
  }
}

/** Writes a stale marker into a column of samples. */
export function markStale(values: Float64Array, index: number): void {
  new BigUint64Array(values.buffer, values.byteOffset, values.length)[index] = STALE_BITS;
}
