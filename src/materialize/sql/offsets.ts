/** Where the values of each row end: Arrow's 32-bit offsets, one more than rows. */
export class OffsetsBuilder {
  values = new Int32Array(1024);
  #length = 1;

  push(end: number): void {
    if (this.#length === this.values.length) {
      const grown = new Int32Array(this.values.length * 2);
      grown.set(this.values);
      this.values = grown;
    }
    this.values[this.#length++] = end;
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.values.buffer, 0, this.#length * 4);
  }

  reset(): void {
    this.#length = 1;
  }
}
