/** Attributes folded into the rows they belong to: a MAP, and what the MAP cannot say (docs/decisions/0001). */
import { type AttributesTable, type IdColumn, VALUE_TYPES } from '../../otap/index.ts';
import type { GrowableStringArena } from '../string-arena.ts';
import type { ListVector, VectorData } from '../vectors.ts';
import { fixed, NULLS } from './columns.ts';
import { groupRows, indexRows, parentRows, type RowGroups, type RowIndex } from './row-groups.ts';
import type { Scratch } from './scratch.ts';
import { createValueWriter, isSerialized } from './values.ts';

/** The three columns of an attribute set, in their order in every table. */
export type AttributeVectors = readonly [attributes: ListVector, types: VectorData, ser: VectorData];

/** The attribute rows of the rows of a parent table. */
export interface OwnedAttributes {
  readonly table: AttributesTable | null;
  /** Parent row of each attribute row, -1 for orphans. */
  readonly parents: Int32Array;
  readonly groups: RowGroups;
}

/** Joins an attribute table to its parent table by id. */
export function ownAttributes(
  table: AttributesTable | null,
  ids: IdColumn | null,
  parentCount: number,
  scratch: Scratch,
  index?: RowIndex,
): OwnedAttributes {
  if (table === null || table.rowCount === 0) {
    const order = scratch.u32(0);
    const groups = { offsets: scratch.u32(parentCount + 1), order, orphans: [] };
    return { table: null, parents: scratch.i32(0), groups };
  }
  const parentIds = { values: table.parentId, validity: table.parentValidity };
  const rows = index ?? indexRows(ids, parentCount, scratch);
  const parents = parentRows(parentIds, table.rowCount, rows, scratch);
  return { table, parents, groups: groupRows(parents, parentCount, scratch) };
}

/** Builds the columns of the attribute sets of `groups`, one set a parent, attributes in wire order. */
export function foldAttributes(
  table: AttributesTable | null,
  groups: RowGroups,
  arena: GrowableStringArena,
  scratch: Scratch,
): AttributeVectors {
  const { offsets, order } = groups;
  const count = order.length;
  if (table === null) return [mapVector(offsets, [NULLS, NULLS]), NULLS, NULLS];
  const { key, type } = table;
  const keyWords = arena.takeWords(count);
  const valueWords = arena.takeWords(count);
  const keys = arena.addPool(key.pool, count);
  const values = createValueWriter(table, arena, count);
  const { indices, validity } = key;
  const types = scratch.u8(count);
  let valueValidity: Uint8Array | null = null;
  let otherCount = 0;
  let serCount = 0;
  for (let at = 0; at < count; at++) {
    const source = order[at]!;
    if (validity !== null && validity[source] === 0) arena.addEmpty(keyWords, at);
    else keys.put(keyWords, at, indices === null ? source : indices[source]!);
    const valueType = type[source]!;
    types[at] = valueType;
    if (valueType !== VALUE_TYPES.STR) {
      otherCount++;
      if (isSerialized(valueType)) serCount++;
    }
    if (values.putText(valueWords, at, source)) continue;
    valueValidity ??= scratch.u8(count).fill(1);
    valueValidity[at] = 0;
  }
  const map = mapVector(offsets, [
    { kind: 'string', arena, words: keyWords, validity: null },
    { kind: 'string', arena, words: valueWords, validity: valueValidity },
  ]);
  if (otherCount === 0) return [map, NULLS, NULLS];
  const typeLists = listsWith(groups, scratch, (at) => types[at] !== VALUE_TYPES.STR);
  const typeVector: ListVector = { ...typeLists, child: fixed(pick(types, typeLists.kept, scratch)) };
  if (serCount === 0) return [map, typeVector, NULLS];
  const serLists = listsWith(groups, scratch, (at) => isSerialized(types[at]!));
  const serWords = arena.takeWords(serLists.kept.length);
  const serValidity = scratch.u8(serLists.kept.length);
  for (let i = 0; i < serLists.kept.length; i++) {
    const at = serLists.kept[i]!;
    if (isSerialized(types[at]!)) {
      serValidity[i] = 1;
      values.putSer(serWords, i, order[at]!);
    } else {
      arena.addEmpty(serWords, i);
    }
  }
  return [map, typeVector, { ...serLists, child: { kind: 'string', arena, words: serWords, validity: serValidity } }];
}

/** A MAP of strings: a list of STRUCT(key, value). */
function mapVector(offsets: Uint32Array, children: readonly VectorData[]): ListVector {
  return { kind: 'list', offsets, child: { kind: 'struct', children, validity: null }, validity: null };
}

interface SparseLists {
  readonly kind: 'list';
  readonly offsets: Uint32Array;
  readonly validity: Uint8Array | null;
  /** Positions in `groups.order` that are in a list. */
  readonly kept: Uint32Array;
}

/** Lists as long as the groups, but NULL for groups of which no member passes `isNeeded`. */
function listsWith(groups: RowGroups, scratch: Scratch, isNeeded: (at: number) => boolean): SparseLists {
  const { offsets, order } = groups;
  const parentCount = offsets.length - 1;
  const listOffsets = scratch.u32(parentCount + 1);
  const validity = scratch.u8(parentCount);
  const kept = scratch.u32(order.length);
  let keptCount = 0;
  for (let parent = 0; parent < parentCount; parent++) {
    const end = offsets[parent + 1]!;
    let at = offsets[parent]!;
    while (at < end && !isNeeded(at)) at++;
    if (at < end) {
      validity[parent] = 1;
      for (at = offsets[parent]!; at < end; at++) kept[keptCount++] = at;
    }
    listOffsets[parent + 1] = keptCount;
  }
  return { kind: 'list', offsets: listOffsets, validity, kept: kept.subarray(0, keptCount) };
}

function pick(values: Uint8Array, positions: Uint32Array, scratch: Scratch): Uint8Array {
  const picked = scratch.u8(positions.length);
  for (let i = 0; i < positions.length; i++) picked[i] = values[positions[i]!]!;
  return picked;
}
