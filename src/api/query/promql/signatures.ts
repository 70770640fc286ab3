import type { VectorMatching } from './ast.ts';
import type { Labels } from './labels.ts';
import { ABSENT, type Matrix } from './matrix.ts';

/** Rows of both sides of an operator that match each other, with the labels on which they do. */
export interface MatchGroup {
  readonly left: number[];
  readonly right: number[];
}

/** Groups in the order in which their first rows stand, left before right. */
export function matchRows(left: Matrix, right: Matrix, matching: VectorMatching): MatchGroup[] {
  const groups = new Map<string, MatchGroup>();
  const keyOf = signature(matching);
  for (const side of ['left', 'right'] as const) {
    const { labels } = side === 'left' ? left : right;
    for (let row = 0; row < labels.length; row++) {
      const key = keyOf(labels[row]!);
      let group = groups.get(key);
      if (group === undefined) groups.set(key, (group = { left: [], right: [] }));
      group[side].push(row);
    }
  }
  return [...groups.values()];
}

/** The labels that matter for matching. */
export function matchLabels(labels: Labels, matching: VectorMatching): Labels {
  return matching.on ? labels.keep(new Set(matching.labels)) : labels.drop(new Set([...matching.labels, '__name__']));
}

/** By step: whether any row holds something. */
export function occupiedSteps(matrix: Matrix, steps: number): Uint8Array {
  const occupied = new Uint8Array(steps);
  for (let row = 0; row < matrix.rows; row++) markOccupied(matrix, row, occupied);
  return occupied;
}

export function markOccupied(matrix: Matrix, row: number, occupied: Uint8Array): void {
  const base = matrix.base[row]!;
  for (let step = matrix.from[row]!; step < matrix.to[row]!; step++) {
    if (matrix.kinds[base + step] !== ABSENT) occupied[step] = 1;
  }
}

function signature(matching: VectorMatching): (labels: Labels) => string {
  const [only] = matching.labels;
  if (matching.on && matching.labels.length === 1) return (labels) => labels.get(only!);
  if (matching.on) {
    const names = new Set(matching.labels);
    return (labels) => labels.keep(names).key;
  }
  const names = new Set([...matching.labels, '__name__']);
  return (labels) => labels.drop(names).key;
}
