/** The main thread's side of pulls: their thread while there are any, what they may hold, and their figures. */
import type { Worker } from 'node:worker_threads';
import { errorMessage, LIMITS, type Logger, type SerializedError, TreasuryError } from '../../base/index.ts';
import type { DurablePosition, Log } from '../../log/index.ts';
import { startThread } from '../thread.ts';
import { createChunkQueue, type ChunkQueue } from './chunk-queue.ts';
import type { LogAnswer, LogPullRequest, LogQuestion, PullCommand, PullEvent, PullWorkerData } from './types.ts';

export const PULL_KINDS = ['log', 'tables'] as const;
export type PullKind = (typeof PULL_KINDS)[number];

/** Totals since start, but for `running`. */
export interface PullCounts {
  readonly running: number;
  readonly started: number;
  readonly bytes: number;
  /** Entries for the log, rows for tables are not counted. */
  readonly entries: number;
  /** Pulls cut because their client did not read. */
  readonly stalls: number;
}

export type PullsStatus = Readonly<Record<PullKind, PullCounts>>;

/** One pull's place among those that run, and its figures. */
export interface PullPlace {
  sent(bytes: number): void;
  entries(count: number): void;
  stalled(): void;
  /** Gives the place back. */
  leave(): void;
}

export interface LogPull {
  /** Ends after the end of the stream; throws TreasuryError when the pull fails on the way. Leaving it ends the pull. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Takes the memory of a chunk back that nobody needs any more; the chunk is empty then. */
  giveBack(chunk: Uint8Array): void;
  /** Everything below went out, as far as the chunks were taken. */
  readonly nextOffset: bigint;
}

export interface Pulls {
  /** Throws TREASURY_PULL_LIMIT when there are too many. */
  enter(kind: PullKind): PullPlace;
  /** Begins a pull of the log. Rejects with OffsetOutOfRangeError's code or TREASURY_PULL_UNAVAILABLE before the first byte. */
  pullLog(request: LogPullRequest, place: PullPlace, signal: AbortSignal): Promise<LogPull>;
  /** Rejects with OffsetOutOfRangeError's code or TREASURY_PULL_UNAVAILABLE. */
  ask(question: LogQuestion): Promise<LogAnswer>;
  status(): PullsStatus;
  /** Cuts all pulls and ends the thread. */
  stop(): Promise<void>;
}

export interface PullsOptions {
  readonly log: Pick<Log, 'status' | 'onDurable'>;
  readonly logDirectory: string;
  readonly logger: Logger;
  readonly pullsMax?: number;
  /** Starts the thread. */
  readonly startWorker?: (data: PullWorkerData) => Worker;
}

/** Pulls of one server. Their thread starts with the first one. */
export function createPulls({
  log,
  logDirectory,
  logger,
  pullsMax = LIMITS.pullsMax,
  startWorker = startPullWorker,
}: PullsOptions): Pulls {
  const counts = { log: emptyCounts(), tables: emptyCounts() };
  let thread: PullThread | null = null;
  let isStopped = false;
  const stopListening = log.onDurable((durable) => thread?.advance(plain(durable)));

  function threadNow(): PullThread {
    if (isStopped) throw unavailable('the server stops');
    thread ??= createPullThread(startWorker({ logDirectory, logUuid: log.status().uuid }), logger, (ended) => {
      if (thread === ended) thread = null;
    });
    return thread;
  }

  return {
    enter(kind) {
      if (counts.log.running + counts.tables.running >= pullsMax) {
        throw new TreasuryError('TREASURY_PULL_LIMIT', `Cannot begin the pull: ${pullsMax} are running`, {
          retryable: true,
          facts: { pullsMax },
        });
      }
      return takePlace(counts[kind]);
    },
    async pullLog(request, place, signal) {
      return threadNow().pull(request, plain(log.status()), place, signal);
    },
    async ask(question) {
      return threadNow().ask(question, plain(log.status()));
    },
    status: () => ({ log: { ...counts.log }, tables: { ...counts.tables } }),
    async stop() {
      isStopped = true;
      stopListening();
      await thread?.end(unavailable('the server stops'));
    },
  };
}

interface PullThread {
  pull(request: LogPullRequest, durable: DurablePosition, place: PullPlace, signal: AbortSignal): Promise<LogPull>;
  ask(question: LogQuestion, durable: DurablePosition): Promise<LogAnswer>;
  advance(durable: DurablePosition): void;
  end(reason: TreasuryError): Promise<void>;
}

interface PullCall {
  readonly queue: ChunkQueue;
  readonly place: PullPlace;
  readonly isFollowing: boolean;
  nextOffset: bigint;
}

interface AskCall {
  resolve(answer: LogAnswer): void;
  reject(error: TreasuryError): void;
}

/** Starts the thread of pulls. */
export function startPullWorker(workerData: PullWorkerData): Worker {
  return startThread('./worker', import.meta.url, {
    workerData,
    name: 'pulls',
    resourceLimits: { maxOldGenerationSizeMb: LIMITS.pullHeapMibMax },
  });
}

