/**
 * The DuckDB file: opened once, by one thread, with settings that cannot be changed afterwards. It holds nothing that the log does
 * not: a file that cannot be read is moved aside and a fresh one is made, for the materializer to fill from the log.
 *
 * Never open the file by other means while it is open here, not even to read: closing any descriptor of it drops DuckDB's lock.
 */
import { mkdirSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DuckDBConnection, JS } from '@duckdb/node-api';
import { errorMessage, freePath, LIMITS, refuseOtherThanFile, TreasuryError } from '../base/index.ts';
import type { DuckDBInstance } from './duckdb.ts';
import { openInstance, type OpenedInstance } from './duckdb-instance.ts';
import { takeStoreLease } from './store-lease.ts';
import { shrinkFile } from './table-retention-space.ts';
import { cutTornWal, renameDatabase, WAL_SUFFIXES } from './write-ahead-log.ts';
import { type ConnectionDatabase, databaseOn, storeError } from './writing-connection.ts';

export interface StoreOptions {
  /** Path of the database file. Its folder is made. */
  readonly file: string;
  /** DuckDB's own bound: the process takes more. */
  readonly memoryLimitMb: number;
  readonly threads: number;
}

/** The open store. Statements of `run`, `rows`, `begin`, `commit`, `rollback` go over one connection, the writing one. */
export interface Store {
  /** Why the file that was there has been moved aside, or null. */
  readonly recreated: string | null;
  /** Bytes that a power cut had left half written at the end of DuckDB's write-ahead log and that were cut off. */
  readonly cutBytes: number;
  /** The connection that writes: table writers belong on it. */
  readonly connection: DuckDBConnection;
  /** A further connection, for reading. Closed with the store at the latest. */
  connect(): Promise<DuckDBConnection>;
  /** Closes a connection of `connect` before the store is. */
  disconnect(connection: DuckDBConnection): void;
  /** Runs statements without results. Throws TREASURY_STORE. */
  run(sql: string): Promise<void>;
  /**
   * Runs a query of few rows: JavaScript values by column name, bigint for 64-bit integers, Date (milliseconds!) for times.
   * Throws TREASURY_STORE.
   */
  rows(sql: string): Promise<Record<string, JS>[]>;
  begin(): Promise<void>;
  /** Throws TREASURY_STORE when nothing was committed. */
  commit(): Promise<void>;
  /** Ends the open transaction, if there is one, without its rows: those too that table writers have not flushed. */
  rollback(): Promise<void>;
  /** Bytes on disk, the write-ahead log included. */
  tableBytes(): number;
  /** Of them the write-ahead log's. */
  walBytes(): number;
  /** Bytes that the file's disk has left for this user. */
  diskFreeBytes(): number;
  /** Writes a checkpoint, then closes all connections and the file. Throws TREASURY_STORE if the checkpoint failed; it is closed then too. */
  close(): Promise<void>;
}

/**
 * The oldest DuckDB that reads new files. Older formats pack strings worse, and doubles in blocks of this size not at all. Files that are there keep
 * theirs, and their blocks.
 */
const FILE_FORMAT = 'v1.5.0';

/** Bytes of write-ahead log before DuckDB checkpoints: replaying it at start takes about 0.4 s, smaller ones cost more writing. */
const CHECKPOINT_THRESHOLD = `${LIMITS.walBytesMax / 1_000_000}MB`;

/**
 * What DuckDB says about a file whose bytes are wrong, or are of a format that it does not know or knows an extension for. Everything else (lock, permission, no
 * space, no memory) is about the surroundings, and the file must stay where it is.
 */
const DAMAGE =
  /not a valid DuckDB database|corrupt|checksum|not read enough bytes|version number|storage version|replaying WAL|seriali[sz]|INTERNAL Error|external extensions is disabled/i;
const LOCKED = /Could not set lock on file/;

/** Opens the store, making a new one where there is none or where it is damaged. Throws TREASURY_STORE when it cannot be had. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { file } = options;
  mkdirSync(dirname(file), { recursive: true });
  for (const suffix of ['', ...WAL_SUFFIXES]) refuseOtherThanFile(file + suffix, 'TREASURY_STORE');
  const lease = takeStoreLease(file);
  try {
    const { opened, ...found } = await openOrRecreate(options);
    return new DuckDBStore(file, opened, found, () => lease.release());
  } catch (error) {
    lease.release();
    throw storeError(`Cannot open the tables ${file}`, error);
  }
}

/** What was found wrong with the file that was there. */
interface Found {
  readonly recreated: string | null;
  readonly cutBytes: number;
}

