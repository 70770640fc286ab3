/** The real engine's thread with a flaw: it breaks in the way that a file named `break` in the tables' folder says. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { openLogReader } from '../../src/log/index.ts';
import { hostEngine } from '../../src/materialize/engine-host.ts';
import type { EngineWorkerData } from '../../src/materialize/engine-protocol.ts';
import { storeParts } from '../../src/materialize/engine-store.ts';
import { decodeOtlpEntry } from '../../src/materialize/otlp-entry.ts';
import { PROJECTIONS } from '../../src/materialize/projections/projections.ts';
import { createStreamDecoder, initZstd } from '../../src/otap/index.ts';

const { options } = workerData as EngineWorkerData;
const switchFile = join(options.tablesDirectory, 'break');
const memory: unknown[] = [];

const BREAKS: Readonly<Record<string, () => void>> = {
  /** A bug outside of every call. */
  throw: () => {
    throw new Error('broken on purpose');
  },
  /** A promise that nobody waits for. */
  reject: () => void Promise.reject(new Error('broken on purpose')),
  /** The thread hears nothing any more. */
  hang: () => {
    for (;;);
  },
  /** The thread ends with its database open. */
  exit: () => process.exit(7),
  /** The heap's limit ends the thread wherever it is. */
  heap: () => {
    for (;;) memory.push(Array.from({ length: 1_000_000 }, (_none, at) => at + 0.5));
  },
};

setInterval(() => {
  if (existsSync(switchFile)) BREAKS[readFileSync(switchFile, 'utf8')]?.();
}, 5);

await hostEngine(parentPort!, options, {
  ...storeParts(options),
  prepare: initZstd,
  openReader: (from, durable) => openLogReader({ directory: options.logDirectory, from, durable }),
  createDecoder: createStreamDecoder,
  decodeOtlp: decodeOtlpEntry,
  projections: PROJECTIONS,
});
