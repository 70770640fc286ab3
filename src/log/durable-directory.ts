/** Makes folders whose names survive a loss of power: a file is only found again when every folder that leads to it is. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { errorMessage, TreasuryError } from '../base/index.ts';

/** What making folders does to the disk. */
export interface DirectoryDisk {
  exists(path: string): boolean;
  /** Makes a folder in one that is there; no harm when it is there itself. */
  make(path: string): void;
  /** Returns when the names in a folder are on the disk. */
  sync(path: string): void;
}

/**
 * Makes a folder, and those that lead to it, where they are missing. One after the other, each synced into the one above before anything
 * goes into it, so that a process which is killed in between leaves at most the last one unsynced: that name is synced again each time.
 * Throws TREASURY_CONFIG where no folder can be made, else what the file system throws.
 */
export function makeDurableDirectory(directory: string, disk: DirectoryDisk = realDisk): void {
  const path = resolve(directory);
  const parent = dirname(path);
  if (!disk.exists(path)) makeDurableDirectory(parent, disk);
  disk.make(path);
  disk.sync(parent);
}

const realDisk: DirectoryDisk = {
  exists: existsSync,
  make(path) {
    try {
      // Not `recursive`: that says of a full disk that there is no such folder.
      mkdirSync(path);
    } catch (error) {
      if (hasCode(error, 'EEXIST') && statSync(path).isDirectory()) return;
      throw makeError(path, error);
    }
  },
  sync(path) {
    let descriptor: number;
    try {
      descriptor = openSync(path, 'r');
    } catch (error) {
      // A folder of somebody else, who lets pass but not look: its names are not ours to write.
      if (hasCode(error, 'EACCES')) return;
      throw error;
    }
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  },
};

/** Below /proc and the like the kernel says that there is no such folder, of one that nobody can make; Node's own way asks it for ever. */
function makeError(path: string, error: unknown): unknown {
  if (!hasCode(error, 'ENOENT')) return error;
  const message = `Cannot make folder ${path}: its file system takes none, ${errorMessage(error)}`;
  return new TreasuryError('TREASURY_CONFIG', message, { cause: error });
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
