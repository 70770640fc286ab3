/** Text of values that were read one by one: types without an Arrow form of their own. */
import type { DuckDBValue } from '@duckdb/node-api';

/** What DuckDB would print. A value whose own formatting fails (a timestamp out of any calendar) is shown as its fields. */
export function valueText(value: DuckDBValue): string {
  try {
    return String(value);
  } catch {
    return JSON.stringify(value, (_key, field: unknown) => (typeof field === 'bigint' ? String(field) : field));
  }
}
