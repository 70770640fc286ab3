/**
 * The dictionaries of a stream. They only grow: a replacement is a new dictionary, so columns decoded earlier keep what they have.
 */
import { BatchMalformedError, BatchTooLargeError } from '../base/index.ts';
import type { BytesArrowColumn } from './arrow-columns.ts';
import { type Lanes, lanesOf } from './arrow-validity.ts';
import type { BytesPool } from './canonical.ts';

/** Strings or bytes. */
interface BytesDictionary {
  readonly kind: 'bytes';
  readonly pool: BytesPool;
  /** One byte an entry, null when no entry is null. May be longer than the dictionary. */
  readonly entryValidity: Uint8Array | null;
  readonly length: number;
  /** Memory held. */
  readonly byteLength: number;
}

/** Values of a fixed width, as their bytes. */
export interface FixedDictionary {
  readonly kind: 'fixed';
  readonly width: number;
  /** `length * width` bytes or more. */
  readonly lanes: Lanes;
  readonly entryValidity: Uint8Array | null;
  readonly length: number;
  readonly byteLength: number;
}

export type Dictionary = BytesDictionary | FixedDictionary;

/** Entries to append: a column of strings or bytes without indices, or fixed-width values. */
export type DictionaryEntries =
  | { readonly kind: 'bytes'; readonly column: BytesArrowColumn }
  | {
      readonly kind: 'fixed';
      readonly length: number;
      readonly width: number;
      /** Aligned for lanes of the width. */
      readonly values: Uint8Array;
      readonly validity: Uint8Array | null;
    };

/** Counts the memory of all dictionaries of a stream. */
export interface DictionaryMemory {
  readonly bytes: number;
  /** Accounts for growth or, negative, release. Throws BatchTooLargeError past the stream's limit, nothing counted then. */
  add(bytes: number): void;
}

/** A counter that lets a stream hold `bytesMax`. */
export function createDictionaryMemory(bytesMax: number): DictionaryMemory {
  let bytes = 0;
  return {
    get bytes() {
      return bytes;
    },
    add(more) {
      if (more > 0 && bytes + more > bytesMax) {
        throw new BatchTooLargeError(
          `Cannot keep a dictionary: the stream's dictionaries take more than ${bytesMax} bytes`,
          {
            bytesMax,
          },
        );
      }
      bytes += more;
    },
  };
}

/** A dictionary with these entries. */
export function createDictionary(entries: DictionaryEntries, memory: DictionaryMemory): Dictionary {
  const dictionary = entries.kind === 'bytes' ? new GrowingBytes() : new GrowingFixed(entries.width);
  dictionary.append(entries, memory);
  return dictionary;
}

/**
 * Appends entries to a dictionary that `createDictionary` made, of the same kind and width. Throws BatchTooLargeError when the
 * memory is used up, BatchMalformedError for entries of another type; the dictionary is unchanged then.
 */
export function extendDictionary(dictionary: Dictionary, entries: DictionaryEntries, memory: DictionaryMemory): void {
  (dictionary as GrowingBytes | GrowingFixed).append(entries, memory);
}

/** Capacity grows by doubling, so that appending costs nothing on average. */
function grownCapacity(needed: number, capacity: number): number {
  return needed <= capacity ? capacity : Math.max(needed, 2 * capacity, 64);
}

class GrowingBytes implements BytesDictionary {
  readonly kind = 'bytes';
  #bytes = new Uint8Array(0);
  #offsets = new Uint32Array(0);
  #length = 0;
  #entryValidity: Uint8Array | null = null;
  readonly pool: BytesPool;

  constructor() {
    const bytes = () => this.#bytes;
    const offsets = () => this.#offsets;
    const length = () => this.#length;
    this.pool = {
      get bytes() {
        return bytes();
      },
      get offsets() {
        return offsets();
      },
      get length() {
        return length();
      },
    };
  }

  get length(): number {
    return this.#length;
  }

  get entryValidity(): Uint8Array | null {
    return this.#entryValidity;
  }

  get byteLength(): number {
    return this.#bytes.byteLength + this.#offsets.byteLength + (this.#entryValidity?.byteLength ?? 0);
  }

