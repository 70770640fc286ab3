/**
 * One exporter at work: reads the log, decodes, filters, hands batches to lanes and tells how far it is. A lane is one stream of the
 * source (or the OTLP requests of one signal, which belong to none): its batches go out one after the other, so their order holds
 * whatever is tried again.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import {
  AssertionError,
  createWake,
  errorMessage,
  LIMITS,
  type Logger,
  type Signal,
  SIGNALS,
} from '../../base/index.ts';
import type { DurablePosition, LogEntry } from '../../log/index.ts';
import type { CanonicalBatch } from '../../otap/index.ts';
import { createAckedOffsets, type OpenEntry } from './acked-offsets.ts';
import { createDelivery, type Delivery } from './delivery.ts';
import { createEntrySource, type SourceStep } from './entry-source.ts';
import { createFigures, type Figures } from './figures.ts';
import type { Shipment } from './lane.ts';
import { type OpenSender, openSender, type SenderConfig } from './open-sender.ts';
import type { ExporterProgress, SetAsideEntry } from './types.ts';
import { wantedRows } from './wanted-rows.ts';
import { countItems, splitBatch } from './encoders.ts';

export interface PipelineOptions {
  readonly logDirectory: string;
  readonly config: SenderConfig;
  readonly from: bigint;
  readonly durable: DurablePosition;
  readonly logger: Logger;
  /** Something moved or changed; called often. */
  readonly onChange: () => void;
  readonly onSetAside: (entry: SetAsideEntry) => void;
  /** Replace single ones of `LIMITS`. */
  readonly limits?: Partial<PipelineLimits>;
  /** Default: by the protocol of `config`. */
  readonly openSender?: OpenSender;
}

export type PipelineLimits = {
  readonly [name in
    | 'pushBatchesMax'
    | 'pushInFlightBytesMax'
    | 'pushInFlightItemsMax'
    | 'pushMergedBatchesMax'
    | 'pushMergedBytesMax'
    | 'pushItemsMax'
    | 'pushRetryMinMs'
    | 'pushRetryMaxMs'
    | 'pushStopMaxMs'
    | 'exportTriesMax'
    | 'exportSetAsideRunMax']: number;
};

export interface Pipeline {
  readonly progress: ExporterProgress;
  advance(durable: DurablePosition): void;
  /** Waits a little for answers that are under way, then cuts. Never rejects. */
  stop(): Promise<void>;
}

