import type { Groups } from './aggregate-groups.ts';
import type { AggregateExpression } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { HistogramAccumulator } from './histogram-accumulator.ts';
import { histogramAverage, histogramTotal } from './histogram-aggregate.ts';
import { areCompatible } from './histogram-bounds.ts';
import { GAUGE, NOT_RESET, RESET, UNKNOWN, UNTOLD } from './histogram-columns.ts';
import type { HistogramCells } from './histogram-cells.ts';
import { ABSENT, FLOAT, HISTOGRAM, type Matrix } from './matrix.ts';
import { MIXED_IN_AGGREGATION, mixedSchemas } from './messages.ts';
import { ROWS_A_TURN } from './select.ts';

/** `sum` and `avg` of the histograms of a vector, whose floats `output` has already: a cell that would have both has nothing. Nobody may look at those of `input` behind it. */
export async function sumHistograms(
  context: EvaluationContext,
  expression: AggregateExpression,
  { input, groups, output }: { readonly input: Matrix; readonly groups: Groups; readonly output: Matrix },
): Promise<void> {
  const members = new HistogramMembers(input, groups, output);
  const sums = new CellSums(context, expression, { input, output });
  let added = 0;
  for (let group = 0; group < output.rows; group++) {
    const base = output.base[group]!;
    for (let step = output.from[group]!; step < output.to[group]!; step++) {
      const rows = members.of(base + step);
      if (rows.length === 0) continue;
      added += rows.length;
      if (added >= ROWS_A_TURN) {
        await context.turn();
        added = 0;
      }
      if (output.kinds[base + step] === FLOAT) sums.refuse(base + step, step, rows, members.beforeFloat(base + step));
      else sums.give(base + step, step, rows);
    }
  }
  // Objects may share the buckets of what they were made of.
  if (!sums.areObjectsMade) input.histograms!.giveBack();
}

/** The rows that have a histogram for a cell of the output, in their order. */
class HistogramMembers {
  readonly #rows: Int32Array;
  /** Where those of each cell begin, and the end. */
  readonly #offsets: Uint32Array;
  /** By cell: how many histograms came before the first float, and one; 0 for no float. */
  readonly #floatAt: Uint32Array;

  constructor(input: Matrix, { groupOf }: Groups, output: Matrix) {
    const offsets = new Uint32Array(output.values.length + 1);
    const { kinds } = input;
    let hasFloats = false;
    for (let row = 0; row < input.rows; row++) {
      const shift = output.base[groupOf[row]!]! - input.base[row]!;
      const end = input.base[row]! + input.to[row]!;
      for (let from = input.base[row]! + input.from[row]!; from < end; from++) {
        if (kinds[from] === HISTOGRAM) offsets[from + shift + 1]!++;
        else if (kinds[from] === FLOAT) hasFloats = true;
      }
    }
    for (let cell = 1; cell < offsets.length; cell++) offsets[cell]! += offsets[cell - 1]!;
    this.#offsets = offsets;
    this.#rows = new Int32Array(offsets.at(-1)!);
    this.#floatAt = new Uint32Array(hasFloats ? output.values.length : 0);
    const next = offsets.slice(0, -1);
    for (let row = 0; row < input.rows; row++) {
      const shift = output.base[groupOf[row]!]! - input.base[row]!;
      const end = input.base[row]! + input.to[row]!;
      for (let from = input.base[row]! + input.from[row]!; from < end; from++) {
        const cell = from + shift;
        if (kinds[from] === HISTOGRAM) this.#rows[next[cell]!++] = row;
        else if (hasFloats && kinds[from] !== ABSENT && this.#floatAt[cell] === 0)
          this.#floatAt[cell] = next[cell]! - offsets[cell]! + 1;
      }
    }
  }

  of(cell: number): Int32Array {
    return this.#rows.subarray(this.#offsets[cell], this.#offsets[cell + 1]);
  }

  beforeFloat(cell: number): number {
    return this.#floatAt[cell]! - 1;
  }
}

/** Sums of one cell after the other. */
class CellSums {
  readonly #context: EvaluationContext;
  readonly #expression: AggregateExpression;
  readonly #input: Matrix;
  readonly #cells: HistogramCells;
  readonly #output: Matrix;
  readonly #accumulator = new HistogramAccumulator();
  /** Whether any sum was not made in columns. */
  areObjectsMade = false;

