import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWake } from '../../src/base/index.ts';

test('a wait ends by news, by news from before, or by its time, be it over already, without a warning', async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on('warning', onWarning);
  t.after(() => process.off('warning', onWarning));
  const { wake, wait } = createWake();
  const waiting = wait();
  wake();
  await waiting;
  wake();
  await wait();
  for (const timeoutMs of [1, 0, -0.5, -1_000]) await wait(timeoutMs);
  assert.deepEqual(warnings, []);
});
