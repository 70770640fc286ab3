/**
 * A folder of tables that grows with the log: Parquet files by table, signal and day, alone or as Delta Lake tables, and one file that
 * says which entries are in it. Files are whole or absent. Whatever ends the process: what the folder says is in it is in it once, and
 * the next run takes away what was more.
 */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import {
  assert,
  BatchMalformedError,
  errorMessage,
  hiddenPath,
  readIfThere,
  replaceFile,
  syncPath,
  TreasuryError,
} from '../base/index.ts';
import { acquireDataDirectoryLock } from '../log/index.ts';
import type { CanonicalBatch } from '../otap/index.ts';
import { type DeltaField, NO_DAY, TABLE_SOURCES } from './batch-columns.ts';
import {
  BATCH_TABLES,
  type BatchTableName,
  type BatchTables,
  openBatchTables,
  type ParquetFile,
} from './batch-tables.ts';
import { type DeltaTable, openDeltaTable } from './delta-log.ts';
import type { EntryFacts } from './projection.ts';
import { gapsOf, hasRange, type OffsetRange, withRange } from './offset-ranges.ts';

export const TABLE_FOLDER_FORMATS = ['parquet', 'delta'] as const;
export type TableFolderFormat = (typeof TABLE_FOLDER_FORMATS)[number];

/** What a folder says of itself. */
export interface TableFolderState {
  readonly format: TableFolderFormat;
  readonly logUuid: string;
  /** The first entry that was to go in. */
  readonly firstOffset: bigint;
  /** Rows of all entries below, from the first on, are in its files, but those in `gaps`. */
  readonly nextOffset: bigint;
  /** What was left out and may come yet. Not there when there is nothing. */
  readonly gaps?: readonly OffsetRange[];
}

export interface TableFolderOptions {
  readonly directory: string;
  readonly format: TableFolderFormat;
  readonly logUuid: string;
  /** Where entries are added from, in their order and without leaving any out. */
  readonly from: bigint;
  readonly memoryLimitMb: number;
  readonly threads: number;
}

/** What one call of `flush` wrote. */
export interface FlushedFiles {
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
}

export interface TableFolder {
  /** Behind the last entry whose rows are in the files. */
  readonly nextOffset: bigint;
  /** Whether the rows of an entry are in the files: added again, they are passed by. */
  has(offset: bigint): boolean;
  /** Rows added and not in files yet. */
  readonly rows: number;
  /** Adds the rows of an entry. Throws BatchMalformedError when it has none that can be made, TREASURY_STORE when the folder is done for. */
  add(entry: EntryFacts, batch: CanonicalBatch): void;
  /**
   * Puts all rows into files: those of the entries below `nextOffset`. From where entries are added up to there all are in the folder then,
   * also those without rows. After an error the folder has to be opened again.
   */
  flush(nextOffset: bigint): Promise<FlushedFiles>;
  /** Gives the folder free, without the rows that are not in files. */
  close(): Promise<void>;
}

const STATE_FILE = '_treasury.json';
/** The process that writes, and what does not fit its memory. */
const LOCK_FILE = 'lock';
const SPILL_FOLDER = '.spill';
const DIGITS = 20;
const DATA_FILE = /^(\d{20})-(\d{20})\.parquet$/;
const DRAFT = /^\..*\.tmp$/;

/** What the folder says of itself, or null when there is none or it is empty. Throws TREASURY_STORE when it holds something else. */
export async function readTableFolder(directory: string): Promise<TableFolderState | null> {
  const text = await readIfThere(join(directory, STATE_FILE));
  if (text !== null) return parseState(directory, text);
  const foreign = (await readdir(directory).catch(absentIsEmpty)).find(
    (name) => !name.startsWith('.') && !name.startsWith(LOCK_FILE),
  );
  if (foreign === undefined) return null;
  throw new TreasuryError(
    'TREASURY_STORE',
    `Cannot write tables to ${directory}: it is not empty and has no ${STATE_FILE}, but has ${foreign}`,
  );
}

