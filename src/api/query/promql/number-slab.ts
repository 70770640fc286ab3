/**
 * Room for many short columns of numbers: each is a view into one larger array, since an array of its own costs more than its content. A column keeps
 * the whole slab alive, so columns that are dropped at different times do not belong in one.
 */
export class NumberSlab {
  #room = new Float64Array(FIRST_LENGTH);
  #used = 0;

  /** Room for `length` numbers, all 0. */
  take(length: number): Float64Array {
    if (this.#used + length > this.#room.length) {
      this.#room = new Float64Array(Math.max(length, Math.min(2 * this.#room.length, LENGTH_MAX)));
      this.#used = 0;
    }
    const from = this.#used;
    this.#used += length;
    return new Float64Array(this.#room.buffer, from * this.#room.BYTES_PER_ELEMENT, length);
  }
}

/** A series of one sample takes no more than this. */
const FIRST_LENGTH = 64;

/** 64 KiB: long enough that what an array costs beside its content no longer counts. */
const LENGTH_MAX = 8_192;
