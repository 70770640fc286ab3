/**
 * The loop that keeps projections of users up to date, on a connection of its own. It reads what the materializer has committed, takes
 * turns between the projections, and gives way: while the materializer is behind it rests most of the time, and each statement has a
 * place among the queries. What fails costs nothing but the lag of its projection.
 */
import type { DuckDBConnection } from '@duckdb/node-api';
import { type Clock, createWake, errorMessage, LIMITS, type Logger, TreasuryError } from '../../base/index.ts';
import { storeFailure } from '../store-failures.ts';
import type { RetentionFigures } from '../table-retention-figures.ts';
import type { IncompleteTables } from '../types.ts';
import { ageRows } from './aging.ts';
import { readDefinitionFiles } from './definition-files.ts';
import type { LiveState, UserLimits } from './live-state.ts';
import type { RangeStop } from './range-run.ts';
import { refusedStatus, RunningVersion, type VersionFaults } from './running-version.ts';
import type { UserProjectionProblem, UserProjectionScan, UserProjectionStatus } from './types.ts';
import { readableViews } from './validation.ts';
import { syncVersions } from './version-sync.ts';
import { storedVersions, switchVersion } from './versions.ts';

export interface UserProjectionsOptions {
  /** The folder of `NAME.sql`. */
  readonly directory: string;
  readonly connect: () => Promise<DuckDBConnection>;
  readonly live: LiveState;
  /** Names that are not for users: of the projections of the product. */
  readonly reservedNames: readonly string[];
  /** Runs work that holds one of the threads of DuckDB's calls, when one is free for it. */
  readonly inTurn: (work: () => Promise<void>) => Promise<void>;
  /** An entry was put into `meta.quarantine`. */
  readonly onQuarantined: (entry: { offset: bigint; projection: string; reason: string }) => void;
  readonly retentionFigures: RetentionFigures;
  readonly retentionNow: () => bigint;
  /** What the loop itself could not go on for. */
  readonly onFailure?: (error: unknown) => void;
  /** Which statements have broken a database: outlives it. */
  readonly faults: VersionFaults;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: Partial<UserLimits>;
}

export interface UserProjections {
  /** The materializer has committed, or has nothing to do. Cheap. */
  advanced(): void;
  /** The views that statements read are others: the files are looked at again. Cheap. */
  viewsChanged(): void;
  /** Looks at the files again. Rejects with TreasuryError. */
  rescan(): Promise<UserProjectionScan>;
  readonly statuses: readonly UserProjectionStatus[];
  /** Tables that are being filled. */
  readonly incomplete: readonly IncompleteTables[];
  /** Resolves when the files have been looked at for the first time, or that has failed and is tried again. */
  readonly looked: Promise<void>;
  /** Settles when nothing runs any more. */
  stop(): Promise<void>;
}

interface Rescan {
  readonly resolve: (scan: UserProjectionScan) => void;
  readonly reject: (error: unknown) => void;
}

