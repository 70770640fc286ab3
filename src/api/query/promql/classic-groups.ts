import type { PositionRange } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { Labels } from './labels.ts';
import { FLOAT, HISTOGRAM, type Matrix } from './matrix.ts';
import { withName } from './messages.ts';
import { occupiedSteps } from './signatures.ts';

/** The buckets of one classic histogram: rows of floats that differ in `le` only. */
export interface ClassicGroup {
  /** Without `le`. */
  readonly labels: Labels;
  readonly dropName: boolean;
  /** By bound, ascending. */
  readonly rows: Int32Array;
  readonly bounds: Float64Array;
  readonly from: number;
  readonly to: number;
  /** By step: a native histogram of the same labels stands beside it, so that neither counts. */
  conflicts: Uint8Array | undefined;
}

/** The histograms of a vector: classic ones by their buckets, native ones by their rows. */
export interface HistogramRows {
  readonly classic: readonly ClassicGroup[];
  /** `conflict`: the classic histogram with the same labels. */
  readonly native: readonly { row: number; conflict: ClassicGroup | undefined }[];
}

/** Finds the histograms of a vector, and tells of buckets without bounds and of histograms of both kinds under the same labels. */
export function findHistograms(
  context: EvaluationContext,
  input: Matrix,
  at: PositionRange,
  steps: number,
): HistogramRows {
  const members = new Map<string, { labels: Labels; rows: { row: number; bound: number }[] }>();
  const nativeRows: number[] = [];
  for (let row = 0; row < input.rows; row++) {
    if (holds(input, row, HISTOGRAM)) nativeRows.push(row);
    if (input.histograms !== undefined && !holds(input, row, FLOAT)) continue;
    const own = input.labels[row]!;
    const bound = parseBound(own.get('le'));
    if (bound === undefined) {
      warnOfBound(context, own, at);
      continue;
    }
    const labels = own.drop(BOUND_LABEL);
    let group = members.get(labels.key);
    if (group === undefined) members.set(labels.key, (group = { labels, rows: [] }));
    group.rows.push({ row, bound });
  }
  const groups = new Map<string, ClassicGroup>();
  for (const [key, { labels, rows }] of members) groups.set(key, groupOf(input, labels, rows));
  const native = nativeRows.map((row) => ({ row, conflict: groups.get(input.labels[row]!.key) }));
  for (const { row, conflict } of native)
    if (conflict !== undefined) markConflicts(context, input, { row, conflict, at, steps });
  return { classic: [...groups.values()], native };
}

const BOUND_LABEL: ReadonlySet<string> = new Set(['le']);

function holds(input: Matrix, row: number, kind: number): boolean {
  const base = input.base[row]!;
  for (let step = input.from[row]!; step < input.to[row]!; step++) if (input.kinds[base + step] === kind) return true;
  return false;
}

/** A number as Go reads it; undefined for any other text. */
function parseBound(text: string): number | undefined {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text);
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (special === null) return undefined;
  if (special[2]!.toLowerCase() === 'nan') return NaN;
  return special[1] === '-' ? -Infinity : Infinity;
}

function warnOfBound(context: EvaluationContext, labels: Labels, at: PositionRange): void {
  const message = `PromQL warning: bucket label "le" is missing or has a malformed value of ${JSON.stringify(labels.get('le'))}`;
  context.annotations.warn(withName(message, nameOf(context, labels)), at);
}

/** Names are known in annotations only while they are still there. */
function nameOf(context: EvaluationContext, labels: Labels): string {
  return context.settings.delayedNameRemoval ? labels.get('__name__') : '';
}

function groupOf(input: Matrix, labels: Labels, members: readonly { row: number; bound: number }[]): ClassicGroup {
  const sorted = members.toSorted((left, right) =>
    left.bound < right.bound ? -1 : left.bound > right.bound ? 1 : left.row - right.row,
  );
  return {
    labels,
    dropName: sorted.some(({ row }) => input.dropName[row] === 1),
    rows: Int32Array.from(sorted, ({ row }) => row),
    bounds: Float64Array.from(sorted, ({ bound }) => bound),
    from: sorted.reduce((least, { row }) => Math.min(least, input.from[row]!), Infinity),
    to: sorted.reduce((most, { row }) => Math.max(most, input.to[row]!), 0),
    conflicts: undefined,
  };
}

function markConflicts(
  context: EvaluationContext,
  input: Matrix,
  found: { row: number; conflict: ClassicGroup; at: PositionRange; steps: number },
): void {
  const { row, conflict, at, steps } = found;
  const hasBuckets = occupiedSteps(input.pick(conflict.rows), steps);
  for (let step = input.from[row]!; step < input.to[row]!; step++) {
    if (hasBuckets[step] === 0 || input.kindAt(row, step) !== HISTOGRAM) continue;
    conflict.conflicts ??= new Uint8Array(steps);
    conflict.conflicts[step] = 1;
    const message = 'PromQL warning: vector contains a mix of classic and native histograms';
    context.annotations.warn(withName(message, nameOf(context, input.labels[row]!)), at);
  }
}
