/**
 * What is built beside the versions that serve: begun when one does not serve yet, ordered or cancelled by others, tried again after a
 * failure of its own, held back while the disk is short. One change at a time.
 */
import { type Clock, errorMessage, LIMITS, type Logger, TreasuryError } from '../base/index.ts';
import type { DurablePosition } from '../log/index.ts';
import { createBuildSpace, type TablesToBuild } from './build-space.ts';
import { type BuildTrack, type BuiltVersions, startBuildTrack } from './build-track.ts';
import { dropVersion, type StoredVersion, storedVersions } from './checkpoint.ts';
import { inTransaction } from './database.ts';
import type { SessionStore, WritingConnection } from './engine-session.ts';
import type { Loop, OpenLoop } from './loop.ts';
import type { MaterializerEnd } from './materializer-types.ts';
import type { ProjectionDefinition } from './projection.ts';
import type { BuildStatus } from './types.ts';
import type { VersionCatalogue } from './version-catalogue.ts';
import { standingBuild } from './version-statuses.ts';
import { makeNextTables } from './version-tables.ts';

export interface BuildsOptions {
  readonly store: SessionStore;
  readonly catalogue: VersionCatalogue;
  readonly logUuid: string;
  readonly openLoop: OpenLoop;
  /** The loop of the versions that serve, null when this release has the code of none. */
  readonly live: () => Loop | null;
  readonly durable: () => DurablePosition;
  /** Whether anything may be built now. */
  readonly isActive: () => boolean;
  /** `ready` or `end` has become something. */
  readonly onNews: () => void;
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface Builds {
  advance(position: DurablePosition): void;
  /** Runs `work` when no other change is on its way, and keeps others away meanwhile. */
  change(work: () => Promise<void>): Promise<void>;
  /** Inside a change: begins to build what does not serve, if there is something. Tries again by itself. */
  start(): Promise<void>;
  /** Inside a change, or when there are none any more: ends it. What was committed stays. */
  stop(): Promise<void>;
  /** Lets changes on their way end, and begins nothing more. */
  settle(): Promise<void>;
  /** Inside a change: nothing begins for so long. */
  rest(waitMs: number): void;
  /** As `Engine` has them. */
  rebuild(definition: ProjectionDefinition): Promise<void>;
  cancel(definition: ProjectionDefinition): Promise<void>;
  /** Whether a build works beside the live loop now. */
  readonly isBuilding: boolean;
  /** What waits for the switch, or null. */
  readonly ready: BuiltVersions | null;
  /** Why the database must be opened again, or null. */
  readonly end: MaterializerEnd | null;
  statusOf(name: string): BuildStatus | null;
  /** All entries below are in the tables that are built; null when there are none. */
  readonly materializedOffset: bigint | null;
}

/** Why nothing is built though there is something to build. */
interface Waiting {
  readonly for: 'disk' | 'retry';
  readonly reason: string;
  readonly untilMs: number;
}

/** Builds nothing yet. */
export function createBuilds(options: BuildsOptions): Builds {
  const { store, catalogue, logUuid, live, durable, isActive, onNews, logger, clock } = options;
  const space = createBuildSpace(() => store.diskFreeBytes());
  let track: BuildTrack | null = null;
  let builder: WritingConnection | null = null;
  let ready: BuiltVersions | null = null;
  let end: MaterializerEnd | null = null;
  let failures = 0;
  let waiting: Waiting | null = null;
  let restUntilMs = clock.monotonicMs();
  let later: NodeJS.Timeout | undefined;
  let changing: Promise<void> = Promise.resolve();

  function change(work: () => Promise<void>): Promise<void> {
    const mine = changing.then(work);
    changing = mine.catch(() => {});
    return mine;
  }

  async function start(): Promise<void> {
    if (track !== null || !isActive()) return;
    const waitMs = Math.max(restUntilMs, waiting?.untilMs ?? 0) - clock.monotonicMs();
    if (waitMs > 0) return startLater(waitMs);
    if (catalogue.versions.every(({ state }) => state === 'serving')) {
      waiting = null;
      return;
    }
    try {
      await begin();
    } catch (error) {
      waitForRetry('Cannot begin to build projection versions', error, errorMessage(error));
      await closeBuilder();
      await start();
    }
  }

  function startLater(waitMs: number): void {
    // One that was set for a longer wait would hold this one up.
    clearTimeout(later);
    later = setTimeout(() => {
      later = undefined;
      void change(start).catch(() => {});
    }, waitMs);
  }

  async function begin(): Promise<void> {
    builder ??= await store.connectWriting();
    const log = { uuid: logUuid, durableOffset: durable().durableOffset };
    const checkpoints = (await catalogue.openCheckpoints(builder, log)).filter(({ state }) => state !== 'serving');
    if (checkpoints.length === 0) return;
    const lack = await space.lackFor(builder, tablesToBuild(catalogue.versions));
    if (lack !== null) {
      waitForDisk(lack);
      await closeBuilder();
      return start();
    }
    const serving = new Map(
      catalogue.versions.filter(({ state }) => state === 'serving').map((one) => [one.name, one]),
    );
    const begun = await startBuildTrack({
      connection: builder,
      checkpoints,
      serving,
      openLoop: options.openLoop,
      live: live(),
      walBytes: () => store.walBytes(),
      lack: () => space.lack(),
      durable: durable(),
      logger,
      clock,
    });
    track = begun;
    waiting = null;
    begun.advance(durable());
    follow(begun);
    const names = checkpoints.map(
      ({ definition, nextOffset }) => `${definition.name} v${definition.version} from offset ${nextOffset}`,
    );
    logger.info('Building projection versions, those before serve meanwhile', { projections: names });
  }

  function follow(begun: BuildTrack): void {
    const firstOffset = begun.materializedOffset;
    void begun.ended.then((why) => {
      if (why === 'stopped' || track !== begun) return;
      end = why;
      onNews();
    });
    void begun.ready.then((versions) => {
      if (versions === null || track !== begun) return;
      ready = versions;
      onNews();
    });
    void begun.failed.then((error) =>
      change(async () => {
        if (track !== begun) return;
        if (begun.materializedOffset > firstOffset) failures = 0;
        waitForRetry(
          'Build of projection versions failed',
          error,
          `The build has failed and is tried again: ${errorMessage(error)}`,
        );
        await stop();
        await start();
      }).catch((again: unknown) => logger.error('Cannot go on after a build failed', { reason: errorMessage(again) })),
    );
  }

  function waitForRetry(message: string, error: unknown, reason: string): void {
    const waitMs = Math.min(LIMITS.buildRetryMaxMs, LIMITS.storeRetryMinMs * 2 ** failures);
    failures += 1;
    waiting = { for: 'retry', reason, untilMs: clock.monotonicMs() + waitMs };
    logger.error(message, { reason: errorMessage(error), retryInMs: waitMs });
  }

  function waitForDisk(lack: string): void {
    const reason = `The build waits for free disk: ${lack}`;
    if (waiting?.for !== 'disk') logger.warn('A build waits for free disk', { reason: lack });
    waiting = { for: 'disk', reason, untilMs: clock.monotonicMs() + LIMITS.buildSpaceIntervalMs };
  }

  async function stop(): Promise<void> {
    const ending = track;
    track = null;
    ready = null;
    await ending?.stop();
    await closeBuilder();
  }

  /** With a last look at what was committed over it. */
  async function closeBuilder(): Promise<void> {
    const closing = builder;
    builder = null;
    if (closing === null) return;
    await catalogue
      .refresh(closing)
      .catch((error: unknown) => logger.debug('Cannot read how far builds are', { reason: errorMessage(error) }));
    closing.close();
  }

  function refuse(what: string, why: string): TreasuryError {
    return new TreasuryError('TREASURY_PROJECTION_STATE', `Cannot ${what}: ${why}`);
  }

  async function beginRebuild(definition: ProjectionDefinition): Promise<void> {
    const { name, version } = definition;
    const what = `rebuild ${name}`;
    if (!isActive()) throw refuse(what, 'materialization is off');
    await apart(async (maker) => {
      const stored = await storedVersions(maker);
      const own = stored.filter((one) => one.name === name);
      if (own.some(({ state }) => state === 'rebuilding')) return;
      const serving = own.find((one) => one.state === 'serving' && one.version === version);
      if (serving === undefined) throw refuse(what, `version ${version} is being built`);
      const wanted = [...tablesToBuild(stored), { serving: serving.tables, built: [] }];
      const lack = await space.lackFor(maker, wanted);
      if (lack !== null) {
        throw new TreasuryError('TREASURY_DISK_FULL', `Cannot rebuild ${name}: ${lack}`, {
          facts: { projection: name },
        });
      }
      // Others that are being built go on from their checkpoints.
      await stop();
      waiting = null;
      failures = 0;
      const { firstOffset } = serving;
      const targetOffset = durable().durableOffset;
      await inTransaction(maker, () => makeNextTables(maker, definition, { logUuid, firstOffset, targetOffset }));
    });
  }

  async function endRebuild({ name }: ProjectionDefinition): Promise<void> {
    await apart(async (maker) => {
      const rebuilt = (await storedVersions(maker)).find((one) => one.name === name && one.state === 'rebuilding');
      if (rebuilt === undefined) throw refuse(`cancel the rebuild of ${name}`, 'none is running');
      await stop();
      await inTransaction(maker, async () => void (await dropVersion(maker, rebuilt)));
      logger.info('Rebuild cancelled', { projection: name, version: rebuilt.version });
    });
  }

  /**
   * Changes what is built over a connection of its own: the live loop's would show what was there when its open transaction began. Goes on
   * with what is left to build, whatever comes of the change.
   */
  async function apart(work: (maker: WritingConnection) => Promise<void>): Promise<void> {
    const maker = await store.connectWriting();
    try {
      await work(maker);
    } finally {
      await catalogue.refresh(maker);
      maker.close();
      await start();
    }
  }

  function standing(name: string): BuildStatus | null {
    const row = catalogue.versions.find((one) => one.name === name && one.state !== 'serving');
    if (row === undefined) return null;
    const leftMs = waiting === null ? 0 : Math.max(0, waiting.untilMs - clock.monotonicMs());
    return standingBuild(row, {
      targetOffset: durable().durableOffset,
      stuck: waiting?.reason ?? null,
      waiting: waiting?.for ?? null,
      retryAtUnixMs: waiting === null ? null : Date.now() + leftMs,
    });
  }

  return {
    advance: (position) => track?.advance(position),
    change,
    start,
    stop,
    async settle() {
      await changing;
      clearTimeout(later);
      later = undefined;
    },
    rest(waitMs) {
      restUntilMs = clock.monotonicMs() + waitMs;
    },
    rebuild: (definition) => change(() => beginRebuild(definition)),
    cancel: (definition) => change(() => endRebuild(definition)),
    get isBuilding() {
      return track !== null;
    },
    get ready() {
      return ready;
    },
    get end() {
      return end;
    },
    statusOf: (name) => track?.statusOf(name) ?? standing(name),
    get materializedOffset() {
      if (track !== null) return track.materializedOffset;
      const offsets = catalogue.versions.filter(({ state }) => state !== 'serving').map(({ nextOffset }) => nextOffset);
      return offsets.length === 0 ? null : offsets.reduce((least, offset) => (offset < least ? offset : least));
    },
  };
}

/** Of each projection with a version that does not serve. */
function tablesToBuild(versions: readonly StoredVersion[]): TablesToBuild[] {
  return versions
    .filter(({ state }) => state !== 'serving')
    .map(({ name, tables }) => ({
      built: tables,
      serving: versions.find((one) => one.name === name && one.state === 'serving')?.tables ?? [],
    }));
}
