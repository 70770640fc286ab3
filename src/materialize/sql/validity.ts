/** Bitmaps of rows that are not null, least significant bit first, as both DuckDB and Arrow keep them. */

/** Whether row `row` is valid; no bitmap means that all rows are. */
export function isValid(bits: Uint8Array | null, row: number): boolean {
  return bits === null || ((bits[row >> 3] as number) & (1 << (row & 7))) !== 0;
}

/** The rows valid in both bitmaps. */
export function bothValid(left: Uint8Array | null, right: Uint8Array | null): Uint8Array | null {
  if (left === null) return right;
  if (right === null) return left;
  const both = new Uint8Array(Math.min(left.length, right.length));
  for (let at = 0; at < both.length; at++) both[at] = (left[at] as number) & (right[at] as number);
  return both;
}

/** The validity of `size` child rows for each row: children of a null row are null. */
export function spreadValidity(bits: Uint8Array | null, rowCount: number, size: number): Uint8Array | null {
  if (bits === null) return null;
  const spread = new Uint8Array((rowCount * size + 7) >> 3);
  for (let row = 0; row < rowCount; row++) {
    if (!isValid(bits, row)) continue;
    for (let child = row * size; child < (row + 1) * size; child++) {
      spread[child >> 3] = (spread[child >> 3] as number) | (1 << (child & 7));
    }
  }
  return spread;
}

/** A bitmap that grows; counts the rows that are null. */
export class ValidityBuilder {
  bits = new Uint8Array(256);
  length = 0;
  nullCount = 0;

  /** Appends `count` rows of `source` from row `start`. */
  append(source: Uint8Array | null, start: number, count: number): void {
    this.#reserve(count);
    if (source === null && (this.length & 7) === 0) this.#appendAllValid(count);
    else if (source !== null && (this.length & 7) === 0 && (start & 7) === 0) this.#appendAligned(source, start, count);
    else for (let row = start; row < start + count; row++) this.#push(isValid(source, row));
  }

  reset(): void {
    this.length = 0;
    this.nullCount = 0;
  }

  #appendAllValid(count: number): void {
    const at = this.length >> 3;
    this.bits.fill(255, at, at + ((count + 7) >> 3));
    this.length += count;
  }

  #appendAligned(source: Uint8Array, start: number, count: number): void {
    const whole = count >> 3;
    const to = this.length >> 3;
    for (let at = 0; at < whole; at++) {
      const byte = source[(start >> 3) + at] as number;
      this.bits[to + at] = byte;
      if (byte !== 255) this.nullCount += NULLS_OF_BYTE[byte] as number;
    }
    this.length += whole << 3;
    for (let row = start + (whole << 3); row < start + count; row++) this.#push(isValid(source, row));
  }

  #push(valid: boolean): void {
    const at = this.length >> 3;
    const bit = 1 << (this.length & 7);
    const byte = this.bits[at] as number;
    this.bits[at] = valid ? byte | bit : byte & ~bit;
    this.length++;
    if (!valid) this.nullCount++;
  }

  #reserve(count: number): void {
    const needed = (this.length + count + 7) >> 3;
    if (needed <= this.bits.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bits.length * 2));
    grown.set(this.bits);
    this.bits = grown;
  }
}

const NULLS_OF_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => {
  let nulls = 8;
  for (let bits = byte; bits > 0; bits >>= 1) nulls -= bits & 1;
  return nulls;
});
