/** Which child rows belong to which parent row of a batch: ids joined by counting sort over typed arrays. */
import type { IdColumn } from '../../otap/index.ts';
import type { Scratch } from './scratch.ts';

/** Child rows by parent: those of parent p are `order[offsets[p]]` to `order[offsets[p + 1] - 1]`, in wire order. */
export interface RowGroups {
  readonly offsets: Uint32Array;
  readonly order: Uint32Array;
  /** Child rows whose parent is not in the batch, in wire order. */
  readonly orphans: readonly number[];
}

/** Ids above this many times the number of rows are looked up in a Map, so that a wild id cannot ask for gigabytes. */
const DENSE_IDS_PER_ROW_MAX = 8;
const DENSE_IDS_MAX = 65_536;
const NONE: readonly number[] = [];

/** The first row of each id. */
export type RowIndex = { readonly dense: Int32Array } | { readonly sparse: ReadonlyMap<number, number> };

/** Indexes the rows of a parent table by id. Of rows with the same id the first one owns the children. */
export function indexRows(ids: IdColumn | null, rowCount: number, scratch: Scratch): RowIndex {
  if (ids === null || rowCount === 0) return { dense: scratch.i32(0) };
  const { values, validity } = ids;
  let idMax = 0;
  for (let row = 0; row < rowCount; row++) if (values[row]! > idMax) idMax = values[row]!;
  if (idMax >= DENSE_IDS_MAX && idMax > DENSE_IDS_PER_ROW_MAX * rowCount) {
    const sparse = new Map<number, number>();
    for (let row = 0; row < rowCount; row++) {
      if (validity !== null && validity[row] === 0) continue;
      if (!sparse.has(values[row]!)) sparse.set(values[row]!, row);
    }
    return { sparse };
  }
  const dense = scratch.i32(idMax + 1).fill(-1);
  for (let row = rowCount - 1; row >= 0; row--) {
    if (validity === null || validity[row] !== 0) dense[values[row]!] = row;
  }
  return { dense };
}

/** The parent row of each child row, -1 for orphans. */
export function parentRows(parents: IdColumn, childCount: number, index: RowIndex, scratch: Scratch): Int32Array {
  const { values, validity } = parents;
  const rows = scratch.i32(childCount);
  if ('dense' in index) {
    const dense = index.dense;
    for (let child = 0; child < childCount; child++) {
      const id = values[child]!;
      rows[child] = id < dense.length && (validity === null || validity[child] !== 0) ? dense[id]! : -1;
    }
  } else {
    for (let child = 0; child < childCount; child++) {
      rows[child] = validity === null || validity[child] !== 0 ? (index.sparse.get(values[child]!) ?? -1) : -1;
    }
  }
  return rows;
}

/** Groups child rows by their parent row (`parentRows`). */
export function groupRows(parents: Int32Array, parentCount: number, scratch: Scratch): RowGroups {
  const childCount = parents.length;
  const offsets = scratch.u32(parentCount + 1);
  let orphanCount = 0;
  for (let child = 0; child < childCount; child++) {
    const parent = parents[child]!;
    if (parent < 0) orphanCount++;
    else offsets[parent + 1]!++;
  }
  for (let parent = 0; parent < parentCount; parent++) offsets[parent + 1]! += offsets[parent]!;
  const next = scratch.u32(parentCount);
  next.set(offsets.subarray(0, parentCount));
  const order = scratch.u32(childCount - orphanCount);
  for (let child = 0; child < childCount; child++) {
    const parent = parents[child]!;
    if (parent >= 0) order[next[parent]!++] = child;
  }
  return { offsets, order, orphans: orphanCount === 0 ? NONE : orphansOf(parents) };
}

/** The groups of some parents only, in the order asked for; -1 is a parent without children. */
export function selectGroups(groups: RowGroups, parents: ArrayLike<number>, scratch: Scratch): RowGroups {
  const offsets = scratch.u32(parents.length + 1);
  for (let i = 0; i < parents.length; i++) {
    const parent = parents[i]!;
    offsets[i + 1] = offsets[i]! + (parent < 0 ? 0 : groups.offsets[parent + 1]! - groups.offsets[parent]!);
  }
  const order = scratch.u32(offsets[parents.length]!);
  for (let i = 0; i < parents.length; i++) {
    const parent = parents[i]!;
    if (parent < 0) continue;
    order.set(groups.order.subarray(groups.offsets[parent]!, groups.offsets[parent + 1]!), offsets[i]!);
  }
  return { offsets, order, orphans: NONE };
}

function orphansOf(parents: Int32Array): number[] {
  const orphans: number[] = [];
  for (let child = 0; child < parents.length; child++) if (parents[child]! < 0) orphans.push(child);
  return orphans;
}
