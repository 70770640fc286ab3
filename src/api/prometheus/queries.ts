/** The main thread's side of the Prometheus API: its thread while there are requests, and what goes to and fro. */
import type { Worker } from 'node:worker_threads';
import { errorMessage, LIMITS, type Logger } from '../../base/index.ts';
import type { Engine, IncompleteTables } from '../../materialize/index.ts';
import { type Admission, createAdmission } from '../admission.ts';
import { type ChunkQueue, createChunkQueue } from '../pull/chunk-queue.ts';
import { startThread } from '../thread.ts';
import { createCrossOrigin, type CrossOrigin } from './cross-origin.ts';
import { RequestFailure } from './failure.ts';
import { createRequestFigures, type RequestFigures } from './request-figures.ts';
import { passToStore } from './store-passage.ts';
import type {
  PrometheusCommand,
  PrometheusEvent,
  PrometheusRequest,
  PrometheusSettings,
  PrometheusWorkerData,
  ThreadLimits,
} from './types.ts';

/** Requests to the thread of one server. */
export interface PrometheusQueries {
  readonly settings: PrometheusSettings;
  /** What large forms take until their requests are answered. */
  readonly forms: Admission;
  readonly crossOrigin: CrossOrigin;
  readonly figures: RequestFigures;
  /** Requests that the thread works on, and that wait for it. */
  load(this: void): { readonly running: number; readonly queued: number };
  /**
   * Resolves when the first bytes of the answer's JSON are there. Rejects with RequestFailure; the chunks throw one when the answer breaks off.
   * Leaving the chunks ends the request.
   */
  ask(request: PrometheusRequest, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** What the tables of metrics lacked when they were last asked. */
  incomplete(): readonly IncompleteTables[];
  /** Ends the thread; requests under way fail. */
  stop(): Promise<void>;
}

export interface PrometheusQueriesOptions {
  readonly engine: Pick<Engine, 'sql' | 'tableChanges'>;
  readonly settings: PrometheusSettings;
  /** Web pages that may read answers; none by default. */
  readonly corsOrigins?: readonly string[];
  readonly logger: Logger;
  readonly limits?: Partial<ThreadLimits & { readonly idleMaxMs: number }>;
  /** Starts the thread. */
  readonly startWorker?: (data: PrometheusWorkerData) => Worker;
}

/** The thread starts with the first request. */
export function createPrometheusQueries({
  engine,
  settings,
  corsOrigins = [],
  logger,
  limits = {},
  startWorker = startPrometheusWorker,
}: PrometheusQueriesOptions): PrometheusQueries {
  const {
    concurrencyMax = LIMITS.prometheusConcurrencyMax,
    queueMax = LIMITS.prometheusQueueMax,
    bufferedBytesMax = LIMITS.prometheusBufferedBytesMax,
    bufferedTotalBytesMax = LIMITS.prometheusBufferedTotalBytesMax,
    heldBytesMax = LIMITS.prometheusHeldBytesMax,
    unreadMaxMs = LIMITS.prometheusUnreadMaxMs,
    idleMaxMs = LIMITS.prometheusIdleMaxMs,
  } = limits;
  const threadLimits = {
    concurrencyMax,
    queueMax,
    bufferedBytesMax,
    bufferedTotalBytesMax,
    heldBytesMax,
    unreadMaxMs,
  };
  let thread: QueryThread | null = null;
  let load: Int32Array = new Int32Array(2);
  let isStopped = false;

  function threadNow(): QueryThread {
    if (isStopped) throw unavailable('the server stops');
    if (thread !== null) return thread;
    const shared = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
    load = new Int32Array(shared);
    thread = createQueryThread(
      startWorker({ settings, limits: threadLimits, load: shared, tableChanges: engine.tableChanges ?? null }),
      { engine, logger, idleMaxMs, queryTimeoutMs: settings.queryTimeoutMs },
      (ended) => {
        if (thread !== ended) return;
        thread = null;
        load = new Int32Array(2);
      },
    );
    return thread;
  }

  return {
    settings,
    forms: createAdmission(LIMITS.prometheusFormsBytesMax, LIMITS.prometheusFormsBytesMax),
    crossOrigin: createCrossOrigin(corsOrigins),
    figures: createRequestFigures(),
    load: () => ({ running: Atomics.load(load, 0), queued: Atomics.load(load, 1) }),
    ask: async (request, signal) => threadNow().ask(request, signal),
    incomplete: () => thread?.incomplete() ?? [],
    async stop() {
      isStopped = true;
      await thread?.end(unavailable('the server stops'));
    },
  };
}

/** Starts the thread of the Prometheus API. */
export function startPrometheusWorker(workerData: PrometheusWorkerData): Worker {
  return startThread('./worker', import.meta.url, {
    workerData,
    name: 'prometheus',
    resourceLimits: { maxOldGenerationSizeMb: LIMITS.prometheusHeapMibMax },
  });
}

interface QueryThread {
  incomplete(): readonly IncompleteTables[];
  ask(request: PrometheusRequest, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  end(reason: RequestFailure): Promise<void>;
}

interface ThreadParts {
  readonly engine: Pick<Engine, 'sql'>;
  readonly logger: Logger;
  readonly idleMaxMs: number;
  readonly queryTimeoutMs: number;
}

function createQueryThread(
  worker: Worker,
  { engine, logger, idleMaxMs, queryTimeoutMs }: ThreadParts,
  onEnded: (thread: QueryThread) => void,
): QueryThread {
  const calls = new Map<number, Call>();
  let lastId = 0;
  let death: RequestFailure | null = null;
  let idle: NodeJS.Timeout | undefined;
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const store = passToStore(engine, send);

  worker.on('message', (event: PrometheusEvent) => onEvent(event));
  worker.on('error', (error) => die(errorMessage(error)));
  worker.on('exit', (code) => die(`its thread ended with code ${code}`));

  function send(command: PrometheusCommand, transfer: readonly ArrayBuffer[] = []): void {
    if (death === null) worker.postMessage(command, transfer);
  }

  function onEvent(event: PrometheusEvent): void {
    switch (event.type) {
      case 'chunk': {
        const call = calls.get(event.id);
        // What comes behind a cancellation is taken, too: the thread counts it.
        if (call === undefined) return send({ type: 'credit', id: event.id, bytes: event.bytes.byteLength });
        call.unread.bytes += event.bytes.byteLength;
        return call.answer.push(event.bytes);
      }
      case 'end':
        return takeCall(event.id)?.end();
      case 'failure': {
        const { type, message } = event.failure;
        if (event.detail !== undefined) logger.error('Request of PromQL failed', { error: event.detail });
        return takeCall(event.id)?.fail(new RequestFailure(type, message));
      }
      default:
        return store.receive(event);
    }
  }

  function takeCall(id: number): AnswerQueue | undefined {
    const call = calls.get(id);
    calls.delete(id);
    call?.forgetSignal();
    clearTimeout(idle);
    if (calls.size === 0 && death === null) {
      idle = setTimeout(() => void end(unavailable('their thread rests')), idleMaxMs).unref();
    }
    return call?.answer;
  }

  function die(reason: string): void {
    if (death !== null) return;
    logger.error('The thread of the Prometheus API died', { reason, requests: calls.size });
    // Why is for the log: it may tell what others asked.
    endBy(unavailable('their thread died'));
  }

  function endBy(failure: RequestFailure): void {
    if (death !== null) return;
    death = failure;
    clearTimeout(idle);
    store.end();
    for (const { answer, forgetSignal } of calls.values()) {
      forgetSignal();
      answer.fail(failure);
    }
    calls.clear();
    onEnded(thread);
  }

  async function end(reason: RequestFailure): Promise<void> {
    endBy(reason);
    await worker.terminate();
    await exited;
  }

  const thread: QueryThread = {
    async ask(request, signal) {
      signal.throwIfAborted();
      clearTimeout(idle);
      const id = ++lastId;
      const leave = (failure: RequestFailure) => {
        if (takeCall(id) === undefined) return;
        send({ type: 'cancel', id });
        answer.fail(failure);
      };
      const cancel = () => leave(new RequestFailure('canceled', 'query was canceled in query execution'));
      const unread = { bytes: 0 };
      const credit = (bytes: number) => {
        unread.bytes -= bytes;
        if (bytes > 0) send({ type: 'credit', id, bytes });
      };
      const answer = createChunkQueue<RequestFailure>(credit, cancel);
      calls.set(id, { answer, unread, forgetSignal: () => signal.removeEventListener('abort', cancel) });
      send({ type: 'call', id, request });
      signal.addEventListener('abort', cancel, { once: true });
      // The thread keeps the time itself, but for work that does not let go of it.
      const wantedMs = request.kind === 'query' ? Math.min(request.timeoutMs, queryTimeoutMs) : queryTimeoutMs;
      const late = setTimeout(
        () => leave(new RequestFailure('timeout', 'query timed out in query execution')),
        Math.max(0, wantedMs) + LIMITS.prometheusLateMs,
      );
      try {
        await answer.ready;
      } finally {
        clearTimeout(late);
      }
      return withEnd(answer.chunks, () => credit(unread.bytes));
    },
    incomplete: () => store.incomplete(),
    end,
  };
  return thread;
}

interface Call {
  readonly answer: AnswerQueue;
  /** What came and was not taken. */
  readonly unread: { bytes: number };
  /** The signal of its client may live longer. */
  readonly forgetSignal: () => void;
}

type AnswerQueue = ChunkQueue<RequestFailure>;

function unavailable(reason: string): RequestFailure {
  return new RequestFailure('unavailable', `Cannot answer queries: ${reason}`);
}

async function* withEnd(chunks: AsyncIterable<Uint8Array>, onEnd: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } finally {
    onEnd();
  }
}