  constructor(
    context: EvaluationContext,
    expression: AggregateExpression,
    { input, output }: { readonly input: Matrix; readonly output: Matrix },
  ) {
    this.#context = context;
    this.#expression = expression;
    this.#input = input;
    this.#cells = input.histograms!;
    this.#output = output;
  }

  give(cell: number, step: number, rows: Int32Array): void {
    if (this.#giveInColumns(cell, step, rows)) return;
    this.areObjectsMade = true;
    const aggregate = this.#expression.operator === 'avg' ? histogramAverage : histogramTotal;
    const result = aggregate(this.#histograms(step, rows), {
      annotations: this.#context.annotations,
      at: this.#expression.expression.range,
      metricName: this.#nameOf(rows),
    });
    if (result !== undefined) this.#output.setHistogram(cell, result);
  }

  /** Tells why there is nothing beside floats. As upstream: histograms behind a float are not looked at, and nothing is behind two that do not fit each other. */
  refuse(cell: number, step: number, rows: Int32Array, beforeFloat: number): void {
    const { annotations } = this.#context;
    const at = this.#expression.expression.range;
    this.#output.kinds[cell] = ABSENT;
    const members = beforeFloat === 0 ? [] : this.#histograms(step, rows);
    const clash = members.findIndex((other) => !areCompatible(other, members[0]!));
    if (clash !== -1) annotations.warn(mixedSchemas(this.#nameOf(rows)), at);
    if (clash === -1 || clash >= beforeFloat) annotations.warn(MIXED_IN_AGGREGATION, at);
  }

  /** Of histograms that all lie in columns and whose buckets need no change to be added; false for others. */
  #giveInColumns(cell: number, step: number, rows: Int32Array): boolean {
    const accumulator = this.#accumulator;
    const { base } = this.#input;
    const cells = this.#cells;
    accumulator.begin();
    for (let at = 0; at < rows.length; at++) {
      const from = base[rows[at]!]! + step;
      const columns = cells.columnsAt(from);
      if (columns === undefined) return false;
      const index = cells.indexAt(from);
      if (columns.hints[index] === RESET || !accumulator.reach(columns, index)) return false;
    }
    accumulator.start();
    for (let at = 0; at < rows.length; at++) {
      const from = base[rows[at]!]! + step;
      accumulator.add(cells.columnsAt(from)!, cells.indexAt(from), 1);
    }
    const isAverage = this.#expression.operator === 'avg';
    // A mean that becomes infinite on the way is worked out otherwise.
    if (isAverage && !accumulator.isFinite()) return false;
    accumulator.giveTo(this.#output.heldHistograms.made, this.#hintOf(step, rows), isAverage ? rows.length : 1);
    this.#output.giveMadeHistogram(cell);
    return true;
  }

  /** Of a sum: a gauge when any is one, else unknown when any is. */
  #hintOf(step: number, rows: Int32Array): number {
    const { base } = this.#input;
    let hint = NOT_RESET;
    for (let at = 0; at < rows.length; at++) {
      const from = base[rows[at]!]! + step;
      const own = this.#cells.columnsAt(from)!.hints[this.#cells.indexAt(from)]!;
      if (own === GAUGE) return GAUGE;
      if (own === UNKNOWN || (own === UNTOLD && hint === NOT_RESET && !this.#isGoingOn(from))) hint = UNKNOWN;
    }
    return hint;
  }

  #isGoingOn(from: number): boolean {
    return this.#cells.columnsAt(from)!.hintAt(this.#cells.indexAt(from)) === 'not_reset';
  }

  #histograms(step: number, rows: Int32Array) {
    return Array.from(rows, (row) => this.#input.histogram(this.#input.base[row]! + step));
  }

  /** Of the last one. */
  #nameOf(rows: Int32Array): string {
    return this.#input.labels[rows.at(-1)!]!.get('__name__');
  }
}
