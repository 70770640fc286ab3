/**
 * Goal: a disk that fails is told the same, whether a write and its sync are two calls of the system or one.
 * Method: a process whose writes, or the syncs within them, are made to fail (LD_PRELOAD) uses files as the log does.
 * Invariant: a write says how many bytes were taken; that they are not on the disk is said by `dataSync`, and by each one from then on.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { loaderFlags } from '../helpers/checkout.ts';
import { faultShim } from '../helpers/fault-shim.ts';
import { scratchDirectory } from '../helpers/server-process.ts';

const CHILD = fileURLToPath(new URL('./synced-writes-child.ts', import.meta.url));

interface Use {
  /** What became of each step, by its name. */
  readonly outcomes: Readonly<Record<string, unknown>>;
  /** Calls of the system on a file, in their order. */
  callsOf(name: string): string;
}

/** Null without the shim. */
async function useFiles(t: TestContext, syncFlag: number): Promise<Use | null> {
  const shim = faultShim(t);
  if (shim === null) return null;
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
  const { stdout } = await promisify(execFile)(process.execPath, [...loaderFlags, CHILD, directory, String(syncFlag)], {
    env: { ...process.env, ...shim.env },
  });
  return {
    outcomes: JSON.parse(stdout) as Record<string, unknown>,
    callsOf(name) {
      const calls = shim.calls().filter(({ path }) => path.endsWith(`/${name}`));
      return calls.map(({ call }) => call).join(' ');
    },
  };
}

/** What both ways have in common. */
const OUTCOMES = {
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
};

test('file whose writes sync tells a write that failed from one whose sync failed', async (t) => {
  const use = await useFiles(t, constants.O_DSYNC);
  if (use === null) return;
  const { 'sync of a file that was moved': moved, 'sync of it': partly, ...outcomes } = use.outcomes;
  assert.deepEqual(outcomes, OUTCOMES);
  assert.match(String(partly), /Cannot sync .*partly: 20 of 26 bytes are on the disk/);
  assert.match(String(moved), /another file is there now|ENOENT/);
  // Each write that was taken has its sync, and the cut one of its own.
  assert.equal(use.callsOf('refused'), 'create write write sync write sync truncate write sync sync close');
  assert.equal(use.callsOf('many'), 'create write sync close');
});

test('file whose syncs are calls of their own says the same, as on other systems than Linux', async (t) => {
  const use = await useFiles(t, 0);
  if (use === null) return;
  const { 'sync of a file that was moved': moved, 'sync of it': partly, ...outcomes } = use.outcomes;
  assert.deepEqual(outcomes, OUTCOMES);
  // Its first sync is that of the whole file.
  assert.equal(partly, 'done');
  assert.match(String(moved), /another file is there now|ENOENT/);
  assert.equal(use.callsOf('refused'), 'create write write write truncate write sync close');
  assert.equal(use.callsOf('many'), 'create write sync close');
});
