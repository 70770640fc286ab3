/**
 * Resources and scopes: stored once per distinct content, rows refer to them by a 64-bit key. New ones are staged in the
 * transaction that first sees them and moved over before its commit.
 */
import type { AttributesTable, BytesColumn, IdColumn, PayloadName, RootColumns, U32Column } from '../../otap/index.ts';
import type { GrowableStringArena } from '../string-arena.ts';
import type { VectorData } from '../vectors.ts';
import { findAttribute, sumAttributeHashes } from './attribute-hashes.ts';
import { foldAttributes, type OwnedAttributes, ownAttributes } from './attributes.ts';
import { columnHashes, finishHash, mixWord, restartHash, startHash } from './content-hash.ts';
import { constant, fixed, numbersAt, NULLS, textsAt } from './columns.ts';
import { wordsAsU64 } from './identifiers.ts';
import { KeySet, type KnownKeys } from './key-set.ts';
import { indexRows, parentRows, type RowIndex, selectGroups } from './row-groups.ts';
import type { Scratch } from './scratch.ts';
import { createValueWriter } from './values.ts';

const SERVICE_NAME = 'service.name';

/** What differs between resources and scopes. */
interface DimensionSource {
  readonly payload: PayloadName;
  /** Tells keys of resources and scopes apart. */
  readonly tag: number;
  readonly id: IdColumn | null;
  /** String columns that belong to the content, in the order of the dimension's table. */
  readonly texts: readonly (BytesColumn | null)[];
  /** How many of `texts`, from the first, belong to the identity of series (schema URLs do not). */
  readonly identityTexts: number;
  readonly droppedAttributesCount: U32Column | null;
  readonly attrs: AttributesTable | null;
}

/** The resources or scopes of a batch. */
export interface BatchDimension {
  readonly source: DimensionSource;
  readonly owned: OwnedAttributes;
  /** First root row with the same wire id, -1 for rows without one: where `owned` has its attributes. */
  readonly ownerRows: Int32Array;
  /** Key of each root row: low at 2 r, high at 2 r + 1. */
  readonly keys: Uint32Array;
  /** What of it identifies series: the same layout. */
  readonly identities: Uint32Array;
  /** Root rows whose key was not known, one for each new key. */
  readonly newRows: readonly number[];
  readonly newKeys: KeySet;
}

export function resourceSource(root: RootColumns, attrs: AttributesTable | null): DimensionSource {
  return {
    payload: 'RESOURCE_ATTRS',
    tag: 16,
    id: root.resourceId,
    texts: [root.resourceSchemaUrl],
    identityTexts: 0,
    droppedAttributesCount: root.resourceDroppedAttributesCount,
    attrs,
  };
}

export function scopeSource(root: RootColumns, attrs: AttributesTable | null): DimensionSource {
  return {
    payload: 'SCOPE_ATTRS',
    tag: 17,
    id: root.scopeId,
    texts: [root.scopeName, root.scopeVersion, root.schemaUrl],
    identityTexts: 2,
    droppedAttributesCount: root.scopeDroppedAttributesCount,
    attrs,
  };
}

/** Finds the key of every root row. Changes nothing that outlives the batch. */
export function resolveDimension(
  source: DimensionSource,
  rowCount: number,
  known: KnownKeys,
  scratch: Scratch,
): BatchDimension {
  const index = indexRows(source.id, rowCount, scratch);
  const owned = ownAttributes(source.attrs, source.id, rowCount, scratch, index);
  const sums = sumAttributeHashes(owned, rowCount, scratch);
  const ownerRows = firstRows(source.id, index, rowCount, scratch);
  const hashes = source.texts.map(columnHashes);
  const dropped = source.droppedAttributesCount?.values ?? null;
  const keys = scratch.u32(2 * rowCount);
  const identities = scratch.u32(2 * rowCount);
  const newRows: number[] = [];
  const newKeys = new KeySet();
  const textCount = hashes.length;
  const content = scratch.u32(2 * textCount);
  const lanes = startHash(0);
  const part = startHash(0);
  for (let row = 0; row < rowCount; row++) {
    const owner = ownerRows[row]!;
    // Root rows come in runs of one resource and scope.
    let isRun = row > 0 && owner === ownerRows[row - 1]! && (dropped === null || dropped[row] === dropped[row - 1]);
    for (let i = 0; i < textCount; i++) {
      hashes[i]!.read(part, row);
      if (content[2 * i] === part[0] && content[2 * i + 1] === part[1]) continue;
      isRun = false;
      content[2 * i] = part[0]!;
      content[2 * i + 1] = part[1]!;
    }
    if (isRun) {
      keys[2 * row] = keys[2 * row - 2]!;
      keys[2 * row + 1] = keys[2 * row - 1]!;
      identities[2 * row] = identities[2 * row - 2]!;
      identities[2 * row + 1] = identities[2 * row - 1]!;
      continue;
    }
    restartHash(lanes, source.tag);
    mixWord(lanes, owner < 0 ? 0 : owned.groups.offsets[owner + 1]! - owned.groups.offsets[owner]!);
    mixWord(lanes, owner < 0 ? 0 : sums[2 * owner]!);
    mixWord(lanes, owner < 0 ? 0 : sums[2 * owner + 1]!);
    for (let i = 0; i < 2 * source.identityTexts; i++) mixWord(lanes, content[i]!);
    identities[2 * row] = lanes[0]!;
    identities[2 * row + 1] = lanes[1]!;
    for (let i = 2 * source.identityTexts; i < 2 * textCount; i++) mixWord(lanes, content[i]!);
    mixWord(lanes, dropped === null ? 0 : dropped[row]!);
    finishHash(lanes);
    keys[2 * row] = lanes[0]!;
    keys[2 * row + 1] = lanes[1]!;
    if (known.has(lanes[0]!, lanes[1]!) || !newKeys.add(lanes[0]!, lanes[1]!)) continue;
    newRows.push(row);
  }
  return { source, owned, ownerRows, keys, identities, newRows, newKeys };
}