function createPullThread(worker: Worker, logger: Logger, onEnded: (thread: PullThread) => void): PullThread {
  const pulls = new Map<number, PullCall>();
  const asks = new Map<number, AskCall>();
  let lastId = 0;
  let death: TreasuryError | null = null;
  let idle: NodeJS.Timeout | undefined;
  let next: DurablePosition | null = null;
  let isAdvancing = false;
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));

  worker.on('message', (event: PullEvent) => onEvent(event));
  worker.on('error', (error) => die(errorMessage(error), error));
  worker.on('exit', (code) => die(`its thread ended with code ${code}`));

  function send(command: PullCommand, transfer: readonly ArrayBuffer[] = []): void {
    if (death === null) worker.postMessage(command, transfer);
  }

  function giveBack({ buffer }: Uint8Array): void {
    if (buffer instanceof ArrayBuffer && buffer.byteLength > 0) send({ type: 'memory', memory: buffer }, [buffer]);
  }

  function onEvent(event: PullEvent): void {
    switch (event.type) {
      case 'chunk': {
        const call = pulls.get(event.id);
        if (call === undefined) return;
        call.place.entries(event.entries);
        call.nextOffset = event.nextOffset;
        call.queue.push(event.bytes);
        return;
      }
      case 'end':
        return takeCall(event.id)?.queue.end();
      case 'error':
        return fail(event.id, event.error);
      case 'answer':
        asks.get(event.id)?.resolve(event.answer);
        asks.delete(event.id);
        return restLater();
      case 'advanced':
        isAdvancing = false;
        return flushAdvance();
    }
  }

  function fail(id: number, serialized: SerializedError): void {
    const error = TreasuryError.fromJSON(serialized);
    takeCall(id)?.queue.fail(error);
    asks.get(id)?.reject(error);
    asks.delete(id);
    restLater();
  }

  function takeCall(id: number): PullCall | undefined {
    const call = pulls.get(id);
    pulls.delete(id);
    restLater();
    return call;
  }

  /** At most one is under way: a busy thread finds the newest position, not a queue of old ones. */
  function flushAdvance(): void {
    if (isAdvancing || next === null) return;
    isAdvancing = true;
    send({ type: 'advance', durable: next });
    next = null;
  }

  function restLater(): void {
    clearTimeout(idle);
    if (pulls.size > 0 || asks.size > 0 || death !== null) return;
    idle = setTimeout(() => void end(unavailable('its thread rests')), LIMITS.pullIdleMaxMs).unref();
  }

  function die(reason: string, cause?: unknown): void {
    if (death !== null) return;
    logger.error('The thread of pulls died', { reason, pulls: pulls.size });
    endBy(unavailable(reason, cause));
  }

  function endBy(error: TreasuryError): void {
    if (death !== null) return;
    death = error;
    clearTimeout(idle);
    for (const { queue } of pulls.values()) queue.fail(error);
    for (const ask of asks.values()) ask.reject(error);
    pulls.clear();
    asks.clear();
    onEnded(thread);
  }

  async function end(reason: TreasuryError): Promise<void> {
    endBy(reason);
    await worker.terminate();
    await exited;
  }

  const thread: PullThread = {
    async pull(request, durable, place, signal) {
      signal.throwIfAborted();
      const id = ++lastId;
      clearTimeout(idle);
      const cancel = () => {
        if (takeCall(id) === undefined) return;
        send({ type: 'cancel', id });
        queue.fail(new TreasuryError('TREASURY_QUERY_CANCELLED', 'The pull was cancelled'));
      };
      const queue = createChunkQueue((bytes) => send({ type: 'credit', id, bytes }), cancel);
      signal.addEventListener('abort', cancel, { once: true });
      const call: PullCall = { queue, place, isFollowing: request.follow, nextOffset: request.from };
      pulls.set(id, call);
      send({ type: 'pull', id, request, durable });
      await queue.ready;
      return {
        chunks: queue.chunks,
        giveBack,
        get nextOffset() {
          return call.nextOffset;
        },
      };
    },
    ask(question, durable) {
      const id = ++lastId;
      clearTimeout(idle);
      return new Promise((resolve, reject) => {
        asks.set(id, { resolve, reject });
        send({ type: 'ask', id, question, durable });
      });
    },
    advance(durable) {
      if (![...pulls.values()].some(({ isFollowing }) => isFollowing)) return;
      next = durable;
      flushAdvance();
    },
    end,
  };
  return thread;
}

type MutableCounts = { -readonly [name in keyof PullCounts]: PullCounts[name] };

function emptyCounts(): MutableCounts {
  return { running: 0, started: 0, bytes: 0, entries: 0, stalls: 0 };
}

function takePlace(counts: MutableCounts): PullPlace {
  let isLeft = false;
  counts.running++;
  counts.started++;
  return {
    sent(bytes) {
      counts.bytes += bytes;
    },
    entries(count) {
      counts.entries += count;
    },
    stalled() {
      counts.stalls++;
    },
    leave() {
      if (!isLeft) counts.running--;
      isLeft = true;
    },
  };
}

function plain({ durableOffset, segment, segmentBytes }: DurablePosition): DurablePosition {
  return { durableOffset, segment, segmentBytes };
}

function unavailable(reason: string, cause?: unknown): TreasuryError {
  return new TreasuryError('TREASURY_PULL_UNAVAILABLE', `Cannot read the log for pulls: ${reason}`, {
    retryable: true,
    cause,
  });
}
