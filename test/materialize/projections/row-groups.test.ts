/** Children by parent, where ids are odd: repeated, null, wild. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupRows, indexRows, parentRows } from '../../../src/materialize/projections/row-groups.ts';
import { Scratch } from '../../../src/materialize/projections/scratch.ts';

/** Dense ids are looked up in an array, the wild one makes it a map. */
for (const [name, wild] of [
  ['dense', 3],
  ['sparse', 4_000_000_000],
] as const) {
  test(`the first of the rows with an id owns its children, ${name}`, () => {
    const index = indexRows({ values: Uint32Array.of(7, 7, wild, 7), validity: null }, 4, new Scratch());
    const parents = { values: Uint32Array.of(7, wild, 7, 8), validity: null };
    assert.deepEqual([...parentRows(parents, 4, index, new Scratch())], [0, 2, 0, -1]);
  });

  test(`rows and children with a null id belong to nobody, ${name}`, () => {
    const index = indexRows({ values: Uint32Array.of(0, wild, 0), validity: Uint8Array.of(0, 1, 0) }, 3, new Scratch());
    const parents = { values: Uint32Array.of(0, wild, wild), validity: Uint8Array.of(1, 0, 1) };
    assert.deepEqual([...parentRows(parents, 3, index, new Scratch())], [-1, -1, 1]);
  });
}

test('children are grouped in wire order, orphans apart', () => {
  const { offsets, order, orphans } = groupRows(Int32Array.of(1, -1, 0, 1, -1, 1), 3, new Scratch());
  assert.deepEqual([...offsets], [0, 1, 4, 4]);
  assert.deepEqual([...order], [2, 0, 3, 5]);
  assert.deepEqual(orphans, [1, 4]);
});
