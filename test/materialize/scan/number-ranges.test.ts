import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { numberRanges } from '../../../src/materialize/scan/number-ranges.ts';

test('ranges have all numbers, few others, and lie apart in order', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(300), { minLength: 1 }), (numbers) => {
      const ranges = numberRanges(numbers);
      if (ranges === null) return;
      const covered = ranges.flatMap(([first, last]) =>
        Array.from({ length: last - first + 1 }, (_, at) => first + at),
      );
      assert.deepEqual(
        covered,
        [...new Set(covered)].sort((left, right) => left - right),
      );
      assert.ok(numbers.every((number) => covered.includes(number)));
      assert.ok(covered.length <= 1.25 * numbers.length);
    }),
  );
});

test('numbers that follow each other are one range, scattered ones are none', () => {
  assert.deepEqual(numberRanges([7, 5, 6, 4]), [[4, 7]]);
  assert.deepEqual(numberRanges([1, 2, 3, 1000, 1001]), [
    [1, 3],
    [1000, 1001],
  ]);
  assert.equal(numberRanges(Array.from({ length: 100 }, (_, at) => 3 * at)), null);
  assert.equal(numberRanges([]), null);
});
