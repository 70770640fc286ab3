import type { BinaryExpression } from './ast.ts';
import { changesMetric } from './binary-elements.ts';
import { type EvaluationContext, METADATA_LABELS } from './context.ts';
import { Labels } from './labels.ts';
import type { Matrix } from './matrix.ts';
import { type MatchGroup, matchLabels } from './signatures.ts';

/** Both sides of an operator, as `many` and `one` (which they also are one to one), and what stands in for absent elements. */
export interface Sides {
  readonly many: Matrix;
  readonly one: Matrix;
  /** The "one" side stands on the left. */
  readonly isSwapped: boolean;
  readonly fillMany: number | undefined;
  readonly fillOne: number | undefined;
  readonly steps: number;
}

/** Two rows that match, and the row of their results. -1: the fill value of that side. */
export interface Pair {
  readonly many: number;
  readonly one: number;
  readonly output: number;
}

/** The pairs of one group. */
export interface PairGroup {
  readonly group: MatchGroup;
  readonly pairs: readonly Pair[];
  /** Two rows of the "many" side may give results under the same labels, or must not both match. */
  readonly mayCollide: boolean;
}

/** Which rows are worked on with which, worked out once for all steps. */
export class BinaryPairs {
  readonly groups: PairGroup[] = [];
  readonly #expression: BinaryExpression;
  readonly #sides: Sides;
  readonly #dropsName: boolean;
  /** Results of one group all have the same labels, and those of two groups never: so labels need not be compared. */
  readonly #isOutputByGroup: boolean;
  #groupOutput = -1;
  readonly #outputByKey = new Map<string, number>();
  readonly #labels: Labels[] = [];
  readonly #from: number[] = [];
  readonly #to: number[] = [];

  constructor(context: EvaluationContext, expression: BinaryExpression, sides: Sides) {
    this.#expression = expression;
    this.#sides = sides;
    this.#dropsName =
      changesMetric(expression.operator) || (expression.returnBool && !context.settings.delayedNameRemoval);
    this.#isOutputByGroup =
      this.#dropsName && expression.matching!.cardinality === 'one-to-one' && !this.#matchesByMetadata();
  }

  add(group: MatchGroup): void {
    const { many, one, fillMany, fillOne } = this.#sides;
    const pairs: Pair[] = [];
    this.#groupOutput = -1;
    for (const row of group.left) {
      const labels = many.labels[row]!;
      for (const other of group.right) {
        const from = Math.max(many.from[row]!, one.from[other]!);
        const to = Math.min(many.to[row]!, one.to[other]!);
        if (from < to) pairs.push(this.#pair(row, other, { labels, other: one.labels[other]!, from, to }));
      }
      if (fillOne === undefined) continue;
      const filled = matchLabels(labels, this.#expression.matching!);
      pairs.push(this.#pair(row, -1, { labels, other: filled, from: many.from[row]!, to: many.to[row]! }));
    }
    for (const row of fillMany === undefined ? [] : group.right) {
      const other = one.labels[row]!;
      const labels = matchLabels(other, this.#expression.matching!);
      pairs.push(this.#pair(-1, row, { labels, other, from: one.from[row]!, to: one.to[row]! }));
    }
    if (pairs.length > 0) this.groups.push({ group, pairs, mayCollide: this.#mayCollide(pairs) });
  }

  /** Rows of absent cells for the results. */
  output(context: EvaluationContext): Matrix {
    const matrix = context.allocate(this.#labels, Int32Array.from(this.#from), Int32Array.from(this.#to));
    if (this.#expression.returnBool) matrix.dropName.fill(1);
    return matrix;
  }

  #pair(many: number, one: number, found: { labels: Labels; other: Labels; from: number; to: number }): Pair {
    const output = this.#outputFor(found.labels, found.other);
    this.#from[output] = Math.min(this.#from[output] ?? found.from, found.from);
    this.#to[output] = Math.max(this.#to[output] ?? found.to, found.to);
    return { many, one, output };
  }

  #outputFor(many: Labels, one: Labels): number {
    if (this.#isOutputByGroup) {
      if (this.#groupOutput === -1) this.#groupOutput = this.#labels.push(this.#resultLabels(many, one)) - 1;
      return this.#groupOutput;
    }
    const labels = this.#resultLabels(many, one);
    let output = this.#outputByKey.get(labels.key);
    if (output === undefined) {
      output = this.#labels.push(labels) - 1;
      this.#outputByKey.set(labels.key, output);
    }
    return output;
  }

  /** Whether labels that go with the name, other than it, may tell groups apart. */
  #matchesByMetadata(): boolean {
    const { on, labels: names } = this.#expression.matching!;
    if (on) return names.some((name) => METADATA_LABELS.has(name));
    const { many, one } = this.#sides;
    return [many, one].some(({ labels }) =>
      labels.some((own) => own.names.includes('__type__') || own.names.includes('__unit__')),
    );
  }

  #resultLabels(many: Labels, one: Labels): Labels {
    const { on, labels: names, cardinality, include } = this.#expression.matching!;
    let labels = this.#dropsName ? many.drop(METADATA_LABELS) : many;
    if (cardinality === 'one-to-one') labels = on ? labels.keep(new Set(names)) : labels.drop(new Set(names));
    if (include.length === 0) return labels;
    return Labels.of([...labels.pairs(), ...include.map((name): [string, string] => [name, one.get(name)])]);
  }

  #mayCollide(pairs: readonly Pair[]): boolean {
    const rows = new Set(pairs.map((pair) => pair.many));
    if (rows.size < 2) return false;
    if (this.#expression.matching!.cardinality === 'one-to-one') return true;
    const rowByOutput = new Map<number, number>();
    return pairs.some(({ many, output }) => {
      const row = rowByOutput.get(output);
      rowByOutput.set(output, many);
      return row !== undefined && row !== many;
    });
  }
}
