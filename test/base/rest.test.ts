/** Goal: what work has left is collected once when the process has come to rest, and a process that does nothing is left alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectAtRest } from '../../src/base/index.ts';

const INTERVAL_MS = 1_000;

test('garbage is collected once after work, and not while there is work or was none', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let micros = 5_000_000;
  let collections = 0;
  const stop = collectAtRest({ intervalMs: INTERVAL_MS, cpuMicros: () => micros, collect: () => collections++ });
  const pass = (workMicros: number): number => {
    micros += workMicros;
    t.mock.timers.tick(INTERVAL_MS);
    return collections;
  };
  assert.deepEqual([pass(0), pass(1_000)], [0, 0]);
  assert.deepEqual([pass(500_000), pass(100_000), pass(1_000), pass(0)], [0, 0, 1, 1]);
  assert.deepEqual([pass(900_000), pass(0), pass(0)], [1, 2, 2]);
  stop();
  assert.deepEqual([pass(900_000), pass(0)], [2, 2]);
});

test('memory outside of the heap is given back at rest', async () => {
  const bytes = 32 * 1024 * 1024;
  let looks = 0;
  // Work and rest by turns.
  const cpuMicros = () => Math.floor(looks++ / 3) * 1_000_000;
  const stop = collectAtRest({ intervalMs: 1, cpuMicros });
  const before = process.memoryUsage().arrayBuffers;
  const held = [new Uint8Array(bytes)];
  assert.ok(process.memoryUsage().arrayBuffers >= before + bytes);
  held.pop();
  while (process.memoryUsage().arrayBuffers >= before + bytes) await new Promise(setImmediate);
  stop();
});
