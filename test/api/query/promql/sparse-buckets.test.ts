import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SparseReader } from '../../../../src/api/query/promql/sparse-buckets.ts';

/** Counts, where they stand among others, and the number of the first. */
const anyBuckets = fc.record({
  counts: fc.array(fc.constantFrom(0, 0, 1, 2.5, 7), { maxLength: 80 }),
  before: fc.nat({ max: 3 }),
  lowest: fc.integer({ min: -40, max: 40 }),
});

test('Buckets are read without empty ones, whatever was read before', () => {
  fc.assert(
    fc.property(fc.array(anyBuckets, { maxLength: 12 }), (all) => {
      const reader = new SparseReader();
      const read = all.map(({ counts, before, lowest }) => {
        const row = Float64Array.from([...Array<number>(before).fill(9), ...counts, 9]);
        return reader.read(row, before, before + counts.length, lowest);
      });
      for (const [at, { counts, lowest }] of all.entries()) {
        const expected = [...counts.entries()].filter(([, count]) => count !== 0);
        assert.deepEqual(
          Array.from(read[at]!.indexes, (index, place) => [index, read[at]!.counts[place]!]),
          expected.map(([place, count]) => [lowest + place, count]),
        );
      }
    }),
  );
});

test('Neighbours with the same buckets share the list of them', () => {
  const reader = new SparseReader();
  const first = reader.read(Float64Array.of(1, 0, 2), 0, 3, 4);
  const second = reader.read(Float64Array.of(3, 0, 5), 0, 3, 4);
  assert.equal(second.indexes, first.indexes);
  assert.notEqual(reader.read(Float64Array.of(3, 0, 5), 0, 3, 5).indexes, first.indexes);
});
