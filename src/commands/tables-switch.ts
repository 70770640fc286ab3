/** Puts new tables in the place of the old ones. Whenever it is killed, one of the two is there and whole. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { freePath } from '../base/index.ts';

export const TABLES_FILE = 'treasury.duckdb';
const WAL = '.wal';
const REPLACED = `${TABLES_FILE}.replaced-`;

export interface SwitchOptions {
  /** Folder of the tables in use. */
  readonly tables: string;
  /** Folder of the new ones, which are closed. */
  readonly built: string;
  /** Whether the old ones stay beside the new. */
  readonly keepsOld: boolean;
}

/** Switches by one rename. Returns the path of the old tables when they are kept and there were any. */
export function switchTables({ tables, built, keepsOld }: SwitchOptions): string | null {
  const current = join(tables, TABLES_FILE);
  const next = join(built, TABLES_FILE);
  const aside = freePath(join(tables, `${REPLACED}${new Date().toISOString().replaceAll(':', '')}`), [WAL]);
  const hadOld = existsSync(current);
  sync(next);
  // A second name keeps the old file through the rename.
  if (hadOld && keepsOld) linkSync(current, aside);
  // The write-ahead log must never be met by another file than its own. Without it the old tables are those of their last checkpoint.
  if (existsSync(current + WAL)) {
    if (keepsOld) renameSync(current + WAL, aside + WAL);
    else rmSync(current + WAL);
    sync(tables);
  }
  renameSync(next, current);
  sync(tables);
  return hadOld && keepsOld ? aside : null;
}

/** Removes second names of the tables in use, which a switch that was killed has left. */
export function removeLeftovers(tables: string): void {
  const current = statSync(join(tables, TABLES_FILE), { throwIfNoEntry: false });
  if (current === undefined) return;
  for (const name of readdirSync(tables)) {
    if (!name.startsWith(REPLACED) || name.endsWith(WAL)) continue;
    const path = join(tables, name);
    if (statSync(path).ino !== current.ino) continue;
    rmSync(path);
    rmSync(path + WAL, { force: true });
  }
}

/** A file's content or a folder's names, on the disk. */
function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
