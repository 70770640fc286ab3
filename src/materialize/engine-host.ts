/** The engine inside its thread: one session at a time, the materializer's loop, and the calls of the main thread. */
import { join } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import {
  createWake,
  errorMessage,
  LIMITS,
  type Logger,
  type LogLevel,
  systemClock,
  TreasuryError,
} from '../base/index.ts';
import { createRetentionClock } from '../log/index.ts';
import type { EngineCommand, EngineEvent, HostOptions, PostEvent } from './engine-protocol.ts';
import { type EngineParts, moveTablesAside, openSession, type Session } from './engine-session.ts';
import { type EntryAttempts, openEntryAttempts } from './entry-attempts.ts';
import { createFailedRange, type FailedRange } from './failed-range.ts';
import type { MaterializerEnd } from './materializer-types.ts';
import { createCounters } from './materializer-counters.ts';
import { endNativeCalls, exitAfterNativeCalls, showNativeCalls } from './native-calls.ts';
import { createPulse } from './pulse.ts';
import { createSqlRequests } from './sql-requests.ts';
import { isDamagedFile } from './store-failures.ts';
import { countTableChanges } from './table-changes.ts';
import { createRetentionFigures, deletedRows, retentionStatus } from './table-retention-figures.ts';
import type { EngineStatus, IncompleteTables } from './types.ts';
import type { UserProjections } from './user-projections/user-projections.ts';
import { followTables, lackingTables } from './user-projections/follow-tables.ts';
import type { VersionFaults } from './user-projections/running-version.ts';

/** In the folder of the tables. Gone when the engine ends in order. Builds have one of their own. */
const ATTEMPTS_FILE = 'attempts.json';
const BUILD_ATTEMPTS_FILE = 'build-attempts.json';

/** What a loop remembers of entries that failed. */
interface Trouble {
  readonly failedRange: FailedRange;
  readonly attempts: EntryAttempts;
}

/**
 * Serves `port` until `stop`. Resolves when everything is committed and closed, or when the engine could not start (posted as
 * `refused`). A bug (an uncaught exception, a broken invariant) is posted as `died` and ends the engine the same orderly way: a
 * thread that ends while DuckDB works for it takes the process down, and a file that stays open cannot be opened again.
 */