/** Starts the loop: the files are looked at first. */
export function startUserProjections(options: UserProjectionsOptions): UserProjections {
  const { directory, live, clock, logger, retentionFigures: figures } = options;
  const limits: UserLimits = { ...LIMITS, ...options.limits };
  const news = createWake();
  const stopped = createWake();
  let hasLooked: () => void = () => {};
  const looked = new Promise<void>((resolve) => {
    hasLooked = resolve;
  });
  let connection: DuckDBConnection | null = null;
  let versions: RunningVersion[] = [];
  let problems: readonly TreasuryError[] = [];
  let rescans: Rescan[] = [];
  let isStopping = false;
  let failures = 0;
  let aging: AsyncGenerator<void, void> | null = null;
  let agingDueMs = clock.monotonicMs();

  const shouldStop = (): RangeStop | null => {
    if (isStopping || rescans.length > 0) return 'yield';
    return live.isStuck ? 'memory' : null;
  };

  async function run(): Promise<void> {
    let isScanned = false;
    while (!isStopping) {
      try {
        connection ??= await options.connect();
        if (!isScanned || rescans.length > 0) {
          await scan(connection);
          isScanned = true;
          hasLooked();
        }
        const didWork = await turn(connection);
        failures = 0;
        if (!didWork) await news.wait(waitMs());
      } catch (error) {
        hasLooked();
        await rest(error);
      }
    }
    hasLooked();
    for (const { reject } of rescans.splice(0)) reject(notRunning());
  }

  /** One range of each version that has something to do, and a slice of retention. */
  async function turn(database: DuckDBConnection): Promise<boolean> {
    let didWork = await ageSlice(database);
    for (const version of versions) {
      if (isStopping || rescans.length > 0) return true;
      const startMs = clock.monotonicMs();
      if (!(await version.step(database))) continue;
      didWork = true;
      await giveWay((clock.monotonicMs() - startMs) * limits.userRestFactor);
    }
    return (await switchBuilt(database)) || didWork;
  }

  /** Rests as long as the materializer is behind, at most for `maxMs`. */
  async function giveWay(maxMs: number): Promise<void> {
    const endMs = clock.monotonicMs() + maxMs;
    while (!live.isCaughtUp && !isStopping && rescans.length === 0) {
      const leftMs = endMs - clock.monotonicMs();
      if (leftMs <= 0) return;
      await news.wait(leftMs);
    }
  }

  async function switchBuilt(database: DuckDBConnection): Promise<boolean> {
    const built = versions.find((version) => version.stored.state === 'building' && version.isCaughtUp);
    if (built === undefined) return false;
    const { name } = built.stored;
    const older = versions.filter((version) => version !== built && version.stored.name === name);
    await switchVersion(
      database,
      built.stored,
      older.map(({ stored }) => stored),
    );
    built.serves();
    versions = versions.filter((version) => !older.includes(version));
    logger.info('New version of a projection serves', { projection: name, version: built.stored.version });
    return true;
  }

  async function ageSlice(database: DuckDBConnection): Promise<boolean> {
    if (figures.ageMs === null || versions.length === 0) return false;
    if (aging === null) {
      if (clock.monotonicMs() < agingDueMs) return false;
      const all = versions.map(({ stored }) => stored);
      aging = ageRows(database, all, figures, options.retentionNow());
    }
    const work = aging;
    aging = null;
    agingDueMs = clock.monotonicMs() + figures.intervalMs;
    let isDone = true;
    await options.inTurn(async () => {
      isDone = (await work.next()).done === true;
    });
    if (!isDone) aging = work;
    return !isDone;
  }

  function waitMs(): number | undefined {
    const due = versions.flatMap(({ retryInMs }) => (retryInMs === null ? [] : [retryInMs]));
    if (figures.ageMs !== null && versions.length > 0) due.push(Math.max(0, agingDueMs - clock.monotonicMs()));
    return due.length === 0 ? undefined : Math.min(...due);
  }

  async function scan(database: DuckDBConnection): Promise<void> {
    const waiting = rescans;
    rescans = [];
    aging = null;
    try {
      const found = await readDefinitionFiles(directory);
      // Without files nobody reads views: to ask for their columns takes megabytes of a small server.
      const readable = found.names.size === 0 ? [] : await readableViews(database);
      const synced = await syncVersions(database, found, {
        stored: await storedVersions(database),
        readable,
        reservedNames: options.reservedNames,
        durableOffset: live.durableOffset,
        logger,
      });
      const before = versions;
      versions = synced.versions.map(({ stored, statement, reason }) => {
        const same = before.find((version) => version.isOf(stored));
        return new RunningVersion({ ...options, stored, statement, reason, limits, shouldStop, before: same ?? null });
      });
      problems = synced.problems;
      for (const { message } of problems) logger.warn('Projection refused', { reason: message });
      const answer = { projections: statuses(), problems: problems.map(shownProblem) };
      for (const { resolve } of waiting) resolve(answer);
    } catch (error) {
      for (const { reject } of waiting) reject(error);
      throw error;
    }
  }

  /** The loop itself could not go on: the database or the disk. Statements tell their failures by themselves. */
  async function rest(error: unknown): Promise<void> {
    const waitMilliseconds = Math.min(LIMITS.storeRetryMaxMs, LIMITS.storeRetryMinMs * 2 ** failures);
    failures += 1;
    aging = null;
    const reason = errorMessage(error);
    logger.error('Projections of users stand still', {
      reason,
      kind: storeFailure(error),
      retryInMs: waitMilliseconds,
    });
    options.onFailure?.(error);
    if (!isStopping) await stopped.wait(waitMilliseconds);
  }

  function statuses(): UserProjectionStatus[] {
    const byFile = new Map(problems.map((problem) => [String(problem.facts['file']), problem.message]));
    const shown = versions.map((version) => version.status(byFile.get(`${version.stored.name}.sql`) ?? null));
    for (const [file, message] of byFile) {
      const name = file.slice(0, -'.sql'.length);
      if (!shown.some((status) => status.name === name)) shown.push(refusedStatus(name, message));
    }
    return shown;
  }

  const ended = run();
  return {
    advanced: () => news.wake(),
    viewsChanged() {
      rescans.push({ resolve: () => {}, reject: () => {} });
      news.wake();
    },
    rescan() {
      if (isStopping) return Promise.reject(notRunning());
      return new Promise((resolve, reject) => {
        rescans.push({ resolve, reject });
        news.wake();
        stopped.wake();
      });
    },
    get statuses() {
      return statuses();
    },
    get incomplete() {
      return versions.flatMap(({ lack }) => lack ?? []);
    },
    looked,
    async stop() {
      isStopping = true;
      news.wake();
      stopped.wake();
      await ended;
    },
  };
}

function shownProblem({ message, facts }: TreasuryError): UserProjectionProblem {
  const { file, line, column } = facts;
  return { file: String(file), line: numberOrNull(line), column: numberOrNull(column), message };
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

function notRunning(): TreasuryError {
  return new TreasuryError('TREASURY_ENGINE_UNAVAILABLE', 'Cannot look at the projections: the engine is stopping', {
    retryable: true,
  });
}
