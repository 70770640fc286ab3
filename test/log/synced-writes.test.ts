/**
 * Goal: a disk that fails is told the same, whether a write and its sync are two calls of the system or one.
 * Method: a process whose writes, or the syncs within them, are made to fail (LD_PRELOAD) uses files as the log does.
 * Invariant: a write says how many bytes were taken; that they are not on the disk is said by `dataSync`, and by each one from then on.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loaderFlags } from '../helpers/checkout.ts';
import { faultShim } from '../helpers/fault-shim.ts';
import { scratchDirectory } from '../helpers/server-process.ts';

const CHILD = fileURLToPath(new URL('./synced-writes-child.ts', import.meta.url));

test('file tells a write that failed from one whose sync failed', async (t) => {
  const shim = faultShim(t);
  if (shim === null) return;
  const directory = scratchDirectory(t);
  shim.set([
    { calls: ['sync'], path: '/unsynced', skip: 1, times: 1, error: 'EIO' },
    { calls: ['write'], path: '/refused', times: 1, error: 'EIO' },
    { calls: ['write'], path: '/refused', skip: 1, times: 1, shortBytes: 20 },
    { calls: ['write'], path: '/full', times: 1, shortBytes: 20 },
    { calls: ['write'], path: '/full', skip: 1, times: 1, error: 'ENOSPC' },
    { calls: ['write'], path: '/partly', times: 1, shortBytes: 20 },
    { calls: ['sync'], path: '/partly', skip: 1, times: 1, error: 'EIO' },
  ]);
  const { stdout } = await promisify(execFile)(process.execPath, [...loaderFlags, CHILD, directory], {
    env: { ...process.env, ...shim.env },
  });
  const {
    'sync of a file that was moved': moved,
    'sync of it': partly,
    ...outcomes
  } = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual(outcomes, {
    'write before the sync that fails': 26,
    sync: 'done',
    'write whose sync fails': 26,
    'write behind it': 26,
    'sync that has failed': 'EIO',
    'write that fails': 'EIO',
    // Node goes on behind it.
    'short write': 26,
    cut: 'done',
    'write again': 26,
    'sync again': 'done',
    'write that finds too little room': 20,
    'sync of what found room': 'done',
    'write of which the end is not synced': 26,
    'write in thousands of parts': 80_000,
    'sync of them': 'done',
    'write to a file that was moved': 26,
  });
  assert.match(String(partly), /Cannot sync .*partly: 20 of 26 bytes are on the disk/);
  assert.match(String(moved), /another file is there now|ENOENT/);
  const callsOf = (name: string) => {
    const calls = shim.calls().filter(({ path }) => path.endsWith(`/${name}`));
    return calls.map(({ call }) => call).join(' ');
  };
  // Each write that was taken has its sync, and the cut one of its own.
  assert.equal(callsOf('refused'), 'create write write sync write sync truncate write sync sync close');
  assert.equal(callsOf('many'), 'create write sync close');
});
