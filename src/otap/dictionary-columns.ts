/** Dictionary-encoded columns: strings keep their indices, fixed-width values are expanded. */
import type { ArrowBody } from './arrow-body.ts';
import type { BytesArrowColumn } from './arrow-columns.ts';
import type { DictionaryEncoding } from './arrow-schema.ts';
import { clearNullRows, lanesOf } from './arrow-validity.ts';
import type { BytesPool } from './canonical.ts';
import type { Dictionary, FixedDictionary } from './dictionaries.ts';

/** A dictionary-encoded column: with its dictionary, or as the dense values of all rows (aligned). */
export type IndexedColumn =
  | { readonly kind: 'bytes'; readonly column: Pick<BytesArrowColumn, 'validity' | 'pool' | 'indices'> }
  | { readonly kind: 'fixed'; readonly values: Uint8Array; readonly validity: Uint8Array | null };

type Indices = Uint8Array | Uint16Array | Uint32Array;

const EMPTY_POOL: BytesPool = { bytes: new Uint8Array(0), offsets: new Uint32Array(1), length: 0 };

/**
 * Takes the indices of a dictionary-encoded column whose validity was taken. Every index is checked against the dictionary; a
 * row whose entry is null is null. A dictionary that was never sent has no entries: only null rows may refer to it. `width` is
 * that of the dictionary's values, null for strings and bytes.
 */
export function readIndexedColumn(
  encoding: DictionaryEncoding,
  width: number | null,
  path: string,
  body: ArrowBody,
  length: number,
  ownValidity: Uint8Array | null,
  dictionaries: ReadonlyMap<bigint, Dictionary>,
): IndexedColumn {
  const { id, indexWidth, isSigned } = encoding;
  const stored = body.nextValues(path, length * indexWidth);
  const indices: Indices = indicesOf(clearNullRows(stored, indexWidth, ownValidity), indexWidth);
  const dictionary = dictionaries.get(id);
  const entryCount = dictionary?.length ?? 0;
  const limit = isSigned ? Math.min(entryCount, 2 ** (8 * indexWidth - 1)) : entryCount;
  const wrongRow = findWrongIndex(indices, ownValidity, limit);
  if (wrongRow >= 0) {
    const lacks =
      dictionary === undefined ? `dictionary ${id} was not sent` : `the dictionary has ${entryCount} entries`;
    throw body.malformed(path, `index ${indices[wrongRow]} of row ${wrongRow}: ${lacks}`);
  }

  const entryValidity = dictionary?.entryValidity ?? null;
  let validity = ownValidity;
  let rows = indices;
  if (entryValidity !== null && entryCount > 0) {
    body.budget.charge(2 * length + length * indexWidth);
    ({ validity, rows } = withNullEntries(indices, ownValidity, entryValidity));
  }
  if (width === null) {
    const pool = dictionary?.kind === 'bytes' ? dictionary.pool : EMPTY_POOL;
    return { kind: 'bytes', column: { validity, pool, indices: rows } };
  }
  body.budget.charge(length * width);
  if (dictionary?.kind !== 'fixed') return { kind: 'fixed', values: new Uint8Array(length * width), validity };
  return { kind: 'fixed', values: clearNullRows(expand(rows, dictionary), width, validity), validity };
}

function indicesOf(bytes: Uint8Array, width: 1 | 2 | 4): Indices {
  if (width === 1) return bytes;
  if (width === 2) return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** The first non-null row whose index is not below `limit`, or -1. Negative indices look like ones above the limit. */
function findWrongIndex(indices: Indices, validity: Uint8Array | null, limit: number): number {
  let largest = -1;
  for (let row = 0; row < indices.length; row++) {
    if (indices[row]! > largest) largest = indices[row]!;
  }
  if (largest < limit) return -1;
  return indices.findIndex((index, row) => index >= limit && (validity === null || validity[row] !== 0));
}

function withNullEntries(
  indices: Indices,
  ownValidity: Uint8Array | null,
  entryValidity: Uint8Array,
): { validity: Uint8Array; rows: Indices } {
  const validity = new Uint8Array(indices.length);
  const rows = indices.slice();
  for (let row = 0; row < indices.length; row++) {
    validity[row] = (ownValidity === null ? 1 : ownValidity[row]!) & entryValidity[indices[row]!]!;
    if (validity[row] === 0) rows[row] = 0;
  }
  return { validity, rows };
}

function expand(indices: Indices, dictionary: FixedDictionary): Uint8Array {
  const { width, lanes } = dictionary;
  const expanded = new Uint8Array(indices.length * width);
  if (lanes.length === 0) return expanded;
  const target = lanesOf(expanded, width);
  switch (width / lanes.BYTES_PER_ELEMENT) {
    case 1:
      for (let row = 0; row < indices.length; row++) target[row] = lanes[indices[row]!]!;
      break;
    case 2:
      for (let row = 0; row < indices.length; row++) {
        const from = 2 * indices[row]!;
        target[2 * row] = lanes[from]!;
        target[2 * row + 1] = lanes[from + 1]!;
      }
      break;
    default: {
      const perRow = width / lanes.BYTES_PER_ELEMENT;
      for (let row = 0; row < indices.length; row++) {
        const from = perRow * indices[row]!;
        for (let lane = 0; lane < perRow; lane++) target[row * perRow + lane] = lanes[from + lane]!;
      }
    }
  }
  return expanded;
}