  append(entries: DictionaryEntries, memory: DictionaryMemory): void {
    if (entries.kind !== 'bytes') throw new BatchMalformedError('Cannot extend a dictionary: its type changed');
    const { pool, length: count, validity } = entries.column;
    const first = pool.offsets[0] ?? 0;
    const addedBytes = (pool.offsets[count] ?? first) - first;
    const length = this.#length + count;
    const end = this.#offsets[this.#length] ?? 0;
    const bytesCapacity = grownCapacity(end + addedBytes, this.#bytes.length);
    const offsetsCapacity = grownCapacity(length + 1, this.#offsets.length);
    const validityCapacity = grownValidityCapacity(this.#entryValidity, validity, length);
    memory.add(bytesCapacity + 4 * offsetsCapacity + validityCapacity - this.byteLength);

    this.#bytes = resized(this.#bytes, bytesCapacity);
    if (offsetsCapacity !== this.#offsets.length) {
      const offsets = new Uint32Array(offsetsCapacity);
      offsets.set(this.#offsets);
      this.#offsets = offsets;
    }
    this.#bytes.set(pool.bytes.subarray(first, first + addedBytes), end);
    for (let entry = 1; entry <= count; entry++) {
      this.#offsets[this.#length + entry] = end + pool.offsets[entry]! - first;
    }
    this.#entryValidity = appendValidity(this.#entryValidity, validityCapacity, this.#length, count, validity);
    this.#length = length;
  }
}

class GrowingFixed implements FixedDictionary {
  readonly kind = 'fixed';
  readonly width: number;
  #values = new Uint8Array(0);
  #lanes: Lanes;
  #length = 0;
  #entryValidity: Uint8Array | null = null;

  constructor(width: number) {
    this.width = width;
    this.#lanes = lanesOf(this.#values, width);
  }

  get length(): number {
    return this.#length;
  }

  get lanes(): Lanes {
    return this.#lanes;
  }

  get entryValidity(): Uint8Array | null {
    return this.#entryValidity;
  }

  get byteLength(): number {
    return this.#values.byteLength + (this.#entryValidity?.byteLength ?? 0);
  }

  append(entries: DictionaryEntries, memory: DictionaryMemory): void {
    if (entries.kind !== 'fixed' || entries.width !== this.width) {
      throw new BatchMalformedError('Cannot extend a dictionary: its type changed');
    }
    const length = this.#length + entries.length;
    const capacity = grownCapacity(length * this.width, this.#values.length);
    const roundedCapacity = (capacity + 7) & ~7;
    const validityCapacity = grownValidityCapacity(this.#entryValidity, entries.validity, length);
    memory.add(roundedCapacity + validityCapacity - this.byteLength);

    this.#values = resized(this.#values, roundedCapacity);
    this.#values.set(entries.values, this.#length * this.width);
    this.#lanes = lanesOf(this.#values, this.width);
    this.#entryValidity = appendValidity(
      this.#entryValidity,
      validityCapacity,
      this.#length,
      entries.length,
      entries.validity,
    );
    this.#length = length;
  }
}

function resized(bytes: Uint8Array<ArrayBuffer>, capacity: number): Uint8Array<ArrayBuffer> {
  if (capacity === bytes.length) return bytes;
  const larger = new Uint8Array(capacity);
  larger.set(bytes);
  return larger;
}

function grownValidityCapacity(current: Uint8Array | null, added: Uint8Array | null, length: number): number {
  if (current === null && added === null) return 0;
  return grownCapacity(length, current?.length ?? 0);
}

/** Entry validity with `added` behind `start` entries; capacity 0 = no entry is null. */
function appendValidity(
  current: Uint8Array | null,
  capacity: number,
  start: number,
  count: number,
  added: Uint8Array | null,
): Uint8Array | null {
  if (capacity === 0) return null;
  const validity = current?.length === capacity ? current : new Uint8Array(capacity).fill(1);
  if (current !== null && validity !== current) validity.set(current.subarray(0, start));
  if (added !== null) validity.set(added.subarray(0, count), start);
  else validity.fill(1, start, start + count);
  return validity;
}
