/** The rows of a column as numbers in its dictionary. */
import type { IndexBits } from './arrow-field-types.ts';
import type { ColumnSource } from './out-columns.ts';
import { ValueDictionary } from './value-dictionary.ts';

/** Entries that indices tell apart, less one as in upstream's exporter: all bits set is no index. */
export const DICTIONARY_ENTRIES_MAX = { 8: 255, 16: 65_535 } as const;

export function createDictionary(bits: Exclude<IndexBits, 0>): ValueDictionary {
  return new ValueDictionary(DICTIONARY_ENTRIES_MAX[bits]);
}

export interface DictionaryIndices {
  /** One a row, 0 in null rows; not filled to the end where the dictionary is full. */
  readonly indices: Uint16Array;
  /** Rows with a value, as far as they were read. */
  readonly valueCount: number;
  /** Of them, values that the dictionary did not have, one that it could not take among them. */
  readonly newCount: number;
  readonly isFull: boolean;
}

/** Numbers the values of a column that may have a dictionary; new ones are added. */
export function indicesOf(dictionary: ValueDictionary, source: ColumnSource, rowCount: number): DictionaryIndices {
  const before = dictionary.length;
  const indices = new Uint16Array(rowCount);
  const valueCount =
    source.kind === 'fixed'
      ? numberFixed(dictionary, source, indices)
      : numberBytes(dictionary, source as Extract<ColumnSource, { kind: 'bytes' }>, indices);
  const isFull = valueCount < 0;
  const newCount = dictionary.length - before + (isFull ? 1 : 0);
  return { indices, valueCount: isFull ? -valueCount : valueCount, newCount, isFull };
}

/** Returns the number of values; negative, with the one that did not fit, when the dictionary is full. */
function numberFixed(
  dictionary: ValueDictionary,
  { bytes, width, validity }: Extract<ColumnSource, { kind: 'fixed' }>,
  indices: Uint16Array,
): number {
  let valueCount = 0;
  for (let row = 0; row < indices.length; row++) {
    if (validity !== null && validity[row] === 0) continue;
    valueCount++;
    const index = dictionary.number(bytes, row * width, row * width + width);
    if (index < 0) return -valueCount;
    indices[row] = index;
  }
  return valueCount;
}

function numberBytes(
  dictionary: ValueDictionary,
  { column, validity }: Extract<ColumnSource, { kind: 'bytes' }>,
  indices: Uint16Array,
): number {
  const { pool, indices: entries } = column;
  const { bytes, offsets } = pool;
  const known = entries === null ? null : dictionary.knownEntries(pool);
  let valueCount = 0;
  for (let row = 0; row < indices.length; row++) {
    if (validity !== null && validity[row] === 0) continue;
    valueCount++;
    const entry = entries === null ? row : entries[row]!;
    if (known !== null && known[entry] !== 0) {
      indices[row] = known[entry]! - 1;
      continue;
    }
    const index = dictionary.number(bytes, offsets[entry]!, offsets[entry + 1]!);
    if (index < 0) return -valueCount;
    indices[row] = index;
    if (known !== null) known[entry] = index + 1;
  }
  return valueCount;
}
