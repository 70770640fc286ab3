import type { MatrixSeries, PromValue, VectorElement } from '../../src/api/query/promql/evaluation.ts';
import { compactHistogram } from '../../src/api/query/promql/histogram-math.ts';
import { haveEqualBounds } from '../../src/api/query/promql/histogram-bounds.ts';
import { type FloatHistogram, histogramsOf, type SparseBuckets } from '../../src/api/query/promql/histogram.ts';
import { compareLabels, type Labels } from '../../src/api/query/promql/labels.ts';
import type { EvalCommand, SequenceValue } from './script.ts';
import { isStaleNumber } from './stale-number.ts';

/** The relative error that upstream allows. */
const EPSILON = 1e-6;
const MIN_NORMAL = 2 ** -1022;

/** What is wrong with `value` by the expectations of `command`; undefined when nothing is. Source: promqltest/test.go, compareResult. */
export function mismatch(command: EvalCommand, value: PromValue): string | undefined {
  switch (value.type) {
    case 'matrix':
      if (command.isOrdered) return 'expected an order, got a matrix';
      if (command.expectedScalar !== undefined) return 'expected a scalar, got a matrix';
      return matrixMismatch(command, value.series);
    case 'vector':
      if (command.expectedScalar !== undefined) return 'expected a scalar, got a vector';
      return vectorMismatch(command, value.elements);
    case 'scalar': {
      const expected = command.expectedScalar;
      if (expected === undefined) return `expected a vector or a matrix, got scalar ${value.value}`;
      return isAlmostEqual(expected.value, value.value)
        ? undefined
        : `expected scalar ${expected.value}, got ${value.value}`;
    }
    case 'string':
      return (command.expectedString ?? '') === value.value
        ? undefined
        : `expected string ${JSON.stringify(command.expectedString)}, got ${JSON.stringify(value.value)}`;
  }
}

function vectorMismatch(command: EvalCommand, elements: readonly VectorElement[]): string | undefined {
  const seen = new Set<string>();
  for (const [at, { labels, value, histogram }] of elements.entries()) {
    const position = command.expected.findLastIndex((candidate) => candidate.labels.key === labels.key);
    const got = histogram === undefined ? String(value) : histogramText(histogram);
    if (position === -1) return `unexpected series ${labelsText(labels)} with ${got}`;
    if (command.isOrdered && position !== at)
      return `expected ${labelsText(labels)} at ${position + 1}, got it at ${at + 1}`;
    const expected = command.expected[position]!.values[0]!;
    if (!isExpected(expected, value, histogram))
      return `expected ${valueText(expected)} for ${labelsText(labels)}, got ${got}`;
    seen.add(labels.key);
  }
  return missing(command, seen);
}

function matrixMismatch(command: EvalCommand, series: readonly MatrixSeries[]): string | undefined {
  const seen = new Set<string>();
  for (const [at, { labels, floats, histograms }] of series.entries()) {
    if (at > 0 && compareLabels(series[at - 1]!.labels, labels) > 0)
      return `series are not sorted at ${labelsText(labels)}`;
    const expected = command.expected.findLast((candidate) => candidate.labels.key === labels.key);
    if (expected === undefined) return `unexpected series ${labelsText(labels)} with ${seriesText(floats.values)}`;
    seen.add(labels.key);
    const points = expected.values
      .map((value, step) => ({ value, timeMs: command.startMs + step * command.stepMs }))
      .filter(({ value }) => !value.omitted);
    if (points.some(({ timeMs }) => timeMs > command.endMs))
      return `more values are expected for ${labelsText(labels)} than the range has steps`;
    const expectedFloats = points.filter(({ value }) => value.histogram === undefined);
    const expectedHistograms = points.filter(({ value }) => value.histogram !== undefined);
    if (expectedFloats.length !== floats.values.length || expectedHistograms.length !== histograms.values.length) {
      return `expected ${expectedFloats.length} floats and ${expectedHistograms.length} histograms for ${labelsText(labels)}, got ${seriesText(floats.values)} and ${histogramsOf(histograms.values).map(histogramText).join(' ')}`;
    }
    for (const [index, { value, timeMs }] of expectedFloats.entries()) {
      const got = floats.values[index]!;
      if (floats.timesMs[index] !== timeMs || !isExpected(value, got, undefined))
        return `expected ${valueText(value)} at ${timeMs} for ${labelsText(labels)}, got ${got} at ${floats.timesMs[index]} (all: ${seriesText(floats.values)})`;
    }
    for (const [index, { value, timeMs }] of expectedHistograms.entries()) {
      const got = histograms.values.at(index)!;
      if (histograms.timesMs[index] !== timeMs || !isExpected(value, 0, got))
        return `expected ${valueText(value)} at ${timeMs} for ${labelsText(labels)}, got ${histogramText(got)} at ${histograms.timesMs[index]}`;
    }
  }
  return missing(command, seen);
}

