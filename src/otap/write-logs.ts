import type { LogsBatch, LogsTable } from './canonical.ts';
import { ColumnList, type OutColumn } from './out-columns.ts';
import { outTable, type OutTable } from './out-tables.ts';
import { type Ids, IdSpace } from './write-ids.ts';
import {
  attributesTable,
  parents,
  type SharedIds,
  sharedIds,
  sharedTables,
  writeResourceAndScope,
  writeRowIds,
} from './write-root-columns.ts';

/** The tables of a logs batch. Throws BatchTooLargeError when ids do not fit. */
export function logsTables({ logs, logAttrs, resourceAttrs, scopeAttrs }: LogsBatch): OutTable[] {
  const shared = sharedIds(logs, resourceAttrs, scopeAttrs);
  const rows = new IdSpace('log records', 16, [logs.id, parents(logAttrs)]);
  const ids = logs.id === null ? null : rows.keepNulls(logs.id);
  return [
    outTable('LOGS', logs, () => logColumns(logs, ids, shared)),
    ...sharedTables(shared, resourceAttrs, scopeAttrs),
    attributesTable('LOG_ATTRS', logAttrs, rows, 16),
  ];
}

function logColumns(logs: LogsTable, ids: Ids | null, shared: SharedIds): OutColumn[] {
  const list = new ColumnList(logs.rowCount);
  const { body } = logs;
  writeRowIds(list, ids);
  writeResourceAndScope(list, logs, shared);
  list.bytes('schema_url', 'utf8', logs.schemaUrl);
  list.fixed('time_unix_nano', 'timestamp', logs.timeUnixNano);
  list.fixed('observed_time_unix_nano', 'timestamp', logs.observedTimeUnixNano);
  list.identifier('trace_id', logs.traceId, 16, { dictionary: true });
  list.identifier('span_id', logs.spanId, 8, { dictionary: true });
  list.fixed('severity_number', 'i32', logs.severityNumber, { dictionary: true });
  list.bytes('severity_text', 'utf8', logs.severityText);
  list.struct('body', () => list.values(body));
  list.fixed('dropped_attributes_count', 'u32', logs.droppedAttributesCount);
  list.fixed('flags', 'u32', logs.flags);
  list.bytes('event_name', 'utf8', logs.eventName);
  return list.columns;
}
