/** Histogram and exponential histogram data points as OTLP messages. */
import type { I32Column, MetricsBatch } from './canonical.ts';
import { ChildRows, idAt } from './child-rows.ts';
import { ChildEncoder } from './otlp-encode-children.ts';
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
import { pointChildren, type PointsEncoder } from './otlp-encode-points.ts';
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
  if (table === null) return { points: null, all: children.all };
  const { attributes, exemplars } = children;
  const time = Words.of(table.timeUnixNano);
  const startTime = Words.of(table.startTimeUnixNano);
  const count = Words.of(table.count);
  const sum = Words.of(table.sum);
  const min = Words.of(table.min);
  const max = Words.of(table.max);
  const bucketCounts = WordLists.of(table.bucketCounts);
  const explicitBounds = WordLists.of(table.explicitBounds);
  const points = new ChildEncoder(output, ChildRows.of(table), (row) => {
    const id = idAt(table.id, row);
    putOptionalFixed64(output, HISTOGRAM.MAX, max, row);
    putOptionalFixed64(output, HISTOGRAM.MIN, min, row);
    putUint32(output, HISTOGRAM.FLAGS, table.flags, row);
    attributes?.put(HISTOGRAM.ATTRIBUTES, id);
    exemplars?.put(HISTOGRAM.EXEMPLARS, id);
    putFixed64List(output, HISTOGRAM.EXPLICIT_BOUNDS, explicitBounds, row);
    putFixed64List(output, HISTOGRAM.BUCKET_COUNTS, bucketCounts, row);
    putOptionalFixed64(output, HISTOGRAM.SUM, sum, row);
    putFixed64(output, HISTOGRAM.COUNT, count, row);
    putFixed64(output, HISTOGRAM.TIME_UNIX_NANO, time, row);
    putFixed64(output, HISTOGRAM.START_TIME_UNIX_NANO, startTime, row);
  });
  return { points, all: [points, ...children.all] };
}

export function expHistogramPointsEncoder(output: BackwardOutput, batch: MetricsBatch): PointsEncoder {
  const table = batch.expHistogramDataPoints;
  const { expHistogramDpAttrs, expHistogramDpExemplars, expHistogramDpExemplarAttrs } = batch;
  const children = pointChildren(output, expHistogramDpAttrs, expHistogramDpExemplars, expHistogramDpExemplarAttrs);
  if (table === null) return { points: null, all: children.all };
  const { attributes, exemplars } = children;
  const time = Words.of(table.timeUnixNano);
  const startTime = Words.of(table.startTimeUnixNano);
  const count = Words.of(table.count);
  const sum = Words.of(table.sum);
  const zeroCount = Words.of(table.zeroCount);
  const min = Words.of(table.min);
  const max = Words.of(table.max);
  const zeroThreshold = Words.of(table.zeroThreshold);
  const positive = { offset: table.positiveOffset, counts: WordLists.of(table.positiveBucketCounts) };
  const negative = { offset: table.negativeOffset, counts: WordLists.of(table.negativeBucketCounts) };
  const points = new ChildEncoder(output, ChildRows.of(table), (row) => {
    const id = idAt(table.id, row);
    putFixed64(output, EXP_HISTOGRAM.ZERO_THRESHOLD, zeroThreshold, row);
    putOptionalFixed64(output, EXP_HISTOGRAM.MAX, max, row);
    putOptionalFixed64(output, EXP_HISTOGRAM.MIN, min, row);
    exemplars?.put(EXP_HISTOGRAM.EXEMPLARS, id);
    putUint32(output, EXP_HISTOGRAM.FLAGS, table.flags, row);
    putBuckets(output, EXP_HISTOGRAM.NEGATIVE, negative, row);
    putBuckets(output, EXP_HISTOGRAM.POSITIVE, positive, row);
    putFixed64(output, EXP_HISTOGRAM.ZERO_COUNT, zeroCount, row);
    putSint32(output, EXP_HISTOGRAM.SCALE, table.scale, row);
    putOptionalFixed64(output, EXP_HISTOGRAM.SUM, sum, row);
    putFixed64(output, EXP_HISTOGRAM.COUNT, count, row);
    putFixed64(output, EXP_HISTOGRAM.TIME_UNIX_NANO, time, row);
    putFixed64(output, EXP_HISTOGRAM.START_TIME_UNIX_NANO, startTime, row);
    attributes?.put(EXP_HISTOGRAM.ATTRIBUTES, id);
  });
  return { points, all: [points, ...children.all] };
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
