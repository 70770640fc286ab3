/** The life of the thread that drives exporters: there while one runs, and started again, after a wait, when it dies. */
import { type Logger, LIMITS } from '../../base/index.ts';
import type { DurablePosition } from '../../log/index.ts';
import type { ExporterConfig, PushEvent, PushWorker } from './types.ts';

export interface PushThreadOptions {
  readonly startWorker: (onEvent: (event: PushEvent) => void) => PushWorker;
  readonly durable: () => DurablePosition;
  /** What the thread says; the order of one exporter's events is kept. */
  readonly onEvent: (event: PushEvent) => void;
  /** The thread is gone with all that it drove: `reason` says why, and whether it comes back. */
  readonly onLost: (reason: string) => void;
  readonly logger: Logger;
  readonly limits?: PushThreadLimits;
}

export type PushThreadLimits = Readonly<
  Record<'pushRestartsMax' | 'pushRestartMinMs' | 'pushRecoveredMs' | 'pushWorkerStopMaxMs', number>
>;

export interface PushThread {
  /** Drives an exporter from the offset that `from` gives, also when the thread has to start again. */
  start(config: ExporterConfig, from: () => bigint): void;
  /** Resolves when nothing of the exporter is under way any more; after a bounded time the thread is ended for that. */
  stop(name: string): Promise<void>;
  advance(): void;
  /** Why the thread stays down, or null. */
  readonly down: string | null;
  readonly restarts: number;
  close(): Promise<void>;
}

interface Wanted {
  readonly config: ExporterConfig;
  readonly from: () => bigint;
}

/** A thread that is not there yet. */
export function createPushThread(options: PushThreadOptions): PushThread {
  const { startWorker, durable, onEvent, onLost, logger, limits = LIMITS } = options;
  const wanted = new Map<string, Wanted>();
  const stopping = new Map<string, () => void>();
  const endings = new Set<Promise<unknown>>();
  let worker: PushWorker | null = null;
  let startedMs = 0;
  let inARow = 0;
  let restarts = 0;
  let down: string | null = null;
  let timer: NodeJS.Timeout | null = null;
  let isClosing = false;

  function spawn(): void {
    timer = null;
    if (isClosing || worker !== null || wanted.size === 0) return;
    startedMs = performance.now();
    let started: PushWorker;
    try {
      started = startWorker((event) => {
        if (worker === started) take(event);
      });
    } catch (error) {
      return lost(error as Error);
    }
    worker = started;
    void started.ended.then((error) => {
      if (worker !== started) return;
      worker = null;
      lost(error ?? new Error('It ended by itself'));
    });
    for (const { config, from } of wanted.values()) drive(started, config, from());
  }

  function drive(by: PushWorker, config: ExporterConfig, from: bigint): void {
    const { durableOffset, segment, segmentBytes } = durable();
    by.send({ type: 'start', config, from, durable: { durableOffset, segment, segmentBytes } });
  }

  function take(event: PushEvent): void {
    onEvent(event);
    if (event.type === 'stopped') stopping.get(event.name)?.();
  }

  function lost(error: Error): void {
    for (const settle of stopping.values()) settle();
    if (isClosing || wanted.size === 0) return;
    inARow = performance.now() - startedMs >= limits.pushRecoveredMs ? 1 : inARow + 1;
    if (inARow > limits.pushRestartsMax) {
      down = `The thread of exporters died ${inARow} times in a row: ${error.message}`;
      logger.error('The thread of exporters stays down', { error: error.message, deaths: inARow });
      return onLost(down);
    }
    restarts++;
    const waitMs = limits.pushRestartMinMs * 2 ** (inARow - 1);
    logger.error('The thread of exporters died and is started again', { error: error.message, waitMs });
    onLost(`The thread of exporters died: ${error.message}`);
    timer = setTimeout(spawn, waitMs).unref();
  }

  /** Ends the thread. What it does not give up in time is cut: it is sent again. */
  function end(): void {
    const ended = worker;
    if (ended === null) return;
    worker = null;
    ended.send({ type: 'end' });
    const cut = setTimeout(() => ended.terminate(), limits.pushWorkerStopMaxMs);
    const ending = ended.ended.finally(() => {
      clearTimeout(cut);
      endings.delete(ending);
    });
    endings.add(ending);
  }

  function stopped(by: PushWorker, name: string): Promise<void> {
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        logger.error('An exporter did not stop: its thread is ended', { exporter: name });
        by.terminate();
      }, limits.pushWorkerStopMaxMs);
      stopping.set(name, () => {
        clearTimeout(late);
        stopping.delete(name);
        resolve();
      });
      by.send({ type: 'stop', name });
    });
  }

  return {
    start(config, from) {
      if (isClosing) return;
      wanted.set(config.name, { config, from });
      if (down !== null) {
        down = null;
        inARow = 0;
      }
      if (worker !== null) drive(worker, config, from());
      else if (timer === null) spawn();
    },
    async stop(name) {
      if (!wanted.delete(name)) return;
      if (worker !== null) await stopped(worker, name);
      if (wanted.size > 0) return;
      if (timer !== null) clearTimeout(timer);
      timer = null;
      down = null;
      end();
    },
    advance() {
      if (worker === null) return;
      const { durableOffset, segment, segmentBytes } = durable();
      worker.send({ type: 'advance', durable: { durableOffset, segment, segmentBytes } });
    },
    get down() {
      return down;
    },
    get restarts() {
      return restarts;
    },
    async close() {
      isClosing = true;
      if (timer !== null) clearTimeout(timer);
      const by = worker;
      if (by !== null) await Promise.all([...wanted.keys()].map((name) => stopped(by, name)));
      wanted.clear();
      end();
      await Promise.all(endings);
    },
  };
}
