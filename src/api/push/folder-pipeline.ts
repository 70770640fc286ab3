/**
 * An exporter to a folder of Parquet files: rows are collected and written together, and acknowledged when their files are synced. What is
 * in the folder is in it once: the folder itself knows what it has, whatever the cursor says, and a rewind back fills what one forwards
 * left out.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import {
  AssertionError,
  BatchMalformedError,
  createWake,
  errorMessage,
  LIMITS,
  type Logger,
  SIGNALS,
} from '../../base/index.ts';
import { type DurablePosition, readLogUuid } from '../../log/index.ts';
import { openTableFolder, type TableFolder } from '../../materialize/index.ts';
import { createBackoff } from './backoff.ts';
import { createEntrySource, type EntrySource, type SourceStep } from './entry-source.ts';
import { createFigures } from './figures.ts';
import type { Pipeline, PipelineLimits } from './pipeline.ts';
import type { ExporterConfig, ExporterProgress, SetAsideEntry } from './types.ts';
import { wantedRows } from './wanted-rows.ts';

export interface FolderPipelineOptions {
  readonly logDirectory: string;
  /** `endpoint` is the folder. */
  readonly config: ExporterConfig;
  readonly from: bigint;
  readonly durable: DurablePosition;
  readonly logger: Logger;
  readonly onChange: () => void;
  readonly onSetAside: (entry: SetAsideEntry) => void;
  readonly limits?: Partial<FolderLimits>;
}

export type FolderLimits = PipelineLimits & { readonly [name in 'pushFolderRowsMax' | 'pushFolderIntervalMs']: number };

/** Rows that are in no file yet. */
interface Unwritten {
  batches: number;
  items: number;
  sinceMs: number;
}

