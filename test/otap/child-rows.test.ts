import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChildRows } from '../../src/otap/child-rows.ts';

const UINT32_MAX = 2 ** 32 - 1;
/** Few or many, close together or far apart. */
const parents = fc
  .constantFrom(3, 40, 5000, UINT32_MAX)
  .chain((max) => fc.array(fc.option(fc.integer({ min: 0, max }), { freq: 8 }), { maxLength: 60 }));

test('children are found by their parent, in the order of the table', () => {
  fc.assert(
    fc.property(parents, fc.boolean(), (ids, hasValidity) => {
      const present = ids.map((id) => id ?? 0);
      const validity = hasValidity ? Uint8Array.from(ids, (id) => (id === null ? 0 : 1)) : null;
      const children = new ChildRows(Uint32Array.from(present), validity, ids.length);
      let taken = 0;
      for (const id of new Set([...present, 0, 1, 77, UINT32_MAX])) {
        const expected = present.flatMap((other, row) =>
          other === id && (validity === null || validity[row] !== 0) ? [row] : [],
        );
        assert.equal(children.find(id), expected.length > 0);
        assert.equal(children.take(id), expected.length > 0);
        assert.equal(children.take(id), expected.length > 0);
        if (expected.length > 0) assert.deepEqual([...children.rows.subarray(children.from, children.to)], expected);
        taken += expected.length;
        assert.equal(children.untakenRows, ids.length - taken);
      }
      assert.equal(children.find(-1), false);
    }),
  );
});

test('children of several parents come once, parents in the order in which they are asked for', () => {
  const children = new ChildRows(Uint32Array.from([2, 1, 2, 5, 1]), null, 5);
  const ids = { values: Uint16Array.from([1, 2, 1, 9, 5]), validity: Uint8Array.from([1, 1, 1, 1, 0]) };
  const rows = (...numbers: number[]) => [...children.childrenOf(ids, Uint32Array.from(numbers))];
  assert.deepEqual(rows(0, 1, 2, 3, 4), [1, 4, 0, 2]);
  assert.deepEqual(rows(2, 3), [1, 4]);
  assert.deepEqual(rows(1, 0), [0, 2, 1, 4]);
  assert.deepEqual([...children.childrenOf(null, Uint32Array.from([0]))], []);
});
