/** Writes the files of cursors, one after the other: they share the threads that sync the log. */
import { join } from 'node:path';
import { type Logger, makeFolder } from '../base/index.ts';
import { type CursorRecord, writeCursorFile } from './cursor-file.ts';

export interface CursorWriter {
  pathOf(name: string): string;
  /** Writes a cursor's file; to be called in a turn. Rejects with what the system says. */
  write(record: CursorRecord): Promise<void>;
  /** Does something with files when all that was asked before is done. */
  run<Result>(job: () => Promise<Result>): Promise<Result>;
  /** Tells that a cursor cannot be written, or that it can again. */
  tell(name: string, failing: string | null): void;
}

export interface CursorWriterOptions {
  readonly directory: string;
  readonly logUuid: string;
  readonly logger: Logger;
}

/** A writer for the cursors in one folder. */
export function createCursorWriter({ directory, logUuid, logger }: CursorWriterOptions): CursorWriter {
  let last: Promise<unknown> = Promise.resolve();
  const pathOf = (name: string): string => join(directory, `${name}.json`);
  const run = <Result>(job: () => Promise<Result>): Promise<Result> => {
    const result = last.then(job);
    last = result.catch(() => {});
    return result;
  };
  return {
    pathOf,
    run,
    async write(record) {
      await makeFolder(directory);
      await writeCursorFile(pathOf(record.name), record, logUuid);
    },
    tell(name, failing) {
      if (failing === null) logger.info('A cursor is written again', { cursor: name });
      else logger.error('A cursor cannot be written', { cursor: name, error: failing });
    },
  };
}
