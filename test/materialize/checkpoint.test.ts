import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssertionError } from '../../src/base/index.ts';
import { writeCheckpoints } from '../../src/materialize/checkpoint.ts';
import { smallProjection, smallStore } from '../helpers/small-engine.ts';

test('checkpoint beyond the durable offset is a bug, not a row', async (t) => {
  const store = await smallStore(':memory:');
  t.after(() => store.close());
  const moved = [{ definition: smallProjection('logs'), state: 'serving' as const, nextOffset: 3n, firstOffset: 0n }];
  await assert.rejects(writeCheckpoints(store, moved, 2n), AssertionError);
});
