/**
 * Goal: what the log acknowledged is found again as it was sent, whatever fails, crashes and restarts in between.
 * Method: seeded schedules of live stateful streams, faults, power cuts, deletions, lost and older indexes, against a disk, a clock and
 * timers that are simulated (simulation/), in a process a processor. A failing seed prints its schedule, cut short, and the command that
 * replays it.
 * Invariants: I1 to I7 of the log (src/log/README.md), and that it takes entries again when the disk is well.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loaderFlags } from '../helpers/checkout.ts';
import { runSeed } from './simulation/replay.ts';

const SEEDS = 2_000;
const REPEATED_SEEDS = 20;
const SOAK = fileURLToPath(new URL('../../scripts/soak-log.ts', import.meta.url));

/** Runs seeds in a process; resolves with the entries acknowledged and the restarts. */
function soak(from: number, seeds: number): Promise<{ acked: number; restarts: number }> {
  const arguments_ = [...loaderFlags, SOAK, '--from', String(from), '--seeds', String(seeds)];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, arguments_, (error, stdout, stderr) => {
      const [, acked, restarts] = /(\d+) entries acknowledged, .* (\d+) restarts/.exec(stdout) ?? [];
      if (error === null) resolve({ acked: Number(acked), restarts: Number(restarts) });
      else reject(new assert.AssertionError({ message: stderr }));
    });
  });
}

test(`log keeps its promise in the schedules of ${SEEDS} seeds`, async () => {
  const processes = Math.max(1, availableParallelism());
  const seeds = Math.ceil(SEEDS / processes);
  const totals = await Promise.all(Array.from({ length: processes }, (_, i) => soak(1 + i * seeds, seeds)));
  // Often enough to mean something.
  for (const { acked, restarts } of totals) {
    assert.ok(acked > 5 * seeds, `${acked} entries were acknowledged in ${seeds} seeds`);
    assert.ok(restarts > seeds, `${restarts} restarts in ${seeds} seeds`);
  }
});

test('seed gives the same run again', async () => {
  for (let seed = 1; seed <= REPEATED_SEEDS; seed++) {
    assert.deepEqual(await runSeed(seed), await runSeed(seed), `seed ${seed}`);
  }
});
