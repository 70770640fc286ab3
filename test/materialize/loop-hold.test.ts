/** Goal: nobody waits for ever for a loop to stand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLoopHold } from '../../src/materialize/loop-hold.ts';

test('a loop stands where it is held, and goes on when it is released', async () => {
  const hold = createLoopHold();
  const standing = hold.hold(5n);
  assert.ok(!hold.isDue(4n) && hold.isDue(7n));
  const released = hold.stand(7n);
  assert.equal(await standing, 7n);
  hold.release();
  await released;
  assert.ok(!hold.isDue(7n));
});

test('who waits for a loop to stand is told that it was released, held by another, or has ended', async () => {
  const hold = createLoopHold();
  const first = hold.hold(5n);
  hold.release();
  assert.equal(await first, null);
  const second = hold.hold(5n);
  const third = hold.hold(6n);
  assert.equal(await second, null);
  hold.end();
  assert.equal(await third, null);
  assert.equal(await hold.hold(1n), null);
});
