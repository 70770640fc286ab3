const SLAB_BYTES_INITIAL = 256 * 1024;
const SLAB_BYTES_RETAINED_MAX = 16 * 1024 * 1024;

/**
 * Typed arrays for the time of one batch, cut from one block of memory: a batch needs dozens, and each allocation of its own costs
 * more than filling it. All are zeroed. `reset()` takes them all back.
 */
export class Scratch {
  #slab = new ArrayBuffer(SLAB_BYTES_INITIAL);
  #used = 0;

  reset(): void {
    if (this.#slab.byteLength > SLAB_BYTES_RETAINED_MAX) this.#slab = new ArrayBuffer(SLAB_BYTES_INITIAL);
    this.#used = 0;
  }

  u8(length: number): Uint8Array {
    const at = this.#take(length);
    return new Uint8Array(this.#slab, at, length).fill(0);
  }

  u32(length: number): Uint32Array {
    const at = this.#take(4 * length);
    return new Uint32Array(this.#slab, at, length).fill(0);
  }

  i32(length: number): Int32Array {
    const at = this.#take(4 * length);
    return new Int32Array(this.#slab, at, length).fill(0);
  }

  f64(length: number): Float64Array {
    const at = this.#take(8 * length);
    return new Float64Array(this.#slab, at, length).fill(0);
  }

  i64(length: number): BigInt64Array {
    const at = this.#take(8 * length);
    return new BigInt64Array(this.#slab, at, length).fill(0n);
  }

  /** Makes room for `bytes`, aligned to 8. Views of an outgrown slab stay good: they hold on to its memory. */
  #take(bytes: number): number {
    const size = (bytes + 7) & ~7;
    if (this.#used + size > this.#slab.byteLength) {
      this.#slab = new ArrayBuffer(Math.max(2 * this.#slab.byteLength, size));
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += size;
    return at;
  }
}