/**
 * Opens a folder, making it where there is none, and takes away what a run that was killed left unfinished. Throws TREASURY_STORE
 * when it belongs to another log or format, and TREASURY_DATA_DIRECTORY_LOCKED when another process writes to it.
 */
export async function openTableFolder(options: TableFolderOptions): Promise<TableFolder> {
  const directory = resolve(options.directory);
  const lock = acquireDataDirectoryLock(directory);
  try {
    const state = (await readTableFolder(directory)) ?? (await createState(directory, options));
    refuseOther(directory, state, options);
    const temporaryDirectory = join(directory, SPILL_FOLDER);
    await rm(temporaryDirectory, { recursive: true, force: true });
    const { memoryLimitMb, threads } = options;
    const tables = await openBatchTables({ memoryLimitMb, threads, temporaryDirectory });
    try {
      const deltas = options.format === 'delta' ? await openDeltas(directory, state.logUuid, tables) : null;
      const { from } = options;
      const folder = new OpenTableFolder({ directory, state, from, tables, deltas, release: () => lock.release() });
      await folder.removeLeftovers();
      return folder;
    } catch (error) {
      await tables.close();
      throw error;
    }
  } catch (error) {
    lock.release();
    throw error;
  }
}

type DeltaTables = ReadonlyMap<BatchTableName, DeltaTable>;

interface FolderParts {
  readonly directory: string;
  readonly state: TableFolderState;
  readonly from: bigint;
  readonly tables: BatchTables;
  readonly deltas: DeltaTables | null;
  readonly release: () => void;
}

class OpenTableFolder implements TableFolder {
  readonly #directory: string;
  readonly #tables: BatchTables;
  readonly #deltas: DeltaTables | null;
  readonly #release: () => void;
  #state: TableFolderState;
  /** The entries whose rows are in the files. */
  #ranges: readonly OffsetRange[];
  /** Where the entries begin that the next flush puts in. */
  #from: bigint;
  /** Behind the last entry that was added. */
  #addedTo = 0n;
  #failure: unknown = null;

  constructor({ directory, state, from, tables, deltas, release }: FolderParts) {
    this.#directory = directory;
    this.#state = state;
    this.#ranges = rangesOf(state);
    this.#tables = tables;
    this.#deltas = deltas;
    this.#release = release;
    // Transactions of Delta tables only go up: what was left out stays out.
    this.#from = deltas !== null && from < state.nextOffset ? state.nextOffset : from;
  }

  get nextOffset(): bigint {
    return this.#state.nextOffset;
  }

  get rows(): number {
    return this.#tables.rows;
  }

