/** The record of entries that an exporter gave up: one JSON object a line, synced, in two files of bounded size. */
import { open, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorMessage, LIMITS, type Logger, syncPath } from '../../base/index.ts';
import type { SetAsideEntry } from './types.ts';

export interface SetAsideStatus {
  /** Newest last. */
  readonly newest: readonly SetAsideEntry[];
  /** Why the last could not be written, or null. The server's log has them then. */
  readonly failing: string | null;
  readonly path: string;
}

export interface SetAsideFile {
  /** Resolves when the entries are on the disk, or in the server's log since they cannot be. Never rejects. */
  append(entries: readonly SetAsideEntry[]): Promise<void>;
  /** Resolves when all that was appended is done. */
  idle(): Promise<void>;
  readonly isIdle: boolean;
  readonly status: SetAsideStatus;
}

/** The record of one exporter. When its file is full it goes behind `.1`, in the place of the one before. */
export function createSetAsideFile(path: string, exporter: string, logger: Logger): SetAsideFile {
  let last: Promise<void> = Promise.resolve();
  let waiting = 0;
  let newest: SetAsideEntry[] = [];
  let failing: string | null = null;

  async function write(entries: readonly SetAsideEntry[]): Promise<void> {
    try {
      const isNew = await makeRoom(path);
      const file = await open(path, 'a', 0o600);
      try {
        await file.writeFile(entries.map(lineOf).join(''));
        await file.sync();
      } finally {
        await file.close();
      }
      if (isNew) await syncPath(dirname(path));
      failing = null;
    } catch (error) {
      failing = errorMessage(error);
      for (const { offset, reason } of entries) {
        logger.error('An entry was set aside and cannot be recorded', { exporter, offset, reason, error: failing });
      }
    }
  }

  return {
    append(entries) {
      newest = [...newest, ...entries].slice(-LIMITS.setAsideShownMax);
      waiting++;
      last = last
        .then(() => write(entries))
        .finally(() => {
          waiting--;
        });
      return last;
    },
    idle: () => last,
    get isIdle() {
      return waiting === 0;
    },
    get status() {
      return { newest, failing, path };
    },
  };
}

/** Whether the file is one that begins now. */
async function makeRoom(path: string): Promise<boolean> {
  try {
    const { size } = await stat(path);
    if (size < LIMITS.setAsideFileBytesMax) return false;
    await rename(path, path.replace(/\.jsonl$/, '.1.jsonl'));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}

function lineOf({ offset, reason, atUnixMs }: SetAsideEntry): string {
  return `${JSON.stringify({ offset: String(offset), at: new Date(atUnixMs).toISOString(), reason })}\n`;
}
