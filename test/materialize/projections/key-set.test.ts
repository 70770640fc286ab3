import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeySet, KnownKeys } from '../../../src/materialize/projections/key-set.ts';

test('key set has what was added and not deleted since, whatever slots keys share', () => {
  // Few different low words, and some at the end of the slots, so that runs of taken slots are long and wrap around.
  const key = fc.tuple(fc.constantFrom(1, 2, 3, 254, 255, 256, 0xffffffff), fc.integer({ min: 1, max: 12 }));
  const operation = fc.record({ isAdd: fc.boolean(), key });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const set = new KeySet();
      const model = new Set<string>();
      for (const {
        isAdd,
        key: [low, high],
      } of operations) {
        const name = `${low}/${high}`;
        assert.equal(isAdd ? set.add(low, high) : set.delete(low, high), isAdd ? !model.has(name) : model.has(name));
        if (isAdd) model.add(name);
        else model.delete(name);
      }
      const found: string[] = [];
      set.forEach((low, high) => found.push(`${low}/${high}`));
      assert.deepEqual(found.toSorted(), [...model].toSorted());
      assert.equal(set.size, model.size);
      for (const name of model) assert.ok(set.has(...(name.split('/').map(Number) as [number, number])));
    }),
  );
});

test('known keys forget a key in both generations', () => {
  const known = new KnownKeys(4);
  for (let low = 1; low <= 4; low++) known.add(low, 1);
  known.delete(1, 1);
  known.delete(4, 1);
  assert.deepEqual(
    [1, 2, 3, 4].map((low) => known.has(low, 1)),
    [false, true, true, false],
  );
});
