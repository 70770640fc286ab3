/** Finds out whether the log's disk takes anything, with a file of its own. */
import { join } from 'node:path';
import { LIMITS } from '../base/index.ts';
import type { DirectoryGuard } from './directory-guard.ts';
import type { LogFileSystem } from './file-system.ts';

/** Writes and syncs a small file in the log's directory, and removes it. Resolves with whether all of it went well. */
export async function diskTakes(options: {
  readonly directory: string;
  readonly fileSystem: LogFileSystem;
  readonly guard: DirectoryGuard;
}): Promise<boolean> {
  const { directory, fileSystem, guard } = options;
  const path = join(directory, 'probe');
  try {
    await guard.check();
    if (fileSystem.list(directory).includes('probe')) await fileSystem.remove(path);
    const file = await fileSystem.create(path);
    try {
      const written = await file.write([Buffer.alloc(LIMITS.logProbeBytes)], 0);
      await file.dataSync();
      return written === LIMITS.logProbeBytes;
    } finally {
      await file.close();
      await fileSystem.remove(path);
    }
  } catch {
    return false;
  }
}
