/**
 * The two loops of an opened database: the live one drives the versions that serve, the other builds those that do not yet (`builds.ts`).
 * Runs the live one, and switches to what is built: rounds from one switch to the next, while the database stays open and queries run.
 */
import {
  AssertionError,
  type Clock,
  createWake,
  errorMessage,
  LIMITS,
  type Logger,
  TreasuryError,
} from '../base/index.ts';
import type { DurablePosition } from '../log/index.ts';
import type { BuiltVersions } from './build-track.ts';
import { createBuilds } from './builds.ts';
import { storedVersions } from './checkpoint.ts';
import { inTransaction } from './database.ts';
import type { EntryAttempts } from './entry-attempts.ts';
import type { SessionStore } from './engine-session.ts';
import type { FailedRange } from './failed-range.ts';
import { type Loop, type OpenLoop, openLoop } from './loop.ts';
import type { MaterializerEnd, MaterializerOptions } from './materializer-types.ts';
import { createCounters } from './materializer-counters.ts';
import type { ProjectionDefinition } from './projection.ts';
import { openSeriesNumbers, renewNumbering } from './projections/series-numbers.ts';
import type { Quarantine } from './quarantine.ts';
import { storeFailure } from './store-failures.ts';
import type { TableRetention } from './table-retention.ts';
import type { IncompleteTables, ProjectionStatus } from './types.ts';
import { createVersionCatalogue, writeSwitch } from './version-catalogue.ts';
import { incompleteTables, projectionStatuses } from './version-statuses.ts';
import { putInPlace, retireOlder } from './version-tables.ts';

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
  /** When other tables have taken the place of those that were read, be they of a new version or of the same. */
  readonly onReplaced?: () => void;
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
  const { store, definitions, logUuid, logger, clock } = options;
  const catalogue = createVersionCatalogue(definitions);
  let durable = options.durable;
  let live: Loop | null = null;
  let shown: Quarantine;
  let isRunning = false;
  let stopping = false;
  // What a reader has found wrong with the file.
  let damage: string | null = null;
  const news = createWake();
  const idle = createWake();
  let switchFailures = 0;
  const buildCounters = createCounters();
  const seriesNumbers = await openSeriesNumbers(store);

  const openBuildLoop: OpenLoop = async (connection, checkpoints, own) =>
    openLoop(connection, checkpoints, {
      ...options,
      durable,
      seriesNumbers,
      ...options.buildTrouble(),
      counters: buildCounters,
      // Somebody has to remember when entries were received, and to tell of those that belong nowhere.
      ...(isServing() ? { tellsOrphans: false } : retentionOption(await options.openRetention(() => true))),
      ...own,
    });
  const builds = createBuilds({
    store,
    catalogue,
    logUuid,
    openLoop: openBuildLoop,
    live: () => (isServing() ? live : null),
    durable: () => durable,
    isActive: () => isRunning && !stopping,
    onNews: tell,
    logger,
    clock,
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

  async function openLive(): Promise<void> {
    const log = { uuid: logUuid, durableOffset: durable.durableOffset };
    const checkpoints = (await catalogue.openCheckpoints(store, log)).filter(({ state }) => state === 'serving');
    const isShared = () => builds.isBuilding;
    const retention = checkpoints.length === 0 ? null : await options.openRetention(isShared);
    const loop = await openLoop(store, checkpoints, {
      ...options,
      durable,
      seriesNumbers,
      ...retentionOption(retention),
    });
    live = loop;
    // May have moved while it was opened.
    loop.materializer.advance(durable);
    shown = loop.quarantine;
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
      await builds.settle();
      await builds.stop();
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
    await builds.change(() => builds.start());
    while (!isRoundOver() && liveEnd === null) await news.wait();
    const versions = builds.ready;
    loop.materializer.stop();
    await running;
    if (broken !== null) throw broken instanceof Error ? broken : new AssertionError(errorMessage(broken));
    if (liveEnd !== null && liveEnd !== 'stopped') return liveEnd;
    if (damage !== null) return 'corrupt';
    if (builds.end !== null) return builds.end;
    if (stopping || versions === null) return 'stopped';
    try {
      await builds.change(() => switchTo(versions, loop));
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
    return stopping || damage !== null || builds.ready !== null || builds.end !== null;
  }

  /** After a switch that was taken back. What serves goes on, and catching up again leads to the next switch. */
  async function switchAgain(error: unknown): Promise<MaterializerEnd | 'again'> {
    const kind = storeFailure(error);
    const waitMs = Math.min(LIMITS.storeRetryMaxMs, LIMITS.storeRetryMinMs * 2 ** switchFailures);
    switchFailures += 1;
    logger.error('Cannot switch to new projection versions', { reason: errorMessage(error), retryInMs: waitMs });
    if (kind === 'lost' || kind === 'corrupt') return kind;
    try {
      await builds.change(async () => {
        builds.rest(waitMs);
        await builds.stop();
        live = null;
        await openLive();
      });
    } catch (again) {
      logger.error('Cannot go on after a switch', { reason: errorMessage(again) });
      return 'lost';
    }
    return 'again';
  }

  async function switchTo(versions: BuiltVersions, loop: Loop): Promise<void> {
    // Somebody may have begun or cancelled a build in the last moment: what is left gets ready anew.
    const isCurrent = builds.ready === versions;
    await builds.stop();
    loop.close();
    if (isCurrent) await serve(versions);
    await openLive();
  }

  async function serve({ checkpoints, offset, comparisons }: BuiltVersions): Promise<void> {
    const dropped: string[] = [];
    const before = await storedVersions(store);
    await inTransaction(store, async () => {
      for (const { definition, state } of checkpoints) {
        const { name, version } = definition;
        const others = before.filter((one) => one.name === name && one.version < version);
        const serving = before.find((one) => one.name === name && one.state === 'serving');
        if (state === 'rebuilding' && serving !== undefined) await putInPlace(store, serving, definition);
        else dropped.push(...(await retireOlder(store, others, definition)));
        const tables = comparisons.get(name) ?? {};
        const fromVersion = serving?.version ?? version;
        await writeSwitch(store, { name, version, fromVersion, atUnixMs: Date.now(), offset, tables });
      }
      await renewNumbering(store);
      await options.applyViews();
    });
    const names = checkpoints.map(({ definition }) => `${definition.name} v${definition.version}`);
    logger.info('New projection versions serve', { projections: names, offset, dropped });
    options.onReplaced?.();
    if (checkpoints.some(({ state }) => state !== 'rebuilding')) options.onNewVersions?.();
  }

  function known(name: string): ProjectionDefinition {
    const own = definitions.filter((one) => one.name === name);
    const newest = own.find(({ version }) => own.every((other) => other.version <= version));
    if (newest !== undefined) return newest;
    throw new TreasuryError('TREASURY_PROJECTION_UNKNOWN', `Cannot find the projection: its name is ${name}`);
  }

  function statuses(): ProjectionStatus[] {
    return projectionStatuses({ catalogue, definitions, live, buildOf: (name) => builds.statusOf(name) });
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
      builds.advance(position);
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
    rebuild: async (name) => builds.rebuild(known(name)),
    cancelRebuild: async (name) => builds.cancel(known(name)),
    get projections() {
      return statuses();
    },
    get incomplete() {
      return incompleteTables(statuses());
    },
    get isViewed() {
      return catalogue.versions.every(({ state }) => state !== 'building');
    },
    get materializedOffset() {
      return leastOffset();
    },
    get neededOffset() {
      const served = leastOffset();
      const built = builds.materializedOffset ?? served;
      return built < served ? built : served;
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
