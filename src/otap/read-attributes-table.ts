import { type AttributesTable, type U16Column, type U32Column, VALUE_TYPES, type ValueColumns } from './canonical.ts';
import { readQuasiDeltaIds } from './read-ids.ts';
import { attributeRowsEqual } from './row-equality.ts';
import type { TableColumns } from './table-columns.ts';

const TYPE_MAX = VALUE_TYPES.BYTES;

/**
 * An attributes table of any payload type; parent ids may be u16 or u32. Throws BatchMalformedError when `parent_id`, `key` or
 * `type` is missing, a column has a wrong type or a value type is unknown.
 */
export function readAttributesTable(table: TableColumns): AttributesTable {
  const key = table.required(table.utf8('key'), 'key');
  const values = readValueColumns(table);
  const encoded = table.required<U16Column | U32Column>(readParentId(table), 'parent_id');
  const parents = readQuasiDeltaIds(table, encoded, 'parent_id', (rule) => attributeRowsEqual(values, key, rule));
  return {
    rowCount: table.rowCount,
    parentId: parents.values instanceof Uint32Array ? parents.values : new Uint32Array(parents.values),
    parentValidity: parents.validity,
    key,
    ...values,
  };
}

/** The columns of an AnyValue: those of an attributes table or of a body. A null type is EMPTY. */
export function readValueColumns(table: TableColumns): ValueColumns {
  const type = table.required(table.u8('type'), 'type').values;
  let largest = 0;
  for (let row = 0; row < type.length; row++) {
    if (type[row]! > largest) largest = type[row]!;
  }
  if (largest > TYPE_MAX) throw table.malformed('type', `value type ${largest} is unknown`);
  return {
    type,
    str: table.utf8('str'),
    int: table.i64('int'),
    double: table.f64('double'),
    bool: table.bool('bool'),
    bytes: table.binary('bytes'),
    ser: table.binary('ser'),
  };
}

/** Spans, logs, resources and scopes have u16 ids, all others u32; exporters may write the wider one. */
function readParentId(table: TableColumns): U16Column | U32Column | null {
  return table.hasU32('parent_id') ? table.u32('parent_id') : table.u16('parent_id');
}
