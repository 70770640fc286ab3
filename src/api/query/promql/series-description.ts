import { LIMITS } from '../../../base/index.ts';
import type { FloatHistogram } from './histogram.ts';
import { areCompatible } from './histogram-bounds.ts';
import { readHistogramLiteral } from './histogram-literal.ts';
import { addHistograms } from './histogram-math.ts';
import type { Labels } from './labels.ts';
import { parseDurationMs } from './numbers.ts';
import { readSeriesLabels } from './series-labels.ts';
import { SeriesReader } from './series-reader.ts';
import { STALE_BITS } from './stale.ts';

/** One place of a series; places go from time 0 in equal steps. */
export interface SequenceValue {
  /** No sample here; all else means nothing then. */
  readonly omitted: boolean;
  /** 0 beside a histogram. A stale marker has the bits of stale.ts. */
  readonly value: number;
  readonly histogram: FloatHistogram | undefined;
  /** The histogram names its counter reset hint, so that comparisons look at it. */
  readonly hasCounterResetHint: boolean;
}

/** A line of a promqltest script. */
export interface SeriesDescription {
  readonly labels: Labels;
  readonly values: readonly SequenceValue[];
}

/**
 * Labels and values of a line such as `http_requests{job="api"} 0+10x3 _ stale {{schema:0 count:4 buckets:[2 2]}}`, the notation of
 * Prometheus' unit tests. `a+bxn` gives n + 1 values, `_xn` leaves n places out. Throws `PromqlParseError`.
 */
export function parseSeriesDescription(text: string): SeriesDescription {
  const { labels, end } = readSeriesLabels(text);
  const reader = new SeriesReader(text, end);
  const values: SequenceValue[] = [];
  while (!reader.atEnd()) {
    reader.expectSpace();
    // One call with all of them would overflow the stack.
    if (!reader.atEnd()) for (const value of readItem(reader)) values.push(value);
    if (values.length > LIMITS.promqlSeriesValuesMax) reader.fail(tooManyValues());
  }
  return { labels, values };
}

/** Where the samples of the series in the next line start: one offset from each sample in ms, `undefined` where the line says nothing. */
export interface StartTimes {
  readonly labels: Labels;
  readonly offsetsMs: readonly (number | undefined)[];
}

/** A line such as `requests{job="api"}@st _ -30s-1mx2`, which stands before the line of the samples. Throws `PromqlParseError`. */
export function parseStartTimes(text: string): StartTimes {
  const { labels, end } = readSeriesLabels(text);
  const reader = new SeriesReader(text, end);
  if (!reader.takeText('@st')) reader.unexpected('@st');
  const offsetsMs: (number | undefined)[] = [];
  while (!reader.atEnd()) {
    reader.expectSpace();
    if (!reader.atEnd()) for (const offsetMs of readOffsets(reader)) offsetsMs.push(offsetMs);
    if (offsetsMs.length > LIMITS.promqlSeriesValuesMax) reader.fail(tooManyValues());
  }
  return { labels, offsetsMs };
}

function tooManyValues(): string {
  return `series has more than ${LIMITS.promqlSeriesValuesMax} values`;
}

const OMITTED: SequenceValue = { omitted: true, value: 0, histogram: undefined, hasCounterResetHint: false };
const STALE = new Float64Array(new BigUint64Array([STALE_BITS]).buffer)[0]!;

function readItem(reader: SeriesReader): SequenceValue[] {
  if (reader.takeText('{{')) return readHistograms(reader);
  if (reader.takeText('_')) return repeated(reader.takeText('x') ? reader.readCount() : 1, () => OMITTED);
  const start = reader.readValue();
  let step = 0;
  if (start.isStale) return repeated(reader.takeText('x') ? reader.readCount() + 1 : 1, () => floatValue(STALE));
  const isStepped = reader.isAtSign();
  if (isStepped) step = reader.readSignedNumber();
  if (!reader.takeText('x')) {
    if (isStepped) reader.unexpected('x');
    return [floatValue(start.value)];
  }
  // Adding up, as upstream does, rounds otherwise than multiplying.
  let value = start.value;
  return repeated(reader.readCount() + 1, (place) => {
    if (place > 0 && isStepped) value += step;
    return floatValue(value);
  });
}

/** `{{` is behind. */
function readHistograms(reader: SeriesReader): SequenceValue[] {
  const first = readHistogramLiteral(reader);
  const sign = reader.takeText('+') ? 1 : reader.takeText('-') ? -1 : undefined;
  if (sign === undefined) {
    return repeated(reader.takeText('x') ? reader.readCount() + 1 : 1, () =>
      histogramValue(first.histogram, first.hasHint),
    );
  }
  if (!reader.takeText('{{')) reader.unexpected('{{');
  const step = readHistogramLiteral(reader);
  if (!reader.takeText('x')) reader.unexpected('x');
  let histogram = first.histogram;
  return repeated(reader.readCount() + 1, (place) => {
    if (place > 0) histogram = combined(reader, histogram, step.histogram, sign);
    return histogramValue(histogram, step.hasHint);
  });
}

function combined(reader: SeriesReader, left: FloatHistogram, right: FloatHistogram, sign: 1 | -1): FloatHistogram {
  if (left.schema > right.schema) {
    reader.fail(`error combining histograms: cannot merge from schema ${right.schema} to ${left.schema}`);
  }
  if (!areCompatible(left, right)) {
    reader.fail('cannot apply this operation on histograms with a mix of exponential and custom bucket schemas');
  }
  return addHistograms(left, right, sign).histogram;
}

/** `_`, `_x3`, `-30s`, `-30sx3` or `-30s-1mx3`. */
function readOffsets(reader: SeriesReader): (number | undefined)[] {
  if (reader.takeText('_')) return repeated(reader.takeText('x') ? reader.readCount() : 1, () => undefined);
  const start = readOffsetMs(reader);
  const isFalling = reader.isAt('-');
  const isStepped = isFalling || reader.isAt('+');
  const step = isStepped ? (reader.skip(), readOffsetMs(reader)) : 0;
  if (!reader.takeText('x')) {
    if (isStepped) reader.unexpected('x');
    return [start];
  }
  return repeated(reader.readCount() + 1, (place) => start + place * (isFalling ? -step : step));
}

function readOffsetMs(reader: SeriesReader): number {
  const sign = reader.takeText('-') ? -1 : 1;
  if (sign === 1) reader.takeText('+');
  const text = reader.takeMatch(/\d+[a-wyz]*/y) ?? reader.unexpected('duration');
  const parsed = text === '0' ? { value: 0 } : parseDurationMs(text);
  if ('error' in parsed) reader.fail(parsed.error);
  return parsed.value === 0 ? 0 : sign * parsed.value;
}

function repeated<Value>(count: number, at: (place: number) => Value): Value[] {
  return Array.from({ length: count }, (_, place) => at(place));
}

function floatValue(value: number): SequenceValue {
  return { omitted: false, value, histogram: undefined, hasCounterResetHint: false };
}

function histogramValue(histogram: FloatHistogram, hasCounterResetHint: boolean): SequenceValue {
  return { omitted: false, value: 0, histogram, hasCounterResetHint };
}
