import { CompensatedSum } from './compensated-sum.ts';
import { hasCustomBuckets } from './histogram-bounds.ts';
import { BucketCursor } from './histogram-cursor.ts';
import type { FloatHistogram } from './histogram.ts';
import { dropNames, type InstantCall, type InstantFunction } from './instant-function.ts';
import { FLOAT, HISTOGRAM, type Matrix } from './matrix.ts';

/** Functions of each native histogram; floats are left out. */
export const histogramFunctions: Readonly<Record<string, InstantFunction>> = {
  histogram_count: ofHistograms((histogram) => histogram.count),
  histogram_sum: ofHistograms((histogram) => histogram.sum),
  histogram_avg: ofHistograms((histogram) => histogram.sum / histogram.count),
  histogram_stddev: ofHistograms((histogram) => Math.sqrt(variance(histogram))),
  histogram_stdvar: ofHistograms(variance),
};

function ofHistograms(operate: (histogram: FloatHistogram) => number): InstantFunction {
  return { call: (call) => mapHistograms(call, operate) };
}

async function mapHistograms(
  { context, steps, arguments: [input] }: InstantCall,
  operate: (histogram: FloatHistogram) => number,
): Promise<Matrix> {
  const matrix = input!;
  const values = new Float64Array(matrix.values.length);
  const kinds = new Uint8Array(matrix.kinds.length);
  for (let row = 0; row < matrix.rows; row++) {
    await context.turn();
    for (let step = matrix.from[row]!; step < matrix.to[row]!; step++) {
      const cell = matrix.base[row]! + step;
      if (matrix.kinds[cell] !== HISTOGRAM) continue;
      kinds[cell] = FLOAT;
      values[cell] = operate(matrix.histogram(cell));
    }
  }
  return dropNames(context, matrix.with({ values, kinds, histograms: undefined }).withoutEmptyRows(), steps);
}

/** Observations are taken to lie in the middle of their buckets: the geometric one, or the arithmetic one of custom buckets. */
function variance(histogram: FloatHistogram): number {
  const mean = histogram.sum / histogram.count;
  const isCustom = hasCustomBuckets(histogram);
  const sum = new CompensatedSum();
  const bucket = new BucketCursor(histogram, 'up');
  while (bucket.next()) {
    const { lower, upper, count } = bucket;
    if (count === 0) continue;
    let middle = 0;
    if (isCustom) middle = (upper + lower) / 2;
    else if (lower > 0 || upper < 0) middle = Math.sign(upper) * Math.sqrt(upper * lower);
    const delta = middle - mean;
    sum.add(count * delta * delta);
  }
  return sum.total / histogram.count;
}
