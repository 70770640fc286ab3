import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { startThread } from '../../src/api/thread.ts';
import { duckdb } from '../../src/materialize/duckdb.ts';
import { NATIVE_CALLS } from '../../src/materialize/native-calls.ts';
import { createThreadEnd, ENDABLE_THREAD_FLAGS, endThreads } from '../../src/materialize/thread-end.ts';
import { THREAD_STATES } from '../helpers/duckdb-thread-states.ts';

const require = createRequire(import.meta.url);
const THREAD = new URL('../helpers/duckdb-thread.ts', import.meta.url);

test('calls of DuckDB that return promises are counted, all of them', () => {
  const types = readFileSync(require.resolve('@duckdb/node-bindings/duckdb.d.ts'), 'utf8');
  const names = [...types.matchAll(/^export function (\w+)\(.*\): Promise</gm)].map(([, name]) => name!);
  assert.ok(names.length > 10);
  const counted = Object.getOwnPropertyNames(duckdb).filter((name) => name !== 'disconnect_sync');
  assert.deepEqual(counted.toSorted(), names.toSorted());
});

for (const state of THREAD_STATES) {
  test(`thread that uses DuckDB is ended, and not its process: ${state}`, { timeout: 120_000 }, async () => {
    const threadEnd = createThreadEnd(300);
    const worker = startThread(THREAD.href.replace(/\.ts$/, ''), import.meta.url, {
      workerData: { state, memory: threadEnd.memory },
      execArgv: [...ENDABLE_THREAD_FLAGS],
    });
    const exited = once(worker, 'exit');
    const end = threadEnd.of(worker, () => worker.postMessage('end'));
    await once(worker, 'message');
    if (state !== 'it exits') await Promise.all([end(), endThreads()]);
    const [code] = await exited;
    assert.equal(code, state === 'it exits' ? 7 : 1);
    const underWay = new Int32Array(threadEnd.memory)[NATIVE_CALLS.UNDER_WAY];
    assert.equal(underWay, 0);
    await end();
  });
}
