import type { CallExpression, Expression, PositionRange } from './ast.ts';
import { absentLabels } from './absent-labels.ts';
import type { EvaluationContext } from './context.ts';
import { ABSENT, FLOAT, HISTOGRAM, Matrix } from './matrix.ts';
import { quoted } from './messages.ts';
import { duplicateLabels, PromqlEvaluationError } from './promql-errors.ts';
import {
  ANCHORED_FUNCTIONS,
  NAME_KEEPING_FUNCTIONS,
  rangeFunctions,
  SMOOTHED_FUNCTIONS,
  START_TIME_FUNCTIONS,
} from './range-functions.ts';
import { ratesOfRows } from './range-rate-rows.ts';
import { evaluateSubquery, isRange, type RangeVector, selectRange } from './range-vector.ts';
import { hasEqualLabels, haveOneName } from './rows.ts';
import type { Steps } from './steps.ts';
import { overWindows } from './windows.ts';

/** Calls a function of a range, which stands among its arguments, at all steps. */
export async function callRange(context: EvaluationContext, call: CallExpression, steps: Steps): Promise<Matrix> {
  const { name } = call.func;
  const func = rangeFunctions.get(name);
  if (func === undefined) throw new TypeError(`Cannot call ${name}: there is no such function`);
  const rangeIndex = call.arguments.findIndex(isRange);
  const rangeNode = call.arguments[rangeIndex]!;
  checkModifiers(rangeNode, name);
  const range = await rangeOf(context, rangeNode, steps, name);
  const parameters: Float64Array[] = [];
  for (const [index, argument] of call.arguments.entries()) {
    if (index !== rangeIndex) parameters.push((await context.evaluate(context, argument, steps)).values);
  }
  const at = placeOf(call);
  const result =
    (await ratesOfRows(context, name, range, steps)) ??
    (await overWindows(context, range, { func, parameters, at, steps }));
  if (name === 'rate' || name === 'increase') informOfNames(context, range, result, at);
  if (name === 'absent_over_time') return absentSteps(result, call.arguments[0]!, steps.count);
  return named(context, range, result, !NAME_KEEPING_FUNCTIONS.has(name));
}

/** Where upstream says that annotations arose: at the first argument, but a subquery has lost its place by then. */
function placeOf(call: CallExpression): PositionRange {
  const [first] = call.arguments;
  return first === undefined || first.kind === 'subquery' ? { start: 0, end: 0 } : first.range;
}

function rangeOf(context: EvaluationContext, node: Expression, steps: Steps, name: string): Promise<RangeVector> {
  if (node.kind === 'subquery') return evaluateSubquery(context, node, steps);
  if (node.kind !== 'matrix-selector') throw new TypeError(`Cannot take a ${node.kind} as a range`);
  const withStartTimes = context.settings.startTimestamps && START_TIME_FUNCTIONS.has(name);
  return selectRange(context, node, steps, withStartTimes);
}

function checkModifiers(node: Expression, name: string): void {
  if (node.kind !== 'matrix-selector') return;
  const refuse = (modifier: string, functions: readonly string[]): never => {
    throw new PromqlEvaluationError(
      `${modifier} modifier can only be used with: ${functions.join(', ')} - not with ${name}`,
    );
  };
  if (node.selector.anchored && !ANCHORED_FUNCTIONS.includes(name)) refuse('anchored', ANCHORED_FUNCTIONS);
  if (node.selector.smoothed && !SMOOTHED_FUNCTIONS.includes(name)) refuse('smoothed', SMOOTHED_FUNCTIONS);
}

/** The result under the labels it goes by; throws when two rows come out with the same ones. */
function named(context: EvaluationContext, range: RangeVector, result: Matrix, dropsName: boolean): Matrix {
  const kept = result.withoutEmptyRows();
  const rows = kept === result ? undefined : rowsOf(result);
  const dropName = new Uint8Array(kept.rows);
  for (let row = 0; row < kept.rows; row++) {
    const series = range.series[rows === undefined ? row : rows[row]!]!;
    dropName[row] = Number(dropsName || series.dropName);
  }
  const labels = kept.labels.map((own, row) => (dropName[row] === 1 ? context.withoutName(own) : own));
  if (!context.settings.delayedNameRemoval && dropsName && !haveOneName(kept.labels) && hasEqualLabels(labels))
    throw duplicateLabels();
  return kept.with({ labels, dropName });
}

function rowsOf(matrix: Matrix): number[] {
  const rows: number[] = [];
  for (let row = 0; row < matrix.rows; row++) if (!matrix.isEmptyRow(row)) rows.push(row);
  return rows;
}

const COUNTER_SUFFIXES = ['_total', '_sum', '_count', '_bucket'];

/** Tells of floats that, by their names or types, are no counter. */
function informOfNames(context: EvaluationContext, range: RangeVector, result: Matrix, at: PositionRange): void {
  const { typeAndUnitLabels } = context.settings;
  const isChecked = new Set<string>();
  for (let row = 0; row < result.rows; row++) {
    const { labels } = range.series[row]!;
    const name = labels.get('__name__');
    const type = typeAndUnitLabels ? labels.get('__type__') : '';
    const key = `${type} ${name}`;
    if (name === '' || isChecked.has(key)) continue;
    if (!hasFloat(result, row)) continue;
    isChecked.add(key);
    if (typeAndUnitLabels) {
      if (type !== 'counter' && type !== 'histogram')
        context.annotations.inform(
          `PromQL info: metric might not be a counter, __type__ label is not set to "counter" or "histogram", got ${quoted(type)}: ${quoted(name)}`,
          at,
        );
    } else if (!COUNTER_SUFFIXES.some((suffix) => name.endsWith(suffix)))
      context.annotations.inform(
        `PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: ${quoted(name)}`,
        at,
      );
  }
}

function hasFloat(matrix: Matrix, row: number): boolean {
  for (let step = matrix.from[row]!; step < matrix.to[row]!; step++) {
    if (matrix.kinds[matrix.base[row]! + step] === FLOAT) return true;
  }
  return false;
}

/** `absent_over_time`: 1 at the steps where no series has a sample. */
function absentSteps(found: Matrix, argument: Expression, steps: number): Matrix {
  const absent = Matrix.dense([absentLabels(argument)], steps);
  absent.kinds.fill(FLOAT);
  absent.values.fill(1);
  for (let row = 0; row < found.rows; row++) {
    for (let step = found.from[row]!; step < found.to[row]!; step++) {
      const kind = found.kinds[found.base[row]! + step];
      if (kind === FLOAT || kind === HISTOGRAM) absent.kinds[step] = ABSENT;
    }
  }
  absent.dropName[0] = 1;
  return absent.withoutEmptyRows();
}
