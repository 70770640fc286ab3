/** The dictionary of one column while its stream is encoded: byte strings by number, each once, appended only. */
import { LIMITS } from '../base/index.ts';
import type { BytesPool } from './canonical.ts';

const FIRST_CAPACITY = 64;
/** FNV-1a, 32 bits. */
const HASH_START = 0x811c9dc5;
const HASH_PRIME = 0x01000193;

/** Values of one byte width, or of any. */
export class ValueDictionary {
  readonly #entriesMax: number;
  #bytes = new Uint8Array(16 * FIRST_CAPACITY);
  #offsets = new Int32Array(FIRST_CAPACITY + 1);
  #hashes = new Int32Array(FIRST_CAPACITY);
  #length = 0;
  /** Entry + 1 at its hash or behind, 0 where there is none. At most half full. */
  #slots = new Int32Array(2 * FIRST_CAPACITY);
  /** Of the pools that columns share: the number of each of their entries + 1. */
  readonly #knownEntries = new WeakMap<BytesPool, Uint16Array>();

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get length(): number {
    return this.#length;
  }

  get byteLength(): number {
    return this.#offsets[this.#length]!;
  }

  /** Bytes of all entries; entry i is `[offsets[i], offsets[i + 1])`. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get offsets(): Int32Array {
    return this.#offsets;
  }

  /** The number of a value, which is added when it is new; -1 where it is new and there is no room. */
  number(bytes: Uint8Array, start: number, end: number): number {
    const hash = hashOf(bytes, start, end);
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const found = this.#slots[slot]!;
      if (found === 0) break;
      if (this.#hashes[found - 1] === hash && this.#equals(found - 1, bytes, start, end)) return found - 1;
      slot = (slot + 1) & mask;
    }
    return this.#add(bytes, start, end, hash, slot);
  }

  /** What is known of a pool's entries: numbers + 1, to be filled in by the caller. One array a pool, longer when that has grown. */
  knownEntries(pool: BytesPool): Uint16Array {
    const known = this.#knownEntries.get(pool);
    if (known !== undefined && known.length >= pool.length) return known;
    const longer = new Uint16Array(known === undefined ? pool.length : Math.max(pool.length, 2 * known.length));
    if (known !== undefined) longer.set(known);
    this.#knownEntries.set(pool, longer);
    return longer;
  }

  #add(bytes: Uint8Array, start: number, end: number, hash: number, slot: number): number {
    const entry = this.#length;
    const at = this.#offsets[entry]!;
    const newEnd = at + end - start;
    if (entry === this.#entriesMax || newEnd > LIMITS.encoderDictionaryBytesMax) return -1;
    if (newEnd > this.#bytes.length) this.#bytes = longerCopy(this.#bytes, newEnd);
    if (end - start < COPY_LOOP_BYTES_MAX) {
      const target = this.#bytes;
      for (let from = start, to = at; from < end; from++, to++) target[to] = bytes[from]!;
    } else {
      this.#bytes.set(bytes.subarray(start, end), at);
    }
    if (entry + 1 === this.#offsets.length) this.#growEntries();
    this.#offsets[entry + 1] = newEnd;
    this.#hashes[entry] = hash;
    this.#slots[slot] = entry + 1;
    this.#length++;
    if (2 * this.#length > this.#slots.length) this.#growSlots();
    return entry;
  }

  #equals(entry: number, bytes: Uint8Array, start: number, end: number): boolean {
    const at = this.#offsets[entry]!;
    if (this.#offsets[entry + 1]! - at !== end - start) return false;
    const own = this.#bytes;
    for (let from = start, to = at; from < end; from++, to++) {
      if (own[to] !== bytes[from]) return false;
    }
    return true;
  }

  #growEntries(): void {
    const offsets = new Int32Array(2 * this.#offsets.length);
    offsets.set(this.#offsets);
    const hashes = new Int32Array(2 * this.#offsets.length);
    hashes.set(this.#hashes);
    this.#offsets = offsets;
    this.#hashes = hashes;
  }

  #growSlots(): void {
    const slots = new Int32Array(2 * this.#slots.length);
    const mask = slots.length - 1;
    for (let entry = 0; entry < this.#length; entry++) {
      let slot = this.#hashes[entry]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = entry + 1;
    }
    this.#slots = slots;
  }
}

/** From here on a native copy costs less than the loop. */
const COPY_LOOP_BYTES_MAX = 32;

function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = HASH_START;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, HASH_PRIME);
  return hash ^ (hash >>> 15);
}

function longerCopy(bytes: Uint8Array, needed: number): Uint8Array<ArrayBuffer> {
  const longer = new Uint8Array(Math.max(needed, 2 * bytes.length));
  longer.set(bytes);
  return longer;
}
