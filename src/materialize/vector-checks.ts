/**
 * What must hold before column data is copied into DuckDB's memory. The copies trust lengths, offsets and positions blindly, so a
 * mistake in a projection would be a crash of the process or foreign memory in a table; here it is an AssertionError that names
 * the column. Checked for a whole append before its first row is written.
 */
import { AssertionError } from '../base/index.ts';
import type { ColumnShape, FixedShape } from './column-shape.ts';
import { DuckDBTypeId } from './duckdb.ts';
import { INLINE_BYTES_MAX } from './string-arena.ts';
import type {
  ConstantVector,
  FixedVector,
  ListVector,
  StringArena,
  StringVector,
  StructVector,
  VectorData,
} from './vectors.ts';

/** Tells how many bytes of an arena are filled. Called once a string column. */
export type ArenaLength = (arena: StringArena) => number;

/**
 * Checks rows `from` (inclusive) to `to` (exclusive) of a column against its shape. `path` names the column in the error. Throws
 * AssertionError. For MAP keys it refuses nulls too.
 */
export function checkVector(
  shape: ColumnShape,
  data: VectorData,
  from: number,
  to: number,
  path: string,
  arenaLength: ArenaLength,
): void {
  if (data.kind === 'constant') {
    checkConstant(shape, data, path);
    return;
  }
  if (data.kind !== shape.kind) refuse(path, `a ${data.kind} vector does not fit a ${shape.kind} column`);
  if (data.validity !== null && data.validity.length < to) {
    refuse(path, `validity has ${data.validity.length} of ${to} rows`);
  }
  switch (data.kind) {
    case 'fixed':
      checkFixed(shape as FixedShape, data, from, to, path);
      break;
    case 'uuid':
      if (data.values.length < 16 * to) refuse(path, `${data.values.length} bytes are too few for ${to} UUIDs`);
      break;
    case 'string':
      checkStrings(data, from, to, path, arenaLength(data.arena));
      break;
    case 'list':
      if (shape.kind === 'list') checkList(shape.child, shape.isMap, data, from, to, path, arenaLength);
      break;
    case 'struct':
      if (shape.kind === 'struct') checkStruct(shape.children, data, from, to, path, arenaLength);
  }
}

function checkFixed(shape: FixedShape, data: FixedVector, from: number, to: number, path: string): void {
  const { values, validity } = data;
  if (values.BYTES_PER_ELEMENT !== shape.widthBytes) {
    refuse(path, `values of ${values.BYTES_PER_ELEMENT} bytes do not fit ${shape.type.toString()}`);
  }
  if (values.length < to) refuse(path, `${values.length} values are too few for ${to} rows`);
  const bound = shape.valueBound;
  if (bound === null) return;
  for (let row = from; row < to; row++) {
    const value = values[row]!;
    if ((value < 0 || value >= bound) && validity?.[row] !== 0) {
      refuse(path, `value ${value} in row ${row} does not fit ${shape.type.toString()}`);
    }
  }
}

/** Bits of word i (1 to 3) that may be set in a string of n bytes: `PADDING[3 n + i - 1]`. */
const PADDING = Uint32Array.from({ length: 3 * (INLINE_BYTES_MAX + 1) }, (_, i) => {
  const used = Math.floor(i / 3) - 4 * (i % 3);
  return used >= 4 ? 0xffffffff : used <= 0 ? 0 : 2 ** (8 * used) - 1;
});

function checkStrings(data: StringVector, from: number, to: number, path: string, arenaLength: number): void {
  const { words } = data;
  if (words.length < 4 * to) refuse(path, `${words.length} words are too few for ${to} strings`);
  for (let row = from, at = 4 * from; row < to; row++, at += 4) {
    const length = words[at]!;
    if (length > INLINE_BYTES_MAX) {
      // The position may pass 2^32 only in a broken vector: both halves count.
      if (words[at + 3] !== 0 || words[at + 2]! + length > arenaLength) {
        refuse(path, `string of ${length} bytes in row ${row} is not in its arena of ${arenaLength}`);
      }
    } else {
      const mask = 3 * length;
      if (
        (words[at + 1]! & ~PADDING[mask]!) !== 0 ||
        (words[at + 2]! & ~PADDING[mask + 1]!) !== 0 ||
        (words[at + 3]! & ~PADDING[mask + 2]!) !== 0
      ) {
        refuse(path, `string of ${length} bytes in row ${row} is not padded with zeros`);
      }
    }
  }
}

function checkList(
  child: ColumnShape,
  isMap: boolean,
  data: ListVector,
  from: number,
  to: number,
  path: string,
  arenaLength: ArenaLength,
): void {
  const { offsets } = data;
  if (offsets.length < to + 1) refuse(path, `${offsets.length} offsets are too few for ${to} lists`);
  let last = offsets[from]!;
  if (last < 0) refuse(path, `offset ${last} in row ${from} is negative`);
  for (let row = from + 1; row <= to; row++) {
    const offset = offsets[row]!;
    if (offset < last) refuse(path, `offset ${offset} in row ${row} is below ${last}`);
    last = offset;
  }
  if (isMap && data.child.kind === 'struct') refuseNullKeys(data.child, offsets[from]!, last, path);
  checkVector(child, data.child, offsets[from]!, last, `${path}[]`, arenaLength);
}

/** DuckDB promises readers that keys are present, and does not look when it is handed whole vectors. */
function refuseNullKeys(entries: StructVector, from: number, to: number, path: string): void {
  const keys = entries.children[0];
  if (keys?.kind === 'constant' && keys.value === null && from < to) refuse(path, 'keys are null');
  for (const validity of [entries.validity, keys?.kind === 'constant' ? null : keys?.validity]) {
    if (validity === null || validity === undefined) continue;
    for (let row = from; row < to; row++) if (validity[row] === 0) refuse(path, `key in row ${row} is null`);
  }
}

function checkStruct(
  children: readonly ColumnShape[],
  data: StructVector,
  from: number,
  to: number,
  path: string,
  arenaLength: ArenaLength,
): void {
  if (data.children.length !== children.length) {
    refuse(path, `${data.children.length} children do not fit ${children.length}`);
  }
  for (const [i, child] of children.entries()) {
    checkVector(child, data.children[i]!, from, to, `${path}.${i}`, arenaLength);
  }
}

function checkConstant(shape: ColumnShape, data: ConstantVector, path: string): void {
  const { value } = data;
  if (value === null) return;
  if (shape.kind === 'string' && typeof value === 'string') return;
  if (shape.kind === 'fixed') {
    const width = shape.widthBytes;
    if (shape.valueBound !== null) {
      const number = typeof value === 'boolean' ? Number(value) : value;
      if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number < shape.valueBound) return;
    } else if (shape.type.typeId === DuckDBTypeId.DOUBLE) {
      if (typeof value === 'number') return;
    } else if (width === 8 && typeof value === 'bigint') {
      if (value >= -(2n ** 63n) && value < 2n ** 64n) return;
    } else if (typeof value === 'number' && Number.isSafeInteger(value)) {
      if (value >= -(2 ** (8 * width - 1)) && value < 2 ** (8 * width)) return;
    }
  }
  refuse(path, `constant ${String(value)} does not fit a ${shape.kind} column`);
}

function refuse(path: string, reason: string): never {
  throw new AssertionError(`Cannot write column ${path}: ${reason}`);
}
