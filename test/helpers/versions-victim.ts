/** A process to be killed: small projections on a DuckDB file, one rebuild after the other, each told when it begins and when it serves. */
import { join } from 'node:path';
import { silentLogger } from '../../src/base/index.ts';
import { storeParts } from '../../src/materialize/engine-store.ts';
import { smallProjection } from './small-engine.ts';
import { runTracks, smallLog } from './small-tracks.ts';

/** How a victim is told what to do. */
export interface VersionsVictim {
  readonly directory: string;
  readonly entries: number;
  readonly version: number;
  /** Ends in order when nothing is built any more, and begins nothing. */
  readonly last: boolean;
}

const { directory, entries, version, last } = JSON.parse(process.argv[2]!) as VersionsVictim;
const store = await storeParts({ memoryLimitMb: 128, threads: 2 }).openStore(join(directory, 'tables'), silentLogger);
const log = smallLog();
log.write(...Array.from({ length: entries }, (_, at) => ({ rows: at % 3 })));
const definitions = Array.from({ length: version }, (_, at) => smallProjection('logs', at + 1));
const running = await runTracks({ after() {} }, store, log, definitions, {
  migrations: join(directory, 'migrations'),
  commitRowsMax: 20,
});
const tell = (what: string) => process.stdout.write(`${what}\n`);
const isBuilt = () => running.until(([logs]) => logs?.building === null && logs.version === version);
tell('open');
await running.until(([logs]) => (logs?.materializedOffset ?? 0n) >= BigInt(entries));
while (!last) {
  await isBuilt();
  await running.tracks.rebuild('logs');
  tell('rebuilding');
  await isBuilt();
  tell('switched');
}
await isBuilt();
await running.stop();
await store.close();
