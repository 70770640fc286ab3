import type { BinaryOperator } from './ast.ts';
import { power } from './float-math.ts';
import type { FloatHistogram } from './histogram.ts';
import { areCompatible } from './histogram-bounds.ts';
import {
  addHistograms,
  areEqualHistograms,
  compactHistogram,
  divideHistogram,
  multiplyHistogram,
} from './histogram-math.ts';
import { trimHistogram } from './histogram-trim.ts';
import { boundsReconciled, incompatibleTypes, resetCollision } from './messages.ts';

/** An operator over two floats: the result, or 1 and 0 for comparisons. */
export function floatOperation(operator: BinaryOperator): (left: number, right: number) => number {
  const operation = FLOAT_OPERATIONS.get(operator);
  // Trims of floats give nothing; what is asked for here is never written anywhere.
  return operation ?? (() => 0);
}

const FLOAT_OPERATIONS: ReadonlyMap<BinaryOperator, (left: number, right: number) => number> = new Map([
  ['+', (left, right) => left + right],
  ['-', (left, right) => left - right],
  ['*', (left, right) => left * right],
  ['/', (left, right) => left / right],
  ['%', (left, right) => left % right],
  ['^', power],
  ['atan2', Math.atan2],
  ['==', (left, right) => Number(left === right)],
  ['!=', (left, right) => Number(left !== right)],
  ['>', (left, right) => Number(left > right)],
  ['<', (left, right) => Number(left < right)],
  ['>=', (left, right) => Number(left >= right)],
  ['<=', (left, right) => Number(left <= right)],
] satisfies [BinaryOperator, (left: number, right: number) => number][]);

export function isComparison(operator: BinaryOperator): boolean {
  return ['==', '!=', '>', '<', '>=', '<='].includes(operator);
}

/** Whether the result is another metric than the operands: not for comparisons, trims and set operators. */
export function changesMetric(operator: BinaryOperator): boolean {
  return ['+', '-', '*', '/', '^', '%', 'atan2'].includes(operator);
}

/** One side of an operation on elements: `histogram`, or else the float. */
export interface Element {
  value: number;
  histogram: FloatHistogram | undefined;
}

/** What became of two elements. */
export interface ElementResult extends Element {
  /** Comparisons: whether it holds. Else true. */
  isKept: boolean;
  /** An annotation, without position. */
  info: string | undefined;
  warning: string | undefined;
  /** There is no result; `info` or `warning` says why. */
  isRefused: boolean;
}

/** An operator over two elements of which one at least is a histogram, or over two floats where floats are refused (trims). */
export function elementOperation(operator: BinaryOperator, left: Element, right: Element): ElementResult {
  if (left.histogram !== undefined && right.histogram !== undefined)
    return betweenHistograms(operator, left.histogram, right.histogram);
  if (left.histogram !== undefined) return histogramByFloat(operator, left.histogram, right.value);
  if (right.histogram !== undefined && operator === '*')
    return kept(compactHistogram(multiplyHistogram(right.histogram, left.value)));
  return refused(operator, 'float', right.histogram === undefined ? 'float' : 'histogram');
}

function histogramByFloat(operator: BinaryOperator, histogram: FloatHistogram, value: number): ElementResult {
  switch (operator) {
    case '*':
      return kept(compactHistogram(multiplyHistogram(histogram, value)));
    case '/':
      return kept(compactHistogram(divideHistogram(histogram, value)));
    case '</':
      return kept(trimHistogram(histogram, value, 'below'));
    case '>/':
      return kept(trimHistogram(histogram, value, 'above'));
    default:
      return refused(operator, 'histogram', 'float');
  }
}

function betweenHistograms(operator: BinaryOperator, left: FloatHistogram, right: FloatHistogram): ElementResult {
  switch (operator) {
    case '+':
      return added(left, right, 1);
    case '-':
      return added(left, right, -1);
    case '==':
      return { ...kept(left), isKept: areEqualHistograms(left, right) };
    case '!=':
      return { ...kept(left), isKept: !areEqualHistograms(left, right) };
    default:
      return refused(operator, 'histogram', 'histogram');
  }
}

function added(left: FloatHistogram, right: FloatHistogram, sign: 1 | -1): ElementResult {
  if (!areCompatible(left, right)) {
    const operator = sign === 1 ? '+' : '-';
    const warning = `PromQL warning: incompatible bucket layout encountered for binary operator ${operator}`;
    return { ...kept(undefined), isKept: false, warning, isRefused: true };
  }
  const operation = sign === 1 ? 'addition' : 'subtraction';
  const sum = addHistograms(left, right, sign);
  const result = sign === 1 ? sum.histogram : { ...sum.histogram, counterReset: 'gauge' as const };
  // As upstream: a collision is an error of the operator, so there is no result.
  return {
    ...kept(compactHistogram(result)),
    info: sum.boundsReconciled ? boundsReconciled(operation) : undefined,
    warning: sum.counterResetCollision ? resetCollision(operation) : undefined,
    isRefused: sum.counterResetCollision,
  };
}

function kept(histogram: FloatHistogram | undefined): ElementResult {
  return { value: 0, histogram, isKept: true, info: undefined, warning: undefined, isRefused: false };
}

function refused(operator: BinaryOperator, left: string, right: string): ElementResult {
  return { ...kept(undefined), isKept: false, info: incompatibleTypes(left, operator, right), isRefused: true };
}
