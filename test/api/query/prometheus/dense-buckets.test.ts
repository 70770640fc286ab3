import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BucketReader } from '../../../../src/api/query/prometheus/dense-buckets.ts';
import { NumberSlab } from '../../../../src/api/query/promql/number-slab.ts';
import type { SparseBuckets } from '../../../../src/api/query/promql/histogram.ts';

/** A point's counts, where they stand among those of others, and the first one's number. */
const anyPoint = fc.record({
  counts: fc.array(fc.constantFrom(0, 0, 1, 2.5, 7), { maxLength: 80 }),
  before: fc.nat({ max: 3 }),
  firstIndex: fc.integer({ min: -40, max: 40 }),
});

function listed({ indexes, counts }: SparseBuckets): [number, number][] {
  return Array.from(indexes, (index, at) => [index, counts[at]!]);
}

function expected(counts: readonly number[], firstIndex: number, merge: number): [number, number][] {
  const sums = new Map<number, number>();
  for (const [at, count] of counts.entries()) {
    const index = Math.floor((firstIndex + at) / 2 ** merge) + 1;
    if (count !== 0) sums.set(index, (sums.get(index) ?? 0) + count);
  }
  return [...sums];
}

test('Buckets of points are read without empty ones, whatever was read before', () => {
  fc.assert(
    fc.property(fc.array(anyPoint, { maxLength: 12 }), (points) => {
      const reader = new BucketReader(new NumberSlab());
      const read = points.map(({ counts, before, firstIndex }) => {
        const row = Float64Array.from([...Array<number>(before).fill(9), ...counts, 9]);
        return reader.read(row, before, before + counts.length, firstIndex);
      });
      for (const [at, { counts, firstIndex }] of points.entries())
        assert.deepEqual(listed(read[at]!), expected(counts, firstIndex, 0));
    }),
  );
});

test('Buckets of points too fine are merged by powers of two', () => {
  fc.assert(
    fc.property(anyPoint, fc.integer({ min: 1, max: 3 }), ({ counts, firstIndex }, merge) => {
      const reader = new BucketReader(new NumberSlab());
      const read = reader.readMerged(Float64Array.from(counts), firstIndex, merge);
      assert.deepEqual(listed(read), expected(counts, firstIndex, merge));
    }),
  );
});

test('Neighbours with the same buckets share the list of them', () => {
  const reader = new BucketReader(new NumberSlab());
  const first = reader.read(Float64Array.of(1, 0, 2), 0, 3, 4);
  const second = reader.read(Float64Array.of(3, 0, 5), 0, 3, 4);
  assert.equal(second.indexes, first.indexes);
  assert.notEqual(reader.read(Float64Array.of(3, 0, 5), 0, 3, 5).indexes, first.indexes);
});
