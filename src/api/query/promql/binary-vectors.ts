import type { BinaryExpression } from './ast.ts';
import { elementOperation, floatOperation, isComparison } from './binary-elements.ts';
import { BinaryPairs, type Pair, type PairGroup, type Sides } from './binary-pairs.ts';
import type { EvaluationContext } from './context.ts';
import { describeLabels } from './describe-labels.ts';
import { ABSENT, FLOAT, HISTOGRAM, type Matrix } from './matrix.ts';
import { duplicateLabels, PromqlEvaluationError } from './promql-errors.ts';
import { type MatchGroup, markOccupied, matchLabels, matchRows, occupiedSteps } from './signatures.ts';
import { StepNotes } from './step-notes.ts';

/** An operator between two vectors, but for set operators: rows find each other once, and are worked through step by step. */
export async function operateOnVectors(
  context: EvaluationContext,
  expression: BinaryExpression,
  operands: { left: Matrix; right: Matrix; steps: number },
): Promise<Matrix> {
  const matching = expression.matching!;
  const isSwapped = matching.cardinality === 'one-to-many';
  const sides: Sides = {
    many: isSwapped ? operands.right : operands.left,
    one: isSwapped ? operands.left : operands.right,
    // As upstream: with group_right, fill_left stands in for the right side.
    fillMany: matching.fillLeft,
    fillOne: matching.fillRight,
    isSwapped,
    steps: operands.steps,
  };
  const groups = matchRows(sides.many, sides.one, matching);
  checkOneSide(expression, sides, groups);
  const pairs = new BinaryPairs(context, expression, sides);
  for (const [index, group] of groups.entries()) {
    if (index % GROUPS_A_TURN === 0) await context.turn();
    pairs.add(group);
  }
  const operation = new Operation(context, expression, sides, pairs.output(context));
  for (const [index, group] of pairs.groups.entries()) {
    if (index % GROUPS_A_TURN === 0) await context.turn();
    operation.run(group);
  }
  return operation.result();
}

const GROUPS_A_TURN = 32;

/** Throws when two rows of the "one" side match at the same step: then it is not one. */
function checkOneSide(expression: BinaryExpression, sides: Sides, groups: readonly MatchGroup[]): void {
  const { many, one, isSwapped, steps } = sides;
  const isFilled = sides.fillMany !== undefined || sides.fillOne !== undefined;
  // Without anything on the other side nothing is matched, so nothing is wrong either.
  let active: Uint8Array | undefined;
  for (const { right: rows } of groups) {
    if (rows.length < 2) continue;
    active ??= isFilled ? new Uint8Array(steps).fill(1) : occupiedSteps(many, steps);
    const rowAt = new Int32Array(steps).fill(-1);
    for (const row of rows) {
      for (let step = one.from[row]!; step < one.to[row]!; step++) {
        if (one.kinds[one.base[row]! + step] === ABSENT || active[step] === 0) continue;
        if (rowAt[step] !== -1) throw duplicateSeries(expression, one, [rowAt[step]!, row], isSwapped);
        rowAt[step] = row;
      }
    }
  }
}

function duplicateSeries(
  expression: BinaryExpression,
  one: Matrix,
  [first, second]: [first: number, second: number],
  isSwapped: boolean,
): PromqlEvaluationError {
  const group = describeLabels(matchLabels(one.labels[second]!, expression.matching!));
  const series = [first, second].map((row) => describeLabels(one.labels[row]!)).sort();
  const side = isSwapped ? 'left' : 'right';
  return new PromqlEvaluationError(
    `found duplicate series for the match group ${group} on the ${side} hand-side of the operation: [${series.join(', ')}];many-to-many matching not allowed: matching labels must be unique on one side`,
  );
}

class Operation {
  readonly #expression: BinaryExpression;
  readonly #sides: Sides;
  readonly #output: Matrix;
  readonly #operate: (left: number, right: number) => number;
  readonly #isComparison: boolean;
  readonly #refusesFloats: boolean;
  readonly #notes: StepNotes;
  /** Of the group at hand, by step: some element of the "one" side; a result of some pair. */
  readonly #hasOne: Uint8Array;
  readonly #isMatched: Uint8Array;
  /** Of the group at hand, by row of results (one to one: in common) and step: a result, if only one that was filtered out. */
  #taken: Map<number, Uint8Array> | undefined;

  constructor(context: EvaluationContext, expression: BinaryExpression, sides: Sides, output: Matrix) {
    this.#expression = expression;
    this.#sides = sides;
    this.#output = output;
    this.#operate = floatOperation(expression.operator);
    this.#isComparison = isComparison(expression.operator);
    this.#refusesFloats = expression.operator === '</' || expression.operator === '>/';
    this.#notes = new StepNotes(context, expression.range);
    const isFilled = sides.fillMany !== undefined || sides.fillOne !== undefined;
    this.#hasOne = new Uint8Array(isFilled ? sides.steps : 0);
    this.#isMatched = new Uint8Array(isFilled ? sides.steps : 0);
  }

