/** SQL calls in the engine's thread: admission, answers held back by credit, cancellation. */
import PQueue from 'p-queue';
import {
  createWake,
  LIMITS,
  type SerializedError,
  serializedStoreError,
  transferableBytes,
  TreasuryError,
  type Wake,
} from '../base/index.ts';
import type { PostEvent } from './engine-protocol.ts';
import type { IncompleteTables, SqlRequest } from './types.ts';

/** Evaluates one statement. */
export interface SqlRunner {
  /**
   * Runs the request and emits its encoded answer in order, waiting for each `emit`. Rejects with TreasuryError; soon after `signal`
   * aborts at the latest.
   */
  run(request: SqlRequest, sink: SqlSink): Promise<void>;
}

export interface SqlSink {
  /** Takes a chunk over: the caller does not touch it again. Settles when the client has room for more; rejects once cancelled. */
  emit(chunk: Uint8Array): Promise<void>;
  readonly signal: AbortSignal;
}

export interface SqlRequests {
  readonly running: number;
  readonly queued: number;
  /** Never throws: what goes wrong is posted as the call's `sql-error`. */
  start(id: number, request: SqlRequest): void;
  credit(id: number, bytes: number): void;
  cancel(id: number): void;
  /** Runs other work in the place of a query, when one is free: what holds threads of DuckDB's calls counts as one. */
  inTurn(work: () => Promise<void>): Promise<void>;
  cancelAll(): void;
  /** Cancels all and settles when none runs. */
  close(): Promise<void>;
}

interface Call {
  readonly abort: AbortController;
  /** Has the queue forget it; none when it has begun. */
  unqueue: AbortController | null;
  readonly wake: Wake;
  /** When the answer must be done; set when the query begins. */
  endMs: number;
  /** Posted and not yet taken by the client. */
  bufferedBytes: number;
}

/** `runner()` throws TreasuryError while there is no database. `onFailure` is told what a query failed with. */
export function createSqlRequests(
  runner: () => SqlRunner,
  post: PostEvent,
  incomplete: () => readonly IncompleteTables[] = () => [],
  onFailure: (error: unknown) => void = () => {},
): SqlRequests {
  const calls = new Map<number, Call>();
  let othersWaiting = 0;
  let othersRunning = 0;
  const queue = new PQueue({ concurrency: LIMITS.sqlConcurrencyMax });

  async function execute(id: number, call: Call, request: SqlRequest): Promise<void> {
    let late: NodeJS.Timeout | undefined;
    let isSettled = false;
    const settle = (event: Parameters<PostEvent>[0]): void => {
      if (!isSettled) post(event);
      isSettled = true;
    };
    call.unqueue = null;
    try {
      call.abort.signal.throwIfAborted();
      call.endMs = performance.now() + request.timeoutMs;
      late = setTimeout(() => settle({ type: 'sql-error', id, error: tooLong(request) }), request.timeoutMs + LATE_MS);
      const lacking = incomplete();
      if (lacking.length > 0) post({ type: 'sql-incomplete', id, incomplete: lacking });
      await runner().run(request, { signal: call.abort.signal, emit: (chunk) => emit(id, call, chunk) });
      settle({ type: 'sql-end', id });
    } catch (error) {
      onFailure(error);
      settle({ type: 'sql-error', id, error: serializedStoreError(call.abort.signal.aborted ? cancelled() : error) });
    } finally {
      clearTimeout(late);
      calls.delete(id);
    }
  }

  async function emit(id: number, call: Call, chunk: Uint8Array): Promise<void> {
    call.abort.signal.throwIfAborted();
    if (chunk.byteLength === 0) return;
    const bytes = transferableBytes(chunk);
    call.bufferedBytes += bytes.byteLength;
    post({ type: 'sql-chunk', id, bytes }, [bytes.buffer]);
    while (call.bufferedBytes >= LIMITS.answerBufferedBytesMax) {
      const leftMs = call.endMs - performance.now();
      if (leftMs <= 0) throw notTaken();
      await call.wake.wait(leftMs);
      call.abort.signal.throwIfAborted();
    }
  }

  function cancel(id: number): void {
    const call = calls.get(id);
    call?.abort.abort(cancelled());
    call?.wake.wake();
    // Its place is for others.
    call?.unqueue?.abort(cancelled());
  }

  function cancelAll(): void {
    for (const id of calls.keys()) cancel(id);
  }

  return {
    get running() {
      return queue.pending - othersRunning;
    },
    get queued() {
      return queue.size - othersWaiting;
    },
    start(id, request) {
      if (queue.size - othersWaiting >= LIMITS.sqlQueueMax) {
        post({ type: 'sql-error', id, error: busy().toJSON() });
        return;
      }
      const unqueue = new AbortController();
      const call: Call = { abort: new AbortController(), unqueue, wake: createWake(), endMs: 0, bufferedBytes: 0 };
      calls.set(id, call);
      queue
        .add(() => execute(id, call, request), { signal: unqueue.signal })
        .catch((error: unknown) => {
          calls.delete(id);
          post({ type: 'sql-error', id, error: serializedStoreError(error) });
        });
    },
    credit(id, bytes) {
      const call = calls.get(id);
      if (call === undefined) return;
      call.bufferedBytes -= bytes;
      call.wake.wake();
    },
    cancel,
    async inTurn(work) {
      othersWaiting += 1;
      await queue.add(
        async () => {
          othersWaiting -= 1;
          othersRunning += 1;
          try {
            await work();
          } finally {
            othersRunning -= 1;
          }
        },
        { priority: -1 },
      );
    },
    cancelAll,
    async close() {
      cancelAll();
      await queue.onIdle();
    },
  };
}

function cancelled(): TreasuryError {
  return new TreasuryError('TREASURY_QUERY_CANCELLED', 'The query was cancelled');
}

/**
 * Some of DuckDB's functions cannot be interrupted (`levenshtein` of two long strings runs for minutes). The client has its answer at
 * the time limit all the same; the query keeps its place until it really ends, as its thread does.
 */
const LATE_MS = 1_000;

function tooLong({ timeoutMs }: SqlRequest): SerializedError {
  const message = `Cannot finish the query: it ran longer than ${timeoutMs} ms`;
  return new TreasuryError('TREASURY_QUERY_LIMIT', message, { facts: { timeoutMs } }).toJSON();
}

/** A client that stopped reading must not hold its place for ever. */
function notTaken(): TreasuryError {
  return new TreasuryError('TREASURY_QUERY_LIMIT', 'Cannot finish the answer: it was not read within the time limit');
}

function busy(): TreasuryError {
  return new TreasuryError('TREASURY_QUERY_LIMIT', `Cannot queue the query: ${LIMITS.sqlQueueMax} are waiting`, {
    retryable: true,
    facts: { sqlQueueMax: LIMITS.sqlQueueMax },
  });
}
