/** The thread of an engine of small parts: its log is `entries.jsonl` in the log directory, its projections are told in `workerData`. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { hostEngine } from '../../src/materialize/engine-host.ts';
import type { EngineWorkerData } from '../../src/materialize/engine-protocol.ts';
import { storeParts } from '../../src/materialize/engine-store.ts';
import {
  decodeSmallOtlp,
  parseSmallEntries,
  smallDecoder,
  smallEntries,
  smallProjection,
  smallReader,
} from './small-engine.ts';

const { options } = workerData as EngineWorkerData;
const file = join(options.logDirectory, 'entries.jsonl');
const version = existsSync(join(options.logDirectory, 'version-2')) ? 2 : 1;
const store = storeParts(options);

await hostEngine(parentPort!, options, {
  ...store,
  prepare: () => Promise.resolve(),
  createSqlRunner(of) {
    const runner = store.createSqlRunner(of);
    return {
      run(request, sink) {
        if (request.query === 'die') process.exit(7);
        return runner.run(request, sink);
      },
    };
  },
  openReader: (from, durable) => {
    const entries = smallEntries(parseSmallEntries(readFileSync(file, 'utf8')));
    const reader = smallReader(entries, from, durable);
    return {
      ...reader,
      advance(position) {
        const known = entries.length;
        entries.push(...smallEntries(parseSmallEntries(readFileSync(file, 'utf8'))).slice(known));
        reader.advance(position);
        if (existsSync(join(options.logDirectory, 'break'))) throw new Error('broken on purpose');
      },
    };
  },
  createDecoder: smallDecoder,
  decodeOtlp: decodeSmallOtlp,
  projections: [smallProjection('logs', version)],
  migrationsDirectory: join(options.logDirectory, 'migrations'),
});
