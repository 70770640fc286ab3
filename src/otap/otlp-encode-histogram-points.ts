/** Histogram and exponential histogram data points as OTLP messages. */
import type { I32Column, MetricsBatch } from './canonical.ts';
import {
  putFixed64,
  putFixed64List,
  putOptionalFixed64,
  putSint32,
  putUint32,
  putVarintList,
  tagOf,
  WordLists,
  Words,
} from './otlp-encode-fields.ts';
import { pointChildren, type PointsEncoder, pointsEncoder } from './otlp-encode-points.ts';
import type { BackwardOutput } from './protobuf-backward-output.ts';

const HISTOGRAM = {
  START_TIME_UNIX_NANO: tagOf(2, 'FIXED64'),
  TIME_UNIX_NANO: tagOf(3, 'FIXED64'),
  COUNT: tagOf(4, 'FIXED64'),
  SUM: tagOf(5, 'FIXED64'),
  BUCKET_COUNTS: tagOf(6, 'BYTES'),
  EXPLICIT_BOUNDS: tagOf(7, 'BYTES'),
  EXEMPLARS: tagOf(8, 'BYTES'),
  ATTRIBUTES: tagOf(9, 'BYTES'),
  FLAGS: tagOf(10, 'VARINT'),
  MIN: tagOf(11, 'FIXED64'),
  MAX: tagOf(12, 'FIXED64'),
} as const;
const EXP_HISTOGRAM = {
  ATTRIBUTES: tagOf(1, 'BYTES'),
  START_TIME_UNIX_NANO: tagOf(2, 'FIXED64'),
  TIME_UNIX_NANO: tagOf(3, 'FIXED64'),
  COUNT: tagOf(4, 'FIXED64'),
  SUM: tagOf(5, 'FIXED64'),
  SCALE: tagOf(6, 'VARINT'),
  ZERO_COUNT: tagOf(7, 'FIXED64'),
  POSITIVE: tagOf(8, 'BYTES'),
  NEGATIVE: tagOf(9, 'BYTES'),
  FLAGS: tagOf(10, 'VARINT'),
  EXEMPLARS: tagOf(11, 'BYTES'),
  MIN: tagOf(12, 'FIXED64'),
  MAX: tagOf(13, 'FIXED64'),
  ZERO_THRESHOLD: tagOf(14, 'FIXED64'),
} as const;
const BUCKETS = { OFFSET: tagOf(1, 'VARINT'), BUCKET_COUNTS: tagOf(2, 'BYTES') } as const;

export function histogramPointsEncoder(output: BackwardOutput, batch: MetricsBatch): PointsEncoder {
  const table = batch.histogramDataPoints;
  const { histogramDpAttrs, histogramDpExemplars, histogramDpExemplarAttrs } = batch;
  const children = pointChildren(output, histogramDpAttrs, histogramDpExemplars, histogramDpExemplarAttrs);
  const { attributes, exemplars } = children;
  return pointsEncoder(output, table, children, (points, putTimes) => {
    const count = Words.of(points.count);
    const sum = Words.of(points.sum);
    const min = Words.of(points.min);
    const max = Words.of(points.max);
    const bucketCounts = WordLists.of(points.bucketCounts);
    const explicitBounds = WordLists.of(points.explicitBounds);
    return (row, id) => {
      putOptionalFixed64(output, HISTOGRAM.MAX, max, row);
      putOptionalFixed64(output, HISTOGRAM.MIN, min, row);
      putUint32(output, HISTOGRAM.FLAGS, points.flags, row);
      attributes?.put(HISTOGRAM.ATTRIBUTES, id);
      exemplars?.put(HISTOGRAM.EXEMPLARS, id);
      putFixed64List(output, HISTOGRAM.EXPLICIT_BOUNDS, explicitBounds, row);
      putFixed64List(output, HISTOGRAM.BUCKET_COUNTS, bucketCounts, row);
      putOptionalFixed64(output, HISTOGRAM.SUM, sum, row);
      putFixed64(output, HISTOGRAM.COUNT, count, row);
      putTimes(HISTOGRAM, row);
    };
  });
}

export function expHistogramPointsEncoder(output: BackwardOutput, batch: MetricsBatch): PointsEncoder {
  const table = batch.expHistogramDataPoints;
  const { expHistogramDpAttrs, expHistogramDpExemplars, expHistogramDpExemplarAttrs } = batch;
  const children = pointChildren(output, expHistogramDpAttrs, expHistogramDpExemplars, expHistogramDpExemplarAttrs);
  const { attributes, exemplars } = children;
  return pointsEncoder(output, table, children, (points, putTimes) => {
    const count = Words.of(points.count);
    const sum = Words.of(points.sum);
    const zeroCount = Words.of(points.zeroCount);
    const min = Words.of(points.min);
    const max = Words.of(points.max);
    const zeroThreshold = Words.of(points.zeroThreshold);
    const positive = { offset: points.positiveOffset, counts: WordLists.of(points.positiveBucketCounts) };
    const negative = { offset: points.negativeOffset, counts: WordLists.of(points.negativeBucketCounts) };
    return (row, id) => {
      putFixed64(output, EXP_HISTOGRAM.ZERO_THRESHOLD, zeroThreshold, row);
      putOptionalFixed64(output, EXP_HISTOGRAM.MAX, max, row);
      putOptionalFixed64(output, EXP_HISTOGRAM.MIN, min, row);
      exemplars?.put(EXP_HISTOGRAM.EXEMPLARS, id);
      putUint32(output, EXP_HISTOGRAM.FLAGS, points.flags, row);
      putBuckets(output, EXP_HISTOGRAM.NEGATIVE, negative, row);
      putBuckets(output, EXP_HISTOGRAM.POSITIVE, positive, row);
      putFixed64(output, EXP_HISTOGRAM.ZERO_COUNT, zeroCount, row);
      putSint32(output, EXP_HISTOGRAM.SCALE, points.scale, row);
      putOptionalFixed64(output, EXP_HISTOGRAM.SUM, sum, row);
      putFixed64(output, EXP_HISTOGRAM.COUNT, count, row);
      putTimes(EXP_HISTOGRAM, row);
      attributes?.put(EXP_HISTOGRAM.ATTRIBUTES, id);
    };
  });
}

interface Buckets {
  readonly offset: I32Column | null;
  readonly counts: WordLists | null;
}

/** Buckets at offset 0 without counts are left out: nothing tells them from none. */
function putBuckets(output: BackwardOutput, tag: number, { offset, counts }: Buckets, row: number): void {
  const before = output.length;
  putVarintList(output, BUCKETS.BUCKET_COUNTS, counts, row);
  putSint32(output, BUCKETS.OFFSET, offset, row);
  if (output.length > before) output.close(before, tag);
}
