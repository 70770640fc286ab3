/**
 * The two loops of an opened database: the live one drives the versions that serve, the other builds those that do not yet, on a connection
 * of its own. Starts both, ends both, and begins anew around a switch, while the database stays open and queries run.
 */
import { AssertionError, type Clock, errorMessage, LIMITS, type Logger, TreasuryError } from '../base/index.ts';
import type { DurablePosition } from '../log/index.ts';
import { type BuildTrack, type BuiltVersions, startBuildTrack } from './build-track.ts';
import { type Checkpoint, dropVersion, openCheckpoints, type StoredVersion, storedVersions } from './checkpoint.ts';
import { type Database, inTransaction } from './database.ts';
import type { EntryAttempts } from './entry-attempts.ts';
import type { SessionStore, WritingConnection } from './engine-session.ts';
import type { FailedRange } from './failed-range.ts';
import { type Loop, type OpenLoop, openLoop } from './loop.ts';
import type { MaterializerEnd, MaterializerOptions } from './materializer-types.ts';
import { createCounters } from './materializer-counters.ts';
import type { ProjectionDefinition } from './projection.ts';
import type { Quarantine } from './quarantine.ts';
import { storeFailure } from './store-failures.ts';
import type { TableRetention } from './table-retention.ts';
import type { BuildStatus, IncompleteTables, ProjectionStatus, VersionSwitch } from './types.ts';
import { makeNextTables, putInPlace, retireOlder } from './version-tables.ts';
import { createWake } from './wake.ts';

