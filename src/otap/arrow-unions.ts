import type { ArrowBody } from './arrow-body.ts';
import type { ArrowColumn, UnionArrowColumn } from './arrow-columns.ts';
import type { ArrowField, ArrowType } from './arrow-schema.ts';

/** Reads a child of the union: its length, null when it is the child's own, and the validity around it. */
type ReadChild = (child: ArrowField, length: number | null, outer: Uint8Array | null) => ArrowColumn;

/**
 * Takes type ids, offsets (dense) and children of a union; unions have no validity of their own. Rows that are null by a struct
 * around the union point to row 0 of child 0.
 */
export function readUnion(
  field: ArrowField,
  type: ArrowType & { kind: 'union' },
  body: ArrowBody,
  length: number,
  outer: Uint8Array | null,
  readChild: ReadChild,
): UnionArrowColumn {
  const { path } = field;
  if (body.hasUnionValidity) throw body.malformed(path, 'unions of metadata version V4 cannot be decoded');
  const childIndexes = readChildIndexes(type.typeIds, path, body, length, outer);
  const offsets = type.isDense ? readRowOffsets(path, body, length) : null;
  const children = field.children.map((child) =>
    offsets === null ? readChild(child, length, outer) : readChild(child, null, null),
  );
  if (offsets !== null) checkRowOffsets(offsets, childIndexes, children, path, body, outer);
  return { kind: 'union', length, validity: outer, childIndexes, offsets, children };
}

function readChildIndexes(
  typeIds: readonly number[],
  path: string,
  body: ArrowBody,
  length: number,
  outer: Uint8Array | null,
): Uint8Array {
  const ids = body.nextValues(path, length);
  const childOfId = new Int16Array(256).fill(-1);
  for (const [child, id] of typeIds.entries()) childOfId[id] = child;
  body.budget.charge(length);
  const childIndexes = new Uint8Array(length);
  for (let row = 0; row < length; row++) {
    if (outer !== null && outer[row] === 0) continue;
    const child = childOfId[ids[row]!]!;
    if (child < 0) throw body.malformed(path, `type id ${ids[row]} of row ${row} is unknown`);
    childIndexes[row] = child;
  }
  return childIndexes;
}

function readRowOffsets(path: string, body: ArrowBody, length: number): Int32Array {
  // A copy: offsets of null rows are overwritten.
  const bytes = body.nextValues(path, 4 * length);
  body.budget.charge(4 * length);
  return new Int32Array(bytes.slice().buffer, 0, length);
}

function checkRowOffsets(
  offsets: Int32Array,
  childIndexes: Uint8Array,
  children: readonly ArrowColumn[],
  path: string,
  body: ArrowBody,
  outer: Uint8Array | null,
): void {
  for (let row = 0; row < offsets.length; row++) {
    if (outer !== null && outer[row] === 0) {
      offsets[row] = 0;
      continue;
    }
    const offset = offsets[row]!;
    const childLength = children[childIndexes[row]!]!.length;
    if (offset < 0 || offset >= childLength) {
      throw body.malformed(path, `offset ${row} is ${offset}, its child has ${childLength} values`);
    }
  }
}
