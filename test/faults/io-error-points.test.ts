/**
 * Goal: a disk that fails at any call never makes an acknowledgement untrue (row 8 of the fault tests).
 * Method: as disk-full-points.test.ts, but the n-th call of any kind (open, write, sync, truncate, rename, remove, make a folder) fails
 * with EIO, once.
 * Invariant: as there; the server stays up, or ends with 1 and says why.
 */
import { test } from 'node:test';
import { FAILING_DISK, failStartsAndStops, failWorkingPoints, POINTS_SEED } from '../helpers/write-points.ts';

const concurrently = { concurrency: 2 };

test(`failing disk at any point loses nothing acknowledged (seed ${POINTS_SEED})`, concurrently, async (t) => {
  await Promise.all([
    t.test(
      'log that fails at every call of a cycle refuses entries and goes on; index and tables refuse nothing',
      (each) => failWorkingPoints(each, [FAILING_DISK]),
    ),
    t.test('server that starts or stops on a failing disk says so or works, and loses nothing', (each) =>
      failStartsAndStops(each, FAILING_DISK),
    ),
  ]);
});
