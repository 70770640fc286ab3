/** `treasury pull --to parquet DIR` and `delta DIR`: entries become rows here, as they do in the server, and go into files. */
import { BatchMalformedError, errorMessage, LIMITS, TreasuryError } from '../base/index.ts';
import type { LogEntry } from '../log/index.ts';
import {
  createEntryDecoder,
  type EntryDecoder,
  openTableFolder,
  ReadFailure,
  readTableFolder,
  type TableFolder,
  type TableFolderFormat,
} from '../materialize/index.ts';
import { createPullProgress } from './pull-progress.ts';
import { pullEntries, type PulledEntries, type PullRequest, type PullStream } from './pull-stream.ts';
import { bytesText } from './quantity-text.ts';

export interface PullTablesOptions {
  readonly request: Omit<PullRequest, 'from'>;
  /** Null: where the folder ends, or the start of the log when it is new. */
  readonly from: PullRequest['from'] | null;
  readonly format: TableFolderFormat;
  readonly directory: string;
  readonly memoryLimitMb: number;
  readonly threads: number;
  readonly stop: AbortSignal;
  readonly tell: (line: string) => void;
}

/** Pulls into a folder until all is there or until it is stopped. Throws TreasuryError that says where to go on. */
export async function pullTables(options: PullTablesOptions): Promise<void> {
  const { request, format, directory, stop, tell } = options;
  const from = await beginning(options);
  const progress = createPullProgress(request.server);
  const stream = pullEntries(
    { ...request, from },
    {
      stop,
      onRetry: (reason, waitMs) => tell(`${reason}; trying again in ${waitMs / 1000} s`),
      onGap: (start, end, reason) => tell(`Entries ${start} to ${end} (exclusive) are missing: ${reason}`),
    },
  );
  const run = new TablesRun(options, (offset, undone) => stream.goBackTo(offset, undone));
  try {
    for await (const part of stream.parts) {
      if (part !== null) {
        await run.take(part);
        progress.at(part.from, run.nextOffset ?? part.nextOffset);
      }
      await run.flushIfDue();
    }
    await run.flush();
  } catch (error) {
    throw await run.failed(error);
  } finally {
    progress.end();
    await run.close();
  }
  tell(run.summary(format, directory));
}

async function beginning({ from, directory }: PullTablesOptions): Promise<PullRequest['from']> {
  const state = await readTableFolder(directory);
  if (state === null) return from ?? 'start';
  if (from !== null && (typeof from === 'string' || from < state.nextOffset)) {
    if (from === 'end') return from;
    // What an earlier run left out, or what lies before where it began, may come yet.
    const lacksBelow = state.gaps?.at(-1)?.to ?? state.firstOffset;
    if (typeof from === 'bigint' && from < lacksBelow && state.format === 'parquet') return from;
    throw new TreasuryError(
      'TREASURY_CONFIG',
      `Cannot pull from ${from} into ${directory}: it has the entries below ${state.nextOffset}; leave --from out to go on there`,
    );
  }
  return from ?? state.nextOffset;
}

