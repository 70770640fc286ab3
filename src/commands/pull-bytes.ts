/** `treasury pull --to arrow FILE` and `stdout`: the server's answer as it comes, checked on the way. */
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errorMessage, syncPath, TreasuryError, UNFINISHED_SUFFIX } from '../base/index.ts';
import { createEntryStreamReader, END_OF_STREAM } from '../log/index.ts';
import { createPullProgress } from './pull-progress.ts';
import { connectPull, type PullRequest } from './pull-stream.ts';
import { bytesText } from './quantity-text.ts';
import { writeOut } from './write-out.ts';

export interface PullBytesOptions {
  readonly request: PullRequest;
  readonly stop: AbortSignal;
  readonly tell: (line: string) => void;
}

/** Writes the stream into a file, which is there when it is whole. Throws TreasuryError. */
export async function pullFile(path: string, options: PullBytesOptions): Promise<void> {
  // Of this process alone: two pulls to one file must not write into each other's.
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}${UNFINISHED_SUFFIX}`);
  let file: FileHandle | null = null;
  try {
    await removeLeft(path);
    file = await open(draft, 'w');
    const handle = file;
    const bytes = await pullStream(options, (part) => handle.writeFile(part));
    if (bytes === 0) {
      await file.close();
      await rm(draft);
      return options.tell(`Stopped before anything came: ${path} was not written`);
    }
    await file.sync();
    await file.close();
    file = null;
    await rename(draft, path);
    await syncPath(dirname(path));
    options.tell(`Wrote ${bytesText(bytes)} to ${path}`);
  } catch (error) {
    await file?.close();
    await rm(draft, { force: true });
    throw failure(error, `; ${path} was not written, and is pulled from its start the next time`);
  }
}

/** Takes away what pulls to this file left that were killed. */
async function removeLeft(path: string): Promise<void> {
  const [prefix, suffix] = [`.${basename(path)}.`, UNFINISHED_SUFFIX];
  for (const name of await readdir(dirname(path))) {
    if (!name.startsWith(prefix) || !name.endsWith(suffix)) continue;
    const pid = name.slice(prefix.length, -suffix.length);
    if (/^\d+$/.test(pid) && !isRunning(Number(pid))) await rm(join(dirname(path), name), { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Writes the stream to standard output. Throws TreasuryError. */
export async function pullStdout(options: PullBytesOptions): Promise<void> {
  try {
    await pullStream(options, writeOut);
  } catch (error) {
    throw failure(error, '; what was written has no end');
  }
}

/**
 * Passes whole messages on, so that a stream that is stopped can be ended like one that has come to its end. Answers its bytes.
 */
async function pullStream(
  { request, stop }: PullBytesOptions,
  write: (part: Uint8Array) => Promise<void>,
): Promise<number> {
  const progress = createPullProgress(request.server);
  const reader = createEntryStreamReader();
  let held: Buffer[] = [];
  let written = 0;
  try {
    const connection = await connectPull(request, stop);
    try {
      for await (const chunk of connection.body) {
        reader.push(chunk);
        held.push(chunk);
        const whole = reader.position - written;
        if (whole === 0) continue;
        const bytes = held.length === 1 ? held[0]! : Buffer.concat(held);
        await write(bytes.subarray(0, whole));
        written += whole;
        held = whole === bytes.length ? [] : [bytes.subarray(whole)];
        if (reader.nextOffset !== null && reader.nextOffset > connection.from) {
          progress.at(connection.from, reader.nextOffset);
        }
      }
    } catch (error) {
      if (!stop.aborted) throw error;
    } finally {
      connection.close();
    }
    if (reader.isEnded) return written;
    if (!stop.aborted) throw new Error('the server ended the answer before its end');
    if (written > 0) await write(END_OF_STREAM);
    return written + END_OF_STREAM.length;
  } catch (error) {
    if (stop.aborted && written === 0) return 0;
    const place = reader.nextOffset === null ? '' : ` at offset ${reader.nextOffset}`;
    throw error instanceof TreasuryError ? error : new Error(`${errorMessage(error)}${place}`, { cause: error });
  } finally {
    progress.end();
  }
}

function failure(error: unknown, what: string): TreasuryError {
  return new TreasuryError('TREASURY_CONFIG', `Cannot pull: ${errorMessage(error)}${what}`, { cause: error });
}
