/**
 * Checkpoints of Delta tables: all that the commits up to one say, as one Parquet file. Readers begin there instead of at the first commit,
 * and commits below may be deleted.
 */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage, LIMITS, replaceFile, syncPath, TreasuryError } from '../base/index.ts';
import { type Database, sqlString } from './database.ts';
import {
  checkpointPath,
  commitPath,
  type DeltaAction,
  deltaLogFolder,
  listVersions,
  readCheckpoint,
  readCommit,
} from './delta-actions.ts';

/** Writes the checkpoint of the newest version and says where it is. Throws TREASURY_STORE; the table is as it was then. */
export async function writeCheckpoint(directory: string, database: Database): Promise<void> {
  const log = deltaLogFolder(directory);
  const actions = join(log, '.checkpoint.json.tmp');
  const draft = join(log, '.checkpoint.parquet.tmp');
  try {
    const { version, lines, files } = await readState(directory, database);
    await writeFile(actions, lines);
    await database.run(`COPY (
      SELECT ${Object.keys(COLUMNS).join(', ')} FROM read_json(${sqlString(actions)}, format = 'newline_delimited',
        columns = {${Object.entries(COLUMNS)
          .map(([name, type]) => `${name}: ${sqlString(type)}`)
          .join(', ')}}, maximum_object_size = ${LIMITS.deltaActionBytesMax})
      ) TO ${sqlString(draft)} (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)`);
    await syncPath(draft);
    await rename(draft, checkpointPath(log, version));
    await syncPath(log);
    const size = lines.split('\n').length - 1;
    await replaceFile(join(log, '_last_checkpoint'), JSON.stringify({ version, size, numOfAddFiles: files }));
  } catch (error) {
    const message = `Cannot write a checkpoint of the Delta table ${directory}: ${errorMessage(error)}`;
    throw new TreasuryError('TREASURY_STORE', message, { cause: error, facts: { directory } });
  } finally {
    await rm(actions, { force: true });
    await rm(draft, { force: true });
  }
}

const MAP = 'MAP(VARCHAR, VARCHAR)';

/** The schema of checkpoints, as far as tables of reader 1 and writer 2 have it. */
const COLUMNS = {
  txn: 'STRUCT(appId VARCHAR, version BIGINT, lastUpdated BIGINT)',
  add: `STRUCT(path VARCHAR, partitionValues ${MAP}, size BIGINT, modificationTime BIGINT, dataChange BOOLEAN, stats VARCHAR, tags ${MAP})`,
  remove: `STRUCT(path VARCHAR, deletionTimestamp BIGINT, dataChange BOOLEAN, extendedFileMetadata BOOLEAN, partitionValues ${MAP}, size BIGINT, tags ${MAP})`,
  metaData: `STRUCT(id VARCHAR, name VARCHAR, description VARCHAR, format STRUCT(provider VARCHAR, options ${MAP}), schemaString VARCHAR, partitionColumns VARCHAR[], configuration ${MAP}, createdTime BIGINT)`,
  protocol: 'STRUCT(minReaderVersion INTEGER, minWriterVersion INTEGER)',
} as const;

interface State {
  readonly version: number;
  /** One action a line. */
  readonly lines: string;
  readonly files: number;
}

/** What holds after all commits: the last of each application and file, and of what the table is. */
async function readState(directory: string, database: Database): Promise<State> {
  const { latest, checkpoint, commits } = await listVersions(directory);
  const log = deltaLogFolder(directory);
  const state = new Map<string, DeltaAction>();
  const takeAll = (actions: readonly DeltaAction[]): void => {
    for (const action of actions) take(state, action);
  };
  if (checkpoint !== null) takeAll(await readCheckpoint(database, checkpoint.paths, { withFiles: true }));
  for (const version of commits) takeAll(await readCommit(commitPath(log, version)));
  const oldest = Date.now() - LIMITS.deltaTombstoneMs;
  const kept = [...state.values()].filter(({ remove }) => !remove || (remove.deletionTimestamp ?? 0) >= oldest);
  return {
    version: latest,
    lines: kept.map((action) => `${JSON.stringify(action)}\n`).join(''),
    files: kept.filter(({ add }) => add).length,
  };
}

function take(state: Map<string, DeltaAction>, { txn, add, remove, metaData, protocol }: DeltaAction): void {
  if (protocol) state.set('protocol', { protocol });
  if (metaData) state.set('metaData', { metaData });
  if (txn) state.set(`txn ${txn.appId}`, { txn });
  // In a checkpoint nothing is new.
  if (add) state.set(`file ${add.path}`, { add: { ...add, dataChange: false } });
  if (remove) state.set(`file ${remove.path}`, { remove });
}