export async function hostEngine(port: MessagePort, options: HostOptions, parts: EngineParts): Promise<void> {
  const post: PostEvent = (event, transfer) => port.postMessage(event, transfer ?? []);
  const logger = portLogger(post);
  const live = openTrouble(ATTEMPTS_FILE);
  let build: Trouble | null = null;
  const counters = createCounters();
  const retentionFigures = createRetentionFigures(options.retentionAgeMs ?? null);
  const { retentionClockUnixMs: startMs } = options;
  const start = startMs === undefined ? undefined : BigInt(Math.floor(startMs)) * 1_000_000n;
  const changes = countTableChanges(options.tableChanges);
  let commitsTold = 0;
  let deletedTold = 0;
  const retentionClock = createRetentionClock(systemClock, logger, start);
  const isMaterializing = options.materialize ?? true;
  let rebuild = options.rebuild ?? [];
  const stopped = createWake();
  const requests = createSqlRequests(
    () => opened().sql,
    post,
    () => incomplete(opened()),
    noteDamage,
  );
  let durable = options.durable;
  let session: Session | null = null;
  let lastSession: Session | null = null;
  let users: UserProjections | null = null;
  // Of tables of users while nobody follows the log for them.
  let lacking: readonly IncompleteTables[] = [];
  const userFaults: VersionFaults = new Map();
  let lostReason = 'it is starting';
  let stopping = false;

  function openTrouble(name: string): Trouble {
    const failedRange = createFailedRange();
    const file = join(options.tablesDirectory, name);
    const pulse = createPulse(options.pulse);
    return { failedRange, attempts: openEntryAttempts({ ...options, file, pulse, failedRange, logger }) };
  }

  function opened(): Session {
    if (session !== null) return session;
    throw new TreasuryError('TREASURY_ENGINE_UNAVAILABLE', `The database is not open: ${lostReason}`, {
      retryable: true,
    });
  }

  /** Blocks that the loops never read are found damaged by those who read them. */
  function noteDamage(error: unknown): void {
    if (isDamagedFile(error)) session?.tracks.damaged(`Damage was found on reading: ${errorMessage(error)}`);
  }

  async function open(): Promise<Session> {
    const next = await openSession({
      ...options,
      parts,
      durable,
      rebuild,
      ...live,
      buildTrouble: () => (build ??= openTrouble(BUILD_ATTEMPTS_FILE)),
      counters,
      retentionFigures,
      retentionNow: () => retentionClock.now(),
      onProgress() {
        tellChanges();
        users?.advanced();
      },
      onNewVersions: () => users?.viewsChanged(),
      onReplaced: () => changes.removed(),
      logger,
      clock: systemClock,
    });
    // A database that is opened again goes on.
    rebuild = [];
    users = followTables(next, {
      directory: isMaterializing ? options.projectionsDirectory : undefined,
      durableOffset: () => durable.durableOffset,
      inTurn: (work) => requests.inTurn(work),
      definitions: parts.projections,
      faults: userFaults,
      onFailure: noteDamage,
      retentionFigures,
      retentionNow: () => retentionClock.now(),
      clock: systemClock,
      logger,
    });
    // Queries are to find the tables of users, or to be told what they lack.
    await users?.looked;
    lacking = users === null ? await lackingTables(next).catch(unreadable) : [];
    // May have moved while the database was opened.
    next.tracks.advance(durable);
    if (stopping) next.tracks.stop();
    session = next;
    changes.removed();
    lastSession = next;
    return next;
  }

  function tellChanges(): void {
    if (counters.commits !== commitsTold) changes.appended();
    commitsTold = counters.commits;
    const deleted = deletedRows(retentionFigures);
    if (deleted !== deletedTold) changes.removed();
    deletedTold = deleted;
  }

  /** Queries tell by themselves what is wrong with the database. */
  function unreadable(error: unknown): readonly IncompleteTables[] {
    logger.warn('Cannot read what tables of users lack', { reason: errorMessage(error) });
    return [];
  }

  function incomplete({ tracks }: Session): readonly IncompleteTables[] {
    return [...tracks.incomplete, ...(users?.incomplete ?? lacking)];
  }

  function onCommand(command: EngineCommand): void {
    switch (command.type) {
      case 'advance':
        durable = command.position;
        session?.tracks.advance(durable);
        return post({ type: 'advanced' });
      case 'sql':
        return requests.start(command.id, command.request);
      case 'credit':
        return requests.credit(command.id, command.bytes);
      case 'cancel':
        return requests.cancel(command.id);
      case 'status':
        void postStatus(command.id);
        return;
      case 'rebuild':
        void answer(command.id, () => opened().tracks.rebuild(command.projection));
        return;
      case 'cancel-rebuild':
        void answer(command.id, () => opened().tracks.cancelRebuild(command.projection));
        return;
      case 'scan-projections':
        void scanProjections(command.id);
        return;
      case 'stop':
        return stop();
      case 'end':
        void endNativeCalls();
    }
  }

  async function answer(id: number, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      post({ type: 'done', id });
    } catch (error) {
      const failure = error instanceof TreasuryError ? error : new TreasuryError('TREASURY_STORE', errorMessage(error));
      post({ type: 'refusal', id, error: failure.toJSON() });
    }
  }

  async function scanProjections(id: number): Promise<void> {
    await answer(id, async () => {
      opened();
      if (users === null)
        throw new TreasuryError('TREASURY_PROJECTION_STATE', 'Cannot look at the projections: materialization is off');
      post({ type: 'scanned', id, scan: await users.rescan() });
    });
  }

  async function postStatus(id: number): Promise<void> {
    try {
      post({ type: 'status', id, status: await status() });
    } catch (error) {
      const failure = new TreasuryError('TREASURY_STORE', `Cannot read the status: ${errorMessage(error)}`);
      post({ type: 'status-error', id, error: failure.toJSON() });
    }
  }

  /** While the database is being opened again, what was true of the one before. */
  async function status(): Promise<EngineStatus> {
    const shown = session ?? lastSession ?? opened();
    const { tracks } = shown;
    const { quarantine } = tracks;
    return {
      duckdbVersion: shown.duckdbVersion,
      projections: tracks.projections,
      userProjections: users?.statuses ?? [],
      materializedOffset: tracks.materializedOffset,
      neededOffset: tracks.neededOffset,
      complete: incomplete(shown).length === 0,
      commits: counters.commits,
      rowsWritten: counters.rowsWritten,
      entriesDecoded: counters.entriesDecoded,
      quarantinedTotal: quarantine.total,
      quarantined: quarantine.newest,
      repairedStrings: counters.repairedStrings,
      lost: counters.lost,
      tableBytes: session === null ? 0 : session.tableBytes(),
      writer: shown.writer,
      lastCommitMs: counters.lastCommitMs,
      queriesRunning: requests.running,
      queriesQueued: requests.queued,
      materializing: isMaterializing,
      stuck: session === null ? lostReason : tracks.stuck,
      retention: retentionStatus(retentionFigures),
    };
  }

  async function close(): Promise<void> {
    const open = session;
    session = null;
    changes.removed();
    const usersEnded = users?.stop();
    await requests.close();
    await usersEnded;
    await open
      ?.close()
      .catch((error: unknown) => logger.warn('Tables did not close cleanly', { error: errorMessage(error) }));
  }

  function die(error: unknown): void {
    post({ type: 'died', reason: errorMessage(error) });
    stop();
  }

  function stop(): void {
    stopping = true;
    session?.tracks.stop();
    stopped.wake();
    requests.cancelAll();
  }

  /** Queries are served all the while. */
  async function work({ tracks }: Session): Promise<MaterializerEnd> {
    if (isMaterializing) return tracks.run();
    while (!stopping) await stopped.wait();
    return 'stopped';
  }

  async function runSession(current: Session): Promise<MaterializerEnd> {
    const end = await work(current).catch((error: unknown): MaterializerEnd => {
      die(error);
      return 'stopped';
    });
    lostReason = current.tracks.stuck ?? 'it is stopping';
    await close();
    if (end === 'corrupt') {
      const movedTo = await moveTablesAside(options.tablesDirectory, 'broken');
      logger.warn('Tables are damaged, building them anew from the log', { reason: lostReason, movedTo });
    }
    return end;
  }

  /** Opens the database again until that works or the engine is stopped. */
  async function reopen(): Promise<Session | null> {
    for (let failures = 0; !stopping; failures++) {
      const waitMs = Math.min(LIMITS.storeRetryMaxMs, LIMITS.storeRetryMinMs * 2 ** failures);
      await stopped.wait(waitMs);
      if (stopping) return null;
      try {
        return await open();
      } catch (error) {
        lostReason = errorMessage(error);
        logger.error('Tables cannot be opened', { reason: lostReason, retryInMs: waitMs * 2 });
      }
    }
    return null;
  }

  function closeTrouble(): void {
    live.attempts.close();
    build?.attempts.close();
  }

  port.on('message', onCommand);
  process.on('uncaughtException', die);
  showNativeCalls(options.nativeCalls);
  exitAfterNativeCalls((code) => {
    for (const trouble of [live, build]) trouble?.attempts.abandon();
    post({ type: 'died', reason: `The engine's thread ended with code ${code}` });
  });
  let current: Session | null;
  try {
    await parts.prepare();
    current = await open();
  } catch (error) {
    const refusal = error instanceof TreasuryError ? error : new TreasuryError('TREASURY_STORE', errorMessage(error));
    closeTrouble();
    post({ type: 'refused', error: refusal.toJSON() });
    return;
  }
  post({ type: 'ready' });
  while (current !== null) current = (await runSession(current)) === 'stopped' ? null : await reopen();
  await requests.close();
  closeTrouble();
  post({ type: 'stopped' });
}

/** Log lines are written by the main thread: one writer, one format. */
function portLogger(post: PostEvent): Logger {
  const at = (level: LogLevel) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
    const event: EngineEvent = { type: 'log', level, message, fields: plainFields(fields ?? {}) };
    post(event);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function plainFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? value.message : value]),
  );
}
