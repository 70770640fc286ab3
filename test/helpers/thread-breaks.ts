/**
 * Threads of a real server that break when a test says so: a module that Node loads into every thread before the thread's own.
 *
 *   const breaks = threadBreaks(data);
 *   const server = await startServerProcess(data, '127.0.0.1:0', [], breaks.env);
 *   breaks.break('engine', 'throw');
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type BreakableThread = 'engine' | 'prometheus' | 'push' | 'main';
export type ThreadBreak = 'throw' | 'reject' | 'exit' | 'heap' | 'hang';

export interface ThreadBreaks {
  /** For the environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  /** Breaks the thread of that name, once, as soon as it looks. */
  break(thread: BreakableThread, how: ThreadBreak): void;
}

const LOOK_INTERVAL_MS = 5;

/** Runs in every thread of the process; which one it is shows in what the thread is started with. */
const MODULE = `
const { existsSync, readFileSync, rmSync } = require('node:fs');
const threads = require('node:worker_threads');
const NAMES = { options: 'engine', settings: 'prometheus', nativeCalls: 'push' };
const memory = [];
const BREAKS = {
  throw: () => { throw new Error('broken on purpose'); },
  reject: () => { Promise.reject(new Error('broken on purpose')); },
  exit: () => process.exit(7),
  heap: () => { for (;;) memory.push(Array.from({ length: 100_000 }, (_none, at) => at + 0.5)); },
  hang: () => { for (;;); },
};
function nameOf() {
  if (threads.isMainThread) return 'main';
  const known = Object.keys(NAMES).find((name) => Object.hasOwn(threads.workerData ?? {}, name));
  return known === undefined ? null : NAMES[known];
}
setInterval(() => {
  const name = nameOf();
  if (name === null) return;
  const file = __dirname + '/' + name;
  if (!existsSync(file)) return;
  const how = readFileSync(file, 'utf8');
  rmSync(file);
  BREAKS[how]();
}, ${LOOK_INTERVAL_MS}).unref();
`;

/** Its files are in a folder of their own below `directory`. */
export function threadBreaks(directory: string): ThreadBreaks {
  const folder = join(directory, 'breaks');
  mkdirSync(folder);
  const module = join(folder, 'break.cjs');
  writeFileSync(module, MODULE);
  return {
    env: { NODE_OPTIONS: `--require ${JSON.stringify(module)}` },
    break(thread, how) {
      const file = join(folder, thread);
      writeFileSync(`${file}.new`, how);
      renameSync(`${file}.new`, file);
    },
  };
}