async function openOrRecreate(options: StoreOptions): Promise<Found & { readonly opened: OpenedInstance }> {
  const { file } = options;
  try {
    return { ...(await openMended(options)), recreated: null };
  } catch (error) {
    if (!isDamage(error)) throw error;
    const recreated = `${errorMessage(error)} (moved to ${moveAside(file)})`;
    return { opened: await openFile(options), recreated, cutBytes: 0 };
  }
}

async function openMended(
  options: StoreOptions,
): Promise<{ readonly opened: OpenedInstance; readonly cutBytes: number }> {
  try {
    return { opened: await openFile(options), cutBytes: 0 };
  } catch (error) {
    const cutBytes = isDamage(error) ? cutTornWal(options.file, errorMessage(error)) : null;
    if (cutBytes === null) throw error;
    return { opened: await openFile(options), cutBytes };
  }
}

function isDamage(error: unknown): boolean {
  const reason = errorMessage(error);
  return DAMAGE.test(reason) && !LOCKED.test(reason);
}

function openFile({ file, memoryLimitMb, threads }: StoreOptions): Promise<OpenedInstance> {
  const settings = {
    checkpoint_threshold: CHECKPOINT_THRESHOLD,
    storage_compatibility_version: FILE_FORMAT,
    default_block_size: String(LIMITS.tablesBlockBytes),
    // Statements of users reach neither files nor the network. The database and its temporary folder are exempt.
    enable_external_access: 'false',
  };
  // Insertion order stays preserved (the default): switching it off measured as no gain.
  return openInstance(file, { memoryLimitMb, threads, settings }, async (connection) => {
    await shrink(connection);
    await connection.run('SET lock_configuration = true');
  });
}

/** A file that cannot be made smaller now, for want of space say, is opened as it is; the next start tries again. */
async function shrink(connection: DuckDBConnection): Promise<void> {
  const database = {
    run: async (sql: string) => void (await connection.run(sql)),
    rows: async (sql: string) => (await connection.runAndReadAll(sql)).getRowObjectsJS(),
  };
  await shrinkFile(database).catch(() => connection.run('SET GLOBAL experimental_metadata_reuse = true'));
}

/** Renames the file and what belongs to it. Answers the new path. */
function moveAside(file: string): string {
  const time = new Date().toISOString().replaceAll(':', '').replace('.', '');
  const aside = freePath(`${file}.broken-${time}`, WAL_SUFFIXES);
  renameDatabase(file, aside);
  return aside;
}

class DuckDBStore implements Store {
  readonly recreated: string | null;
  readonly cutBytes: number;
  readonly connection: DuckDBConnection;
  readonly #file: string;
  readonly #instance: DuckDBInstance;
  readonly #release: () => void;
  readonly #readers: DuckDBConnection[] = [];
  readonly #writing: ConnectionDatabase;
  #isClosed = false;

  constructor(file: string, opened: OpenedInstance, found: Found, release: () => void) {
    this.#file = file;
    this.#instance = opened.instance;
    this.connection = opened.connection;
    this.#writing = databaseOn(opened.connection);
    this.recreated = found.recreated;
    this.cutBytes = found.cutBytes;
    this.#release = release;
  }

  async connect(): Promise<DuckDBConnection> {
    this.#refuseClosed();
    const connection = await this.#instance.connect();
    this.#readers.push(connection);
    return connection;
  }

  disconnect(connection: DuckDBConnection): void {
    const at = this.#readers.indexOf(connection);
    if (at < 0) return;
    this.#readers.splice(at, 1);
    connection.closeSync();
  }

  async run(sql: string): Promise<void> {
    this.#refuseClosed();
    await this.#writing.run(sql);
  }

  async rows(sql: string): Promise<Record<string, JS>[]> {
    this.#refuseClosed();
    return this.#writing.rows(sql);
  }

  async begin(): Promise<void> {
    await this.run('BEGIN');
  }

  async commit(): Promise<void> {
    await this.run('COMMIT');
  }

  async rollback(): Promise<void> {
    this.#refuseClosed();
    await this.#writing.rollback();
  }

  tableBytes(): number {
    return fileBytes(this.#file) + this.walBytes();
  }

  walBytes(): number {
    return fileBytes(`${this.#file}.wal`);
  }

  diskFreeBytes(): number {
    const { bavail, bsize } = statfsSync(dirname(this.#file));
    return bavail * bsize;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    try {
      await this.rollback();
      await this.run('CHECKPOINT');
    } finally {
      this.#isClosed = true;
      for (const connection of this.#readers) {
        connection.interrupt();
        connection.closeSync();
      }
      this.connection.closeSync();
      this.#instance.closeSync();
      this.#release();
    }
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new TreasuryError('TREASURY_STORE', 'Cannot use the tables: they are closed');
  }
}

function fileBytes(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