  has(offset: bigint): boolean {
    if (this.#deltas !== null) return offset < this.#state.nextOffset;
    return hasRange(this.#ranges, { from: offset, to: offset + 1n });
  }

  add(entry: EntryFacts, batch: CanonicalBatch): void {
    this.#refuseBroken();
    if (this.has(entry.offset)) return;
    try {
      this.#tables.add(entry, batch);
      this.#addedTo = entry.offset + 1n;
    } catch (error) {
      if (!(error instanceof BatchMalformedError)) this.#failure ??= error;
      throw error;
    }
  }

  async flush(nextOffset: bigint): Promise<FlushedFiles> {
    this.#refuseBroken();
    assert(nextOffset >= this.#addedTo, `what was added must be below what the folder says: offset is ${nextOffset}`);
    try {
      const files = this.#tables.rows === 0 ? [] : await this.#writeFiles(nextOffset);
      const range = { from: this.#from, to: nextOffset };
      if (nextOffset > this.#from && !hasRange(this.#ranges, range)) {
        this.#ranges = withRange(this.#ranges, range);
        this.#state = stateOf(this.#state, this.#ranges);
        await writeState(this.#directory, this.#state);
      }
      if (nextOffset > this.#from) this.#from = nextOffset;
      return {
        files: files.length,
        rows: files.reduce((sum, { rows }) => sum + rows, 0),
        bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      };
    } catch (error) {
      this.#failure ??= error;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#tables.close();
    await rm(join(this.#directory, SPILL_FOLDER), { recursive: true, force: true });
    this.#release();
  }

  /** Drafts, and files of entries that are not in yet: their rows come again. */
  async removeLeftovers(): Promise<void> {
    for (const table of BATCH_TABLES) {
      const folder = join(this.#directory, table);
      for (const found of await readdir(folder, { recursive: true, withFileTypes: true }).catch(absentIsEmpty)) {
        const [, from, to] = DATA_FILE.exec(found.name) ?? [];
        const isData = from !== undefined && to !== undefined;
        const isLeft = isData ? !this.#isDone(table, BigInt(from), BigInt(to)) : DRAFT.test(found.name);
        if (isLeft && found.isFile()) await rm(join(found.parentPath, found.name));
      }
    }
  }

  async #writeFiles(nextOffset: bigint): Promise<readonly ParquetFile[]> {
    const names = new Map<string, string>();
    const written = await this.#tables.writeParquet({
      flavour: this.#state.format,
      fromOffset: (table) => this.#fromOf(table),
      pathOf: (table, day) => {
        const path = this.#pathOf(table, day, nextOffset);
        const draft = hiddenPath(path);
        names.set(draft, path);
        return draft;
      },
    });
    const files = written.map((file) => ({ ...file, path: names.get(file.path)! }));
    for (const [i, { path }] of files.entries()) await rename(written[i]!.path, path);
    for (const folder of foldersOf(this.#directory, files)) await syncPath(folder);
    if (this.#deltas !== null) await this.#commit(this.#deltas, files, nextOffset);
    return files;
  }

  async #commit(deltas: DeltaTables, files: readonly ParquetFile[], nextOffset: bigint): Promise<void> {
    for (const [table, delta] of deltas) {
      const added = files
        .filter((file) => file.table === table)
        .map(({ path, day, rows, bytes }) => ({
          path: relative(join(this.#directory, table), path).replaceAll(sep, '/'),
          partitionValues: { signal: TABLE_SOURCES[table].signal, day: day === NO_DAY ? null : day },
          rows,
          bytes,
        }));
      if (added.length > 0) await delta.commit(added, nextOffset);
    }
  }

  #pathOf(table: BatchTableName, day: string, nextOffset: bigint): string {
    const name = `${digits(this.#fromOf(table))}-${digits(nextOffset)}.parquet`;
    return join(this.#directory, table, `signal=${TABLE_SOURCES[table].signal}`, `day=${day}`, name);
  }

  /** The first entry that the next file of a table has. A run may have been killed after it had committed to some Delta tables. */
  #fromOf(table: BatchTableName): bigint {
    const committed = this.#deltas?.get(table)?.transaction ?? 0n;
    return committed > this.#from ? committed : this.#from;
  }

  /** Whether what is in a file counts. */
  #isDone(table: BatchTableName, from: bigint, to: bigint): boolean {
    if (this.#deltas === null) return hasRange(this.#ranges, { from, to });
    const { nextOffset } = this.#state;
    const committed = this.#deltas.get(table)?.transaction ?? nextOffset;
    return from < (committed > nextOffset ? committed : nextOffset);
  }

  #refuseBroken(): void {
    if (this.#failure === null) return;
    const message = `Cannot write to ${this.#directory}: it failed before, with ${errorMessage(this.#failure)}`;
    throw new TreasuryError('TREASURY_STORE', message, { cause: this.#failure });
  }
}

async function openDeltas(directory: string, logUuid: string, tables: BatchTables): Promise<DeltaTables> {
  const deltas = new Map<BatchTableName, DeltaTable>();
  for (const table of BATCH_TABLES) {
    const options = {
      directory: join(directory, table),
      appId: `${logUuid}/${table}`,
      fields: [...tables.deltaFields(table), ...PARTITION_FIELDS],
      partitionColumns: PARTITION_FIELDS.map(({ name }) => name),
      database: tables.database,
    };
    deltas.set(table, await openDeltaTable(options));
  }
  return deltas;
}

const PARTITION_FIELDS: readonly DeltaField[] = [
  { name: 'signal', type: 'string', nullable: true, metadata: {} },
  { name: 'day', type: 'date', nullable: true, metadata: {} },
];

/** All folders with new names in them, the inner ones first. */
function foldersOf(directory: string, files: readonly ParquetFile[]): string[] {
  const folders = new Set<string>([directory]);
  for (const { path } of files) {
    for (let folder = dirname(path); folder !== directory; folder = dirname(folder)) folders.add(folder);
  }
  return [...folders].toSorted((a, b) => b.length - a.length);
}

async function createState(
  directory: string,
  { format, logUuid, from }: TableFolderOptions,
): Promise<TableFolderState> {
  const state = { format, logUuid, firstOffset: from, nextOffset: from };
  await mkdir(directory, { recursive: true });
  await writeState(directory, state);
  return state;
}

function writeState(directory: string, state: TableFolderState): Promise<void> {
  const text = JSON.stringify(state, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  return replaceFile(join(directory, STATE_FILE), `${text}\n`);
}

function rangesOf({ firstOffset, nextOffset, gaps = [] }: TableFolderState): readonly OffsetRange[] {
  const starts = [firstOffset, ...gaps.map(({ to }) => to)];
  const ends = [...gaps.map(({ from }) => from), nextOffset];
  return starts.map((from, i) => ({ from, to: ends[i]! })).filter(({ from, to }) => to > from);
}

function stateOf({ format, logUuid }: TableFolderState, ranges: readonly OffsetRange[]): TableFolderState {
  const gaps = gapsOf(ranges);
  const offsets = { firstOffset: ranges[0]!.from, nextOffset: ranges.at(-1)!.to };
  return { format, logUuid, ...offsets, ...(gaps.length === 0 ? {} : { gaps }) };
}

function parseState(directory: string, text: string): TableFolderState {
  try {
    const fields = JSON.parse(text) as Record<string, unknown>;
    const { format, logUuid, firstOffset, nextOffset } = fields;
    const gaps = (fields['gaps'] ?? []) as readonly { readonly from: unknown; readonly to: unknown }[];
    const known = TABLE_FOLDER_FORMATS.find((name) => name === format);
    const offsets = [firstOffset, ...gaps.flatMap(({ from, to }) => [from, to]), nextOffset];
    const areOffsets = offsets.every((value) => /^\d{1,20}$/.test(String(value)));
    const numbers = areOffsets ? offsets.map((value) => BigInt(String(value))) : [];
    const isInOrder = areOffsets && numbers.every((number, i) => i === 0 || number >= numbers[i - 1]!);
    if (known !== undefined && typeof logUuid === 'string' && isInOrder) {
      const found = gaps.map((_gap, i) => ({ from: numbers[2 * i + 1]!, to: numbers[2 * i + 2]! }));
      return {
        format: known,
        logUuid,
        firstOffset: numbers[0]!,
        nextOffset: numbers.at(-1)!,
        ...(found.length === 0 ? {} : { gaps: found }),
      };
    }
  } catch {
    // Told below, as any other content that makes no sense.
  }
  throw new TreasuryError('TREASURY_STORE', `Cannot read ${join(directory, STATE_FILE)}: it is damaged`);
}

function refuseOther(directory: string, state: TableFolderState, { format, logUuid }: TableFolderOptions): void {
  if (state.logUuid !== logUuid) {
    const message = `Cannot write to ${directory}: it holds rows of log ${state.logUuid}, not of log ${logUuid}`;
    throw new TreasuryError('TREASURY_STORE', message, { facts: { directory, logUuid: state.logUuid } });
  }
  if (state.format !== format) {
    const message = `Cannot write ${format} to ${directory}: its tables are ${state.format}`;
    throw new TreasuryError('TREASURY_STORE', message, { facts: { directory, format: state.format } });
  }
}

function digits(offset: bigint): string {
  return String(offset).padStart(DIGITS, '0');
}

function absentIsEmpty(error: NodeJS.ErrnoException): never[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