/** Starts one. It works until it is stopped; a folder that cannot be written is tried again. */
export function startFolderPipeline(options: FolderPipelineOptions): Pipeline {
  const { config, logger, onChange, logDirectory } = options;
  const limits: FolderLimits = { ...LIMITS, ...options.limits };
  const { filter } = config;
  const figures = createFigures();
  const stopping = new AbortController();
  const news = createWake();
  const backoff = createBackoff({ minMs: limits.pushRetryMinMs, maxMs: limits.pushRetryMaxMs });
  const wantedOf = wantedRows(filter);
  let durable = options.durable;
  let acked = options.from;
  let source: EntrySource | null = null;
  let lostBefore = 0n;
  let trouble: string | null = null;
  let unwritten: Unwritten = { batches: 0, items: 0, sinceMs: 0 };
  // An entry that is read again after a failure was told already.
  let toldTo = options.from;
  const ended = run();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      if (durable.durableOffset === 0n) {
        // An empty log has no segment that says which log it is.
        figures.isAtEnd = true;
        onChange();
        await news.wait();
        continue;
      }
      let folder: TableFolder | null = null;
      try {
        folder = await openFolder();
        trouble = null;
        await fill(folder);
      } catch (error) {
        if (error instanceof AssertionError) throw error;
        fail(error);
      } finally {
        closeSource();
        await folder?.close().catch((error: unknown) => fail(error));
      }
      await sleep(backoff.waitMs(), undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  async function openFolder(): Promise<TableFolder> {
    const logUuid = readLogUuid(logDirectory);
    if (logUuid === null) throw new Error('Cannot read the log: no segment says which log it is');
    return openTableFolder({
      directory: config.endpoint,
      format: 'parquet',
      logUuid,
      from: acked,
      memoryLimitMb: LIMITS.pushFolderMemoryMb,
      threads: 1,
    });
  }

  /** Until the exporter stops; throws when the folder or the log fails. */
  async function fill(folder: TableFolder): Promise<void> {
    unwritten = { batches: 0, items: 0, sinceMs: 0 };
    const reading = createEntrySource({
      logDirectory,
      from: acked,
      durable,
      signals: filter?.signals ?? SIGNALS,
      logger,
    });
    source = reading;
    let sliceEndMs = performance.now() + LIMITS.pushSliceMs;
    while (!stopping.signal.aborted) {
      if (isDue(folder)) await write(folder, reading.position);
      const step = await reading.next();
      figures.isAtEnd = step === null;
      if (step === null) {
        settle(folder, reading.position);
        await news.wait(folder.rows === 0 ? undefined : dueInMs());
        continue;
      }
      take(folder, step);
      settle(folder, reading.position);
      if (performance.now() < sliceEndMs) continue;
      await nextTurn();
      sliceEndMs = performance.now() + LIMITS.pushSliceMs;
    }
    // What had no rows was read too: the folder must not ask for it again.
    if (folder.rows === 0) await folder.flush(reading.position);
  }

  function take(folder: TableFolder, step: SourceStep): void {
    if (step.type === 'passed') return;
    if (step.type === 'undecodable') return setAside(step.offset, step.reason);
    const { offset, receivedAtUnixNano } = step.entry;
    // It is in a file already: the exporter was rewound, or its cursor is behind the folder.
    if (folder.has(offset)) return;
    try {
      const { batch, items, filteredItems } = wantedOf(step.batch);
      figures.filteredItems += filteredItems;
      if (batch === null) return;
      if (folder.rows === 0) unwritten.sinceMs = performance.now();
      folder.add({ offset, receivedAtUnixNano }, batch);
      unwritten.batches++;
      unwritten.items += items;
    } catch (error) {
      if (!(error instanceof BatchMalformedError)) throw error;
      setAside(offset, error.message);
    }
  }

  function isDue(folder: TableFolder): boolean {
    return folder.rows >= limits.pushFolderRowsMax || (folder.rows > 0 && dueInMs() <= 0);
  }

  function dueInMs(): number {
    return unwritten.sinceMs + limits.pushFolderIntervalMs - performance.now();
  }

  async function write(folder: TableFolder, position: bigint): Promise<void> {
    const { bytes } = await folder.flush(position);
    figures.sentBatches += unwritten.batches;
    figures.sentItems += unwritten.items;
    figures.sentBytes += bytes;
    figures.error = null;
    unwritten = { batches: 0, items: 0, sinceMs: 0 };
    trouble = null;
    backoff.succeeded();
    settle(folder, position);
  }

  /** Without rows that are in no file everything read so far is done. */
  function settle(folder: TableFolder, position: bigint): void {
    if (folder.rows === 0 && position > acked) {
      acked = position;
      trouble = null;
    }
    onChange();
  }

  function setAside(offset: bigint, reason: string): void {
    if (offset < toldTo) return;
    toldTo = offset + 1n;
    figures.setAsideEntries++;
    logger.warn('Entry set aside', { exporter: config.name, offset, reason });
    options.onSetAside({ offset, reason, atUnixMs: Date.now() });
  }

  function fail(error: unknown): void {
    const reason = errorMessage(error);
    if (trouble !== reason) logger.warn('Exporter has to wait', { exporter: config.name, reason });
    trouble = reason;
    figures.error = reason;
    figures.retries++;
    backoff.failed(backoff.epoch());
    onChange();
  }

  function closeSource(): void {
    lostBefore += source?.lostEntries ?? 0n;
    source?.close();
    source = null;
  }

  // A broken invariant ends the thread: its owner starts another one where the cursors are.
  ended.catch((error: unknown) => {
    queueMicrotask(() => {
      throw error;
    });
  });

  return {
    get progress(): ExporterProgress {
      const { readFailure: _, isAtEnd, ...counts } = figures;
      const state = trouble !== null ? 'failed' : isAtEnd && unwritten.batches === 0 ? 'idle' : 'running';
      return {
        ...counts,
        name: config.name,
        state,
        ackedOffset: acked,
        readOffset: source?.position ?? acked,
        lostEntries: lostBefore + (source?.lostEntries ?? 0n),
      };
    },
    advance(position) {
      if (position.durableOffset <= durable.durableOffset) return;
      durable = position;
      source?.advance(position);
      news.wake();
    },
    async stop() {
      stopping.abort();
      news.wake();
      await ended.catch(() => {});
    },
  };
}
