import type { LabelMatcher } from './ast.ts';
import type { EvaluationContext } from './context.ts';
import { describeLabels } from './describe-labels.ts';
import { IDENTIFYING_LABELS } from './info-matchers.ts';
import { Labels } from './labels.ts';
import { ABSENT, HISTOGRAM, type Matrix } from './matrix.ts';
import { duplicateLabels, PromqlEvaluationError } from './promql-errors.ts';
import { matcherTest } from './regular-expression.ts';

/** Joins the rows of a vector with info series, step by step, since info series come and go. `infos` holds the times of their samples. */
export class InfoJoin {
  readonly #base: Matrix;
  readonly #infos: Matrix;
  readonly #ignored: readonly boolean[];
  readonly #dataNames: ReadonlySet<string>;
  /** A row without info series has none of the labels asked for; does that satisfy the conditions? */
  readonly #keepsUnmatched: boolean;
  /** Info rows by identifying labels, in groups of the same name. */
  readonly #infosByKey: ReadonlyMap<string, readonly (readonly number[])[]>;
  readonly #labelsByMatch = new Map<string, Labels>();

  constructor(base: Matrix, infos: Matrix, options: { ignored: readonly boolean[]; data: readonly LabelMatcher[] }) {
    this.#base = base;
    this.#infos = infos;
    this.#ignored = options.ignored;
    this.#dataNames = new Set(options.data.map(({ name }) => name));
    this.#keepsUnmatched = options.data.every((matcher) => matcherTest(matcher)(''));
    this.#infosByKey = groupInfos(infos);
  }

  async result(context: EvaluationContext, steps: number): Promise<Matrix> {
    const rows: { labels: Labels; row: number; steps: number[] }[] = [];
    for (let row = 0; row < this.#base.rows; row++) {
      await context.turn();
      const byKey = new Map<string, { labels: Labels; row: number; steps: number[] }>();
      for (let step = this.#base.from[row]!; step < this.#base.to[row]!; step++) {
        if (this.#base.kindAt(row, step) === ABSENT) continue;
        const labels = this.#ignored[row] === true ? this.#base.labels[row] : this.#labelsAt(row, step);
        if (labels === undefined) continue;
        const known = byKey.get(labels.key);
        if (known === undefined) byKey.set(labels.key, { labels, row, steps: [step] });
        else known.steps.push(step);
      }
      rows.push(...byKey.values());
    }
    this.#checkInfos(steps);
    return this.#write(context, rows);
  }

  #labelsAt(row: number, step: number): Labels | undefined {
    const own = this.#base.labels[row]!;
    const matched: number[] = [];
    for (const rows of this.#infosByKey.get(keyOf(own)) ?? []) {
      const info = newest(this.#infos, rows, step);
      if (info !== undefined) matched.push(info);
    }
    if (matched.length === 0) return this.#keepsUnmatched ? own : undefined;
    const key = `${row}:${matched.join()}`;
    let labels = this.#labelsByMatch.get(key);
    if (labels === undefined) this.#labelsByMatch.set(key, (labels = this.#join(own, matched)));
    return labels;
  }

  #join(own: Labels, matched: readonly number[]): Labels {
    const added = new Map<string, string>();
    for (const info of matched) {
      for (const [name, value] of this.#infos.labels[info]!.pairs()) {
        if (name === '__name__' || (this.#dataNames.size > 0 && !this.#dataNames.has(name))) continue;
        const before = added.get(name);
        if (before !== undefined && before !== value) throw new PromqlEvaluationError(`conflicting label: ${name}`);
        if (own.get(name) === '') added.set(name, value);
      }
    }
    return added.size === 0 ? own : Labels.of([...own.pairs(), ...added]);
  }

  /** Of two info series of one name with equally new samples neither can be preferred. */
  #checkInfos(steps: number): void {
    for (const groups of this.#infosByKey.values()) {
      for (const rows of groups) {
        if (rows.length < 2) continue;
        for (let step = 0; step < steps; step++) newest(this.#infos, rows, step);
      }
    }
  }

  #write(
    context: EvaluationContext,
    rows: readonly { labels: Labels; row: number; steps: readonly number[] }[],
  ): Matrix {
    const outputByKey = new Map<string, { labels: Labels; from: number; to: number }>();
    for (const { labels, steps } of rows) {
      const from = steps[0]!;
      const to = steps.at(-1)! + 1;
      const known = outputByKey.get(labels.key);
      if (known === undefined) outputByKey.set(labels.key, { labels, from, to });
      else {
        known.from = Math.min(known.from, from);
        known.to = Math.max(known.to, to);
      }
    }
    const outputs = [...outputByKey.values()];
    const indexByKey = new Map([...outputByKey.keys()].map((key, index) => [key, index]));
    const matrix = context.allocate(
      outputs.map(({ labels }) => labels),
      Int32Array.from(outputs, ({ from }) => from),
      Int32Array.from(outputs, ({ to }) => to),
    );
    for (const { labels, row, steps } of rows) {
      const output = indexByKey.get(labels.key)!;
      matrix.dropName[output] = this.#base.dropName[row]!;
      for (const step of steps) this.#copy(row, step, matrix, matrix.base[output]! + step);
    }
    return matrix;
  }

  #copy(row: number, step: number, target: Matrix, cell: number): void {
    if (target.kinds[cell] !== ABSENT) throw duplicateLabels();
    const from = this.#base.base[row]! + step;
    if (this.#base.kinds[from] === HISTOGRAM) target.copyHistogram(cell, this.#base, from);
    else target.setFloat(cell, this.#base.values[from]!);
  }
}

function keyOf(labels: Labels): string {
  return JSON.stringify(IDENTIFYING_LABELS.map((name) => labels.get(name)));
}

function groupInfos(infos: Matrix): Map<string, number[][]> {
  const groups = new Map<string, Map<string, number[]>>();
  for (let row = 0; row < infos.rows; row++) {
    const labels = infos.labels[row]!;
    const key = keyOf(labels);
    let byName = groups.get(key);
    if (byName === undefined) groups.set(key, (byName = new Map()));
    const rows = byName.get(labels.get('__name__'));
    if (rows === undefined) byName.set(labels.get('__name__'), [row]);
    else rows.push(row);
  }
  return new Map([...groups].map(([key, byName]) => [key, [...byName.values()]]));
}

/** The row with the newest sample at a step. */
function newest(infos: Matrix, rows: readonly number[], step: number): number | undefined {
  let found: number | undefined;
  let foundAt = 0;
  for (const row of rows) {
    if (infos.kindAt(row, step) === ABSENT) continue;
    const at = infos.values[infos.base[row]! + step]!;
    if (found !== undefined && at === foundAt) {
      const [existing, other] = [found, row].map((info) => describeLabels(infos.labels[info]!));
      const timeMs = Math.round(at * 1000);
      throw new PromqlEvaluationError(
        `found duplicate series for info metric: existing ${existing} @ ${timeMs}, new ${other} @ ${timeMs}`,
      );
    }
    if (found !== undefined && at < foundAt) continue;
    found = row;
    foundAt = at;
  }
  return found;
}
