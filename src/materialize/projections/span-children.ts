/** Events and links: folded into their spans as lists of structs, kept in tables of their own when they are orphans. */
import type { I64Column, IdColumn, SpanEventsTable, SpanLinksTable, TracesBatch } from '../../otap/index.ts';
import type { ListVector, VectorData } from '../vectors.ts';
import { type AttributeVectors, foldAttributes, type OwnedAttributes, ownAttributes } from './attributes.ts';
import { constant, fixed, idsAt, NULLS, numbersAt, textsAt } from './columns.ts';
import { pickPairs } from './dimensions.ts';
import {
  identifiersAt,
  spanIds,
  traceIds,
  wordsAsU64,
  ZERO_ID_BITS,
  type ZeroIds,
  zeroIdsVector,
} from './identifiers.ts';
import type { ProjectionWriter } from './projection-writer.ts';
import { groupRows, parentRows, type RowGroups, type RowIndex, selectGroups } from './row-groups.ts';
import type { Scratch } from './scratch.ts';
import { halves } from './values.ts';

/** A child table joined to its spans and to its own attributes. */
interface SpanChildren<Table> {
  readonly table: Table | null;
  readonly groups: RowGroups;
  readonly attributes: OwnedAttributes;
  /** The columns of `spans` that hold them. */
  readonly columns: readonly VectorData[];
}

/** events, event_ids, event_attribute_types, event_attribute_ser. */
export function eventColumns(
  writer: ProjectionWriter,
  batch: TracesBatch,
  spanIndex: RowIndex,
  spanCount: number,
): SpanChildren<SpanEventsTable> {
  const { scratch } = writer;
  const { spanEvents: table, spanEventAttrs } = batch;
  const groups = childGroups(table, spanIndex, spanCount, scratch);
  const attributes = ownAttributes(spanEventAttrs, table?.id ?? null, table?.rowCount ?? 0, scratch);
  writer.putOrphans('SPAN_EVENT_ATTRS', attributes);
  if (table === null) return { table, groups, attributes, columns: [emptyLists(groups, 4), NULLS, NULLS, NULLS] };
  const event = eventVectors(writer, table, attributes, groups.order);
  const list = listOver(groups);
  const columns = [
    list(struct([event.time, event.name, event.attributes[0], event.dropped])),
    list(event.id),
    list(event.attributes[1]),
    list(event.attributes[2]),
  ];
  return { table, groups, attributes, columns };
}

/** links, link_ids, link_attribute_types, link_attribute_ser, link_zero_ids. */
export function linkColumns(
  writer: ProjectionWriter,
  batch: TracesBatch,
  spanIndex: RowIndex,
  spanCount: number,
): SpanChildren<SpanLinksTable> {
  const { scratch } = writer;
  const { spanLinks: table, spanLinkAttrs } = batch;
  const groups = childGroups(table, spanIndex, spanCount, scratch);
  const attributes = ownAttributes(spanLinkAttrs, table?.id ?? null, table?.rowCount ?? 0, scratch);
  writer.putOrphans('SPAN_LINK_ATTRS', attributes);
  if (table === null)
    return { table, groups, attributes, columns: [emptyLists(groups, 6), NULLS, NULLS, NULLS, NULLS] };
  const link = linkVectors(writer, table, attributes, groups.order);
  const list = listOver(groups);
  const columns = [
    list(struct([link.traceId, link.spanId, link.traceState, link.flags, link.attributes[0], link.dropped])),
    list(link.id),
    list(link.attributes[1]),
    list(link.attributes[2]),
    link.hasZeroIds ? list(link.zeroIds) : NULLS,
  ];
  return { table, groups, attributes, columns };
}

/** Collects the events whose span is not in the batch. */
export function putOrphanEvents(writer: ProjectionWriter, events: SpanChildren<SpanEventsTable>): void {
  const { table, attributes } = events;
  const { orphans } = events.groups;
  if (table === null || orphans.length === 0) return;
  const event = eventVectors(writer, table, attributes, orphans);
  const parents = idsAt(table.parentId, orphans, writer.scratch);
  const head = [constant(writer.entryOffset), event.id, parents];
  writer.put(
    'spans_orphan_events',
    [...head, event.time, event.name, event.dropped, ...event.attributes],
    orphans.length,
  );
}

