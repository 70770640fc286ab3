import type { ExemplarsTable, FixedColumn } from './canonical.ts';
import { ColumnList, type OutColumn } from './out-columns.ts';
import { exemplarRowsEqual } from './row-equality.ts';
import type { IdValues } from './transport-ids.ts';
import { quasiDelta32 } from './write-ids.ts';
import { writeChildIds } from './write-root-columns.ts';

/**
 * Columns of the exemplars of data points. Exemplars without a value go first: behind one that has a value upstream's receiver reads
 * their parents in another way than the specification says.
 */
export function exemplarColumns(table: ExemplarsTable, parentIds: IdValues): OutColumn[] {
  const exemplars = valuelessFirst({ ...table, parentId: { values: Uint32Array.from(parentIds), validity: null } });
  const { intValue, doubleValue } = exemplars;
  const list = new ColumnList(exemplars.rowCount);
  writeChildIds(list, exemplars.id);
  const values = quasiDelta32(exemplars.parentId.values, exemplarRowsEqual(intValue, doubleValue, 'go'));
  list.fixed('parent_id', 'u32', { values, validity: null }, { isNullable: false });
  list.fixed('time_unix_nano', 'timestamp', exemplars.timeUnixNano);
  list.fixed('int_value', 'i64', intValue);
  list.fixed('double_value', 'f64', doubleValue);
  list.identifierOrZeros('span_id', exemplars.spanId, 8);
  list.identifierOrZeros('trace_id', exemplars.traceId, 16);
  return list.columns;
}

function valuelessFirst(table: ExemplarsTable): ExemplarsTable {
  const { rowCount, intValue, doubleValue } = table;
  const isPresent = (column: FixedColumn<ArrayBufferView> | null, row: number) =>
    column !== null && (column.validity === null || column.validity[row] !== 0);
  const valued: number[] = [];
  const order: number[] = [];
  for (let row = 0; row < rowCount; row++) {
    (isPresent(intValue, row) || isPresent(doubleValue, row) ? valued : order).push(row);
  }
  if (order.length === 0 || valued.length === 0) return table;
  order.push(...valued);
  return {
    rowCount,
    id: reordered(table.id, order),
    parentId: reordered(table.parentId, order),
    timeUnixNano: reordered(table.timeUnixNano, order),
    intValue: reordered(intValue, order),
    doubleValue: reordered(doubleValue, order),
    spanId: reordered(table.spanId, order),
    traceId: reordered(table.traceId, order),
  };
}

/** The column's rows in another order. */
function reordered<Column extends FixedColumn<ArrayBufferView>>(column: Column, order: readonly number[]): Column;
function reordered<Column extends FixedColumn<ArrayBufferView>>(
  column: Column | null,
  order: readonly number[],
): Column | null;
function reordered(column: FixedColumn<ArrayBufferView> | null, order: readonly number[]) {
  if (column === null) return null;
  const { values, validity } = column;
  const width = values.byteLength / order.length;
  const from = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const copy = new Uint8Array(from.length);
  order.forEach((row, at) => copy.set(from.subarray(row * width, (row + 1) * width), at * width));
  const View = values.constructor as new (buffer: ArrayBuffer) => ArrayBufferView;
  return {
    ...column,
    values: new View(copy.buffer),
    validity: validity === null ? null : Uint8Array.from(order, (row) => validity[row]!),
  };
}
