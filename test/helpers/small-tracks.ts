/** The two loops of an engine of small parts, on a log in memory that grows. */
import { type Logger, OffsetOutOfRangeError, silentLogger, systemClock } from '../../src/base/index.ts';
import type { LogEntry, LogReader } from '../../src/log/index.ts';
import { createFailedRange } from '../../src/materialize/failed-range.ts';
import { createCounters } from '../../src/materialize/materializer-counters.ts';
import { migrate } from '../../src/materialize/migrator.ts';
import type { SessionStore } from '../../src/materialize/engine-session.ts';
import type { ProjectionDefinition } from '../../src/materialize/projection.ts';
import { openTracks, type Tracks, type TracksOptions } from '../../src/materialize/tracks.ts';
import type { ProjectionStatus } from '../../src/materialize/types.ts';
import {
  decodeSmallOtlp,
  positionAt,
  smallDecoder,
  smallEntries,
  type SmallRecord,
  smallReader,
} from './small-engine.ts';

export interface SmallLog {
  readonly entries: LogEntry[];
  /** Where it begins: entries below are gone. */
  firstOffset: bigint;
  /** Appends entries with these records. */
  write(...records: SmallRecord[]): bigint;
}

export function smallLog(): SmallLog {
  const log: SmallLog = {
    entries: [],
    firstOffset: 0n,
    write(...records) {
      const known = log.entries.length;
      const all = [...log.entries.map(() => ({})), ...records.map((record) => ({ record }))];
      log.entries.push(...smallEntries(all).slice(known));
      return BigInt(log.entries.length);
    },
  };
  return log;
}

function readSmallLog(log: SmallLog, from: bigint, bound: Parameters<typeof smallReader>[2]): LogReader {
  if (from < log.firstOffset) {
    throw new OffsetOutOfRangeError(from, log.firstOffset, BigInt(log.entries.length));
  }
  const kept = log.entries.filter(({ offset }) => offset >= log.firstOffset);
  const reader = smallReader(kept, from, bound);
  return {
    ...reader,
    advance(position) {
      kept.push(...log.entries.slice(Number(kept.at(-1)?.offset ?? log.firstOffset - 1n) + 1));
      reader.advance(position);
    },
  };
}

export interface RunningTracks {
  readonly tracks: Tracks;
  /** Appends and makes durable. */
  write(...records: SmallRecord[]): void;
  until(reached: (projections: readonly ProjectionStatus[]) => boolean): Promise<void>;
  stop(): Promise<void>;
}

/** Migrates, opens the tracks and lets them run. */
export async function runTracks(
  t: { after(fn: () => unknown): void },
  store: SessionStore,
  log: SmallLog,
  definitions: readonly ProjectionDefinition[],
  options: Partial<TracksOptions> & { readonly migrations: string; readonly logger?: Logger },
): Promise<RunningTracks> {
  await migrate(store, options.migrations);
  const tracks = await openTracks({
    store,
    definitions,
    logUuid: 'log-1',
    openReader: (from, bound) => readSmallLog(log, from, bound),
    createDecoder: smallDecoder,
    decodeOtlp: decodeSmallOtlp,
    failedRange: createFailedRange(),
    buildTrouble: () => ({ failedRange: createFailedRange() }),
    openRetention: () => Promise.resolve(null),
    counters: createCounters(),
    durable: positionAt(BigInt(log.entries.length)),
    applyViews: async () => {
      const version = Math.max(...definitions.map((one) => one.version));
      await store.run(`CREATE OR REPLACE VIEW logs AS FROM store.logs_v${version}`);
    },
    logger: silentLogger,
    clock: systemClock,
    commitRowsMax: 50,
    commitIntervalMs: 5,
    ...options,
  });
  let broken: unknown = null;
  const running = tracks.run().catch((error: unknown) => {
    broken = error;
  });
  // A test that fails must not leave it running.
  t.after(() => tracks.stop());
  return {
    tracks,
    write(...records) {
      tracks.advance(positionAt(log.write(...records)));
    },
    async until(reached) {
      while (!reached(tracks.projections)) {
        if (broken !== null) throw broken;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    async stop() {
      tracks.stop();
      await running;
      tracks.close();
      if (broken !== null) throw broken;
    },
  };
}
