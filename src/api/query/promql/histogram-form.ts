import { hasCustomBuckets, haveEqualBounds, upperBound } from './histogram-bounds.ts';
import type { FloatHistogram } from './histogram.ts';

/** Which buckets a histogram in columns has: those of one form have equally many numbers, one for each bucket, empty ones among them. */
export interface HistogramForm extends Pick<FloatHistogram, 'schema' | 'zeroThreshold' | 'customValues'> {
  /** The index of the lowest bucket; of buckets on the negative side, of the one next to 0. */
  readonly positiveFirst: number;
  readonly positiveSize: number;
  readonly negativeFirst: number;
  readonly negativeSize: number;
}

/** Whether buckets of both forms with the same index hold the same values. */
export function areAlike(left: HistogramForm, right: HistogramForm): boolean {
  return (
    left === right ||
    (left.schema === right.schema &&
      left.zeroThreshold === right.zeroThreshold &&
      (left.customValues === right.customValues || haveEqualBounds(left.customValues, right.customValues)))
  );
}

export function areEqualForms(left: HistogramForm, right: HistogramForm): boolean {
  return (
    left.positiveFirst === right.positiveFirst &&
    left.positiveSize === right.positiveSize &&
    left.negativeFirst === right.negativeFirst &&
    left.negativeSize === right.negativeSize &&
    areAlike(left, right)
  );
}

/** The same for equal forms only. */
export function formKey(form: HistogramForm): string {
  const { positiveFirst, positiveSize, negativeFirst, negativeSize } = form;
  const sides = `${positiveFirst} ${positiveSize} ${negativeFirst} ${negativeSize}`;
  return `${form.schema} ${form.zeroThreshold} ${sides} ${form.customValues.join(' ')}`;
}

/** Whether sums and differences of histograms of such forms, when they are alike, are those of each bucket: none of them reaches into the zero bucket. */
export function isPlain(form: HistogramForm): boolean {
  const { schema, zeroThreshold, customValues } = form;
  if (hasCustomBuckets(form)) return form.negativeSize === 0;
  return (
    (form.positiveSize === 0 || upperBound(form.positiveFirst, schema, customValues) > zeroThreshold) &&
    (form.negativeSize === 0 || upperBound(form.negativeFirst, schema, customValues) > zeroThreshold)
  );
}
