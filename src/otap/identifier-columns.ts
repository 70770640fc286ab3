import type { ArrowColumn, BytesArrowColumn } from './arrow-columns.ts';
import type { IdentifierColumn } from './canonical.ts';
import type { DecodeBudget } from './decode-budget.ts';

/**
 * Trace or span ids of a fixed-size binary column of `width` bytes, or of a binary column whose values all have that length
 * (some exporters write those for exemplars; an empty value is no id). Null when the column is anything else.
 */
export function readIdentifier(column: ArrowColumn, width: 8 | 16, budget: DecodeBudget): IdentifierColumn | null {
  if (column.kind === 'fixedBinary') {
    return column.width === width ? { width, values: column.values, validity: column.validity } : null;
  }
  return column.kind === 'binary' ? fromBytes(column, width, budget) : null;
}

function fromBytes(column: BytesArrowColumn, width: 8 | 16, budget: DecodeBudget): IdentifierColumn | null {
  const { pool, indices, length } = column;
  const { bytes, offsets } = pool;
  budget.charge(length * (width + 1));
  const values = new Uint8Array(length * width);
  const validity = new Uint8Array(length);
  let nullCount = 0;
  for (let row = 0; row < length; row++) {
    const entry = indices === null ? row : indices[row]!;
    const isNull = column.validity !== null && column.validity[row] === 0;
    if (isNull || offsets[entry] === offsets[entry + 1]) {
      nullCount++;
      continue;
    }
    if (offsets[entry + 1]! - offsets[entry]! !== width) return null;
    values.set(bytes.subarray(offsets[entry], offsets[entry + 1]), row * width);
    validity[row] = 1;
  }
  return { width, values, validity: nullCount === 0 ? null : validity };
}
