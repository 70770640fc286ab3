import type { LogsTable } from './canonical.ts';
import { readValueColumns } from './read-attributes-table.ts';
import { readRootColumns } from './read-root-columns.ts';
import type { TableColumns } from './table-columns.ts';

/** Payload LOGS. */
export function readLogsTable(table: TableColumns): LogsTable {
  const body = table.struct('body');
  return {
    ...readRootColumns(table),
    timeUnixNano: table.timestamp('time_unix_nano'),
    observedTimeUnixNano: table.timestamp('observed_time_unix_nano'),
    traceId: table.identifier('trace_id', 16),
    spanId: table.identifier('span_id', 8),
    severityNumber: table.i32('severity_number'),
    severityText: table.utf8('severity_text'),
    body: body === null ? null : readValueColumns(body),
    droppedAttributesCount: table.u32('dropped_attributes_count'),
    flags: table.u32('flags'),
    eventName: table.utf8('event_name'),
  };
}
