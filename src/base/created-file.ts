/** Files that are made once, whole or not at all: written beside, synced, and given their name at once. */
import { link, open, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncPath } from './replace-file.ts';

/** A name beside `path` that readers of folders pass over. */
export function hiddenPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.tmp`);
}

/** Makes a file that must not be there yet. Answers false, having changed nothing, when it is. */
export async function createFile(path: string, text: string): Promise<boolean> {
  const draft = hiddenPath(path);
  await writeSynced(draft, text);
  try {
    await link(draft, path);
  } catch (error) {
    if (hasErrorCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
  await syncPath(dirname(path));
  return true;
}

/** The text of a file, or null where there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return null;
    throw error;
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function hasErrorCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
