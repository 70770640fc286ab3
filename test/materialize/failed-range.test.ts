import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFailedRange } from '../../src/materialize/failed-range.ts';

test('failed range is tried as it was, then halved down to the entry that is to blame, then doubled again', () => {
  const range = createFailedRange();
  const offsets = Array.from({ length: 8 }, (_, i) => BigInt(i));
  const sizes: number[] = [];
  // Entry 0 is to blame: every range that begins with it fails.
  for (let poisoned: bigint | null = null; poisoned === null; ) {
    poisoned = range.failed(offsets.slice(0, Math.min(8, range.entriesMax)), 'refused');
    if (poisoned === null) sizes.push(range.entriesMax);
    else assert.equal(poisoned, 0n);
  }
  assert.deepEqual(sizes.slice(0, 4), [8, 4, 2, 1]);
  assert.equal(range.poisonOf(0n), 'refused');
  assert.equal(range.poisonOf(1n), undefined);
  range.succeeded(1n);
  assert.equal(range.entriesMax, 2);
  assert.equal(range.poisonOf(0n), undefined);
  range.succeeded(8n);
  assert.equal(range.entriesMax, Number.POSITIVE_INFINITY);
});
