/** The entry of the engine's thread: the real parts. `startEngine` spawns it. */
import { parentPort, workerData } from 'node:worker_threads';
import { assert, collectAtRest } from '../base/index.ts';
import { openLogReader } from '../log/index.ts';
import { createStreamDecoder, initZstd } from '../otap/index.ts';
import { hostEngine } from './engine-host.ts';
import type { EngineWorkerData } from './engine-protocol.ts';
import { storeParts } from './engine-store.ts';
import { decodeOtlpEntry } from './otlp-entry.ts';
import { PROJECTIONS } from './projections/projections.ts';

assert(parentPort !== null, 'the engine must run in a worker thread');
const { options } = workerData as EngineWorkerData;
collectAtRest();
await hostEngine(parentPort, options, {
  ...storeParts(options),
  prepare: initZstd,
  openReader: (from, durable) => openLogReader({ directory: options.logDirectory, from, durable }),
  createDecoder: createStreamDecoder,
  decodeOtlp: decodeOtlpEntry,
  projections: PROJECTIONS,
});
