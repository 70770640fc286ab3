/**
 * Goal: what the log acknowledged is found again as it was sent, whatever fails, crashes and restarts in between.
 * Method: seeded schedules of live stateful streams, faults, power cuts, lost and older indexes, against a disk, a clock and timers that
 * are simulated (simulation/). A failing seed prints its schedule, cut short, and the command that replays it.
 * Invariants: I1 to I7 of the log (src/log/README.md), and that it takes entries again when the disk is well.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSeed } from './simulation/replay.ts';

const SEEDS = 2_000;
const SEEDS_PER_TEST = 500;
const REPEATED_SEEDS = 20;

let acked = 0;
let restarts = 0;

for (let from = 1; from <= SEEDS; from += SEEDS_PER_TEST) {
  test(`log keeps its promise in schedules of seeds ${from} to ${from + SEEDS_PER_TEST - 1}`, async () => {
    for (let seed = from; seed < from + SEEDS_PER_TEST; seed++) {
      const outcome = await runSeed(seed);
      if ('report' in outcome) assert.fail(outcome.report);
      acked += outcome.acked;
      restarts += outcome.restarts;
    }
  });
}

test('schedules of the seeds take entries and restart often enough to mean something', () => {
  assert.ok(acked > 5 * SEEDS, `${acked} entries were acknowledged`);
  assert.ok(restarts > SEEDS, `${restarts} restarts`);
});

test('seed gives the same run again', async () => {
  for (let seed = 1; seed <= REPEATED_SEEDS; seed++) {
    assert.deepEqual(await runSeed(seed), await runSeed(seed), `seed ${seed}`);
  }
});
