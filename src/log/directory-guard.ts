/**
 * Watches over the log's directory: that it is the one that was opened, and that a file could be made in it. A descriptor that is open
 * works on in a directory that is gone, and a process that begins a segment in one that took its place writes into another log.
 */
import { errorMessage, LIMITS, type Logger } from '../base/index.ts';
import type { DirectoryFacts, LogFileSystem } from './file-system.ts';

/** Remembers which directory it is. Rejects with what the disk says when there is none. */
export async function guardDirectory(options: GuardOptions): Promise<DirectoryGuard> {
  const { id } = await options.fileSystem.inspectDirectory(options.directory);
  return new DirectoryGuard(options, id);
}

export interface GuardOptions {
  readonly directory: string;
  readonly fileSystem: LogFileSystem;
  readonly logger: Logger;
}

export class DirectoryGuard {
  readonly #options: GuardOptions;
  readonly #id: string;
  #fault: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;

  constructor(options: GuardOptions, id: string) {
    this.#options = options;
    this.#id = id;
  }

  /** Why no segment could be begun when that was looked at last, or null. */
  get fault(): string | null {
    return this.#fault;
  }

  /** Begins to look at intervals. */
  start(): void {
    this.#timer ??= setInterval(() => {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = null;
      });
    }, LIMITS.logDirectoryIntervalMs).unref();
  }

  /** Ends that; resolves when the look under way has ended. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#looking;
  }

  /** Rejects unless the directory is the one that was opened. */
  async check(): Promise<void> {
    await this.#inspect();
  }

  async #inspect(): Promise<DirectoryFacts> {
    const { directory, fileSystem } = this.#options;
    const facts = await fileSystem.inspectDirectory(directory);
    if (facts.id === this.#id) return facts;
    throw new Error(`Cannot use ${directory}: it is not the directory that was opened. Restart`);
  }

  async #look(): Promise<void> {
    const { directory, logger } = this.#options;
    let fault: string | null = null;
    try {
      const { obstacle } = await this.#inspect();
      if (obstacle !== null) throw obstacle;
    } catch (error) {
      fault = errorMessage(error);
    }
    if (fault === this.#fault) return;
    if (fault === null) logger.info('The log can begin segments again', { directory });
    else logger.error('The log cannot begin a segment', { error: fault });
    this.#fault = fault;
  }
}
