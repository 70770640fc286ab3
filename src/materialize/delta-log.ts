/**
 * The commit log of a Delta Lake table, as far as appending needs it: `_delta_log/<20 digits>.json`, one action a line, each file made
 * once and never changed, and a checkpoint every so many of them. Protocol: reader 1, writer 2.
 */
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { createFile, LIMITS, syncPath, TreasuryError, VERSION } from '../base/index.ts';
import type { DeltaField } from './batch-columns.ts';
import type { Database } from './database.ts';
import {
  commitPath,
  type DeltaAction,
  deltaLogFolder,
  type DeltaMetaData,
  listVersions,
  readCheckpoint,
  readCommit,
} from './delta-actions.ts';
import { writeCheckpoint } from './delta-checkpoint.ts';
import { schemaText, widerSchema } from './delta-schema.ts';

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
  /** Reads and writes checkpoints. */
  readonly database: Database;
}

export interface DeltaTable {
  /** The version of the last transaction of this application, null when there is none. */
  readonly transaction: bigint | null;
  /**
   * Adds files and moves the transaction on, both or none. Throws TREASURY_STORE when somebody else changed what the table is, or when no
   * checkpoint can be written: the files are in then, as `transaction` says.
   */
  commit(files: readonly DeltaFile[], transaction: bigint): Promise<void>;
}

/**
 * Opens a table; it is made by its first commit. Columns that it lacks come with the next commit. Throws TREASURY_STORE when it has one
 * in another type, or needs what this release does not know.
 */
export async function openDeltaTable(options: DeltaTableOptions): Promise<DeltaTable> {
  const { directory, appId } = options;
  const log = deltaLogFolder(directory);
  const found = await readTable(options);
  let { latest, transaction } = found;
  let declared = declaration(options, found);
  const interval = checkpointInterval(found.metaData);

  async function commit(files: readonly DeltaFile[], next: bigint): Promise<void> {
    const appended = [{ txn: { appId, version: Number(next), lastUpdated: Date.now() } }, ...files.map(addAction)];
    if (latest < 0) await mkdir(log, { recursive: true });
    for (let tries = 0; tries < LIMITS.deltaCommitTriesMax; tries++) {
      const actions = [commitInfo(), ...declared, ...appended];
      const text = actions.map((action) => `${JSON.stringify(action)}\n`).join('');
      const version = latest + 1;
      if (await createFile(commitPath(log, version), text)) {
        if (version === 0) await syncPath(directory);
        latest = version;
        transaction = next;
        declared = [];
        if (version > 0 && version % interval === 0) await writeCheckpoint(directory, options.database);
        return;
      }
      latest = await passOthers(options, latest);
    }
    const message = `Cannot commit to the Delta table ${directory}: others commit to it all the time`;
    throw new TreasuryError('TREASURY_STORE', message);
  }

  return {
    get transaction() {
      return transaction;
    },
    commit,
  };
}

interface TableState {
  readonly latest: number;
  readonly transaction: bigint | null;
  readonly metaData: DeltaMetaData | null;
}

/** The newest commits come first: what they say holds. */
async function readTable({ directory, appId, database }: DeltaTableOptions): Promise<TableState> {
  const { latest, checkpoint, commits } = await listVersions(directory);
  let transaction: bigint | null = null;
  let metaData: DeltaMetaData | null = null;
  let isProtocolKnown = false;
  const take = (actions: readonly DeltaAction[]): void => {
    for (const action of actions.toReversed()) {
      if (action.txn?.appId === appId) transaction ??= BigInt(action.txn.version);
      if (action.metaData) metaData ??= action.metaData;
      if (action.protocol && !isProtocolKnown) refuseNewer(directory, action);
      if (action.protocol) isProtocolKnown = true;
    }
  };
  for (const version of commits.toReversed()) {
    if (transaction !== null && metaData !== null && isProtocolKnown) break;
    take(await readCommit(commitPath(deltaLogFolder(directory), version)));
  }
  const isWhole = transaction !== null && metaData !== null && isProtocolKnown;
  if (checkpoint !== null && !isWhole) take(await readCheckpoint(database, checkpoint.paths, { withFiles: false }));
  return { latest, transaction, metaData };
}

/** What others committed meanwhile; they may add what they like, and change nothing that we go by. */
async function passOthers({ directory, appId }: DeltaTableOptions, above: number): Promise<number> {
  const { latest, commits } = await listVersions(directory);
  for (const version of commits.filter((each) => each > above)) {
    for (const { txn, metaData, protocol } of await readCommit(commitPath(deltaLogFolder(directory), version))) {
      if (metaData || protocol || txn?.appId === appId) throw changedError(directory);
    }
  }
  return latest;
}

const WRITER_VERSION = 2;

function refuseNewer(directory: string, { protocol }: DeltaAction): void {
  const needed = protocol?.minWriterVersion ?? 0;
  if (needed <= WRITER_VERSION) return;
  const message = `Cannot add to the Delta table ${directory}: it needs writers of version ${needed}`;
  throw new TreasuryError('TREASURY_STORE', message);
}

/** What the next commit says of the table besides its files: all of a new one, columns that an old one lacks, or nothing. */
function declaration(options: DeltaTableOptions, { latest, metaData }: TableState): readonly object[] {
  const { directory, fields, partitionColumns } = options;
  if (latest < 0) return tableActions(options);
  if (metaData === null) {
    throw new TreasuryError('TREASURY_STORE', `Cannot read the Delta table ${directory}: nothing says what it is`);
  }
  if (String(metaData.partitionColumns) !== String(partitionColumns)) {
    const theirs = metaData.partitionColumns.join(', ');
    throw new TreasuryError(
      'TREASURY_STORE',
      `Cannot add to the Delta table ${directory}: it is partitioned by ${theirs === '' ? 'nothing' : theirs}; use another folder`,
    );
  }
  const schemaString = widerSchema(directory, metaData.schemaString, fields);
  return schemaString === metaData.schemaString ? [] : [{ metaData: { ...metaData, schemaString } }];
}

/** Commits from one checkpoint to the next, as the table says or by default. */
function checkpointInterval(metaData: DeltaMetaData | null): number {
  const configured = Number(metaData?.configuration?.['delta.checkpointInterval']);
  return Number.isInteger(configured) && configured > 0 ? configured : LIMITS.deltaCheckpointCommits;
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
