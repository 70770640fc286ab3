import type { AggregateExpression } from './ast.ts';
import { Labels } from './labels.ts';
import { Matrix } from './matrix.ts';

/** Which group each row belongs to. */
export interface Groups {
  readonly labels: readonly Labels[];
  /** By row. */
  readonly groupOf: Int32Array;
}

/** Groups in the order in which their first rows stand. */
export function groupRows(
  rows: readonly Labels[],
  { grouping, without }: Pick<AggregateExpression, 'grouping' | 'without'>,
): Groups {
  if (!without && grouping.length === 0) {
    return { labels: rows.length === 0 ? [] : [Labels.empty], groupOf: new Int32Array(rows.length) };
  }
  const names = new Set(grouping);
  if (without) names.add('__name__');
  const labels: Labels[] = [];
  const groupOf = new Int32Array(rows.length);
  const groupByKey = new Map<string, number>();
  for (let row = 0; row < rows.length; row++) {
    const own = rows[row]!;
    const kept = without ? own.drop(names) : own;
    const key = without ? kept.key : keyOf(own, grouping);
    let group = groupByKey.get(key);
    if (group === undefined) {
      group = labels.length;
      groupByKey.set(key, group);
      labels.push(without ? kept : own.keep(names));
    }
    groupOf[row] = group;
  }
  return { labels, groupOf };
}

/** Lengths stand in front of the values, since a value may hold any character. */
function keyOf(labels: Labels, names: readonly string[]): string {
  if (names.length === 1) return labels.get(names[0]!);
  let key = '';
  for (const name of names) {
    const value = labels.get(name);
    key += `${value.length}:${value}`;
  }
  return key;
}

/** Rows of absent cells for groups, wide enough for all of their members. */
export function outputFor(input: Matrix, groups: Groups): Matrix {
  const from = new Int32Array(groups.labels.length).fill(STEPS_MAX);
  const to = new Int32Array(groups.labels.length);
  const dropName = new Uint8Array(groups.labels.length);
  for (let row = 0; row < input.rows; row++) {
    const group = groups.groupOf[row]!;
    from[group] = Math.min(from[group]!, input.from[row]!);
    to[group] = Math.max(to[group]!, input.to[row]!);
    dropName[group]! |= input.dropName[row]!;
  }
  return Matrix.allocate(groups.labels, from, to).with({ dropName });
}

const STEPS_MAX = 2 ** 31 - 1;

/** The rows of each group. */
export function membersOf(groups: Groups): number[][] {
  const members = groups.labels.map((): number[] => []);
  for (let row = 0; row < groups.groupOf.length; row++) members[groups.groupOf[row]!]!.push(row);
  return members;
}