/** Starts one. It works until it is stopped, whatever its target does. */
export function startPipeline(options: PipelineOptions): Pipeline {
  const { config, logger, onChange } = options;
  const limits: PipelineLimits = { ...LIMITS, ...options.limits };
  const acked = createAckedOffsets(options.from);
  const figures = createFigures();
  const stopping = new AbortController();
  const wantedOf = wantedRows(config.filter);
  const source = createEntrySource({ ...options, signals: config.filter?.signals ?? SIGNALS });
  const news = createWake();
  const delivery = createDelivery({
    config,
    limits,
    figures,
    logger,
    signal: stopping.signal,
    openSender: options.openSender ?? openSender,
    onChange: () => {
      news.wake();
      onChange();
    },
    onSetAside: (entry, reason) => setAside(entry, reason),
  });
  const ended = run();

  async function run(): Promise<void> {
    let sliceEndMs = performance.now() + LIMITS.pushSliceMs;
    while (!stopping.signal.aborted) {
      if (delivery.isFull) {
        await news.wait();
        sliceEndMs = performance.now() + LIMITS.pushSliceMs;
        continue;
      }
      const step = await nextStep();
      if (step === null) {
        await news.wait();
        sliceEndMs = performance.now() + LIMITS.pushSliceMs;
        continue;
      }
      take(step);
      if (performance.now() < sliceEndMs) continue;
      await nextTurn();
      sliceEndMs = performance.now() + LIMITS.pushSliceMs;
    }
  }

  /** The next entry; null when there is none now, and when none can be read. */
  async function nextStep(): Promise<SourceStep | null> {
    try {
      const step = await source.next();
      figures.readFailure = null;
      figures.isAtEnd = step === null;
      if (step === null && acked.readOffset !== source.position) acked.passedTo(source.position);
      if (step === null) onChange();
      return step;
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      if (figures.readFailure === null) logger.warn('Exporter cannot read the log', { exporter: config.name, error });
      figures.readFailure = errorMessage(error);
      onChange();
      void sleep(limits.pushRetryMaxMs, undefined, { signal: stopping.signal }).then(
        () => news.wake(),
        () => {},
      );
      return null;
    }
  }

  function take(step: SourceStep): void {
    switch (step.type) {
      case 'passed':
        break;
      case 'undecodable': {
        const entry = acked.begin(step.offset, 1);
        setAside(entry, step.reason);
        entry.settle();
        break;
      }
      case 'batch':
        ship(step.entry, step.signal, step.batch);
    }
    acked.passedTo(source.position);
    onChange();
  }

  function ship(entry: LogEntry, signal: Signal, whole: CanonicalBatch): void {
    let pieces: readonly CanonicalBatch[];
    try {
      pieces = piecesOf(whole);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      const open = acked.begin(entry.offset, 1);
      setAside(open, `Cannot filter: ${errorMessage(error)}`);
      open.settle();
      return;
    }
    if (pieces.length === 0) return;
    const open = acked.begin(entry.offset, pieces.length);
    // Dictionaries are shared between batches; what a batch holds alone is about what it takes in the log.
    const bytes = entry.record.byteLength / pieces.length;
    for (const batch of pieces) {
      const { receivedAtUnixNano, offset } = entry;
      const facts = { signal, offset, receivedAtUnixNano, items: countItems(batch) };
      const shipment: Shipment = { batch, facts, bytes, entry: open };
      delivery.add(`${signal} ${entry.streamId}`, shipment);
    }
  }

  function piecesOf(whole: CanonicalBatch): readonly CanonicalBatch[] {
    const { batch, items, filteredItems } = wantedOf(whole);
    figures.filteredItems += filteredItems;
    if (batch === null) return [];
    return items <= limits.pushItemsMax ? [batch] : splitBatch(batch, limits.pushItemsMax);
  }

  /** Told once for each entry; its other pieces go on. */
  function setAside(entry: OpenEntry, reason: string): void {
    if (entry.isSetAside) return;
    entry.isSetAside = true;
    figures.setAsideEntries++;
    logger.warn('Entry set aside', { exporter: config.name, offset: entry.offset, reason });
    options.onSetAside({ offset: entry.offset, reason, atUnixMs: Date.now() });
  }

  // A broken invariant ends the thread: its owner starts another one where the cursors are.
  ended.catch((error: unknown) => {
    queueMicrotask(() => {
      throw error;
    });
  });

  return {
    get progress() {
      return progressOf(config, acked, { figures, delivery, lostEntries: source.lostEntries });
    },
    advance(durable) {
      source.advance(durable);
      news.wake();
    },
    async stop() {
      stopping.abort();
      news.wake();
      await ended.catch(() => {});
      await delivery.stop(limits.pushStopMaxMs);
      source.close();
    },
  };
}

interface ProgressParts {
  readonly figures: Figures;
  readonly delivery: Delivery;
  readonly lostEntries: bigint;
}

function progressOf(
  { name }: SenderConfig,
  { ackedOffset, readOffset, open }: { ackedOffset: bigint; readOffset: bigint; open: number },
  { figures, delivery, lostEntries }: ProgressParts,
): ExporterProgress {
  const { readFailure, isAtEnd, ...counts } = figures;
  const trouble = readFailure === null ? delivery.trouble : { state: 'failed' as const, reason: readFailure };
  return {
    ...counts,
    name,
    state: trouble?.state ?? (isAtEnd && open === 0 ? 'idle' : 'running'),
    ackedOffset,
    readOffset,
    lostEntries,
    error: trouble?.reason ?? counts.error,
    ...(delivery.fallback === null ? {} : { fallback: delivery.fallback }),
  };
}
