/**
 * The strings of a batch on their way into DuckDB. Projections add strings while they walk a batch; each `add` writes the four
 * words of one row (see `StringVector`). The writer hands the filled part to DuckDB as one block, so no string costs a native call.
 *
 * One arena serves a projection for good: `reset()` before each batch. What it handed out (words, pools, `bytes`) is valid until
 * then. Words from `takeWords` are not cleared: write every row, null rows with `addEmpty`.
 */
import { assert, BatchMalformedError, LIMITS } from '../base/index.ts';
import type { BytesColumn, BytesPool } from '../otap/index.ts';
import { writeBase64, writeDouble, writeInt64 } from './text-writer.ts';
import type { StringArena, StringVector } from './vectors.ts';

const BYTES_INITIAL = 64 * 1024;
const WORDS_INITIAL = 64 * 1024;
/** Up to here DuckDB keeps a string inside its four words. */
export const INLINE_BYTES_MAX = 12;
/** Below, a loop copies faster than a view and `set` (measured). */
const LOOP_COPY_BYTES_MAX = 64;
/** Copying a pool as a whole pays while it has no more bytes than this for each use (measured: a memcpy against a call a string). */
const WHOLE_POOL_BYTES_PER_USE = 64;
/** From here on an entry is seldom used twice, and short ones are not worth remembering (measured). */
const SPARSE_ENTRIES_PER_USE = 4;
const NUMBER_TEXT_BYTES_MAX = 32;
const UTF8_BYTES_PER_UNIT_MAX = 3;

const encoder = new TextEncoder();

/** Writes the words of entries of one pool. Valid until the arena's next `reset()`. */
export interface PoolStrings {
  /** Writes the words of pool entry `entry` at row `row` of `words`. Throws AssertionError when the pool has no such entry. */
  put(words: Uint32Array, row: number, entry: number): void;
}

/** A growing arena and the adders that fill it. Rows are counted in strings: row r is `words[4 r]` to `words[4 r + 3]`. */
export class GrowableStringArena implements StringArena {
  #buffer = new Uint8Array(BYTES_INITIAL);
  #length = 0;
  #slab = new Uint32Array(WORDS_INITIAL);
  #slabUsed = 0;
  #tables: EntryTable[] = [];
  #tablesUsed = 0;