/** The service name of each root row; null where its resource has none. */
export function serviceNames(
  resources: BatchDimension,
  rowCount: number,
  arena: GrowableStringArena,
  scratch: Scratch,
): VectorData {
  const { owned, ownerRows } = resources;
  if (owned.table === null) return NULLS;
  const found = findAttribute(owned, SERVICE_NAME, rowCount, scratch);
  const values = createValueWriter(owned.table, arena, rowCount);
  const words = arena.takeWords(rowCount);
  const validity = scratch.u8(rowCount);
  let validCount = 0;
  for (let row = 0; row < rowCount; row++) {
    const owner = ownerRows[row]!;
    if (row > 0 && owner === ownerRows[row - 1]!) {
      words.copyWithin(4 * row, 4 * row - 4, 4 * row);
      validity[row] = validity[row - 1]!;
    } else if (owner < 0 || found[owner]! < 0) {
      arena.addEmpty(words, row);
    } else {
      validity[row] = values.putText(words, row, found[owner]!) ? 1 : 0;
    }
    validCount += validity[row]!;
  }
  if (validCount === 0) return NULLS;
  return { kind: 'string', arena, words, validity: validCount === rowCount ? null : validity };
}

/** The rows of a dimension table for the keys that are new: key, [service name,] texts, dropped count, attribute set. */
export function newDimensionRows(
  dimension: BatchDimension,
  services: VectorData | null,
  arena: GrowableStringArena,
  scratch: Scratch,
): readonly VectorData[] {
  const { source, owned, ownerRows, keys, newRows } = dimension;
  const groups = selectGroups(
    owned.groups,
    newRows.map((row) => ownerRows[row]!),
    scratch,
  );
  return [
    fixed(wordsAsU64(pickPairs(keys, newRows, scratch))),
    ...(services === null ? [] : [pickStrings(services, newRows, arena, scratch)]),
    ...source.texts.map((column) => textsAt(column, newRows, arena)),
    numbersAt(source.droppedAttributesCount, newRows, scratch.u32(newRows.length)),
    ...foldAttributes(owned.table, groups, arena, scratch),
  ];
}

/** The rows that map wire ids with attributes to keys, or null when no id has any. */
export function wireIdRows(
  entryOffset: bigint,
  dimension: BatchDimension,
  rowCount: number,
  scratch: Scratch,
): { columns: readonly VectorData[]; rowCount: number } | null {
  const { source, owned, keys } = dimension;
  if (source.id === null || owned.table === null) return null;
  const { offsets } = owned.groups;
  const owners: number[] = [];
  for (let row = 0; row < rowCount; row++) if (offsets[row + 1]! > offsets[row]!) owners.push(row);
  if (owners.length === 0) return null;
  const columns = [
    constant(entryOffset),
    numbersAt(source.id, owners, scratch.u32(owners.length)),
    fixed(wordsAsU64(pickPairs(keys, owners, scratch))),
  ];
  return { columns, rowCount: owners.length };
}

/** Some elements of an array of pairs of words; -1 is 0. */
export function pickPairs(pairs: Uint32Array, rows: ArrayLike<number>, scratch: Scratch): Uint32Array {
  const picked = scratch.u32(2 * rows.length);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    if (row < 0) continue;
    picked[2 * i] = pairs[2 * row]!;
    picked[2 * i + 1] = pairs[2 * row + 1]!;
  }
  return picked;
}

/** Some rows of a string vector or of a constant null; -1 is null. */
export function pickStrings(
  vector: VectorData,
  rows: ArrayLike<number>,
  arena: GrowableStringArena,
  scratch: Scratch,
): VectorData {
  if (vector.kind !== 'string') return vector;
  const words = arena.takeWords(rows.length);
  const validity = scratch.u8(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    if (row < 0 || (vector.validity !== null && vector.validity[row] === 0)) {
      arena.addEmpty(words, i);
      continue;
    }
    validity[i] = 1;
    for (let word = 0; word < 4; word++) words[4 * i + word] = vector.words[4 * row + word]!;
  }
  return { kind: 'string', arena, words, validity };
}

function firstRows(id: IdColumn | null, index: RowIndex, rowCount: number, scratch: Scratch): Int32Array {
  return id === null ? scratch.i32(rowCount).fill(-1) : parentRows(id, rowCount, index, scratch);
}
