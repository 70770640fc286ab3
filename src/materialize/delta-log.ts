/**
 * The commit log of a Delta Lake table, as far as appending needs it: `_delta_log/<20 digits>.json`, one action a line, each file made
 * once and never changed. Protocol: reader 1, writer 2.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS, TreasuryError, VERSION } from '../base/index.ts';
import type { DeltaField } from './batch-columns.ts';
import { createFile, syncPath } from './synced-files.ts';

/** A data file that a commit adds. */
export interface DeltaFile {
  /** From the folder of the table, with `/`. */
  readonly path: string;
  readonly partitionValues: Readonly<Record<string, string | null>>;
  readonly bytes: number;
  readonly rows: number;
}

export interface DeltaTableOptions {
  readonly directory: string;
  /** Who adds: the version of its last transaction is kept in the table. */
  readonly appId: string;
  /** All columns, those of the partitions too. */
  readonly fields: readonly DeltaField[];
  readonly partitionColumns: readonly string[];
}

export interface DeltaTable {
  /** The version of the last transaction of this application, null when there is none. */
  readonly transaction: bigint | null;
  /** Adds files and moves the transaction on, both or none. Throws TREASURY_STORE when somebody else changed what the table is. */
  commit(files: readonly DeltaFile[], transaction: bigint): Promise<void>;
}

/** Opens a table; it is made by its first commit. Throws TREASURY_STORE when the table there has other columns. */
export async function openDeltaTable(options: DeltaTableOptions): Promise<DeltaTable> {
  const log = join(options.directory, '_delta_log');
  const found = await readCommits(log, options, -1);
  if (found.schema !== null && found.schema !== schemaText(options.fields)) {
    throw new TreasuryError(
      'TREASURY_STORE',
      `Cannot add to the Delta table ${options.directory}: it has other columns than this release writes; use another folder`,
    );
  }
  let { latest, transaction } = found;

  return {
    get transaction() {
      return transaction;
    },
    async commit(files, next) {
      const appended = [
        { txn: { appId: options.appId, version: Number(next), lastUpdated: Date.now() } },
        ...files.map(addAction),
      ];
      if (latest < 0) await mkdir(log, { recursive: true });
      for (let tries = 0; tries < LIMITS.deltaCommitTriesMax; tries++) {
        const actions = [commitInfo(), ...(latest < 0 ? tableActions(options) : []), ...appended];
        const text = actions.map((action) => `${JSON.stringify(action)}\n`).join('');
        const version = latest + 1;
        if (await createFile(commitPath(log, version), text)) {
          if (version === 0) await syncPath(options.directory);
          latest = version;
          transaction = next;
          return;
        }
        const others = await readCommits(log, options, latest);
        if (others.isChanged || others.transaction !== null) throw changedError(options.directory);
        latest = others.latest;
      }
      const message = `Cannot commit to the Delta table ${options.directory}: others commit to it all the time`;
      throw new TreasuryError('TREASURY_STORE', message);
    },
  };
}

interface Commits {
  readonly latest: number;
  readonly transaction: bigint | null;
  readonly schema: string | null;
  /** Whether a commit says what the table is. */
  readonly isChanged: boolean;
}

interface Action {
  readonly txn?: { readonly appId: string; readonly version: number };
  readonly metaData?: { readonly schemaString: string };
  readonly protocol?: { readonly minWriterVersion: number };
}

/** What the commits above a version say. The newest come first: what they say holds. */
async function readCommits(log: string, { directory, appId }: DeltaTableOptions, above: number): Promise<Commits> {
  const names = await readdir(log).catch(absentIsEmpty);
  const versions = versionsOf(names, COMMIT).filter((version) => version > above);
  // Commits may have been folded into checkpoints.
  const latest = Math.max(above, ...versions, ...versionsOf(names, CHECKPOINT));
  let transaction: bigint | null = null;
  let schema: string | null = null;
  let isChanged = false;
  for (const version of versions.toSorted((a, b) => b - a)) {
    for (const { txn, metaData, protocol } of await readActions(commitPath(log, version))) {
      if (txn?.appId === appId) transaction ??= BigInt(txn.version);
      if (metaData !== undefined) schema ??= metaData.schemaString;
      if (metaData !== undefined || protocol !== undefined) isChanged = true;
      if ((protocol?.minWriterVersion ?? 0) > WRITER_VERSION) {
        const needed = protocol?.minWriterVersion;
        const message = `Cannot add to the Delta table ${directory}: it needs writers of version ${needed}`;
        throw new TreasuryError('TREASURY_STORE', message);
      }
    }
    if (transaction !== null && schema !== null) break;
  }
  return { latest, transaction, schema, isChanged };
}

async function readActions(path: string): Promise<Action[]> {
  const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '');
  try {
    return lines.map((line) => JSON.parse(line) as Action);
  } catch (error) {
    throw new TreasuryError('TREASURY_STORE', `Cannot read the Delta commit ${path}: it is no JSON`, { cause: error });
  }
}

const WRITER_VERSION = 2;
const COMMIT = /^(\d{20})\.json$/;
const CHECKPOINT = /^(\d{20})\.checkpoint\..*parquet$/;

function versionsOf(names: readonly string[], pattern: RegExp): number[] {
  return names
    .map((name) => pattern.exec(name)?.[1])
    .flatMap((digits) => (digits === undefined ? [] : [Number(digits)]));
}

function commitPath(log: string, version: number): string {
  return join(log, `${String(version).padStart(20, '0')}.json`);
}

function tableActions({ fields, partitionColumns }: DeltaTableOptions): object[] {
  return [
    { protocol: { minReaderVersion: 1, minWriterVersion: WRITER_VERSION } },
    {
      metaData: {
        id: randomUUID(),
        format: { provider: 'parquet', options: {} },
        schemaString: schemaText(fields),
        partitionColumns,
        configuration: {},
        createdTime: Date.now(),
      },
    },
  ];
}

function schemaText(fields: readonly DeltaField[]): string {
  return JSON.stringify({ type: 'struct', fields });
}

function commitInfo(): object {
  return {
    commitInfo: {
      timestamp: Date.now(),
      operation: 'WRITE',
      operationParameters: { mode: 'Append' },
      engineInfo: `otelarrow-treasury ${VERSION}`,
    },
  };
}

function addAction({ path, partitionValues, bytes, rows }: DeltaFile): object {
  return {
    add: {
      path,
      partitionValues,
      size: bytes,
      modificationTime: Date.now(),
      dataChange: true,
      stats: JSON.stringify({ numRecords: rows }),
    },
  };
}

function changedError(directory: string): TreasuryError {
  return new TreasuryError('TREASURY_STORE', `Cannot commit to the Delta table ${directory}: somebody else changed it`);
}

function absentIsEmpty(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