  /** The filled part. A view: valid until the next add. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Empties the arena. Memory is kept for the next batch, unless an unusually large one grew it. */
  reset(): void {
    if (this.#buffer.length > LIMITS.arenaRetainedBytesMax) this.#buffer = new Uint8Array(BYTES_INITIAL);
    if (this.#slab.byteLength > LIMITS.arenaRetainedBytesMax) this.#slab = new Uint32Array(WORDS_INITIAL);
    if (this.#tables.some((table) => table.words.byteLength > LIMITS.arenaRetainedBytesMax)) this.#tables = [];
    this.#length = 0;
    this.#slabUsed = 0;
    this.#tablesUsed = 0;
  }

  /** Words of `rowCount` rows, not cleared, from memory that is reused after `reset()`. */
  takeWords(rowCount: number): Uint32Array {
    const count = 4 * rowCount;
    if (this.#slabUsed + count > this.#slab.length) {
      // Views of the old slab stay good: they hold on to its memory.
      this.#slab = new Uint32Array(Math.max(2 * this.#slab.length, count));
      this.#slabUsed = 0;
    }
    const words = this.#slab.subarray(this.#slabUsed, this.#slabUsed + count);
    this.#slabUsed += count;
    return words;
  }

  /** The empty string, also what stands under a null row. */
  addEmpty(words: Uint32Array, row: number): void {
    const at = 4 * row;
    words[at] = 0;
    words[at + 1] = 0;
    words[at + 2] = 0;
    words[at + 3] = 0;
  }

  /** `source[start .. end)`. Valid UTF-8 when the column is VARCHAR. Throws BatchMalformedError when the arena is full. */
  add(words: Uint32Array, row: number, source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length <= INLINE_BYTES_MAX) {
      inline(words, 4 * row, source, start, length);
      return;
    }
    const position = this.#append(source, start, end);
    point(words, 4 * row, source, start, length, position);
  }

  /** A JavaScript string as UTF-8; lone surrogates become U+FFFD. */
  addText(words: Uint32Array, row: number, text: string): void {
    const buffer = this.#room(text.length * UTF8_BYTES_PER_UNIT_MAX);
    const start = this.#length;
    let end = start;
    if (text.length <= LOOP_COPY_BYTES_MAX) {
      for (let i = 0; i < text.length; i++) {
        const unit = text.charCodeAt(i);
        if (unit >= 0x80) {
          end = start + encoder.encodeInto(text, buffer.subarray(start)).written;
          break;
        }
        buffer[end++] = unit;
      }
    } else {
      end += encoder.encodeInto(text, buffer.subarray(start)).written;
    }
    this.#seal(words, row, end);
  }

  /**
   * A signed 64-bit integer in decimal. `low` and `high` are its halves as an Int32Array or Uint32Array over the BigInt64Array
   * shows them (element 2 i and 2 i + 1), which spares a BigInt for each value.
   */
  addInt64(words: Uint32Array, row: number, low: number, high: number): void {
    const buffer = this.#room(NUMBER_TEXT_BYTES_MAX);
    this.#seal(words, row, writeInt64(buffer, this.#length, low | 0, high | 0));
  }

  /** A double in its shortest form that reads back as the same bits: as in JSON, and -0, NaN, Infinity, -Infinity by these names. */
  addDouble(words: Uint32Array, row: number, value: number): void {
    const buffer = this.#room(NUMBER_TEXT_BYTES_MAX);
    this.#seal(words, row, writeDouble(buffer, this.#length, value));
  }

  /** `true` or `false`. */
  addBoolean(words: Uint32Array, row: number, value: boolean): void {
    const at = 4 * row;
    words[at] = value ? 4 : 5;
    words[at + 1] = value ? 0x65757274 : 0x736c6166;
    words[at + 2] = value ? 0 : 0x65;
    words[at + 3] = 0;
  }

  /** `source[start .. end)` in base64 with padding (RFC 4648 section 4). */
  addBase64(words: Uint32Array, row: number, source: Uint8Array, start: number, end: number): void {
    const buffer = this.#room(4 * Math.ceil((end - start) / 3));
    this.#seal(words, row, writeBase64(buffer, this.#length, source, start, end));
  }

  /**
   * Makes the entries of a pool addable by number. `uses` is about how many `put`s will follow: it decides whether the pool is
   * copied as a whole or entry by entry, and whether the words of an entry are remembered. Bytes of an entry of more than 64 are
   * copied at most once, whatever the number of its `put`s.
   */
  addPool(pool: BytesPool, uses: number): PoolStrings {
    const { bytes, offsets, length } = pool;
    const first = length === 0 ? 0 : offsets[0]!;
    const end = length === 0 ? 0 : offsets[length]!;
    assert(first >= 0 && first <= end && end <= bytes.length, `Pool offsets must lie in its bytes: end is ${end}`);
    const isWhole = end - first <= WHOLE_POOL_BYTES_PER_USE * uses;
    const shift = isWhole ? this.#append(bytes, first, end) - first : ENTRY_BY_ENTRY;
    // With an entry for each use it is no dictionary: remembering words costs and gains nothing.
    if (isWhole && length >= uses) return new PlainPool(bytes, offsets, length, shift);
    const table = this.#takeTable(length);
    const isSparse = !isWhole && length > SPARSE_ENTRIES_PER_USE * uses;
    const append = (start: number, stop: number) => this.#append(bytes, start, stop);
    return new RememberedPool(bytes, offsets, length, shift, table, isSparse, append);
  }

  /** The whole column as a vector, with the column's own validity. */
  gather(column: BytesColumn, rowCount: number): StringVector {
    const { pool, indices, validity } = column;
    const words = this.takeWords(rowCount);
    const strings = this.addPool(pool, rowCount);
    for (let row = 0; row < rowCount; row++) {
      if (validity !== null && validity[row] === 0) this.addEmpty(words, row);
      else strings.put(words, row, indices === null ? row : indices[row]!);
    }
    return { kind: 'string', arena: this, words, validity };
  }

  /** The buffer with room for `count` more bytes behind `#length`. */
  #room(count: number): Uint8Array {
    const needed = this.#length + count;
    if (needed > this.#buffer.length) this.#grow(needed);
    return this.#buffer;
  }

  #grow(needed: number): void {
    if (needed > LIMITS.arenaBytesMax) {
      throw new BatchMalformedError(`Cannot hold the strings of a batch: ${needed} bytes are over the limit`, {
        bytes: needed,
        bytesMax: LIMITS.arenaBytesMax,
      });
    }
    const grown = new Uint8Array(Math.min(LIMITS.arenaBytesMax, Math.max(needed, 2 * this.#buffer.length)));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }

  #append(source: Uint8Array, start: number, end: number): number {
    const buffer = this.#room(end - start);
    const position = this.#length;
    if (end - start <= LOOP_COPY_BYTES_MAX) {
      for (let from = start, to = position; from < end; from++, to++) buffer[to] = source[from]!;
    } else {
      buffer.set(source.subarray(start, end), position);
    }
    this.#length = position + (end - start);
    return position;
  }

  /** Takes what was written from `#length` to `end` as the string of a row. */
  #seal(words: Uint32Array, row: number, end: number): void {
    const start = this.#length;
    const length = end - start;
    if (length <= INLINE_BYTES_MAX) {
      inline(words, 4 * row, this.#buffer, start, length);
      return;
    }
    point(words, 4 * row, this.#buffer, start, length, start);
    this.#length = end;
  }

  #takeTable(length: number): EntryTable {
    let table = this.#tables[this.#tablesUsed];
    if (table === undefined || table.stamps.length < length) {
      const capacity = Math.max(256, 2 ** Math.ceil(Math.log2(length + 1)));
      table = { stamps: new Uint32Array(capacity), words: new Uint32Array(4 * capacity), stamp: 0 };
      this.#tables[this.#tablesUsed] = table;
    }
    this.#tablesUsed++;
    if (table.stamp === 0xffffffff) {
      table.stamps.fill(0);
      table.stamp = 0;
    }
    table.stamp++;
    return table;
  }
}

/** Words of pool entries. Those of entry e are good when `stamps[e]` is `stamp`, so that a new batch forgets all without a fill. */
interface EntryTable {
  stamps: Uint32Array;
  words: Uint32Array;
  stamp: number;
}

const ENTRY_BY_ENTRY = Number.NaN;

/** A pool whose bytes are in the arena, each entry used about once. */
class PlainPool implements PoolStrings {
  readonly #bytes: Uint8Array;
  readonly #offsets: Int32Array | Uint32Array;
  readonly #length: number;
  readonly #shift: number;

  constructor(bytes: Uint8Array, offsets: Int32Array | Uint32Array, length: number, shift: number) {
    this.#bytes = bytes;
    this.#offsets = offsets;
    this.#length = length;
    this.#shift = shift;
  }

  put(words: Uint32Array, row: number, entry: number): void {
    if (!(entry < this.#length)) refuseEntry(entry, this.#length);
    const start = this.#offsets[entry]!;
    const length = this.#offsets[entry + 1]! - start;
    if (length > INLINE_BYTES_MAX) point(words, 4 * row, this.#bytes, start, length, start + this.#shift);
    else inline(words, 4 * row, this.#bytes, start, length);
  }
}

/** A pool whose entries come again and again: the words of an entry are made at its first use. */
class RememberedPool implements PoolStrings {
  readonly #bytes: Uint8Array;
  readonly #offsets: Int32Array | Uint32Array;
  readonly #length: number;
  readonly #shift: number;
  readonly #stamps: Uint32Array;
  readonly #stamp: number;
  readonly #made: Uint32Array;
  readonly #isSparse: boolean;
  readonly #append: (start: number, end: number) => number;

  constructor(
    bytes: Uint8Array,
    offsets: Int32Array | Uint32Array,
    length: number,
    shift: number,
    table: EntryTable,
    isSparse: boolean,
    append: (start: number, end: number) => number,
  ) {
    this.#bytes = bytes;
    this.#offsets = offsets;
    this.#length = length;
    this.#shift = shift;
    this.#stamps = table.stamps;
    this.#stamp = table.stamp;
    this.#made = table.words;
    this.#isSparse = isSparse;
    this.#append = append;
  }

  put(words: Uint32Array, row: number, entry: number): void {
    if (this.#stamps[entry] !== this.#stamp) {
      if (this.#isSparse && this.#putOnce(words, row, entry)) return;
      this.#make(entry);
    }
    const made = this.#made;
    const from = 4 * entry;
    const at = 4 * row;
    words[at] = made[from]!;
    words[at + 1] = made[from + 1]!;
    words[at + 2] = made[from + 2]!;
    words[at + 3] = made[from + 3]!;
  }

  /** Entries that a copy costs less than the table's cache misses. Answers whether it was one. */
  #putOnce(words: Uint32Array, row: number, entry: number): boolean {
    if (!(entry < this.#length)) refuseEntry(entry, this.#length);
    const start = this.#offsets[entry]!;
    const end = this.#offsets[entry + 1]!;
    if (end - start > LOOP_COPY_BYTES_MAX) return false;
    if (end - start <= INLINE_BYTES_MAX) inline(words, 4 * row, this.#bytes, start, end - start);
    else point(words, 4 * row, this.#bytes, start, end - start, this.#append(start, end));
    return true;
  }

  #make(entry: number): void {
    if (!(entry < this.#length)) refuseEntry(entry, this.#length);
    const start = this.#offsets[entry]!;
    const end = this.#offsets[entry + 1]!;
    if (end - start <= INLINE_BYTES_MAX) {
      inline(this.#made, 4 * entry, this.#bytes, start, end - start);
    } else {
      const position = Number.isNaN(this.#shift) ? this.#append(start, end) : start + this.#shift;
      point(this.#made, 4 * entry, this.#bytes, start, end - start, position);
    }
    this.#stamps[entry] = this.#stamp;
  }
}

function refuseEntry(entry: number, length: number): never {
  assert(false, `A pool entry must be below its length: entry is ${entry}, length is ${length}`);
}

function inline(words: Uint32Array, at: number, source: Uint8Array, start: number, length: number): void {
  const end = start + length;
  let next = start;
  let word = at + 1;
  words[at] = length;
  for (; next + 4 <= end; next += 4, word++) words[word] = fourBytes(source, next);
  if (word === at + 4) return;
  let rest = 0;
  for (let shift = 0; next < end; next++, shift += 8) rest |= source[next]! << shift;
  words[word++] = rest;
  while (word < at + 4) words[word++] = 0;
}

function point(
  words: Uint32Array,
  at: number,
  source: Uint8Array,
  start: number,
  length: number,
  position: number,
): void {
  words[at] = length;
  words[at + 1] = fourBytes(source, start);
  words[at + 2] = position;
  // The arena ends below 2^32.
  words[at + 3] = 0;
}

function fourBytes(source: Uint8Array, at: number): number {
  return source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24);
}
