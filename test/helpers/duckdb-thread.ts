/** A thread with a DuckDB of its own, which says so when it is in the state that `workerData` names. */
import { parentPort, workerData } from 'node:worker_threads';
import { openInstance } from '../../src/materialize/duckdb-instance.ts';
import { endNativeCalls, exitAfterNativeCalls, showNativeCalls } from '../../src/materialize/native-calls.ts';
import type { ThreadState } from './duckdb-thread-states.ts';

const { state, memory } = workerData as { readonly state: ThreadState; readonly memory: SharedArrayBuffer };
const port = parentPort!;
port.on('message', () => void endNativeCalls());
process.on('uncaughtException', () => {});
showNativeCalls(memory);
exitAfterNativeCalls(() => {});
const { instance, connection } = await openInstance(':memory:', { memoryLimitMb: 64, threads: 2, settings: {} });

const ENDLESS = 'SELECT sum(sqrt(range)) FROM range(1_000_000_000_000)';
const STATES: Readonly<Record<ThreadState, () => void>> = {
  'it does nothing': () => {},
  'a query runs': runEndless,
  'short queries run': () => void runShort(),
  'JavaScript does not end': loop,
  'a query runs and JavaScript does not end': () => {
    runEndless();
    loop();
  },
  'an answered query and JavaScript that does not end': () => {
    void connection.run('SELECT 1');
    loop();
  },
  'it exits': () => {
    runEndless();
    setTimeout(() => process.exit(7), 50);
  },
};

/** What it answers to never comes. */
function runEndless(): void {
  void connection.run(ENDLESS).then(() => port.postMessage('answered'));
}

async function runShort(): Promise<void> {
  const other = await instance.connect();
  await Promise.all(
    [connection, other].map(async (one) => {
      for (;;) await one.run('SELECT 1');
    }),
  );
}

function loop(): void {
  // Of a timer, whose books Node looks through when it has run.
  setTimeout(() => {
    for (;;);
  }, 10);
}

STATES[state]();
setTimeout(() => port.postMessage('ready'), 5);