function missing(command: EvalCommand, seen: ReadonlySet<string>): string | undefined {
  const absent = command.expected.find(({ labels }) => !seen.has(labels.key));
  return absent === undefined ? undefined : `expected series ${labelsText(absent.labels)} is not there`;
}

function isExpected(expected: SequenceValue, value: number, histogram: FloatHistogram | undefined): boolean {
  if (expected.histogram === undefined || histogram === undefined)
    return expected.histogram === histogram && isAlmostEqual(expected.value, value);
  const want = compactHistogram(expected.histogram);
  const got = compactHistogram(histogram);
  return (
    want.schema === got.schema &&
    isAlmostEqual(want.count, got.count) &&
    isAlmostEqual(want.sum, got.sum) &&
    want.zeroThreshold === got.zeroThreshold &&
    isAlmostEqual(want.zeroCount, got.zeroCount) &&
    haveEqualBounds(want.customValues, got.customValues) &&
    areAlmostEqual(want.positive, got.positive) &&
    areAlmostEqual(want.negative, got.negative) &&
    (!expected.hasCounterResetHint || want.counterReset === got.counterReset)
  );
}

function areAlmostEqual(left: SparseBuckets, right: SparseBuckets): boolean {
  return (
    left.indexes.length === right.indexes.length &&
    left.indexes.every((index, at) => index === right.indexes[at] && isAlmostEqual(left.counts[at]!, right.counts[at]!))
  );
}

function isAlmostEqual(left: number, right: number): boolean {
  if (isStaleNumber(left) || isStaleNumber(right)) return isStaleNumber(left) && isStaleNumber(right);
  if (left === right || (Number.isNaN(left) && Number.isNaN(right))) return true;
  const sum = Math.abs(left) + Math.abs(right);
  const difference = Math.abs(left - right);
  if (left === 0 || right === 0 || sum < MIN_NORMAL) return difference < EPSILON * MIN_NORMAL;
  return difference / Math.min(sum, Number.MAX_VALUE) < EPSILON;
}

function labelsText(labels: Labels): string {
  return `{${[...labels.pairs()].map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(', ')}}`;
}

function valueText(value: SequenceValue): string {
  if (value.omitted) return '_';
  return value.histogram === undefined ? String(value.value) : histogramText(value.histogram);
}

function seriesText(values: Float64Array): string {
  return `[${[...values].join(' ')}]`;
}

function histogramText(histogram: FloatHistogram): string {
  const { schema, counterReset, count, sum, zeroCount, zeroThreshold, positive, negative, customValues } = histogram;
  const side = (buckets: SparseBuckets): string =>
    [...buckets.indexes].map((index, at) => `${index}=>${buckets.counts[at]}`).join(' ');
  return `{{schema:${schema} ${counterReset} count:${count} sum:${sum} zero:${zeroCount}<${zeroThreshold} bounds:[${[...customValues].join(' ')}] +[${side(positive)}] -[${side(negative)}]}}`;
}
