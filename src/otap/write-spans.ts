import type { SpanEventsTable, SpanLinksTable, SpansTable, TracesBatch } from './canonical.ts';
import { ColumnList, type OutColumn } from './out-columns.ts';
import { outTable, type OutTable } from './out-tables.ts';
import { bytesColumnRowsEqual, identifierRowsEqual } from './row-equality.ts';
import type { IdValues } from './transport-ids.ts';
import { type Ids, IdSpace, quasiDelta16 } from './write-ids.ts';
import {
  attributesTable,
  parents,
  type SharedIds,
  sharedIds,
  sharedTables,
  writeChildIds,
  writeResourceAndScope,
  writeRowIds,
} from './write-root-columns.ts';

/** The tables of a traces batch. Throws BatchTooLargeError when ids do not fit. */
export function spansTables(batch: TracesBatch): OutTable[] {
  const { spans, spanAttrs, spanEvents, spanLinks, spanEventAttrs, spanLinkAttrs, resourceAttrs, scopeAttrs } = batch;
  const shared = sharedIds(spans, resourceAttrs, scopeAttrs);
  const eventParents = spanEvents?.parentId ?? null;
  const linkParents = spanLinks?.parentId ?? null;
  const rows = new IdSpace('spans', 16, [spans.id, parents(spanAttrs), eventParents, linkParents]);
  const events = new IdSpace('events', 32, [spanEvents?.id ?? null, parents(spanEventAttrs)]);
  const links = new IdSpace('links', 32, [spanLinks?.id ?? null, parents(spanLinkAttrs)]);
  const ids = spans.id === null ? null : rows.keepNulls(spans.id);
  const spansOfEvents = eventParents === null ? null : rows.orphanNulls(eventParents);
  const spansOfLinks = linkParents === null ? null : rows.orphanNulls(linkParents);
  return [
    outTable('SPANS', spans, () => spanColumns(spans, ids, shared)),
    ...sharedTables(shared, resourceAttrs, scopeAttrs),
    attributesTable('SPAN_ATTRS', spanAttrs, rows, 16),
    outTable('SPAN_EVENTS', spanEvents, (table) => eventColumns(table, spansOfEvents!)),
    outTable('SPAN_LINKS', spanLinks, (table) => linkColumns(table, spansOfLinks!)),
    attributesTable('SPAN_EVENT_ATTRS', spanEventAttrs, events, 32),
    attributesTable('SPAN_LINK_ATTRS', spanLinkAttrs, links, 32),
  ];
}

function spanColumns(spans: SpansTable, ids: Ids | null, shared: SharedIds): OutColumn[] {
  const list = new ColumnList(spans.rowCount);
  writeRowIds(list, ids);
  writeResourceAndScope(list, spans, shared);
  list.bytes('schema_url', 'utf8', spans.schemaUrl);
  list.fixed('start_time_unix_nano', 'timestamp', spans.startTimeUnixNano);
  list.fixed('duration_time_unix_nano', 'duration', spans.durationTimeUnixNano, { dictionary: true });
  list.identifierOrZeros('trace_id', spans.traceId, 16);
  list.identifierOrZeros('span_id', spans.spanId, 8);
  list.bytes('trace_state', 'utf8', spans.traceState);
  list.identifier('parent_span_id', spans.parentSpanId, 8);
  list.bytes('name', 'utf8', spans.name);
  list.fixed('kind', 'i32', spans.kind, { dictionary: true });
  list.fixed('dropped_attributes_count', 'u32', spans.droppedAttributesCount);
  list.fixed('dropped_events_count', 'u32', spans.droppedEventsCount);
  list.fixed('dropped_links_count', 'u32', spans.droppedLinksCount);
  list.struct('status', () => {
    list.fixed('code', 'i32', spans.statusCode, { dictionary: true });
    list.bytes('status_message', 'utf8', spans.statusMessage);
  });
  list.fixed('flags', 'u32', spans.flags);
  return list.columns;
}

function eventColumns(events: SpanEventsTable, parentIds: IdValues): OutColumn[] {
  const list = new ColumnList(events.rowCount);
  writeChildIds(list, events.id);
  const values = quasiDelta16(parentIds, bytesColumnRowsEqual(events.name));
  list.fixed('parent_id', 'u16', { values, validity: null }, { isNullable: false });
  list.fixed('time_unix_nano', 'timestamp', events.timeUnixNano);
  list.bytes('name', 'utf8', events.name);
  list.fixed('dropped_attributes_count', 'u32', events.droppedAttributesCount);
  return list.columns;
}

function linkColumns(links: SpanLinksTable, parentIds: IdValues): OutColumn[] {
  const list = new ColumnList(links.rowCount);
  writeChildIds(list, links.id);
  const values = quasiDelta16(parentIds, identifierRowsEqual(links.traceId));
  list.fixed('parent_id', 'u16', { values, validity: null }, { isNullable: false });
  // The receiver compares these for the parents: to it no id and the id of zeros are two.
  list.identifierOrZeros('trace_id', links.traceId, 16, { dictionary: true });
  list.identifier('span_id', links.spanId, 8, { dictionary: true });
  list.bytes('trace_state', 'utf8', links.traceState);
  list.fixed('dropped_attributes_count', 'u32', links.droppedAttributesCount);
  list.fixed('flags', 'u32', links.flags);
  return list.columns;
}
