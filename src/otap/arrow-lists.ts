/** Columns with offsets: strings, bytes and lists. */
import type { ArrowBody } from './arrow-body.ts';
import type { ArrowColumn, BytesArrowColumn, ListArrowColumn } from './arrow-columns.ts';
import type { ArrowField } from './arrow-schema.ts';
import { repairStrings } from './utf8-repair.ts';

/** Takes offsets and bytes of a plain column of strings or bytes whose validity was taken. Counts repaired strings. */
export function readBytesColumn(
  type: { readonly kind: 'utf8' | 'binary'; readonly isLarge: boolean },
  path: string,
  body: ArrowBody,
  length: number,
  validity: Uint8Array | null,
  repairs: { repairedStrings: number },
): BytesArrowColumn {
  let offsets = readOffsets(body, path, length, type.isLarge);
  let bytes = body.nextBuffer(path);
  if (offsets[length]! > bytes.length) {
    throw body.malformed(path, `an offset is ${offsets[length]}, there are ${bytes.length} bytes`);
  }
  if (validity !== null && hasHiddenRanges(offsets, validity)) {
    ({ offsets, bytes } = withoutNullRows(offsets, bytes, validity, body));
  }
  if (type.kind === 'utf8') {
    const strings = repairStrings({ bytes, offsets }, length);
    ({ bytes, offsets } = strings);
    repairs.repairedStrings += strings.repaired;
  }
  return { kind: type.kind, length, validity, pool: { bytes, offsets, length }, indices: null };
}

/** Takes offsets and child of a list whose validity was taken. Ranges under null rows stay as they are on the wire. */
export function readList(
  field: ArrowField,
  isLarge: boolean,
  body: ArrowBody,
  length: number,
  validity: Uint8Array | null,
  readChild: (child: ArrowField) => ArrowColumn,
): ListArrowColumn {
  const offsets = readOffsets(body, field.path, length, isLarge);
  const child = readChild(field.children[0]!);
  if (offsets[length]! > child.length) {
    throw body.malformed(field.path, `an offset is ${offsets[length]}, there are ${child.length} values`);
  }
  return { kind: 'list', length, validity, offsets, child };
}

/** Takes the child of a list whose rows all have `listLength` values. */
export function readFixedList(
  field: ArrowField,
  listLength: number,
  body: ArrowBody,
  length: number,
  validity: Uint8Array | null,
  readChild: (child: ArrowField) => ArrowColumn,
): ListArrowColumn {
  const child = readChild(field.children[0]!);
  if (length * listLength > child.length) {
    throw body.malformed(field.path, `${length} lists of ${listLength} need more than ${child.length} values`);
  }
  body.budget.charge(4 * (length + 1));
  const offsets = new Uint32Array(length + 1);
  for (let row = 0; row <= length; row++) offsets[row] = row * listLength;
  return { kind: 'list', length, validity, offsets, child };
}

/** `length + 1` offsets that never fall and are not negative. */
function readOffsets(body: ArrowBody, path: string, length: number, isLarge: boolean): Int32Array | Uint32Array {
  if (length === 0) {
    body.nextBuffer(path);
    return new Uint32Array(1);
  }
  const offsets = isLarge ? readLargeOffsets(body, path, length) : readSmallOffsets(body, path, length);
  let previous = 0;
  for (let row = 0; row <= length; row++) {
    const offset = offsets[row]!;
    if (offset < previous) throw body.malformed(path, `offset ${row} is ${offset} after ${previous}`);
    previous = offset;
  }
  return offsets;
}

function readSmallOffsets(body: ArrowBody, path: string, length: number): Int32Array {
  const bytes = body.nextValues(path, 4 * (length + 1));
  return new Int32Array(bytes.buffer, bytes.byteOffset, length + 1);
}

function readLargeOffsets(body: ArrowBody, path: string, length: number): Uint32Array {
  const bytes = body.nextValues(path, 8 * (length + 1));
  const halves = new Uint32Array(bytes.buffer, bytes.byteOffset, 2 * (length + 1));
  body.budget.charge(4 * (length + 1));
  const offsets = new Uint32Array(length + 1);
  for (let row = 0; row <= length; row++) {
    if (halves[2 * row + 1] !== 0) throw body.malformed(path, `offset ${row} is negative or above 2^32`);
    offsets[row] = halves[2 * row]!;
  }
  return offsets;
}

/** Whether a null row has bytes or values: allowed by Arrow, not by the canonical tables. */
export function hasHiddenRanges(offsets: Int32Array | Uint32Array, validity: Uint8Array): boolean {
  for (let row = 0; row < validity.length; row++) {
    if (validity[row] === 0 && offsets[row] !== offsets[row + 1]) return true;
  }
  return false;
}

function withoutNullRows(
  offsets: Int32Array | Uint32Array,
  bytes: Uint8Array,
  validity: Uint8Array,
  body: ArrowBody,
): { offsets: Uint32Array; bytes: Uint8Array } {
  const length = validity.length;
  body.budget.charge(4 * (length + 1) + offsets[length]! - offsets[0]!);
  const kept = new Uint8Array(offsets[length]! - offsets[0]!);
  const newOffsets = new Uint32Array(length + 1);
  let end = 0;
  for (let row = 0; row < length; row++) {
    if (validity[row] !== 0) {
      kept.set(bytes.subarray(offsets[row], offsets[row + 1]), end);
      end += offsets[row + 1]! - offsets[row]!;
    }
    newOffsets[row + 1] = end;
  }
  return { offsets: newOffsets, bytes: kept.subarray(0, end) };
}
