/**
 * Goal: an acknowledged batch survives kill -9 of the whole server, and is in the tables exactly once.
 * Method: 25 rounds (TREASURY_TEST_KILL_ROUNDS) on one data directory. In each, clients stream batches of all signals, every batch under an id of its own, and
 * the server is killed after a seeded delay. In the end the log is read for the ids and the tables for their rows.
 * Invariant: every acknowledged id is one log entry; every log entry's rows are in the tables, each (entry_offset, row) once.
 */
import { test } from 'node:test';
import { SIGNALS } from '../../src/base/index.ts';
import { assertLogged, assertRowsOnce, KILL_ROUNDS, KILL_SEED, runKillRounds } from '../helpers/kill-rounds.ts';
import { assertRowsOfBatches, createOtapLoad, entriesByBatchId, streamUntilCut } from '../helpers/otap-load.ts';

test(`kill -9 in ${KILL_ROUNDS} rounds loses no acknowledged batch and repeats no row (seed ${KILL_SEED})`, async (t) => {
  const load = createOtapLoad();
  const { data, status, connection } = await runKillRounds(t, (server) =>
    Promise.all(SIGNALS.map((signal) => streamUntilCut(server, signal, load))),
  );
  const { batches } = load;
  const offsets = entriesByBatchId(data);
  const acked = [...batches].filter(([, batch]) => batch.acked);
  t.diagnostic(
    `${batches.size} batches sent, ${acked.length} acknowledged, ${offsets.size} in the log, ${status.durableOffset} entries`,
  );
  assertLogged(batches, offsets);
  await assertRowsOnce(connection);
  await assertRowsOfBatches(connection, batches, offsets);
});
