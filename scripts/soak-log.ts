/**
 * Runs the simulation of the log for as long as wished: each seed makes a schedule of appends, faults, crashes and restarts
 * (test/log/simulation). Prints progress; stops at the first seed that fails, with its schedule cut short, and exits 1.
 *
 *   npm run soak:log                        100,000 seeds from 1 on
 *   npm run soak:log -- --seeds 5000 --from 200001
 *   npm run soak:log -- --seed 1234         this seed alone
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runSeed } from '../test/log/simulation/replay.ts';

const SEEDS_DEFAULT = '100000';
/** Seeds a process: SQLite's objects live as long as their process (src/log/sqlite.ts), and each seed opens it several times. */
const SEEDS_PER_PROCESS = 2_000;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: SEEDS_DEFAULT },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
  },
});
const from = count('from', values.seed ?? values.from);
const seeds = values.seed === undefined ? count('seeds', values.seeds) : 1;

if (seeds > SEEDS_PER_PROCESS) inProcesses();
else await here();

/** Each batch in a process of its own. */
function inProcesses(): void {
  for (let done = 0; done < seeds; done += SEEDS_PER_PROCESS) {
    const batch = Math.min(SEEDS_PER_PROCESS, seeds - done);
    const arguments_ = ['--seeds', String(batch), '--from', String(from + done)];
    const script = fileURLToPath(import.meta.url);
    const result = spawnSync(process.execPath, [...process.execArgv, script, ...arguments_], { stdio: 'inherit' });
    if (result.status !== 0) process.exit(result.status ?? 1);
  }
}

async function here(): Promise<void> {
  const startedAtMs = performance.now();
  const totals = { acked: 0, refused: 0, restarts: 0 };
  for (let seed = from; seed < from + seeds; seed++) {
    const outcome = await runSeed(seed);
    if ('report' in outcome) {
      console.error(outcome.report);
      process.exit(1);
    }
    totals.acked += outcome.acked;
    totals.refused += outcome.refused;
    totals.restarts += outcome.restarts;
  }
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  const { acked, refused, restarts } = totals;
  console.log(
    `seeds ${from} to ${from + seeds - 1}: well, ${acked} entries acknowledged, ${refused} refused, ${restarts} restarts, ${seconds} s`,
  );
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  console.error(`Cannot soak the log: --${name} is ${text}, expected a whole number above 0`);
  process.exit(2);
}
