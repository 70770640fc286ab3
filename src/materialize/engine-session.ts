/**
 * One opened database with everything that works on it: migrated, checked against the log, its projections running. The engine
 * opens one at start and another when DuckDB gives up on an instance.
 */
import { rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { type Clock, errorMessage, freePath, type Logger, type Signal, TreasuryError } from '../base/index.ts';
import type { DurablePosition, LogEntry, LogReader } from '../log/index.ts';
import type { CanonicalBatch, StreamDecoder } from '../otap/index.ts';
import { newerReason, staleReason } from './checkpoint.ts';
import { type Database, inTransaction } from './database.ts';
import type { EntryAttempts } from './entry-attempts.ts';
import type { FailedRange } from './failed-range.ts';
import type { MaterializerCounters } from './materializer-counters.ts';
import { applyViews, MIGRATIONS_DIRECTORY, migrate } from './migrator.ts';
import type { ProjectionDefinition } from './projection.ts';
import { renewNumbering } from './projections/series-numbers.ts';
import { forgetProjections } from './forget-projections.ts';
import type { SqlRunner } from './sql-requests.ts';
import { storeFailure } from './store-failures.ts';
import { openTableRetention, type TableRetention } from './table-retention.ts';
import type { RetentionFigures } from './table-retention-figures.ts';
import { openTracks, type Tracks, type TracksOptions } from './tracks.ts';
import type { TableWriter } from './vectors.ts';
import { renewBuilds } from './version-tables.ts';
import { WAL_SUFFIXES } from './write-ahead-log.ts';

export const TABLES_FILE = 'treasury.duckdb';

/** A connection with writers in its transactions. */
export interface WriterDatabase extends Database {
  /** Opens a writer on `store.<table>`. */
  openWriter(table: string): Promise<TableWriter>;
}

/** A connection of its own. Ended before the store is closed. */
export interface WritingConnection extends WriterDatabase {
  close(): void;
}

/** What the session needs of the store. */
export interface SessionStore extends WriterDatabase {
  /** A further connection that writes, with transactions of its own. */
  connectWriting(): Promise<WritingConnection>;
  /** A further connection, for reading. */
  connect(): Promise<DuckDBConnection>;
  /** Bytes of the file in use. */
  tableBytes(): number;
  /** Of them the write-ahead log's. */
  walBytes(): number;
  /** Bytes that the file's disk has left. */
  diskFreeBytes(): number;
  readonly writer: 'raw' | 'safe';
  /** Why the file that was there was moved aside, or null. */
  readonly recreated: string | null;
  /** Bytes that a power cut had left half written and that were cut off. */
  readonly cutBytes: number;
  /** Checkpoints and releases the file. */
  close(): Promise<void>;
}

/** Everything the engine is made of; the worker fills in the real parts, tests their own. */
export interface EngineParts {
  /** Once, before anything else: code that must be loaded asynchronously. */
  prepare(): Promise<void>;
  openStore(file: string, logger: Logger): Promise<SessionStore>;
  /** Runs queries on connections of its own. */
  createSqlRunner(store: SessionStore): SqlRunner;
  /** A reader that begins with the segment of `from`. */
  openReader(from: bigint, durable: DurablePosition): LogReader;
  createDecoder(signal: Signal): StreamDecoder;
  decodeOtlp(signal: Signal, entry: LogEntry): CanonicalBatch;
  readonly projections: readonly ProjectionDefinition[];
  /** Default: `migrations/duckdb` of this package. */
  readonly migrationsDirectory?: string;
}

export interface SessionOptions {
  readonly parts: EngineParts;
  readonly tablesDirectory: string;
  readonly logUuid: string;
  /** Age at which rows go from the tables; null or none: they stay. */
  readonly retentionAgeMs?: number | null;
  readonly durable: DurablePosition;
  /** Names of projections whose rows are forgotten before the materializer begins. */
  readonly rebuild?: readonly string[];
  readonly failedRange: FailedRange;
  readonly attempts: EntryAttempts;
  readonly counters: MaterializerCounters;
  readonly buildTrouble: TracksOptions['buildTrouble'];
  readonly retentionFigures: RetentionFigures;
  /** The time that rows age by, in nanoseconds. */
  readonly retentionNow: () => bigint;
  /** As `MaterializerOptions` has it. */
  readonly onProgress?: () => void;
  /** As `TracksOptions` has it. */
  readonly onNewVersions?: () => void;
  readonly onReplaced?: () => void;
  readonly logger: Logger;
  readonly clock: Clock;
}

export interface Session {
  readonly tracks: Tracks;
  readonly sql: SqlRunner;
  readonly duckdbVersion: string;
  readonly writer: 'raw' | 'safe';
  /** A further connection, closed with the database. */
  connect(): Promise<DuckDBConnection>;
  tableBytes(): number;
  close(): Promise<void>;
}

/**
 * Opens the tables, moving aside what cannot be used with this log or this release: it is built anew from the log then. Throws
 * TreasuryError TREASURY_MIGRATION when a step fails on a new database too.
 */
export async function openSession(options: SessionOptions): Promise<Session> {
  try {
    return await openOnce(options);
  } catch (error) {
    if (storeFailure(error) !== 'corrupt') throw error;
    const movedTo = await moveTablesAside(options.tablesDirectory, 'broken');
    const reason = errorMessage(error);
    options.logger.warn('Tables are damaged, building them anew from the log', { reason, movedTo });
    return openOnce(options);
  }
}

async function openOnce(options: SessionOptions): Promise<Session> {
  const { parts } = options;
  const store = await openUsableStore(options);
  try {
    const directory = parts.migrationsDirectory ?? MIGRATIONS_DIRECTORY;
    const renewed = await renewBuilds(store, parts.projections, options.logUuid);
    if (renewed.length > 0)
      options.logger.info('Rebuilds begin again with tables of this release', { projections: renewed });
    if (options.rebuild !== undefined) await forgetProjections(store, parts.projections, options.rebuild);
    const tracks = await openTracks({
      ...parts,
      ...options,
      store,
      definitions: parts.projections,
      openRetention: (isShared) => openRetention(store, options, isShared),
      applyViews: () => applyViews(store, directory),
    });
    await inTransaction(store, async () => {
      await renewNumbering(store);
      if (tracks.isViewed) await applyViews(store, directory);
    });
    const version = await store.rows('SELECT version() AS version');
    return {
      tracks,
      sql: parts.createSqlRunner(store),
      duckdbVersion: String(version[0]?.['version']),
      writer: store.writer,
      connect: () => store.connect(),
      tableBytes: () => store.tableBytes(),
      async close() {
        tracks.close();
        await store.close();
      },
    };
  } catch (error) {
    await store.close().catch(() => {});
    throw error;
  }
}

/** Moves a database and its write-ahead log away under a name that says why. Returns that name. */
export async function moveTablesAside(tablesDirectory: string, why: 'stale' | 'broken' | 'newer'): Promise<string> {
  const file = join(tablesDirectory, TABLES_FILE);
  const aside = freePath(`${file}.${why}-${new Date().toISOString().replaceAll(':', '')}`, WAL_SUFFIXES);
  for (const suffix of ['', ...WAL_SUFFIXES]) await rename(file + suffix, aside + suffix).catch(absent);
  return basename(aside);
}

/** A migrated store whose checkpoints this log vouches for. */
async function openUsableStore(options: SessionOptions): Promise<SessionStore> {
  const { logger, tablesDirectory } = options;
  const found = await openMigrated(options);
  const { stale, newer } = await reasonsAgainst(found, options).catch(async (error: unknown) => {
    await found.close().catch(() => {});
    throw error;
  });
  if (stale === null && newer === null) return found;
  await found.close();
  const movedTo = await moveTablesAside(tablesDirectory, stale === null ? 'newer' : 'stale');
  const what = stale === null ? 'are of a later release' : 'do not belong to this log';
  logger.warn(`Tables ${what}, building them anew from its first offset`, { reason: stale ?? newer, movedTo });
  return openMigrated(options);
}

async function reasonsAgainst(
  store: SessionStore,
  { logUuid: uuid, durable: { durableOffset }, parts }: SessionOptions,
): Promise<{ readonly stale: string | null; readonly newer: string | null }> {
  const stale = await staleReason(store, { uuid, durableOffset });
  return { stale, newer: stale === null ? await newerReason(store, parts.projections) : null };
}

async function openMigrated(options: SessionOptions, again = false): Promise<SessionStore> {
  const { parts, logger, tablesDirectory } = options;
  const store = await parts.openStore(join(tablesDirectory, TABLES_FILE), logger);
  if (store.recreated !== null) {
    logger.warn('Tables could not be used, building them anew from the log', { reason: store.recreated });
  }
  if (store.cutBytes > 0) {
    logger.warn('Cut a torn write off the tables, what it held comes from the log again', { bytes: store.cutBytes });
  }
  try {
    const applied = await migrate(store, parts.migrationsDirectory);
    if (applied.length > 0) {
      logger.info('Migrations applied', { files: applied });
      // What the file says about tables that never get rows is at its beginning then; at its end it would keep the file from shrinking.
      // Where nothing is ever deleted that costs 3 MiB of an idle process for nothing.
      if ((options.retentionAgeMs ?? null) !== null) await store.run('CHECKPOINT');
    }
    return store;
  } catch (error) {
    await store.close().catch(() => {});
    const failure = storeFailure(error);
    // A step that the machine has no room for says nothing about the tables.
    const isMachine = failure === 'unavailable' || failure === 'memory';
    const isForeign = error instanceof TreasuryError && error.code === 'TREASURY_MIGRATION' && !isMachine;
    if (again || (!isForeign && failure !== 'corrupt')) throw error;
    const movedTo = await moveTablesAside(tablesDirectory, isForeign ? 'newer' : 'broken');
    const what = isForeign ? 'are of another release' : 'are damaged';
    logger.warn(`Tables ${what}, building them anew from the log`, { reason: errorMessage(error), movedTo });
    return openMigrated(options, true);
  }
}

/** For projections whose rows grow old. */
async function openRetention(
  database: Database,
  options: SessionOptions,
  isShared: () => boolean,
): Promise<TableRetention | null> {
  const { parts, retentionFigures: figures, retentionNow: now, logger, clock } = options;
  if (parts.projections.every(({ aging }) => aging === undefined)) return null;
  return openTableRetention({ database, figures, now, logger, clock, isShared });
}

function absent(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
