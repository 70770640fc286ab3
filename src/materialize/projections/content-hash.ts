/**
 * 64-bit content hashes of attribute sets, resources, scopes and series. They are primary keys on disk: the function must never
 * change within a projection version, so that a replay, another process or a later version finds the same keys (a test holds golden
 * values). The state is two 32-bit lanes that feed each other; JavaScript has no fast 64-bit integers.
 * Not meant against somebody who constructs collisions: who may write telemetry may also write wrong telemetry.
 */
import type { BytesColumn, BytesPool } from '../../otap/index.ts';

/** A hash in the making or done: low and high 32 bits. */
export type HashLanes = Uint32Array;

const MULTIPLIER_A = 0x9e3779b1;
const MULTIPLIER_B = 0x85ebca77;
const MULTIPLIER_C = 0xc2b2ae3d;
const MULTIPLIER_D = 0x27d4eb2f;

/** A new state. `tag` tells kinds of content apart that could otherwise be equal. */
export function startHash(tag: number): HashLanes {
  const lanes = new Uint32Array(2);
  restartHash(lanes, tag);
  return lanes;
}

/** Makes a state new again. */
export function restartHash(lanes: HashLanes, tag: number): void {
  lanes[0] = Math.imul(tag + 1, MULTIPLIER_C);
  lanes[1] = Math.imul(tag + 1, MULTIPLIER_D) ^ MULTIPLIER_A;
}

/** Takes in one 32-bit word. Order matters. */
export function mixWord(lanes: HashLanes, word: number): void {
  let a = lanes[0]!;
  let b = lanes[1]!;
  a ^= Math.imul(word, MULTIPLIER_A);
  a = (Math.imul((a << 15) | (a >>> 17), MULTIPLIER_B) + b) | 0;
  b ^= Math.imul(word, MULTIPLIER_C);
  b = (Math.imul((b << 13) | (b >>> 19), MULTIPLIER_D) + a) | 0;
  lanes[0] = a;
  lanes[1] = b;
}

/** Ends a hash: every bit of the state reaches every bit of the result. Never 0 in both lanes, which means "none" elsewhere. */
export function finishHash(lanes: HashLanes): void {
  let a = lanes[0]!;
  let b = lanes[1]!;
  a = avalanche(a ^ ((b << 16) | (b >>> 16)));
  b = avalanche(b + a);
  a = (a + Math.imul(b, MULTIPLIER_A)) | 0;
  lanes[0] = a;
  lanes[1] = b;
  if (a === 0 && b === 0) lanes[0] = 1;
}

function avalanche(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The finished hash of `bytes[start .. end)` into `lanes`. */
export function hashBytes(lanes: HashLanes, bytes: Uint8Array, start: number, end: number): void {
  restartHash(lanes, end - start);
  let next = start;
  for (; next + 4 <= end; next += 4) {
    mixWord(lanes, bytes[next]! | (bytes[next + 1]! << 8) | (bytes[next + 2]! << 16) | (bytes[next + 3]! << 24));
  }
  let rest = 0;
  for (let shift = 0; next < end; next++, shift += 8) rest |= bytes[next]! << shift;
  mixWord(lanes, rest);
  finishHash(lanes);
}

/** The finished hash of a text's UTF-8, as columns give it. */
export function hashText(text: string): HashLanes {
  const lanes = startHash(0);
  const bytes = new TextEncoder().encode(text);
  hashBytes(lanes, bytes, 0, bytes.length);
  return lanes;
}

/** Hashes of the rows of a string column. A string is hashed once for each pool entry, whatever the number of rows. */
export interface ColumnHashes {
  /** Writes the hash of row `row` to `lanes`: that of the empty string for a null row. */
  read(lanes: HashLanes, row: number): void;
}

interface EntryHashes {
  /** Low and high lane of entry e at 2 e and 2 e + 1; both 0 while not computed. */
  lanes: Uint32Array;
}

const EMPTY = hashText('');
/** Dictionary pools only grow and outlive batches, and so do the hashes of their entries. */
const dictionaries = new WeakMap<BytesPool, EntryHashes>();

/** Prepares the hashes of a column; a null column has empty strings in every row. */
export function columnHashes(column: BytesColumn | null): ColumnHashes {
  if (column === null) return EMPTY_COLUMN;
  const { pool, indices, validity } = column;
  const made = entryHashes(pool, indices !== null).lanes;
  return {
    read(lanes, row) {
      if (validity !== null && validity[row] === 0) {
        lanes[0] = EMPTY[0]!;
        lanes[1] = EMPTY[1]!;
        return;
      }
      const entry = indices === null ? row : indices[row]!;
      if (made[2 * entry] === 0 && made[2 * entry + 1] === 0) {
        hashBytes(lanes, pool.bytes, pool.offsets[entry]!, pool.offsets[entry + 1]!);
        made[2 * entry] = lanes[0]!;
        made[2 * entry + 1] = lanes[1]!;
        return;
      }
      lanes[0] = made[2 * entry]!;
      lanes[1] = made[2 * entry + 1]!;
    },
  };
}

const EMPTY_COLUMN: ColumnHashes = {
  read(lanes) {
    lanes[0] = EMPTY[0]!;
    lanes[1] = EMPTY[1]!;
  },
};

function entryHashes(pool: BytesPool, isDictionary: boolean): EntryHashes {
  const size = 2 * pool.length;
  if (!isDictionary) return { lanes: new Uint32Array(size) };
  let entries = dictionaries.get(pool);
  if (entries === undefined) {
    entries = { lanes: new Uint32Array(size) };
    dictionaries.set(pool, entries);
  } else if (entries.lanes.length < size) {
    const grown = new Uint32Array(2 * size);
    grown.set(entries.lanes);
    entries.lanes = grown;
  }
  return entries;
}
