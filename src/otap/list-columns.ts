/** Lists of numbers of the canonical tables from Arrow lists. */
import type { ArrowColumn, ListArrowColumn } from './arrow-columns.ts';
import { hasHiddenRanges } from './arrow-lists.ts';
import type { ArrowField } from './arrow-schema.ts';
import type { ListColumn } from './canonical.ts';
import type { DecodeBudget } from './decode-budget.ts';

type Numbers = Float64Array | BigUint64Array;
type NumbersType<Values extends Numbers> = new (length: number) => Values;

/** A list whose child has values of this typed array (null elements are 0), or null when the child is of another type. */
export function numberList<Values extends Numbers>(
  list: ListArrowColumn,
  type: NumbersType<Values>,
  budget: DecodeBudget,
): ListColumn<Values> | null {
  return listOf(list, list.child, type, budget);
}

/** The doubles `member` of a list of structs with these fields, zeros when no field has the name; null for other types. */
export function structListMember(
  list: ListArrowColumn,
  fields: readonly ArrowField[],
  member: string,
  budget: DecodeBudget,
): ListColumn<Float64Array> | null {
  const { child } = list;
  if (child.kind !== 'struct') return null;
  const index = fields.findIndex((field) => field.name === member);
  const values = child.children[index] ?? { kind: 'null', length: child.length };
  return listOf(list, values, Float64Array, budget);
}

function listOf<Values extends Numbers>(
  list: ListArrowColumn,
  child: ArrowColumn,
  type: NumbersType<Values>,
  budget: DecodeBudget,
): ListColumn<Values> | null {
  const { offsets, validity } = list;
  let values: Values;
  if (child.kind === 'null') {
    budget.charge(8 * child.length);
    values = new type(child.length);
  } else {
    const found: unknown = 'values' in child ? child.values : null;
    if ((child.kind !== 'int' && child.kind !== 'float') || !(found instanceof type)) return null;
    values = found;
  }
  if (validity === null || !hasHiddenRanges(offsets, validity)) return { offsets, values, validity };
  return withoutNullRows(offsets, values, validity, type, budget);
}

function withoutNullRows<Values extends Numbers>(
  offsets: Int32Array | Uint32Array,
  values: Values,
  validity: Uint8Array,
  type: NumbersType<Values>,
  budget: DecodeBudget,
): ListColumn<Values> {
  const length = validity.length;
  budget.charge(4 * (length + 1) + 8 * values.length);
  const kept = new type(values.length);
  const newOffsets = new Uint32Array(length + 1);
  let end = 0;
  for (let row = 0; row < length; row++) {
    if (validity[row] !== 0) {
      // Both are of the same type, which the union of the two does not show.
      kept.set(values.subarray(offsets[row], offsets[row + 1]) as never, end);
      end += offsets[row + 1]! - offsets[row]!;
    }
    newOffsets[row + 1] = end;
  }
  return { offsets: newOffsets, values: kept, validity };
}
