import { formatShort } from './format-float.ts';
import { hasCustomBuckets, upperBound } from './histogram-bounds.ts';
import type { FloatHistogram } from './histogram.ts';

/** A histogram in one line, as `count_values` has it in a label: `{count:3, sum:5, (1,2]:3}`. Empty buckets are left out. */
export function describeHistogram(histogram: FloatHistogram): string {
  const { schema, customValues, negative, positive, zeroThreshold, zeroCount } = histogram;
  const bound = (index: number): string => formatShort(upperBound(index, schema, customValues));
  const parts = [`count:${formatShort(histogram.count)}`, `sum:${formatShort(histogram.sum)}`];
  for (let at = negative.indexes.length - 1; at >= 0; at--) {
    const index = negative.indexes[at]!;
    const count = negative.counts[at]!;
    if (count !== 0) parts.push(`[-${bound(index)},-${bound(index - 1)}):${formatShort(count)}`);
  }
  if (zeroCount !== 0)
    parts.push(`[${formatShort(-zeroThreshold)},${formatShort(zeroThreshold)}]:${formatShort(zeroCount)}`);
  for (let at = 0; at < positive.indexes.length; at++) {
    const index = positive.indexes[at]!;
    const count = positive.counts[at]!;
    // The lowest custom bucket begins at -Inf.
    const opening = hasCustomBuckets(histogram) && index === 0 ? '[' : '(';
    if (count !== 0) parts.push(`${opening}${bound(index - 1)},${bound(index)}]:${formatShort(count)}`);
  }
  return `{${parts.join(', ')}}`;
}
