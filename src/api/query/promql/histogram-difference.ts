import { compensationOf } from './compensated-sum.ts';
import { hasCustomBuckets, haveEqualBounds, upperBound } from './histogram-bounds.ts';
import { GAUGE, type HistogramColumns } from './histogram-columns.ts';
import type { FloatHistogram, SparseBuckets } from './histogram.ts';
import type { NumberSlab } from './number-slab.ts';

/**
 * `last` - `first` as a gauge, for two of the same form, which is what a counter without resets gives: what `HistogramSum` gives, bit for bit, at a fraction
 * of its cost. Undefined when they are of different forms: ask `HistogramSum`. Counts lie in `slab`.
 */
export function histogramDifference(
  last: FloatHistogram,
  first: FloatHistogram,
  slab: NumberSlab,
): FloatHistogram | undefined {
  if (!areAlike(last, first)) return undefined;
  const positive = bucketDifference(last.positive, first.positive, slab);
  if (positive === undefined) return undefined;
  const negative = bucketDifference(last.negative, first.negative, slab);
  if (negative === undefined) return undefined;
  return {
    schema: last.schema,
    counterReset: 'gauge',
    zeroThreshold: last.zeroThreshold,
    zeroCount: hasCustomBuckets(last) ? last.zeroCount : difference(last.zeroCount, first.zeroCount),
    count: difference(last.count, first.count),
    sum: difference(last.sum, first.sum),
    positive,
    negative,
    customValues: last.customValues,
  };
}

/** The same for two of one form in columns whose buckets need no change: puts it at the end of `made`, and gives its index there. */
export function differenceInColumns(
  columns: HistogramColumns,
  last: number,
  first: number,
  made: HistogramColumns,
): number {
  const form = columns.formAt(last);
  const index = made.addEmpty(made.formNumber(form), GAUGE);
  const zeroCount = columns.zeroCounts[last]!;
  made.zeroCounts[index] = hasCustomBuckets(form) ? zeroCount : difference(zeroCount, columns.zeroCounts[first]!);
  made.counts[index] = difference(columns.counts[last]!, columns.counts[first]!);
  made.sums[index] = difference(columns.sums[last]!, columns.sums[first]!);
  subtract(columns.pages[columns.pageOf[last]!]!, columns.startOf[last]!, {
    page: columns.pages[columns.pageOf[first]!]!,
    start: columns.startOf[first]!,
    size: form.positiveSize,
    made: made.pages[made.pageOf[index]!]!,
    madeStart: made.startOf[index]!,
  });
  if (form.negativeSize > 0)
    subtract(columns.negativePages[columns.pageOf[last]!]!, columns.negativeStartOf[last]!, {
      page: columns.negativePages[columns.pageOf[first]!]!,
      start: columns.negativeStartOf[first]!,
      size: form.negativeSize,
      made: made.negativePages[made.pageOf[index]!]!,
      madeStart: made.negativeStartOf[index]!,
    });
  return index;
}

interface Subtrahend {
  readonly page: Float64Array;
  readonly start: number;
  readonly size: number;
  readonly made: Float64Array;
  readonly madeStart: number;
}

function subtract(
  page: Float64Array,
  start: number,
  { page: firstPage, start: firstStart, size, made, madeStart }: Subtrahend,
): void {
  for (let at = 0; at < size; at++) made[madeStart + at] = difference(page[start + at]!, firstPage[firstStart + at]!);
}

/** Whether their buckets are the same and none of `first` lies in the zero bucket. */
function areAlike(last: FloatHistogram, first: FloatHistogram): boolean {
  const { schema, zeroThreshold } = last;
  if (schema !== first.schema || zeroThreshold !== first.zeroThreshold) return false;
  if (hasCustomBuckets(last))
    return first.negative.indexes.length === 0 && haveEqualBounds(last.customValues, first.customValues);
  return isAbove(first.positive, schema, zeroThreshold) && isAbove(first.negative, schema, zeroThreshold);
}

function isAbove({ indexes }: SparseBuckets, schema: number, zeroThreshold: number): boolean {
  return indexes.length === 0 || upperBound(indexes[0]!, schema, NO_BOUNDS) > zeroThreshold;
}

/** Without empty buckets. Undefined when `last` lacks one of `first`. */
function bucketDifference(last: SparseBuckets, first: SparseBuckets, slab: NumberSlab): SparseBuckets | undefined {
  const { indexes } = last;
  const size = indexes.length;
  const others = first.indexes;
  if (size === 0) return others.length === 0 ? last : undefined;
  const counts = slab.take(size);
  let empty = 0;
  let from = 0;
  for (let at = 0; at < size; at++) {
    let count = last.counts[at]!;
    if (from < others.length && others[from] === indexes[at]) count = difference(count, first.counts[from++]!);
    counts[at] = count;
    if (count === 0) empty++;
  }
  if (from < others.length) return undefined;
  return empty === 0 ? { indexes, counts } : withoutEmpty(indexes, counts, size - empty);
}

/** Buckets without those that count nothing, of which `size` are left; `counts` are changed in place. */
export function withoutEmpty(indexes: Int32Array, counts: Float64Array, size: number): SparseBuckets {
  const kept = new Int32Array(size);
  let to = 0;
  for (let at = 0; at < indexes.length; at++) {
    if (counts[at] === 0) continue;
    kept[to] = indexes[at]!;
    counts[to++] = counts[at]!;
  }
  return { indexes: kept, counts: counts.subarray(0, size) };
}

/** With the rounding error that a running sum would keep. */
function difference(last: number, first: number): number {
  const total = last - first;
  return total + compensationOf(last, -first, total, 0);
}

const NO_BOUNDS = new Float64Array(0);
