/**
 * Goal: a disk that becomes full at any moment costs refusals, and nothing else (row 6 of the fault tests).
 * Method: real servers whose files are stood in front of by a library. Clients send OTAP and OTLP entries of all signals; the log rotates
 * twice and deletes, tables commit, the index is flushed, in every cycle. In the n-th cycle the n-th call that takes room fails with
 * ENOSPC, and all after it, until space returns (and the same for syncs): for every n of the log, for a seeded choice of the index, of the tables (DuckDB's
 * checkpoint is at the stop), of starts on empty and used directories, and of stops (TREASURY_TEST_POINTS=all: every n).
 * Invariant: an acknowledged entry is in the log byte for byte; refusals are UNAVAILABLE or 503; health and a figure say which part is
 * full; SQL answers; a full index or full tables refuse nothing; intake resumes within 5 s; nobody writes to or syncs a descriptor
 * whose sync failed; a start without faults finds a log that `log verify` finds sound, and tables equal to rebuilt ones.
 */
import { test } from 'node:test';
import {
  failStartsAndStops,
  failWorkingPoints,
  FULL_AT_SYNC,
  FULL_DISK,
  POINTS_SEED,
} from '../helpers/write-points.ts';

const concurrently = { concurrency: 2 };

test(
  `full disk at any point refuses entries, keeps the others and resumes (seed ${POINTS_SEED})`,
  concurrently,
  async (t) => {
    await Promise.all([
      t.test('log full at every call of a cycle refuses entries; a full index and full tables refuse nothing', (each) =>
        failWorkingPoints(each, [FULL_DISK, FULL_AT_SYNC]),
      ),
      t.test('server that starts or stops on a full disk says so or works, and loses nothing', (each) =>
        failStartsAndStops(each, FULL_DISK),
      ),
    ]);
  },
);
