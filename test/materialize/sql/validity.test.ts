/** Bitmaps of valid rows against lists of booleans. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bothValid, isValid, spreadValidity, ValidityBuilder } from '../../../src/materialize/sql/validity.ts';

const ROWS = 40;
const rows = fc.array(fc.boolean(), { minLength: ROWS, maxLength: ROWS });
const bitmap = fc.option(rows, { nil: null });

function bitsOf(valid: readonly boolean[] | null): Uint8Array | null {
  if (valid === null) return null;
  const bits = new Uint8Array((valid.length + 7) >> 3);
  for (const [row, isSet] of valid.entries()) if (isSet) bits[row >> 3]! |= 1 << (row & 7);
  return bits;
}

function listOf(bits: Uint8Array | null, count: number): boolean[] {
  return Array.from({ length: count }, (_, row) => isValid(bits, row));
}

test('rows are valid in both bitmaps, a missing one holds all rows', () => {
  fc.assert(
    fc.property(bitmap, bitmap, (left, right) => {
      const expected = Array.from({ length: ROWS }, (_, row) => (left?.[row] ?? true) && (right?.[row] ?? true));
      assert.deepEqual(listOf(bothValid(bitsOf(left), bitsOf(right)), ROWS), expected);
    }),
  );
});

test('children are valid where their row is', () => {
  fc.assert(
    fc.property(bitmap, fc.integer({ min: 1, max: 5 }), (valid, size) => {
      const expected = Array.from({ length: ROWS * size }, (_, child) => valid?.[Math.floor(child / size)] ?? true);
      assert.deepEqual(listOf(spreadValidity(bitsOf(valid), ROWS, size), ROWS * size), expected);
    }),
  );
});

test('built bitmaps hold the rows of any ranges and count the nulls, also when the memory is used again', () => {
  const part = fc.record({ valid: bitmap, start: fc.nat(ROWS), count: fc.nat(ROWS) });
  const builder = new ValidityBuilder();
  fc.assert(
    fc.property(fc.array(part, { maxLength: 80 }), (parts) => {
      builder.reset();
      const expected: boolean[] = [];
      for (const { valid, start, count } of parts) {
        const taken = Math.min(count, ROWS - start);
        builder.append(bitsOf(valid), start, taken);
        for (let row = start; row < start + taken; row++) expected.push(valid?.[row] ?? true);
      }
      assert.equal(builder.length, expected.length);
      assert.equal(builder.nullCount, expected.filter((isSet) => !isSet).length);
      assert.deepEqual(listOf(builder.bits, builder.length), expected);
    }),
  );
});
