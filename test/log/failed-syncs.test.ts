/**
 * Goal: a log on a disk that fails acknowledges only what a sync that went well has covered.
 * Method: a process that appends entries, whose writes to segments, or the syncs within them, are made to fail (LD_PRELOAD).
 * Invariant: what was acknowledged, and nothing else, is in the log; a file whose sync has failed is neither written nor synced again (I5).
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openLog, verifyLog } from '../../src/log/index.ts';
import { loaderFlags } from '../helpers/checkout.ts';
import { type FaultRule, faultShim, type RecordedCall } from '../helpers/fault-shim.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import { readAll } from './log-helpers.ts';

const CHILD = fileURLToPath(new URL('./failed-syncs-child.ts', import.meta.url));
const ENTRIES = 12;
const path = '.arrows';

interface Fault {
  readonly name: string;
  readonly rules: readonly FaultRule[];
}

/** The first write is that of a header, the second a frame with zeros behind it. */
const FAULTS: readonly Fault[] = [
  { name: 'the sync of a header fails', rules: [{ calls: ['sync'], path, times: 1, error: 'EIO' }] },
  {
    name: 'the sync of a frame and the zeros behind it fails',
    rules: [{ calls: ['sync'], path, skip: 1, times: 1, error: 'EIO' }],
  },
  { name: 'the sync of a frame over zeros fails', rules: [{ calls: ['sync'], path, skip: 4, times: 1, error: 'EIO' }] },
  {
    name: 'a write takes the first bytes of a frame and their sync fails',
    rules: [
      { calls: ['write'], path, skip: 3, times: 1, shortBytes: 20 },
      { calls: ['sync'], path, skip: 3, times: 1, error: 'EIO' },
    ],
  },
  {
    name: 'there is room for a frame and not for its zeros, and a later sync fails',
    rules: [
      { calls: ['write'], path, skip: 1, times: 1, shortBytes: 100_000 },
      { calls: ['write'], path, skip: 2, times: 1, error: 'ENOSPC' },
      { calls: ['sync'], path, skip: 5, times: 1, error: 'EIO' },
    ],
  },
  {
    name: 'there is room for the first bytes of a frame',
    rules: [
      { calls: ['write'], path, skip: 2, times: 1, shortBytes: 20 },
      { calls: ['write'], path, skip: 3, times: 1, error: 'ENOSPC' },
    ],
  },
];

for (const { name, rules } of FAULTS) {
  test(`log keeps what it acknowledged, and never goes on in a file with a failed sync, where ${name}`, async (t) => {
    const shim = faultShim(t);
    if (shim === null) return;
    const directory = scratchDirectory(t);
    shim.set(rules);
    const { stdout } = await promisify(execFile)(process.execPath, [...loaderFlags, CHILD, directory], {
      env: { ...process.env, ...shim.env },
    });
    assert.ok(
      shim.counts().every(({ fired }) => fired === 1),
      'each fault has happened',
    );
    const acked = JSON.parse(stdout) as number[];
    assert.ok(acked.length < ENTRIES, `${acked.length} were acknowledged`);
    assert.ok(acked.length > 0);
    assert.deepEqual(usesAfterFailedSyncs(shim.calls()), []);

    const log = await openLog({ directory });
    const found = readAll(log, directory).map(({ record }) => Buffer.from(record).toString());
    await log.close();
    assert.deepEqual(
      found,
      acked.map((entry) => `entry ${entry}`),
    );
    assert.deepEqual(verifyLog(directory), []);
  });
}

/** Writes to, and syncs of, descriptors of segments after a sync of theirs has failed. */
function usesAfterFailedSyncs(calls: readonly RecordedCall[]): RecordedCall[] {
  const failed = new Set<number>();
  return calls.filter(({ call, path, opened, error }) => {
    if (!path.endsWith('.arrows')) return false;
    const isUse = failed.has(opened) && (call === 'write' || call === 'sync');
    if (call === 'sync' && error !== null) failed.add(opened);
    return isUse;
  });
}
