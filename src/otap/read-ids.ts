/** Id columns of OTAP tables: which transport encoding they have, undone. */
import type { U16Column, U32Column } from './canonical.ts';
import type { EqualityRule } from './row-equality.ts';
import type { TableColumns } from './table-columns.ts';
import { type RowEquality, undoDelta, undoQuasiDelta } from './transport-ids.ts';

/** Values of field metadata `encoding` (Rust exporters write it; Go never does: absent means encoded). */
const ENCODINGS = { ABSENT: '', PLAIN: 'plain', DELTA: 'delta', QUASI_DELTA: 'quasidelta' } as const;

/** A column of ids that are delta-encoded unless the metadata says `plain`: ids of rows, parents of data points. */
export function readDeltaIds<Column extends U16Column | U32Column>(
  table: TableColumns,
  column: Column | null,
  name: string,
): Column | null {
  if (column === null) return null;
  const encoding = table.encoding(name);
  switch (encoding) {
    case ENCODINGS.PLAIN:
      return column;
    case ENCODINGS.ABSENT:
    case ENCODINGS.DELTA:
      return { values: undoDelta(column.values, column.validity), validity: column.validity } as Column;
    default:
      throw table.malformed(name, `its encoding is ${encoding}`);
  }
}

/**
 * A column of parent ids that are quasi-delta-encoded unless the metadata says otherwise. `rowsEqual` builds the table's equality
 * under the rule of the exporter that the metadata shows.
 */
export function readQuasiDeltaIds<Column extends U16Column | U32Column>(
  table: TableColumns,
  column: Column,
  name: string,
  rowsEqual: (rule: EqualityRule) => RowEquality,
): Column {
  const { values, validity } = column;
  const encoding = table.encoding(name);
  switch (encoding) {
    case ENCODINGS.PLAIN:
      return column;
    case ENCODINGS.DELTA:
      return { values: undoDelta(values, validity), validity } as Column;
    case ENCODINGS.ABSENT:
      return { values: undoQuasiDelta(values, validity, rowsEqual('go')), validity } as Column;
    case ENCODINGS.QUASI_DELTA:
      return { values: undoQuasiDelta(values, validity, rowsEqual('rust')), validity } as Column;
    default:
      throw table.malformed(name, `its encoding is ${encoding}`);
  }
}
