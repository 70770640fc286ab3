/** Makes folders whose names survive a loss of power: a file is only found again when every folder that leads to it is. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

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
    mkdirSync(path, { recursive: true });
  },
  sync(path) {
    let descriptor: number;
    try {
      descriptor = openSync(path, 'r');
    } catch (error) {
      // A folder of somebody else, who lets pass but not look: its names are not ours to write.
      if (error instanceof Error && 'code' in error && error.code === 'EACCES') return;
      throw error;
    }
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  },
};
