/** Small files that are replaced whole and survive a loss of power. Nothing here blocks the thread. */
import { mkdir, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Ends the name of a file that is being written: what is left of one is of a process that is gone. */
export const UNFINISHED_SUFFIX = '.unfinished';

/**
 * Writes a file beside `path`, syncs it, puts it in the place of what is there and syncs the folder. One at a time for a path. Rejects with
 * what the system says; the old file is there then, or the new one.
 */
export async function replaceFile(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const beside = join(dirname(path), `.${basename(path)}${UNFINISHED_SUFFIX}`);
  try {
    const file = await open(beside, 'w', mode);
    try {
      // A file that was left there has the rights it had.
      await file.chmod(mode);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await unlink(beside).catch(() => {});
    throw error;
  }
  await syncPath(dirname(path));
}

/** Removes a file for good. A file that is not there is fine. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  await syncPath(dirname(path));
}

/** Makes a folder whose name survives a loss of power, in one that is there. No harm when it is there itself. */
export async function makeFolder(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true });
  if (made !== undefined) await syncPath(dirname(path));
}

/** Resolves when a file's bytes, or the names in a folder, are on the disk. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