/** Collects the links whose span is not in the batch. */
export function putOrphanLinks(writer: ProjectionWriter, links: SpanChildren<SpanLinksTable>): void {
  const { table, attributes } = links;
  const { orphans } = links.groups;
  if (table === null || orphans.length === 0) return;
  const link = linkVectors(writer, table, attributes, orphans);
  const parents = idsAt(table.parentId, orphans, writer.scratch);
  const columns = [
    constant(writer.entryOffset),
    link.id,
    parents,
    link.traceId,
    link.spanId,
    link.zeroIds,
    link.traceState,
    link.flags,
    link.dropped,
    ...link.attributes,
  ];
  writer.put('spans_orphan_links', columns, orphans.length);
}

function childGroups(
  table: { readonly rowCount: number; readonly parentId: IdColumn } | null,
  spanIndex: RowIndex,
  spanCount: number,
  scratch: Scratch,
): RowGroups {
  const parents = table === null ? scratch.i32(0) : parentRows(table.parentId, table.rowCount, spanIndex, scratch);
  return groupRows(parents, spanCount, scratch);
}

function eventVectors(
  { arena, scratch }: ProjectionWriter,
  table: SpanEventsTable,
  attributes: OwnedAttributes,
  rows: ArrayLike<number>,
) {
  return {
    id: idsAt(table.id, rows, scratch),
    time: timesAt(table.timeUnixNano, rows, scratch),
    name: textsAt(table.name, rows, arena),
    dropped: numbersAt(table.droppedAttributesCount, rows, scratch.u32(rows.length)),
    attributes: attributesAt(attributes, rows, { arena, scratch }),
  };
}

function linkVectors(
  { arena, scratch }: ProjectionWriter,
  table: SpanLinksTable,
  attributes: OwnedAttributes,
  rows: ArrayLike<number>,
) {
  const zeroIds: ZeroIds = { bits: null };
  const traceId = traceIds(identifiersAt(table.traceId, rows, scratch), rows.length, zeroIds, scratch);
  const spanIdColumn = identifiersAt(table.spanId, rows, scratch);
  const spanId = spanIds(spanIdColumn, rows.length, zeroIds, ZERO_ID_BITS.SPAN, scratch);
  return {
    id: idsAt(table.id, rows, scratch),
    traceId,
    spanId,
    zeroIds: zeroIdsVector(zeroIds),
    hasZeroIds: zeroIds.bits !== null,
    traceState: textsAt(table.traceState, rows, arena),
    flags: numbersAt(table.flags, rows, scratch.u32(rows.length)),
    dropped: numbersAt(table.droppedAttributesCount, rows, scratch.u32(rows.length)),
    attributes: attributesAt(attributes, rows, { arena, scratch }),
  };
}

function attributesAt(
  { table, groups }: OwnedAttributes,
  rows: ArrayLike<number>,
  { arena, scratch }: Pick<ProjectionWriter, 'arena' | 'scratch'>,
): AttributeVectors {
  return foldAttributes(table, selectGroups(groups, rows, scratch), arena, scratch);
}

function timesAt(column: I64Column | null, rows: ArrayLike<number>, scratch: Scratch): VectorData {
  return column === null ? constant(0n) : fixed(wordsAsU64(pickPairs(halves(column.values), rows, scratch)));
}

function struct(children: readonly VectorData[]): VectorData {
  return { kind: 'struct', children, validity: null };
}

/** Makes list columns, one list a span; a column without values is NULL in all rows. */
function listOver(groups: RowGroups): (child: VectorData) => VectorData {
  return (child) => (child === NULLS ? NULLS : { kind: 'list', offsets: groups.offsets, child, validity: null });
}

function emptyLists(groups: RowGroups, childCount: number): ListVector {
  const children = Array.from({ length: childCount }, () => NULLS);
  return { kind: 'list', offsets: groups.offsets, child: struct(children), validity: null };
}
