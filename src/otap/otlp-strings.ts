/**
 * String and bytes columns without copies: their pool is the request. Entry 0 of the pool is empty, string k is entry 2 k + 1, and
 * the even entries are what lies between strings. Strings are added in the order of the wire, so offsets only grow.
 */
import { isUtf8 } from 'node:buffer';
import type { BytesColumn, BytesPool } from './canonical.ts';
import type { OtlpWire } from './otlp-wire.ts';

/** Strings that were not UTF-8, counted over all columns of a batch. */
export interface RepairCount {
  repairedStrings: number;
}

export class StringFiller {
  readonly #bytes: Uint8Array;
  readonly #capacity: number;
  #offsets: Uint32Array | null = null;
  #indices: Uint32Array | null = null;
  #strings = 0;

  /** `capacity` rows, each with one string at most. */
  constructor(bytes: Uint8Array, capacity: number) {
    this.#bytes = bytes;
    this.#capacity = capacity;
  }

  /** Reads the string of a row behind its tag. */
  read(wire: OtlpWire, row: number): void {
    const end = wire.valueEnd();
    this.set(row, wire.at, end);
    wire.at = end;
  }

  /** The string of a row: the one that was added last counts. */
  set(row: number, start: number, end: number): void {
    if (start === end && this.#indices === null) return;
    const indices = this.#indices ?? this.#allocate();
    // A string that is replaced is the last one so far.
    if (indices[row] !== 0) this.#strings--;
    indices[row] = start === end ? 0 : this.#add(start, end);
  }

  /** One string for rows `from` to `to` (exclusive), which had none. */
  fill(from: number, to: number, start: number, end: number): void {
    if (start === end || from === to) return;
    const indices = this.#indices ?? this.#allocate();
    indices.fill(this.#add(start, end), from, to);
  }

  /** Strings as UTF-8, repaired where they are not; null when all are empty. */
  finishText(rowCount: number, repairs: RepairCount): BytesColumn | null {
    if (this.#strings === 0) return null;
    return this.#column('utf8', this.#repaired(repairs), rowCount);
  }

  /** Like `finishText`, for columns that must be there. */
  finishKeys(rowCount: number, repairs: RepairCount): BytesColumn {
    return this.finishText(rowCount, repairs) ?? this.#column('utf8', EMPTY_POOL, rowCount);
  }

  finishBytes(rowCount: number): BytesColumn | null {
    return this.#strings === 0 ? null : this.#column('binary', this.#pool(), rowCount);
  }

  #allocate(): Uint32Array {
    this.#offsets = new Uint32Array(2 * this.#capacity + 1);
    this.#indices = new Uint32Array(this.#capacity);
    return this.#indices;
  }

  #add(start: number, end: number): number {
    const entry = 2 * this.#strings + 1;
    const offsets = this.#offsets!;
    if (entry === 1) offsets[0] = start;
    offsets[entry] = start;
    offsets[entry + 1] = end;
    this.#strings++;
    return entry;
  }

  #column(kind: BytesColumn['kind'], pool: BytesPool, rowCount: number): BytesColumn {
    const indices = this.#indices?.subarray(0, rowCount) ?? new Uint32Array(rowCount);
    return { kind, pool, indices, validity: null };
  }

  #pool(): BytesPool {
    const length = 2 * this.#strings;
    return { bytes: this.#bytes, offsets: this.#offsets!.subarray(0, length + 1), length };
  }

  #repaired(repairs: RepairCount): BytesPool {
    const pool = this.#pool();
    const { bytes, offsets } = pool;
    for (let entry = 1; entry < pool.length; entry += 2) {
      if (!isValidText(bytes, offsets[entry]!, offsets[entry + 1]!)) return rebuild(pool, repairs);
    }
    return pool;
  }
}

const EMPTY_POOL: BytesPool = { bytes: new Uint8Array(0), offsets: new Uint32Array(2), length: 1 };
/** From here on a native call costs less than the loop. */
const LOOP_BYTES_MAX = 128;

/** Whether `bytes[start .. end)` is UTF-8. */
export function isValidText(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start <= LOOP_BYTES_MAX) {
    let bits = 0;
    for (let at = start; at < end; at++) bits |= bytes[at]!;
    if (bits < 0x80) return true;
  }
  return isUtf8(bytes.subarray(start, end));
}

/** `bytes[start .. end)` as UTF-8 with U+FFFD for what is none, as the WHATWG decoder does it. */
export function repairText(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return Buffer.from(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8'), 'utf8');
}

/** A pool of its own with the same entries, the invalid ones repaired and nothing between them. */
function rebuild({ bytes, offsets, length }: BytesPool, repairs: RepairCount): BytesPool {
  const newOffsets = new Uint32Array(length + 1);
  let end = 0;
  for (let entry = 1; entry < length; entry += 2) {
    const [from, to] = [offsets[entry]!, offsets[entry + 1]!];
    newOffsets[entry] = end;
    end += isValidText(bytes, from, to) ? to - from : repairText(bytes, from, to).length;
    newOffsets[entry + 1] = end;
  }
  const newBytes = new Uint8Array(end);
  for (let entry = 1; entry < length; entry += 2) {
    const [from, to] = [offsets[entry]!, offsets[entry + 1]!];
    if (isValidText(bytes, from, to)) {
      newBytes.set(bytes.subarray(from, to), newOffsets[entry]);
    } else {
      newBytes.set(repairText(bytes, from, to), newOffsets[entry]);
      repairs.repairedStrings++;
    }
  }
  return { bytes: newBytes, offsets: newOffsets, length };
}
