/** Payloads of the traces signal but for attributes. */
import type { SpanEventsTable, SpanLinksTable, SpansTable } from './canonical.ts';
import { readDeltaIds, readQuasiDeltaIds } from './read-ids.ts';
import { readRootColumns } from './read-root-columns.ts';
import { bytesColumnRowsEqual, identifierRowsEqual } from './row-equality.ts';
import type { TableColumns } from './table-columns.ts';

/** Payload SPANS. */
export function readSpansTable(table: TableColumns): SpansTable {
  const status = table.struct('status');
  return {
    ...readRootColumns(table),
    startTimeUnixNano: table.timestamp('start_time_unix_nano'),
    durationTimeUnixNano: table.duration('duration_time_unix_nano'),
    traceId: table.identifier('trace_id', 16),
    spanId: table.identifier('span_id', 8),
    traceState: table.utf8('trace_state'),
    parentSpanId: table.identifier('parent_span_id', 8),
    name: table.utf8('name'),
    kind: table.i32('kind'),
    droppedAttributesCount: table.u32('dropped_attributes_count'),
    droppedEventsCount: table.u32('dropped_events_count'),
    droppedLinksCount: table.u32('dropped_links_count'),
    statusCode: status?.i32('code') ?? null,
    statusMessage: status?.utf8('status_message') ?? null,
    flags: table.u32('flags'),
  };
}

/** Payload SPAN_EVENTS. */
export function readSpanEventsTable(table: TableColumns): SpanEventsTable {
  const name = table.utf8('name');
  const parentId = table.required(table.u16('parent_id'), 'parent_id');
  return {
    rowCount: table.rowCount,
    id: readDeltaIds(table, table.u32('id'), 'id'),
    parentId: readQuasiDeltaIds(table, parentId, 'parent_id', () => bytesColumnRowsEqual(name)),
    timeUnixNano: table.timestamp('time_unix_nano'),
    name,
    droppedAttributesCount: table.u32('dropped_attributes_count'),
  };
}

/** Payload SPAN_LINKS. */
export function readSpanLinksTable(table: TableColumns): SpanLinksTable {
  const traceId = table.identifier('trace_id', 16);
  const parentId = table.required(table.u16('parent_id'), 'parent_id');
  return {
    rowCount: table.rowCount,
    id: readDeltaIds(table, table.u32('id'), 'id'),
    parentId: readQuasiDeltaIds(table, parentId, 'parent_id', () => identifierRowsEqual(traceId)),
    traceId,
    spanId: table.identifier('span_id', 8),
    traceState: table.utf8('trace_state'),
    droppedAttributesCount: table.u32('dropped_attributes_count'),
    flags: table.u32('flags'),
  };
}