/** The state of one run over all its connections. */
class TablesRun {
  /** Everything below is in the folder or about to be. */
  nextOffset: bigint | null = null;
  readonly #options: PullTablesOptions;
  readonly #goBackTo: PullStream['goBackTo'];
  #folder: TableFolder | null = null;
  #logUuid: string | null = null;
  #decoder: EntryDecoder | null = null;
  #connection = -1;
  #decoderBounds: { readonly statesBytesMax: number; readonly streamsMax: number } = {
    statesBytesMax: LIMITS.decoderStatesBytesMax,
    streamsMax: LIMITS.streamsMax,
  };
  #bytes = 0;
  /** Since when something waits for a flush. */
  #sinceMs: number | null = null;
  readonly #written = { files: 0, rows: 0, bytes: 0 };
  #undecodable = 0;

  constructor(options: PullTablesOptions, goBackTo: PullStream['goBackTo']) {
    this.#options = options;
    this.#goBackTo = goBackTo;
  }

  async take(part: PulledEntries): Promise<void> {
    const folder = await this.#open(part);
    const decoder = await this.#decoderOf(part);
    for (const [i, entry] of part.entries.entries()) {
      try {
        this.#takeEntry(folder, decoder, entry, part.from);
      } catch (error) {
        if (!(error instanceof ReadFailure)) throw error;
        this.#goBack(entry, part, i);
        return;
      }
      if (entry.offset >= part.from) this.nextOffset = entry.offset + 1n;
      this.#bytes += entry.record.length;
      if (this.#isFull(folder)) await this.flush();
    }
    this.nextOffset = part.nextOffset;
    if (part.nextOffset > part.from && !folder.has(part.nextOffset - 1n)) this.#sinceMs ??= performance.now();
  }

  async flushIfDue(): Promise<void> {
    if (this.#sinceMs === null || performance.now() - this.#sinceMs < LIMITS.folderFlushIntervalMs) return;
    await this.flush();
  }

  async flush(): Promise<void> {
    this.#sinceMs = null;
    this.#bytes = 0;
    if (this.#folder === null || this.nextOffset === null) return;
    const { files, rows, bytes } = await this.#folder.flush(this.nextOffset);
    this.#written.files += files;
    this.#written.rows += rows;
    this.#written.bytes += bytes;
  }

  /** The error to tell. What is there already is put into files, unless that is what failed. */
  async failed(error: unknown): Promise<TreasuryError> {
    await this.flush().catch(() => {});
    const { directory } = this.#options;
    const there = this.#folder === null ? null : this.#folder.nextOffset;
    if (error instanceof TreasuryError && error.code === 'TREASURY_OFFSET_OUT_OF_RANGE')
      return outOfRange(error, directory);
    const goOn =
      there === null ? '' : `; ${directory} has all entries below ${there}, and the same command goes on there`;
    return new TreasuryError('TREASURY_CONFIG', `${errorMessage(error)}${goOn}`, { cause: error });
  }

  async close(): Promise<void> {
    await this.#folder?.close();
  }

  summary(format: string, directory: string): string {
    const { files, rows, bytes } = this.#written;
    const undecodable = this.#undecodable === 0 ? '' : `; ${this.#undecodable} entries cannot become rows`;
    const place = this.#folder === null ? '' : `, all entries below ${this.#folder.nextOffset} are there`;
    return `Wrote ${rows} rows in ${files} ${format} files (${bytesText(bytes)}) to ${directory}${place}${undecodable}`;
  }

  #takeEntry(folder: TableFolder, decoder: EntryDecoder, entry: LogEntry, from: bigint): void {
    const result = decoder.decode(entry);
    if (entry.offset < from || folder.has(entry.offset) || result === null) return;
    if (typeof result === 'string') return this.#tellUndecodable(entry.offset, result);
    try {
      folder.add(entry, result);
    } catch (error) {
      if (!(error instanceof BatchMalformedError)) throw error;
      this.#tellUndecodable(entry.offset, error.message);
    }
  }

  /**
   * Asks again for what needs the state of a stream that was forgotten: the server sends it with that. It sends the state of all streams
   * that live there, so room is made for more of them: with the same room the same one might be forgotten again.
   */
  #goBack(entry: LogEntry, { entries, from }: PulledEntries, at: number): void {
    const { statesBytesMax, streamsMax } = this.#decoderBounds;
    this.#decoderBounds = { statesBytesMax: statesBytesMax * 2, streamsMax: streamsMax * 2 };
    const undone = entries.slice(at).filter(({ offset }) => offset >= from);
    this.#goBackTo(entry.offset > from ? entry.offset : from, undone.length);
  }

  #isFull(folder: TableFolder): boolean {
    return folder.rows >= LIMITS.folderFlushRowsMax || this.#bytes >= LIMITS.folderFlushBytesMax;
  }

  #tellUndecodable(offset: bigint, reason: string): void {
    this.#undecodable++;
    this.#options.tell(`Entry ${offset} is left out: ${reason}`);
  }

  async #open(part: PulledEntries): Promise<TableFolder> {
    if (this.#logUuid !== null && this.#logUuid !== part.logUuid) {
      const message = `Cannot go on: the server has log ${part.logUuid} now, and had log ${this.#logUuid}`;
      throw new TreasuryError('TREASURY_CONFIG', message);
    }
    this.#logUuid = part.logUuid;
    const { directory, format, memoryLimitMb, threads } = this.#options;
    this.#folder ??= await openTableFolder({
      directory,
      format,
      logUuid: part.logUuid,
      from: part.from,
      memoryLimitMb,
      threads,
    });
    return this.#folder;
  }

  async #decoderOf({ connection }: PulledEntries): Promise<EntryDecoder> {
    if (this.#decoder === null || this.#connection !== connection) {
      this.#connection = connection;
      this.#decoder = await createEntryDecoder({
        ...this.#decoderBounds,
        readSegment() {
          throw new ReadFailure('state was forgotten');
        },
      });
    }
    return this.#decoder;
  }
}

function outOfRange(error: TreasuryError, directory: string): TreasuryError {
  const { requested, firstOffset } = error.facts;
  const isPassed = Number(requested) < Number(firstOffset);
  const goOn = `; retention has passed what ${directory} lacks, --from ${firstOffset} goes on with what is left`;
  const message = `${error.message}${isPassed ? goOn : ''}`;
  return new TreasuryError('TREASURY_CONFIG', message, { cause: error, facts: error.facts });
}
