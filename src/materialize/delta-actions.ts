/** What the commit log of a Delta table says: actions in commits, one JSON file each, and in checkpoints, which stand for all commits up to them. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TreasuryError } from '../base/index.ts';
import { type Database, sqlString } from './database.ts';

export interface DeltaAdd {
  readonly path: string;
  readonly partitionValues: Readonly<Record<string, string | null>>;
  readonly size: number;
  readonly modificationTime: number;
  readonly dataChange: boolean;
  readonly stats?: string | null;
}

export interface DeltaMetaData {
  readonly id: string;
  readonly schemaString: string;
  readonly partitionColumns: readonly string[];
  readonly configuration: Readonly<Record<string, string>>;
}

/** One of them; fields that this release does not know are kept where a state is written again. */
export interface DeltaAction {
  readonly txn?: { readonly appId: string; readonly version: number } | null;
  readonly add?: DeltaAdd | null;
  readonly remove?: { readonly path: string; readonly deletionTimestamp?: number | null } | null;
  readonly metaData?: DeltaMetaData | null;
  readonly protocol?: { readonly minReaderVersion: number; readonly minWriterVersion: number } | null;
}

/** The commits and checkpoints in a folder. */
export interface DeltaVersions {
  /** -1: there is no table. */
  readonly latest: number;
  /** The newest checkpoint that is whole, or null. */
  readonly checkpoint: { readonly version: number; readonly paths: readonly string[] } | null;
  /** Commits above it, in order. */
  readonly commits: readonly number[];
}

/** The folder of a table's commits and checkpoints. */
export function deltaLogFolder(directory: string): string {
  return join(directory, '_delta_log');
}

export function commitPath(log: string, version: number): string {
  return join(log, `${versionText(version)}.json`);
}

export function checkpointPath(log: string, version: number): string {
  return join(log, `${versionText(version)}.checkpoint.parquet`);
}

/** What is there to read. Throws TREASURY_STORE when commits are missing that no checkpoint stands for. */
export async function listVersions(directory: string): Promise<DeltaVersions> {
  const log = deltaLogFolder(directory);
  const names = await readdir(log).catch(absentIsEmpty);
  const checkpoint = newestCheckpoint(names, log);
  const below = checkpoint?.version ?? -1;
  const commits = names
    .map((name) => COMMIT.exec(name)?.[1])
    .flatMap((digits) => (digits === undefined || Number(digits) <= below ? [] : [Number(digits)]))
    .toSorted((a, b) => a - b);
  const missing = commits.findIndex((version, i) => version !== below + 1 + i);
  if (missing >= 0) {
    const message = `Cannot read the Delta table ${directory}: commit ${below + 1 + missing} is missing`;
    throw new TreasuryError('TREASURY_STORE', message, { facts: { directory } });
  }
  return { latest: commits.at(-1) ?? below, checkpoint, commits };
}

/** The actions of one commit, in order. Throws TREASURY_STORE when it is no JSON. */
export async function readCommit(path: string): Promise<DeltaAction[]> {
  const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line !== '');
  try {
    return lines.map((line) => JSON.parse(line) as DeltaAction);
  } catch (error) {
    throw new TreasuryError('TREASURY_STORE', `Cannot read the Delta commit ${path}: it is no JSON`, { cause: error });
  }
}

/** The actions of a checkpoint, in no order; `withFiles`: those of data files too. */
export async function readCheckpoint(
  database: Database,
  paths: readonly string[],
  { withFiles }: { readonly withFiles: boolean },
): Promise<DeltaAction[]> {
  const files = paths.map(sqlString).join(', ');
  const rows = await database.rows(
    `SELECT to_json(action)::VARCHAR AS text FROM read_parquet([${files}], union_by_name = true) AS action
     ${withFiles ? '' : 'WHERE action."add" IS NULL'}`,
  );
  return rows.map(({ text }) => JSON.parse(String(text)) as DeltaAction);
}

const COMMIT = /^(\d{20})\.json$/;
/** Whole, or one of several parts. */
const CHECKPOINT = /^(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet$/;

function newestCheckpoint(names: readonly string[], log: string): DeltaVersions['checkpoint'] {
  const found = new Map<string, { readonly parts: number; readonly paths: string[] }>();
  for (const name of names) {
    const [, version, , parts] = CHECKPOINT.exec(name) ?? [];
    if (version === undefined) continue;
    const key = `${version}/${parts ?? ''}`;
    const known = found.get(key) ?? { parts: Number(parts ?? 1), paths: [] };
    known.paths.push(join(log, name));
    found.set(key, known);
  }
  const whole = [...found].filter(([, { parts, paths }]) => paths.length === parts);
  const [newest] = whole.toSorted(([a], [b]) => (a < b ? 1 : -1));
  return newest === undefined ? null : { version: Number(newest[0].split('/')[0]), paths: newest[1].paths };
}

function versionText(version: number): string {
  return String(version).padStart(20, '0');
}

function absentIsEmpty(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
