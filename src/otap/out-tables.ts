import type { OutColumn } from './out-columns.ts';
import type { PayloadName } from './payload-types.ts';

/** A table of a batch on its way out. `columns` is asked only when there are rows. */
export interface OutTable {
  readonly name: PayloadName;
  readonly rowCount: number;
  readonly columns: () => OutColumn[];
}

/** A table of a batch, null where there is nothing to send of it. */
export function outTable<Table extends { readonly rowCount: number }>(
  name: PayloadName,
  table: Table | null,
  columns: (table: Table) => OutColumn[],
): OutTable {
  return { name, rowCount: table?.rowCount ?? 0, columns: () => (table === null ? [] : columns(table)) };
}