export interface TracksOptions
  extends Pick<
    MaterializerOptions,
    | 'openReader'
    | 'createDecoder'
    | 'decodeOtlp'
    | 'failedRange'
    | 'attempts'
    | 'counters'
    | 'commitRowsMax'
    | 'commitIntervalMs'
    | 'onProgress'
  > {
  readonly store: SessionStore;
  readonly definitions: readonly ProjectionDefinition[];
  readonly logUuid: string;
  readonly durable: DurablePosition;
  /** What the loop of builds remembers of entries that failed, apart from the live one. Called with the first build. */
  readonly buildTrouble: () => { readonly failedRange: FailedRange; readonly attempts?: EntryAttempts };
  /** Rows grow old in one loop. Null: they do not. */
  readonly openRetention: (isShared: () => boolean) => Promise<TableRetention | null>;
  /** Inside the transaction of a switch: makes the public views anew. */
  readonly applyViews: () => Promise<void>;
  /** After a switch to other versions, of which views may have other columns. */
  readonly onNewVersions?: () => void;
  /** By name, kept over databases that are opened again. */
  readonly lastSwitches: Map<string, VersionSwitch>;
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface Tracks {
  /** Moves the end of what may be read. */
  advance(position: DurablePosition): void;
  /** Works until `stop()`, or until the database cannot go on as it is. Throws AssertionError when an invariant is broken. */
  run(): Promise<MaterializerEnd>;
  stop(): void;
  /** The file was found damaged by someone who reads it: `run` ends with `corrupt`. */
  damaged(reason: string): void;
  /** As `Engine` has it. */
  rebuild(name: string): Promise<void>;
  cancelRebuild(name: string): Promise<void>;
  readonly projections: readonly ProjectionStatus[];
  readonly incomplete: readonly IncompleteTables[];
  /** Whether each version that serves is the one that this release's views are about. */
  readonly isViewed: boolean;
  /** All entries below are in the tables of every projection. */
  readonly materializedOffset: bigint;
  /** In those too that are being built. */
  readonly neededOffset: bigint;
  readonly stuck: string | null;
  readonly quarantine: Quarantine;
  /** After `run`, or without it. */
  close(): void;
}

/** Opens the checkpoints and the live loop. */
export async function openTracks(options: TracksOptions): Promise<Tracks> {
  const { store, definitions, logUuid, logger, clock, lastSwitches } = options;
  let durable = options.durable;
  let stored: readonly StoredVersion[] = [];
  let live: Loop | null = null;
  let build: BuildTrack | null = null;
  let builder: WritingConnection | null = null;
  let shown: Quarantine;
  let isRunning = false;
  let stopping = false;
  // What ends a round of `run`: the loops are ready for a switch, or the one that builds needs the database opened again.
  let built: BuiltVersions | null = null;
  let buildEnd: MaterializerEnd | null = null;
  // What a reader has found wrong with the file.
  let damage: string | null = null;
  const news = createWake();
  const idle = createWake();
  let switchFailures = 0;
  let startFailures = 0;
  let startFailure: string | null = null;
  let notBeforeMs = clock.monotonicMs();
  let later: NodeJS.Timeout | undefined;
  let changing: Promise<void> = Promise.resolve();
  const buildCounters = createCounters();

  const openBuildLoop: OpenLoop = async (connection, checkpoints, own) =>
    openLoop(connection, checkpoints, {
      ...options,
      durable,
      ...options.buildTrouble(),
      counters: buildCounters,
      // Somebody has to remember when entries were received, and to tell of those that belong nowhere.
      ...(isServing() ? { tellsOrphans: false } : retentionOption(await options.openRetention(() => true))),
      ...own,
    });
  await openLive();

  /** Whether this release has the code of a version that serves. */
  function isServing(): boolean {
    return live !== null && live.projectors.size > 0;
  }

  function tell(): void {
    news.wake();
    idle.wake();
  }

  async function checkpointsNow(database: Database): Promise<Checkpoint[]> {
    const checkpoints = await openCheckpoints(database, definitions, logUuid, durable.durableOffset);
    stored = await storedVersions(database);
    return checkpoints;
  }

  async function openLive(): Promise<void> {
    const checkpoints = (await checkpointsNow(store)).filter(({ state }) => state === 'serving');
    const retention = checkpoints.length === 0 ? null : await options.openRetention(() => build !== null);
    const loop = await openLoop(store, checkpoints, { ...options, durable, ...retentionOption(retention) });
    live = loop;
    // May have moved while it was opened.
    loop.materializer.advance(durable);
    shown = loop.quarantine;
  }

  /** Begins to build what is not serving, if there is something. Tries again by itself. */
  async function startBuild(): Promise<void> {
    try {
      await tryBuild();
      startFailures = 0;
      startFailure = null;
    } catch (error) {
      const waitMs = Math.min(LIMITS.storeRetryMaxMs, LIMITS.storeRetryMinMs * 2 ** startFailures);
      startFailures += 1;
      startFailure = errorMessage(error);
      logger.error('Cannot begin to build projection versions', { reason: startFailure, retryInMs: waitMs });
      builder?.close();
      builder = null;
      notBeforeMs = clock.monotonicMs() + waitMs;
      await tryBuild();
    }
  }

  async function tryBuild(): Promise<void> {
    if (build !== null || stopping || !isRunning) return;
    const waitMs = notBeforeMs - clock.monotonicMs();
    if (waitMs > 0) {
      later ??= setTimeout(() => {
        later = undefined;
        void changed(startBuild).catch(() => {});
      }, waitMs);
      return;
    }
    if (stored.every(({ state }) => state === 'serving')) return;
    builder ??= await store.connectWriting();
    const checkpoints = (await checkpointsNow(builder)).filter(({ state }) => state !== 'serving');
    if (checkpoints.length === 0) return;
    const serving = new Map(stored.filter(({ state }) => state === 'serving').map((one) => [one.name, one]));
    const track = await startBuildTrack({
      ...options,
      connection: builder,
      checkpoints,
      serving,
      openLoop: openBuildLoop,
      live: isServing() ? live : null,
      walBytes: () => store.walBytes(),
      durable,
    });
    build = track;
    track.advance(durable);
    void track.ended.then((end) => {
      if (end === 'stopped' || build !== track) return;
      buildEnd = end;
      tell();
    });
    void track.ready.then((versions) => {
      if (versions === null || build !== track) return;
      built = versions;
      tell();
    });
    const names = checkpoints.map(
      ({ definition, nextOffset }) => `${definition.name} v${definition.version} from offset ${nextOffset}`,
    );
    logger.info('Building projection versions, those before serve meanwhile', { projections: names });
  }

  async function stopBuild(): Promise<void> {
    const track = build;
    build = null;
    built = null;
    await track?.stop();
    builder?.close();
    builder = null;
  }

  async function run(): Promise<MaterializerEnd> {
    isRunning = true;
    try {
      for (;;) {
        const end = await runRound();
        if (end !== 'again') return end;
      }
    } finally {
      isRunning = false;
      await changing;
      clearTimeout(later);
      await stopBuild();
    }
  }

  /** From one switch to the next. */
  async function runRound(): Promise<MaterializerEnd | 'again'> {
    const loop = live as Loop;
    let liveEnd: MaterializerEnd | null = null;
    let broken: unknown = null;
    const running = runLive(loop).then(
      (end) => {
        liveEnd = end;
        news.wake();
      },
      (error: unknown) => {
        broken = error;
        liveEnd = 'stopped';
        news.wake();
      },
    );
    await changed(startBuild);
    while (!isRoundOver() && liveEnd === null) await news.wait();
    const versions: BuiltVersions | null = built;
    loop.materializer.stop();
    await running;
    if (broken !== null) throw broken instanceof Error ? broken : new AssertionError(errorMessage(broken));
    if (liveEnd !== null && liveEnd !== 'stopped') return liveEnd;
    if (damage !== null) return 'corrupt';
    if (buildEnd !== null) return buildEnd;
    if (stopping || versions === null) return 'stopped';
    try {
      await changed(() => switchTo(versions, loop));
      switchFailures = 0;
      return 'again';
    } catch (error) {
      return await switchAgain(error);
    }
  }

  /** The loop of no projections has nothing to do. */
  async function runLive({ materializer }: Loop): Promise<MaterializerEnd> {
    if (isServing()) return materializer.run();
    while (!isRoundOver()) await idle.wait();
    return 'stopped';
  }

  function isRoundOver(): boolean {
    return stopping || damage !== null || built !== null || buildEnd !== null;
  }

  /** After a switch that was taken back. What serves goes on, and catching up again leads to the next switch. */
  async function switchAgain(error: unknown): Promise<MaterializerEnd | 'again'> {
    const kind = storeFailure(error);
    const waitMs = Math.min(LIMITS.storeRetryMaxMs, LIMITS.storeRetryMinMs * 2 ** switchFailures);
    switchFailures += 1;
    logger.error('Cannot switch to new projection versions', { reason: errorMessage(error), retryInMs: waitMs });
    if (kind === 'lost' || kind === 'corrupt') return kind;
    notBeforeMs = clock.monotonicMs() + waitMs;
    try {
      await changed(async () => {
        await stopBuild();
        live = null;
        await openLive();
      });
    } catch (again) {
      logger.error('Cannot go on after a switch', { reason: errorMessage(again) });
      return 'lost';
    }
    return 'again';
  }

  /** One change of what is built at a time. */
  function changed(change: () => Promise<void>): Promise<void> {
    const mine = changing.then(change);
    changing = mine.catch(() => {});
    return mine;
  }

  async function switchTo(versions: BuiltVersions, loop: Loop): Promise<void> {
    // Somebody may have begun or cancelled a build in the last moment: what is left gets ready anew.
    const isCurrent = built === versions;
    await stopBuild();
    loop.close();
    if (isCurrent) await serve(versions);
    await openLive();
  }

  async function serve({ checkpoints, offset, comparisons }: BuiltVersions): Promise<void> {
    const dropped: string[] = [];
    const before = await storedVersions(store);
    await inTransaction(store, async () => {
      for (const { definition, state } of checkpoints) {
        const others = before.filter((one) => one.name === definition.name && one.version < definition.version);
        const serving = before.find((one) => one.name === definition.name && one.state === 'serving');
        if (state === 'rebuilding' && serving !== undefined) await putInPlace(store, serving, definition);
        else dropped.push(...(await retireOlder(store, others, definition)));
      }
      await options.applyViews();
    });
    for (const { definition } of checkpoints) {
      const { name, version } = definition;
      const fromVersion = before.find((one) => one.name === name && one.state === 'serving')?.version ?? version;
      const tables = comparisons.get(name) ?? {};
      lastSwitches.set(name, { name, version, fromVersion, atUnixMs: Date.now(), offset, tables });
    }
    const names = checkpoints.map(({ definition }) => `${definition.name} v${definition.version}`);
    logger.info('New projection versions serve', { projections: names, offset, dropped });
    if (checkpoints.some(({ state }) => state !== 'rebuilding')) options.onNewVersions?.();
  }

  function known(name: string): ProjectionDefinition {
    const own = definitions.filter((one) => one.name === name);
    const newest = own.find(({ version }) => own.every((other) => other.version <= version));
    if (newest !== undefined) return newest;
    throw new TreasuryError('TREASURY_PROJECTION_UNKNOWN', `Cannot find the projection: its name is ${name}`);
  }

  function refuse(what: string, why: string): TreasuryError {
    return new TreasuryError('TREASURY_PROJECTION_STATE', `Cannot ${what}: ${why}`);
  }

  async function beginRebuild(definition: ProjectionDefinition): Promise<void> {
    const { name, version } = definition;
    const what = `rebuild ${name}`;
    if (!isRunning || stopping) throw refuse(what, 'materialization is off');
    await apart(async (maker) => {
      const own = (await storedVersions(maker)).filter((one) => one.name === name);
      if (own.some(({ state }) => state === 'rebuilding')) return;
      const serving = own.find((one) => one.state === 'serving' && one.version === version);
      if (serving === undefined) throw refuse(what, `version ${version} is being built`);
      // Others that are being built go on from their checkpoints.
      await stopBuild();
      const { firstOffset } = serving;
      const targetOffset = durable.durableOffset;
      await inTransaction(maker, () => makeNextTables(maker, definition, { logUuid, firstOffset, targetOffset }));
    });
  }

  async function endRebuild({ name }: ProjectionDefinition): Promise<void> {
    await apart(async (maker) => {
      const rebuilt = (await storedVersions(maker)).find((one) => one.name === name && one.state === 'rebuilding');
      if (rebuilt === undefined) throw refuse(`cancel the rebuild of ${name}`, 'none is running');
      await stopBuild();
      await inTransaction(maker, async () => void (await dropVersion(maker, rebuilt)));
      logger.info('Rebuild cancelled', { projection: name, version: rebuilt.version });
    });
  }

  /**
   * Changes what is built over a connection of its own: the live loop's would show what was there when its open transaction began. Goes on
   * with what is left to build, whatever comes of the change.
   */
  async function apart(change: (maker: WritingConnection) => Promise<void>): Promise<void> {
    const maker = await store.connectWriting();
    try {
      await change(maker);
    } finally {
      stored = await storedVersions(maker);
      maker.close();
      await startBuild();
    }
  }

  function statuses(): ProjectionStatus[] {
    const loops = live?.materializer.projections ?? [];
    const serving = stored.filter(({ state }) => state === 'serving');
    return serving
      .filter(({ name }) => definitions.some((definition) => definition.name === name))
      .map(({ name, version, ...row }): ProjectionStatus => {
        const one = loops.find(({ definition }) => definition.name === name && definition.version === version);
        const materializedOffset = one?.materializedOffset ?? row.nextOffset;
        return {
          name,
          version,
          state: one === undefined ? 'frozen' : 'serving',
          materializedOffset,
          firstOffset: one?.firstOffset ?? row.firstOffset,
          complete: materializedOffset >= row.targetOffset,
          targetOffset: row.targetOffset,
          rowsWritten: one?.rowsWritten ?? 0,
          building: build?.statusOf(name) ?? waitingBuild(name),
          lastSwitch: lastSwitches.get(name) ?? null,
        };
      });
  }

  /** One that is not going on at this moment: another begins or ends beside it. */
  function waitingBuild(name: string): BuildStatus | null {
    const row = stored.find((one) => one.name === name && one.state !== 'serving');
    if (row === undefined) return null;
    return {
      version: row.version,
      kind: row.state === 'rebuilding' ? 'rebuild' : 'new',
      fromOffset: row.firstOffset,
      offset: row.nextOffset,
      targetOffset: durable.durableOffset,
      entriesPerSecond: null,
      estimatedEndMs: null,
      rowsWritten: 0,
      stuck: startFailure,
    };
  }

  function leastOffset(): bigint {
    return statuses().reduce(
      (least, { materializedOffset }) => (materializedOffset < least ? materializedOffset : least),
      live?.materializer.materializedOffset ?? durable.durableOffset,
    );
  }

  return {
    advance(position) {
      if (position.durableOffset < durable.durableOffset) return;
      durable = position;
      live?.materializer.advance(position);
      build?.advance(position);
    },
    run,
    stop() {
      stopping = true;
      live?.materializer.stop();
      tell();
    },
    damaged(reason) {
      damage ??= reason;
      tell();
    },
    async rebuild(name) {
      const definition = known(name);
      await changed(() => beginRebuild(definition));
    },
    async cancelRebuild(name) {
      const definition = known(name);
      await changed(() => endRebuild(definition));
    },
    get projections() {
      return statuses();
    },
    get incomplete() {
      return statuses()
        .filter(({ complete }) => !complete)
        .map((one) => ({
          projection: one.name,
          from: one.firstOffset,
          to: one.materializedOffset,
          of: one.targetOffset,
        }));
    },
    get isViewed() {
      return stored.every(({ state }) => state !== 'building');
    },
    get materializedOffset() {
      return leastOffset();
    },
    get neededOffset() {
      const waiting = stored.filter(({ state }) => state !== 'serving').map(({ nextOffset }) => nextOffset);
      const building = build === null ? waiting : [build.materializedOffset];
      return building.reduce((least, offset) => (offset < least ? offset : least), leastOffset());
    },
    get stuck() {
      return damage ?? live?.materializer.stuck ?? null;
    },
    get quarantine() {
      return shown;
    },
    close() {
      live?.close();
    },
  };
}

function retentionOption(retention: TableRetention | null): Pick<MaterializerOptions, 'retention'> {
  return retention === null ? {} : { retention };
}
