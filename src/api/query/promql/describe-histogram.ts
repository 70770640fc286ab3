import { BucketCursor } from './histogram-cursor.ts';
import { hasCustomBuckets } from './histogram-bounds.ts';
import { formatShort } from './format-float.ts';
import type { FloatHistogram } from './histogram.ts';

/** A histogram in one line, as `count_values` has it in a label: `{count:3, sum:5, (1,2]:3}`. */
export function describeHistogram(histogram: FloatHistogram): string {
  const parts = [`count:${formatShort(histogram.count)}`, `sum:${formatShort(histogram.sum)}`];
  const bucket = new BucketCursor(histogram, 'up');
  while (bucket.next()) {
    if (bucket.count === 0) continue;
    const isNegative = bucket.lower < 0 && bucket.upper <= 0;
    const isZero = bucket.lower <= 0 && bucket.upper >= 0;
    const opening = !hasCustomBuckets(histogram) && (isNegative || isZero) ? '[' : '(';
    const closing = !hasCustomBuckets(histogram) && isNegative && !isZero ? ')' : ']';
    parts.push(
      `${opening}${formatShort(bucket.lower)},${formatShort(bucket.upper)}${closing}:${formatShort(bucket.count)}`,
    );
  }
  return `{${parts.join(', ')}}`;
}
