/**
 * Makes the files of segments. The next one is made while the last frame of the segment before is written: its name, which says where
 * that frame ends, is on the disk when it is needed. It stays without a byte until it is known how the frame went, for its header says so.
 */
import { errorMessage, type Logger } from '../base/index.ts';
import type { LogFile, LogFileSystem } from './file-system.ts';
import { segmentPath } from './layout.ts';

export interface SegmentFilesOptions {
  readonly directory: string;
  readonly fileSystem: LogFileSystem;
  readonly logger: Logger;
}

/** An empty file whose name is on the disk. */
export interface NewSegmentFile {
  readonly baseOffset: bigint;
  readonly file: LogFile;
}

/** Names that may be taken by files which could not be removed; each costs one offset. */
const NAME_ATTEMPTS_MAX = 64;

export class SegmentFiles {
  readonly #options: SegmentFilesOptions;
  #ahead: Promise<NewSegmentFile | null> | null = null;

  constructor(options: SegmentFilesOptions) {
    this.#options = options;
  }

  /** Begins to make the file of an offset. From now on no entry at or above that offset may be written to another file. */
  begin(baseOffset: bigint): void {
    // Whoever needs the file tries again, and is told what is wrong then.
    this.#ahead = this.#make(baseOffset).catch(() => null);
  }

  /** The file that was begun, once; null when there is none, or it could not be made. */
  async begun(): Promise<NewSegmentFile | null> {
    const ahead = await this.#ahead;
    this.#ahead = null;
    return ahead;
  }

  /** A file at an offset, or at the first behind it whose name is not taken. Rejects with what the disk says. */
  async create(offset: bigint): Promise<NewSegmentFile> {
    for (let attempt = 0; ; attempt++) {
      const baseOffset = offset + BigInt(attempt);
      try {
        return await this.#make(baseOffset);
      } catch (error) {
        const isTaken = error instanceof Error && 'code' in error && error.code === 'EEXIST';
        if (!isTaken || attempt === NAME_ATTEMPTS_MAX) throw error;
      }
    }
  }

  /** Closes and removes a file that holds no entry. Should it stay, the next one takes another name. Never rejects. */
  async discard({ baseOffset, file }: NewSegmentFile): Promise<void> {
    const { directory, fileSystem, logger } = this.#options;
    for (const attempt of [() => fileSystem.remove(segmentPath(directory, baseOffset)), () => file.close()]) {
      await attempt().catch((error: unknown) => {
        logger.warn('Cannot remove an empty segment', { error: errorMessage(error) });
      });
    }
  }

  async #make(baseOffset: bigint): Promise<NewSegmentFile> {
    const { directory, fileSystem } = this.#options;
    const made = { baseOffset, file: await fileSystem.create(segmentPath(directory, baseOffset)) };
    try {
      await fileSystem.syncDirectory(directory);
      return made;
    } catch (error) {
      await this.discard(made);
      throw error;
    }
  }
}
