/** Values of PromQL as `data.result` of an answer, straight from their columns. */
import type { MatrixSeries, PromValue, VectorElement } from '../query/promql/evaluation.ts';
import { formatFloat } from '../query/promql/format-float.ts';
import { BucketCursor } from '../query/promql/histogram-cursor.ts';
import { hasCustomBuckets } from '../query/promql/histogram-bounds.ts';
import type { FloatHistogram, HistogramList } from '../query/promql/histogram.ts';
import type { Labels } from '../query/promql/labels.ts';
import type { JsonOutput } from './json-output.ts';

/** Writes a value, at most `limit` series of it (0: all). */
export async function writeValue(output: JsonOutput, value: PromValue, limit: number): Promise<void> {
  switch (value.type) {
    case 'scalar':
      return writeSingle(output, value.timeMs, formatFloat(value.value));
    case 'string':
      return writeSingle(output, value.timeMs, value.value);
    case 'vector':
      return writeList(output, value.elements, limit, (element) => writeElement(output, element, value.timeMs));
    case 'matrix':
      return writeList(output, value.series, limit, (series) => writeSeries(output, series));
  }
}

/** Series of a value that has some. */
export function seriesCount(value: PromValue): number {
  if (value.type === 'vector') return value.elements.length;
  return value.type === 'matrix' ? value.series.length : 0;
}

/** A label set as an object. */
export function writeLabels(output: JsonOutput, { names, values }: Labels): void {
  output.ascii('{');
  for (let at = 0; at < names.length; at++) {
    if (at > 0) output.ascii(',');
    output.text(names[at]!);
    output.ascii(':');
    output.text(values[at]!);
  }
  output.ascii('}');
}

/** A list, flushed between items. Only what flushes itself is waited for: a wait for each of many small items takes longer than to write them. */
export async function writeList<Item>(
  output: JsonOutput,
  items: readonly Item[],
  limit: number,
  write: (item: Item) => Promise<void> | void,
): Promise<void> {
  const count = limit > 0 ? Math.min(limit, items.length) : items.length;
  output.ascii('[');
  for (let at = 0; at < count; at++) {
    if (at > 0) output.ascii(',');
    const written = write(items[at]!);
    if (written !== undefined) await written;
    if (output.isFull) await output.flush();
  }
  output.ascii(']');
}

function writeSingle(output: JsonOutput, timeMs: number, text: string): void {
  output.ascii('[');
  output.time(timeMs);
  output.ascii(',');
  output.text(text);
  output.ascii(']');
}

function writeElement(output: JsonOutput, { labels, value, histogram }: VectorElement, timeMs: number): void {
  output.ascii('{"metric":');
  writeLabels(output, labels);
  output.ascii(histogram === undefined ? ',"value":[' : ',"histogram":[');
  output.time(timeMs);
  output.ascii(',');
  if (histogram === undefined) output.float(value);
  else writeHistogram(output, histogram);
  output.ascii(']}');
}

function writeSeries(output: JsonOutput, { labels, floats, histograms }: MatrixSeries): Promise<void> | void {
  output.ascii('{"metric":');
  writeLabels(output, labels);
  const { timesMs, values } = floats;
  if (timesMs.length > 0) output.ascii(',"values":[');
  const written = output.points(timesMs, values, 0);
  if (written < timesMs.length || histograms.timesMs.length > 0) return writeRest(output, floats, written, histograms);
  output.ascii(timesMs.length > 0 ? ']}' : '}');
}

/** What did not fit at once, or is more than numbers. */
async function writeRest(
  output: JsonOutput,
  { timesMs, values }: MatrixSeries['floats'],
  from: number,
  histograms: MatrixSeries['histograms'],
): Promise<void> {
  for (let at = from; at < timesMs.length; ) {
    if (output.isFull) await output.flush();
    at = output.points(timesMs, values, at);
  }
  if (timesMs.length > 0) output.ascii(']');
  await writeHistograms(output, histograms.timesMs, histograms.values);
  output.ascii('}');
}

async function writeHistograms(output: JsonOutput, timesMs: Float64Array, values: HistogramList): Promise<void> {
  if (timesMs.length === 0) return;
  output.ascii(',"histograms":[');
  for (let at = 0; at < timesMs.length; at++) {
    output.ascii(at === 0 ? '[' : ',[');
    output.time(timesMs[at]!);
    output.ascii(',');
    writeHistogram(output, values.at(at)!);
    output.ascii(']');
    if (output.isFull) await output.flush();
  }
  output.ascii(']');
}

/** Which ends belong to a bucket. */
const LOWER_OPEN = 0;
const UPPER_OPEN = 1;
const BOTH_CLOSED = 3;

function writeHistogram(output: JsonOutput, histogram: FloatHistogram): void {
  output.ascii('{"count":');
  output.float(histogram.count);
  output.ascii(',"sum":');
  output.float(histogram.sum);
  const isCustom = hasCustomBuckets(histogram);
  const cursor = new BucketCursor(histogram, 'up');
  let hasBuckets = false;
  while (cursor.next()) {
    if (cursor.count === 0) continue;
    output.ascii(hasBuckets ? ',[' : ',"buckets":[[');
    hasBuckets = true;
    output.ascii(String(boundaryRule(cursor, isCustom)));
    output.ascii(',');
    output.float(cursor.lower);
    output.ascii(',');
    output.float(cursor.upper);
    output.ascii(',');
    output.float(cursor.count);
    output.ascii(']');
  }
  output.ascii(hasBuckets ? ']}' : '}');
}

/** Of custom buckets the first one has both ends; of others the zero bucket has, and the end away from zero belongs to each. */
function boundaryRule({ lower, upper }: BucketCursor, isCustom: boolean): number {
  if (isCustom) return lower === Number.NEGATIVE_INFINITY ? BOTH_CLOSED : LOWER_OPEN;
  if (lower < 0) return upper > 0 ? BOTH_CLOSED : UPPER_OPEN;
  return upper > 0 ? LOWER_OPEN : BOTH_CLOSED;
}
