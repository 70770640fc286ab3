import fc from 'fast-check';
import { upperBound } from '../../src/api/query/promql/histogram-bounds.ts';
import {
  CUSTOM_BUCKETS_SCHEMA,
  type FloatHistogram,
  type SparseBuckets,
} from '../../src/api/query/promql/histogram.ts';

/** Bucket index -> count. */
type Counts = Readonly<Record<number, number>>;

interface ExponentialParts {
  schema?: number;
  count?: number;
  sum?: number;
  zeroCount?: number;
  zeroThreshold?: number;
  positive?: Counts;
  negative?: Counts;
}

/** A histogram with exponential buckets; what is not given is 0 or empty. */
export function exponential(parts: ExponentialParts): FloatHistogram {
  return {
    schema: parts.schema ?? 0,
    counterReset: 'unknown',
    zeroThreshold: parts.zeroThreshold ?? 0,
    zeroCount: parts.zeroCount ?? 0,
    count: parts.count ?? 0,
    sum: parts.sum ?? 0,
    positive: buckets(parts.positive ?? {}),
    negative: buckets(parts.negative ?? {}),
    customValues: new Float64Array(0),
  };
}

/** A histogram with explicit bounds; the count is that of its buckets. */
export function custom(parts: { bounds: readonly number[]; counts: Counts; sum?: number }): FloatHistogram {
  return {
    ...exponential({ sum: parts.sum ?? 0, positive: parts.counts }),
    schema: CUSTOM_BUCKETS_SCHEMA,
    count: Object.values(parts.counts).reduce((sum, count) => sum + count, 0),
    customValues: Float64Array.from(parts.bounds),
  };
}

/**
 * Any histogram with exponential buckets and whole counts, so that sums are exact. Its count is that of its buckets, none of which lies in the zero bucket.
 */
export function anyHistogram(): fc.Arbitrary<FloatHistogram> {
  const side = fc.dictionary(fc.integer({ min: -12, max: 12 }).map(String), fc.integer({ min: 0, max: 1000 }), {
    maxKeys: 6,
  });
  return fc
    .record({
      schema: fc.integer({ min: -2, max: 3 }),
      // Bounds of the coarsest schema, so that no bucket is cut by another histogram's zero bucket.
      zeroThreshold: fc.constantFrom(0, 16 ** -5, 16 ** -1, 1, 16),
      zeroCount: fc.integer({ min: 0, max: 100 }),
      sum: fc.integer({ min: -1000, max: 1000 }),
      positive: side,
      negative: side,
    })
    .map((generated) => {
      const isOutside = ([index]: [string, number]): boolean =>
        upperBound(Number(index) - 1, generated.schema, new Float64Array(0)) >= generated.zeroThreshold;
      const outside = (counts: Counts): Counts => Object.fromEntries(Object.entries(counts).filter(isOutside));
      const parts = { ...generated, positive: outside(generated.positive), negative: outside(generated.negative) };
      const counted = [...Object.values(parts.positive), ...Object.values(parts.negative), parts.zeroCount];
      return exponential({ ...parts, count: counted.reduce((sum, count) => sum + count, 0) });
    });
}

function buckets(counts: Counts): SparseBuckets {
  const indexes = Object.keys(counts)
    .map(Number)
    .sort((left, right) => left - right);
  return { indexes: Int32Array.from(indexes), counts: Float64Array.from(indexes.map((index) => counts[index]!)) };
}
