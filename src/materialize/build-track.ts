/**
 * The loop that builds versions which do not serve yet, up to the moment when they can: then both loops stand at the same offset, what
 * both hold is compared, and they stand again for the switch.
 */
import { type Clock, createWake, errorMessage, LIMITS, type Logger } from '../base/index.ts';
import type { DurablePosition } from '../log/index.ts';
import { createBuildPace } from './build-pace.ts';
import { createBuildProgress } from './build-progress.ts';
import type { Checkpoint, StoredVersion } from './checkpoint.ts';
import { rollbackQuietly } from './database.ts';
import type { Loop, OpenLoop } from './loop.ts';
import type { MaterializerEnd } from './materializer-types.ts';
import { type RetainedProjection, sweepBuilt } from './table-retention.ts';
import type { KeptRows } from './table-retention-sweep.ts';
import type { BuildStatus, TableComparison } from './types.ts';
import { compareTables } from './version-comparison.ts';
import { takeOverEntries, takeOverRows } from './version-tables.ts';
import type { WritingConnection } from './engine-session.ts';

export interface BuildTrackOptions {
  readonly connection: WritingConnection;
  readonly checkpoints: readonly Checkpoint[];
  /** The versions that serve now, by name. */
  readonly serving: ReadonlyMap<string, StoredVersion>;
  readonly openLoop: OpenLoop;
  /** The loop of the versions that serve, null when this release has the code of none: then nothing is waited for. */
  readonly live: Loop | null;
  /** Bytes of DuckDB's write-ahead log. */
  readonly walBytes: () => number;
  /** Why it must stand for want of disk now, or null. */
  readonly lack: () => string | null;
  readonly durable: DurablePosition;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** What the versions built and those that serve have in common. */
export interface BuiltVersions {
  readonly checkpoints: readonly Checkpoint[];
  readonly offset: bigint;
  readonly comparisons: ReadonlyMap<string, Readonly<Record<string, TableComparison>>>;
}

export interface BuildTrack {
  /** `stopped` also when it failed by a fault of its own. */
  readonly ended: Promise<MaterializerEnd>;
  /** Resolves, if ever, with a fault of its own: it goes no further. */
  readonly failed: Promise<unknown>;
  /** Resolves when both loops stand at the same offset for the switch; with null when the track ends before. */
  readonly ready: Promise<BuiltVersions | null>;
  advance(position: DurablePosition): void;
  statusOf(name: string): BuildStatus | null;
  /** All entries below are in its tables. */
  readonly materializedOffset: bigint;
  /** Ends it and closes its writers. What it has committed stays. */
  stop(): Promise<void>;
}

/** Begins to build. */
export async function startBuildTrack(options: BuildTrackOptions): Promise<BuildTrack> {
  const { connection, checkpoints, serving, live, logger, clock } = options;
  const pace = createBuildPace(clock);
  const progress = createBuildProgress(clock);
  const caughtUp = createWake();
  const thereIsDisk = createWake();
  let durable = options.durable;
  let told = clock.monotonicMs();
  let stopping = false;
  let failure: string | null = null;
  let lacking: string | null = null;
  let isIdle = false;
  // Both loops stand, or are about to: nobody else may hold and release them.
  let areHeld = false;
  const rebuilt = new Set(
    checkpoints.filter(({ state }) => state === 'rebuilding').map(({ definition }) => definition),
  );

  const loop = await options.openLoop(connection, checkpoints, {
    commitIntervalMs: LIMITS.buildCommitIntervalMs,
    statesBytesMax: LIMITS.buildStatesBytesMax,
    afterCommit,
    ...(live === null ? {} : { pace: () => pace.pace() }),
    onWaiting: (isWaiting) => {
      isIdle = isWaiting;
      if (isWaiting) caughtUp.wake();
      else pace.goesOn();
    },
    async takeOver(definition, gone) {
      if (!rebuilt.has(definition)) return false;
      await takeOverRows(connection, definition, gone);
      return true;
    },
    async takeOverEntries(definition, offsets) {
      if (rebuilt.has(definition)) await takeOverEntries(connection, definition, offsets);
    },
  });
  const { materializer } = loop;
  live?.onWaiting((isWaiting) => pace.liveWaits(isWaiting));
  progress.at(materializer.materializedOffset);
  let hasFailed: (error: unknown) => void = () => {};
  const failed = new Promise<unknown>((resolve) => {
    hasFailed = resolve;
  });
  const ended = run();
  const ready = makeReady().catch((error: unknown) => {
    fail(error);
    return null;
  });

  async function run(): Promise<MaterializerEnd> {
    try {
      return await materializer.run();
    } catch (error) {
      // A version that cannot be built must not take down the one that serves.
      fail(error);
      await rollbackQuietly(connection);
      return 'stopped';
    } finally {
      pace.end();
      live?.materializer.release();
      caughtUp.wake();
    }
  }

  function fail(error: unknown): void {
    failure = errorMessage(error);
    live?.materializer.release();
    materializer.stop();
    hasFailed(error);
  }

  async function afterCommit(): Promise<void> {
    progress.at(materializer.materializedOffset);
    if (clock.monotonicMs() - told >= LIMITS.buildTellIntervalMs) tell('Building projection versions');
    if (live !== null && !areHeld && options.walBytes() > LIMITS.walBytesMax) await checkpoint(live);
    if (live !== null && materializer.materializedOffset >= live.materializer.materializedOffset) caughtUp.wake();
    if (options.lack() !== null) await untilThereIsDisk();
  }

  /** Between two transactions, so that nothing of the database waits for it; never while the live loop does. */
  async function untilThereIsDisk(): Promise<void> {
    for (;;) {
      const lack = options.lack();
      if (lack === null || areHeld || stopping) break;
      if (lacking === null) logger.warn('A build waits for free disk', { projections: names(), reason: lack });
      lacking = `The build waits for free disk: ${lack}`;
      await thereIsDisk.wait(LIMITS.buildSpaceIntervalMs);
    }
    lacking = null;
    pace.goesOn();
  }

  /** DuckDB takes its log into the file by itself only at a commit beside which nobody writes, which may never come. */
  async function checkpoint({ materializer: beside }: Loop): Promise<void> {
    if ((await beside.hold()) === null) return;
    try {
      await connection.run('CHECKPOINT');
    } catch (error) {
      logger.warn('Cannot write a checkpoint beside a build, trying again', { reason: errorMessage(error) });
    } finally {
      beside.release();
    }
  }

  function tell(message: string): void {
    told = clock.monotonicMs();
    const { entriesPerSecond } = progress;
    logger.info(message, {
      projections: names(),
      offset: materializer.materializedOffset,
      target: durable.durableOffset,
      entriesPerSecond: entriesPerSecond === null ? null : Math.round(entriesPerSecond),
      leftMs: progress.leftMs(durable.durableOffset),
    });
  }

  function names(): string[] {
    return checkpoints.map(({ definition }) => `${definition.name} v${definition.version}`);
  }

  async function makeReady(): Promise<BuiltVersions | null> {
    await untilCaughtUp();
    const first = await standTogether();
    if (first === null) return null;
    const comparisons = await compareAll(first);
    // What came in meanwhile may be much: the live loop must not stand for it.
    pace.goesOn();
    materializer.release();
    await untilCaughtUp();
    const last = await standTogether();
    return last === null ? null : { checkpoints, offset: last, comparisons };
  }

  async function untilCaughtUp(): Promise<void> {
    while (!isCaughtUp() && !stopping && failure === null) await caughtUp.wait();
  }

  function isCaughtUp(): boolean {
    if (stopping || failure !== null) return false;
    const to = live?.materializer.materializedOffset ?? durable.durableOffset;
    return isIdle || materializer.materializedOffset >= to;
  }

  /** Both loops stand at one offset. Null when one of them ends. */
  async function standTogether(): Promise<bigint | null> {
    if (stopping || failure !== null) return null;
    areHeld = true;
    const built = await materializer.hold();
    if (live === null || built === null) return built;
    const served = await live.materializer.hold(built);
    if (served === null || served === built) return served;
    // It stands for this loop alone.
    pace.liveWaits(true);
    return materializer.hold(served);
  }

  function releaseLive(): void {
    if (live === null) return;
    areHeld = false;
    pace.liveWaits(false);
    live.materializer.release();
  }

  /**
   * What is the same at `offset`: in a transaction that sees nothing of what comes later, so that the live loop goes on meanwhile. Then rows
   * that retention would not leave go from what is built, which still stands.
   */
  async function compareAll(offset: bigint): Promise<BuiltVersions['comparisons']> {
    const results = new Map<string, Readonly<Record<string, TableComparison>>>();
    if (live === null) return results;
    let kept: KeptRows | null = null;
    try {
      kept = (await live.retention?.kept(offset)) ?? null;
      await connection.begin();
      // Only what it reads first fixes what a transaction sees.
      await connection.rows('SELECT count(*) FROM meta.projections');
      releaseLive();
      for (const { definition } of checkpoints) {
        const now = live.materializer.projections.find((one) => one.definition.name === definition.name);
        const old = serving.get(definition.name);
        if (now === undefined || old === undefined || stopping) continue;
        const built = loop.materializer.projections.find((one) => one.definition === definition);
        const firstOffset = [now.firstOffset, built?.firstOffset ?? 0n].reduce((a, b) => (a > b ? a : b));
        const { aging, compared } = now.definition;
        const before = { tables: old.tables, aging, compared };
        results.set(definition.name, await compareTables(connection, before, definition, { firstOffset, kept }));
      }
    } catch (error) {
      logger.warn('Cannot compare a built projection with the one that serves', { reason: errorMessage(error) });
    } finally {
      await rollbackQuietly(connection);
      if (areHeld) releaseLive();
    }
    for (const [name, tables] of results) {
      const differing = Object.entries(tables).filter(([, { result }]) => result === 'different');
      const level = differing.length === 0 ? 'info' : 'warn';
      logger[level]('Compared a built projection with the one that serves', { projection: name, offset, tables });
    }
    if (kept !== null) await sweep(kept);
    return results;
  }

  /** What is left goes by and by when it serves. */
  async function sweep(kept: KeptRows): Promise<void> {
    pace.goesOn();
    try {
      for await (const _slice of sweepBuilt(connection, retained(loop), kept)) {
        if (stopping) return;
        await pace.pace();
      }
    } catch (error) {
      logger.warn('Cannot delete old rows of a built projection, trying again when it serves', {
        reason: errorMessage(error),
      });
    }
  }

  function standing(): Pick<BuildStatus, 'stuck' | 'waiting' | 'retryAtUnixMs'> {
    const stuck = lacking ?? failure ?? materializer.stuck;
    const waiting = stuck === null ? null : lacking === null ? 'retry' : 'disk';
    return { stuck, waiting, retryAtUnixMs: null };
  }

  return {
    ended,
    failed,
    ready,
    advance(position) {
      durable = position;
      materializer.advance(position);
    },
    get materializedOffset() {
      return materializer.materializedOffset;
    },
    statusOf(name) {
      const checkpoint = checkpoints.find(({ definition }) => definition.name === name);
      const one = materializer.projections.find(({ definition }) => definition === checkpoint?.definition);
      if (checkpoint === undefined || one === undefined) return null;
      return {
        version: checkpoint.definition.version,
        kind: checkpoint.state === 'rebuilding' ? 'rebuild' : 'new',
        fromOffset: one.firstOffset,
        offset: one.materializedOffset,
        targetOffset: durable.durableOffset,
        entriesPerSecond: progress.entriesPerSecond,
        estimatedEndMs: progress.leftMs(durable.durableOffset),
        rowsWritten: one.rowsWritten,
        ...standing(),
      };
    },
    async stop() {
      stopping = true;
      pace.end();
      thereIsDisk.wake();
      materializer.stop();
      caughtUp.wake();
      await Promise.all([ended, ready]);
      loop.close();
    },
  };
}

/** The projections of a loop that stands. */
function retained({ materializer, projectors }: Loop): RetainedProjection[] {
  return materializer.projections.map(({ definition, materializedOffset }) => ({
    definition,
    nextOffset: materializedOffset,
    projector: projectors.get(definition) ?? {},
  }));
}
