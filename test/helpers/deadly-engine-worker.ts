/** The real engine's thread with flawed decoders: a record that holds one of `DEADLY_MARKS` ends it in the way that the mark says. */
import { parentPort, workerData } from 'node:worker_threads';
import { openLogReader } from '../../src/log/index.ts';
import { hostEngine } from '../../src/materialize/engine-host.ts';
import type { EngineWorkerData } from '../../src/materialize/engine-protocol.ts';
import { storeParts } from '../../src/materialize/engine-store.ts';
import { decodeOtlpEntry } from '../../src/materialize/otlp-entry.ts';
import { PROJECTIONS } from '../../src/materialize/projections/projections.ts';
import { createStreamDecoder, initZstd } from '../../src/otap/index.ts';
import { DEADLY_MARKS } from './poison-records.ts';

const memory: unknown[] = [];

const DEATHS: Readonly<Record<keyof typeof DEADLY_MARKS, () => void>> = {
  heap: () => {
    for (;;) memory.push(Array.from({ length: 1_000_000 }).fill(0.5));
  },
  hang: () => {
    for (;;);
  },
  exit: () => process.exit(7),
  /** As a crash of native code: of the whole process. */
  abort: () => process.kill(process.pid, 'SIGKILL'),
};

function dieOf(record: Uint8Array): void {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  for (const [death, die] of Object.entries(DEATHS)) {
    if (bytes.includes(DEADLY_MARKS[death as keyof typeof DEADLY_MARKS])) die();
  }
}

const { options } = workerData as EngineWorkerData;
await hostEngine(parentPort!, options, {
  ...storeParts(options),
  prepare: initZstd,
  openReader: (from, durable) => openLogReader({ directory: options.logDirectory, from, durable }),
  createDecoder(signal) {
    const decoder = createStreamDecoder(signal);
    return {
      signal,
      get stateBytes() {
        return decoder.stateBytes;
      },
      restoreState: (record) => decoder.restoreState(record),
      applyState(record) {
        dieOf(record);
        decoder.applyState(record);
      },
      decode(record) {
        dieOf(record);
        return decoder.decode(record);
      },
    };
  },
  decodeOtlp(signal, entry) {
    dieOf(entry.record);
    return decodeOtlpEntry(signal, entry);
  },
  projections: PROJECTIONS,
});
