import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTurns } from '../../src/api/turns.ts';
import { LIMITS } from '../../src/base/index.ts';

/** Keeps the thread for as long as two slices. */
function keepThread(): void {
  const endMs = performance.now() + 2 * LIMITS.decompressSliceMs;
  while (performance.now() < endMs);
}

test('works are done one at a time, in the order of asking, whatever becomes of them', async () => {
  const turns = createTurns();
  const seen: string[] = [];
  const work = async (name: string): Promise<string> => {
    seen.push(`${name} begins`);
    await new Promise((resolve) => setImmediate(resolve));
    seen.push(`${name} ends`);
    if (name === 'second') throw new Error('second fails');
    return name;
  };
  const results = await Promise.allSettled(['first', 'second', 'third'].map((name) => turns.run(() => work(name))));
  assert.deepEqual(
    results.map((result) => (result.status === 'fulfilled' ? result.value : String(result.reason))),
    ['first', 'Error: second fails', 'third'],
  );
  const expected = ['first', 'second', 'third'].flatMap((name) => [`${name} begins`, `${name} ends`]);
  assert.deepEqual(seen, expected);
});

test('the event loop runs between works that keep the thread', async () => {
  const turns = createTurns();
  const seen: string[] = [];
  const works = ['first', 'second', 'third'].map((name) =>
    turns.run(async () => {
      keepThread();
      setImmediate(() => seen.push(`loop after ${name}`));
      seen.push(name);
      if (name === 'second') throw new Error('refused');
    }),
  );
  await Promise.allSettled(works);
  assert.deepEqual(seen, ['first', 'loop after first', 'second', 'loop after second', 'third']);
});