  run({ group, pairs, mayCollide }: PairGroup): void {
    this.#taken = mayCollide ? new Map() : undefined;
    if (this.#hasOne.length > 0) {
      this.#hasOne.fill(0);
      this.#isMatched.fill(0);
      for (const row of group.right) markOccupied(this.#sides.one, row, this.#hasOne);
    }
    for (const pair of pairs) {
      if (pair.many === -1) this.#fillMany(pair);
      else if (pair.one === -1) this.#fillOne(pair);
      else this.#runPair(pair);
    }
  }

  result(): Matrix {
    this.#notes.give();
    return this.#output.withoutEmptyRows();
  }

  #runPair(pair: Pair): void {
    const { many, one } = this.#sides;
    const from = Math.max(many.from[pair.many]!, one.from[pair.one]!);
    const to = Math.min(many.to[pair.many]!, one.to[pair.one]!);
    const isPlain =
      !this.#isComparison &&
      this.#taken === undefined &&
      this.#hasOne.length === 0 &&
      many.histograms === undefined &&
      one.histograms === undefined &&
      !this.#refusesFloats;
    if (isPlain) {
      this.#runFloats(pair, from, to);
      return;
    }
    for (let step = from; step < to; step++) {
      if (many.kindAt(pair.many, step) !== ABSENT && one.kindAt(pair.one, step) !== ABSENT) this.#element(pair, step);
    }
  }

  /** The usual case: arithmetic on floats. */
  #runFloats(pair: Pair, from: number, to: number): void {
    const { many, one, isSwapped } = this.#sides;
    const manyBase = many.base[pair.many]!;
    const oneBase = one.base[pair.one]!;
    const { kinds, values, base } = this.#output;
    const outputBase = base[pair.output]!;
    const operate = this.#operate;
    for (let step = from; step < to; step++) {
      if (many.kinds[manyBase + step] === ABSENT || one.kinds[oneBase + step] === ABSENT) continue;
      if (kinds[outputBase + step] !== ABSENT) throw duplicateLabels();
      const left = many.values[manyBase + step]!;
      const right = one.values[oneBase + step]!;
      kinds[outputBase + step] = FLOAT;
      values[outputBase + step] = isSwapped ? operate(right, left) : operate(left, right);
    }
  }

  #fillOne(pair: Pair): void {
    const { many } = this.#sides;
    for (let step = many.from[pair.many]!; step < many.to[pair.many]!; step++) {
      if (this.#hasOne[step] === 0 && many.kindAt(pair.many, step) !== ABSENT) this.#element(pair, step);
    }
  }

  #fillMany(pair: Pair): void {
    const { one } = this.#sides;
    for (let step = one.from[pair.one]!; step < one.to[pair.one]!; step++) {
      if (this.#isMatched[step] === 0 && one.kindAt(pair.one, step) !== ABSENT) this.#element(pair, step);
    }
  }

  #element(pair: Pair, step: number): void {
    const { many, one, isSwapped, fillMany, fillOne } = this.#sides;
    const manyElement = elementAt(many, pair.many, step, fillMany);
    const oneElement = elementAt(one, pair.one, step, fillOne);
    const [left, right] = isSwapped ? [oneElement, manyElement] : [manyElement, oneElement];
    let value = left.value;
    let { histogram } = left;
    let isKept = true;
    if (left.histogram === undefined && right.histogram === undefined && !this.#refusesFloats) {
      const result = this.#operate(left.value, right.value);
      if (this.#isComparison) isKept = result === 1;
      else value = result;
    } else {
      const rank = pair.many === -1 ? many.rows + pair.one : pair.many;
      const result = elementOperation(this.#expression.operator, left, right);
      if (result.info !== undefined || result.warning !== undefined) this.#notes.note(step, rank, result);
      if (result.isRefused) return;
      ({ value, histogram, isKept } = result);
    }
    this.#take(pair, step);
    if (this.#expression.returnBool) this.#write(pair, step, { value: Number(isKept), histogram: undefined });
    else if (isKept) this.#write(pair, step, { value, histogram });
  }

  /** Marks a match of this group, and throws when there was one already that must be the only one. */
  #take(pair: Pair, step: number): void {
    if (this.#isMatched.length > 0) this.#isMatched[step] = 1;
    if (this.#taken === undefined) return;
    const isOneToOne = this.#expression.matching!.cardinality === 'one-to-one';
    const key = isOneToOne ? -1 : pair.output;
    let taken = this.#taken.get(key);
    if (taken === undefined) this.#taken.set(key, (taken = new Uint8Array(this.#sides.steps)));
    if (taken[step] === 1) {
      const reason = isOneToOne
        ? 'many-to-one matching must be explicit (group_left/group_right)'
        : 'grouping labels must ensure unique matches';
      throw new PromqlEvaluationError(`multiple matches for labels: ${reason}`);
    }
    taken[step] = 1;
  }

  #write(pair: Pair, step: number, result: Pick<ReturnType<typeof elementAt>, 'value' | 'histogram'>): void {
    const cell = this.#output.base[pair.output]! + step;
    if (this.#output.kinds[cell] !== ABSENT) throw duplicateLabels();
    if (result.histogram === undefined) this.#output.setFloat(cell, result.value);
    else this.#output.setHistogram(cell, result.histogram);
  }
}

/** The element of `row`, or the fill value when there is no row. */
function elementAt(matrix: Matrix, row: number, step: number, fill: number | undefined) {
  if (row === -1) return { value: fill!, histogram: undefined };
  const cell = matrix.base[row]! + step;
  return {
    value: matrix.values[cell]!,
    histogram: matrix.kinds[cell] === HISTOGRAM ? matrix.histogram(cell) : undefined,
  };
}
