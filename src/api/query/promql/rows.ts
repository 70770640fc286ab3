import { type EvaluationContext, METADATA_LABELS } from './context.ts';
import type { Labels } from './labels.ts';
import { ABSENT, HISTOGRAM, Matrix } from './matrix.ts';
import { duplicateLabels } from './promql-errors.ts';

/** The same rows under labels without the name, or to lose it at the end; rows whose labels come out equal are not joined yet. */
export function withoutNames(context: EvaluationContext, matrix: Matrix): Matrix {
  return matrix.with({
    labels: context.settings.delayedNameRemoval
      ? matrix.labels
      : matrix.labels.map((labels) => labels.drop(METADATA_LABELS)),
    dropName: new Uint8Array(matrix.rows).fill(1),
  });
}

/** Whether dropping the names of `labels`, all different, could leave equal ones: not when they all have the same name, which is the usual case. */
export function haveOneName(labels: readonly Labels[]): boolean {
  const [first] = labels;
  if (first === undefined) return true;
  return [...METADATA_LABELS].every((name) => {
    const value = first.get(name);
    return labels.every((other) => other.get(name) === value);
  });
}

export function hasEqualLabels(labels: readonly Labels[]): boolean {
  if (labels.length < 2) return false;
  const keys = new Set<string>();
  for (const { key } of labels) {
    if (keys.has(key)) return true;
    keys.add(key);
  }
  return false;
}

/** Joins rows with equal labels; throws when two of them hold something at the same step. Rows stand in the order of their first. */
export function joinEqualRows(matrix: Matrix, steps: number): Matrix {
  if (!hasEqualLabels(matrix.labels)) return matrix;
  const rowsByKey = new Map<string, number[]>();
  for (let row = 0; row < matrix.rows; row++) {
    const { key } = matrix.labels[row]!;
    const rows = rowsByKey.get(key);
    if (rows === undefined) rowsByKey.set(key, [row]);
    else rows.push(row);
  }
  const groups = [...rowsByKey.values()];
  const joined = Matrix.dense(
    groups.map((rows) => matrix.labels[rows[0]!]!),
    steps,
  );
  for (const [group, rows] of groups.entries()) {
    joined.dropName[group] = matrix.dropName[earliest(matrix, rows)]!;
    for (const row of rows) copyRow(matrix, row, joined, group);
  }
  return joined;
}

/** The row that holds something first: as upstream, it decides what becomes of the name. */
function earliest(matrix: Matrix, rows: readonly number[]): number {
  const firstStep = (row: number): number => {
    let step = matrix.from[row]!;
    while (step < matrix.to[row]! && matrix.kindAt(row, step) === ABSENT) step++;
    return step;
  };
  return rows.reduce((found, row) => (firstStep(row) < firstStep(found) ? row : found));
}

/** Copies what `row` holds; throws when the target holds something at the same step. */
export function copyRow(matrix: Matrix, row: number, target: Matrix, targetRow: number): void {
  for (let step = matrix.from[row]!; step < matrix.to[row]!; step++) {
    const kind = matrix.kindAt(row, step);
    if (kind === ABSENT) continue;
    const cell = target.base[targetRow]! + step;
    if (target.kinds[cell] !== ABSENT) throw duplicateLabels();
    const from = matrix.base[row]! + step;
    if (kind === HISTOGRAM) target.copyHistogram(cell, matrix, from);
    else target.setFloat(cell, matrix.values[from]!);
  }
}
