import { PAYLOAD_TYPES, type PayloadName } from '../../otap/index.ts';
import type { GrowableStringArena } from '../string-arena.ts';
import type { VectorData } from '../vectors.ts';
import type { OwnedAttributes } from './attributes.ts';
import { constant, fixed, textsAt } from './columns.ts';
import type { Scratch } from './scratch.ts';
import { createValueWriter, isSerialized } from './values.ts';

/** The columns of `<projection>_orphan_attrs` for the attributes of a payload whose parent is not in the batch. */
export function orphanAttributes(
  entryOffset: bigint,
  payload: PayloadName,
  owned: OwnedAttributes,
  arena: GrowableStringArena,
  scratch: Scratch,
): { columns: readonly VectorData[]; rowCount: number } | null {
  const { table, groups } = owned;
  const { orphans } = groups;
  if (table === null || orphans.length === 0) return null;
  const rowCount = orphans.length;
  const values = createValueWriter(table, arena, rowCount);
  const parentIds = scratch.u32(rowCount);
  const parentValidity = scratch.u8(rowCount).fill(1);
  const types = scratch.u8(rowCount);
  const valueWords = arena.takeWords(rowCount);
  const valueValidity = scratch.u8(rowCount);
  const serWords = arena.takeWords(rowCount);
  const serValidity = scratch.u8(rowCount);
  for (let i = 0; i < rowCount; i++) {
    const source = orphans[i]!;
    parentIds[i] = table.parentId[source]!;
    if (table.parentValidity !== null && table.parentValidity[source] === 0) parentValidity[i] = 0;
    types[i] = table.type[source]!;
    valueValidity[i] = values.putText(valueWords, i, source) ? 1 : 0;
    if (isSerialized(types[i]!)) {
      serValidity[i] = 1;
      values.putSer(serWords, i, source);
    } else {
      arena.addEmpty(serWords, i);
    }
  }
  const columns: VectorData[] = [
    constant(entryOffset),
    constant(PAYLOAD_TYPES[payload]),
    { kind: 'fixed', values: parentIds, validity: parentValidity },
    textsAt(table.key, orphans, arena),
    { kind: 'string', arena, words: valueWords, validity: valueValidity },
    fixed(types),
    { kind: 'string', arena, words: serWords, validity: serValidity },
  ];
  return { columns, rowCount };
}
