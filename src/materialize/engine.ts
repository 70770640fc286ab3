/** The main thread's side of the engine: starts the worker that owns DuckDB, passes calls on, and notices its death. */
import { randomUUID } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { errorMessage, LIMITS, type Logger, TreasuryError } from '../base/index.ts';
import type { DurablePosition } from '../log/index.ts';
import type { EngineCommand, EngineEvent, EngineWorkerData } from './engine-protocol.ts';
import { watchPulse } from './pulse.ts';
import { countTableChanges, createTableChangesMemory } from './table-changes.ts';
import { createIncomingAnswer, type IncomingAnswer } from './sql-answer.ts';
import { createThreadEnd, ENDABLE_THREAD_FLAGS } from './thread-end.ts';
import type { Engine, EngineOptions, EngineStatus } from './types.ts';
import type { UserProjectionScan } from './user-projections/types.ts';

/** True when this runs from sources (tsx), false from the build. */
const FROM_SOURCES = import.meta.url.endsWith('.ts');

/**
 * Starts the engine. Resolves when the tables are open and the materializer runs. Rejects with the TreasuryError that kept it from
 * starting (TREASURY_MIGRATION, TREASURY_STORE), the worker is gone then.
 */
export function startEngine(options: EngineOptions, logger: Logger): Promise<Engine> {
  const file = FROM_SOURCES ? './engine-worker.ts' : './engine-worker.js';
  return startEngineWorker(new URL(file, import.meta.url), options, logger);
}

interface SqlCall {
  readonly answer: IncomingAnswer;
  release(): void;
}

interface OrderCall {
  resolve(): void;
  reject(error: TreasuryError): void;
}

interface ScanCall {
  resolve(scan: UserProjectionScan): void;
  reject(error: TreasuryError): void;
}

interface StatusCall {
  resolve(status: EngineStatus): void;
  reject(error: TreasuryError): void;
}

const END: EngineCommand = { type: 'end' };
const PROCESS_LIFE = randomUUID();

/** By folder of tables. */
const tableChangesMemories = new Map<string, SharedArrayBuffer>();

/** Replace single ones of `LIMITS`. */
type WatchLimits = { readonly [name in 'entryWorkMaxMs' | 'engineWatchIntervalMs']: number };

/** `startEngine` with the worker's module named. */
export async function startEngineWorker(
  module: URL,
  options: EngineOptions,
  logger: Logger,
  limits: Partial<WatchLimits> = {},
): Promise<Engine> {
  const { entryWorkMaxMs, engineWatchIntervalMs }: WatchLimits = { ...LIMITS, ...limits };
  const pulse = watchPulse();
  const threadEnd = createThreadEnd();
  const tableChanges = tableChangesMemories.get(options.tablesDirectory) ?? createTableChangesMemory();
  tableChangesMemories.set(options.tablesDirectory, tableChanges);
  const workerData: EngineWorkerData = {
    options: {
      ...options,
      processLife: PROCESS_LIFE,
      pulse: pulse.memory,
      nativeCalls: threadEnd.memory,
      tableChanges,
    },
  };
  const worker = new Worker(FROM_SOURCES ? sourcesLoader(module) : module, {
    workerData,
    name: 'engine',
    eval: FROM_SOURCES,
    execArgv: [...ENDABLE_THREAD_FLAGS],
    resourceLimits: {
      maxOldGenerationSizeMb: LIMITS.engineHeapMibMax,
      maxYoungGenerationSizeMb: LIMITS.engineYoungHeapMibMax,
    },
  });
  // Whatever the thread does. What it has not committed comes from the log again.
  const end = threadEnd.of(worker, () => worker.postMessage(END));
  const sqlCalls = new Map<number, SqlCall>();
  const statusCalls = new Map<number, StatusCall>();
  const orders = new Map<number, OrderCall>();
  const scans = new Map<number, ScanCall>();
  const started = settled<void>();
  const ended = settled<void>();
  const failed = settled<Error>();
  const advance = coalescedAdvance(send);
  let lastId = 0;
  let death: TreasuryError | null = null;
  let stopping: Promise<void> | null = null;
  let failure: Error | null = null;
  let exited = false;
  let force: NodeJS.Timeout | undefined;

  worker.on('message', (event: EngineEvent) => onEvent(event));
  worker.on('error', (error) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });
  worker.on('exit', (code) => onExit(code));

  let looksAtSameWork = 0;
  const watching = setInterval(() => {
    looksAtSameWork = pulse.isAtSameWork() ? looksAtSameWork + 1 : 0;
    if (looksAtSameWork * engineWatchIntervalMs < entryWorkMaxMs) return;
    clearInterval(watching);
    failure = new Error(`The engine has worked on one entry for ${entryWorkMaxMs} ms`);
    logger.error('Engine hangs', { reason: errorMessage(failure) });
    endBy(failure);
    void end();
  }, engineWatchIntervalMs).unref();

  function send(command: EngineCommand): void {
    if (death === null) worker.postMessage(command);
  }

  function onEvent(event: EngineEvent): void {
    switch (event.type) {
      case 'ready':
        return started.resolve();
      case 'refused':
        return started.reject(TreasuryError.fromJSON(event.error));
      case 'advanced':
        return advance.taken();
      case 'sql-chunk':
        return sqlCalls.get(event.id)?.answer.push(event.bytes);
      case 'sql-incomplete':
        return sqlCalls.get(event.id)?.answer.lacks(event.incomplete);
      case 'sql-end':
        return takeCall(event.id)?.answer.end();
      case 'sql-error':
        return takeCall(event.id)?.answer.fail(TreasuryError.fromJSON(event.error));
      case 'status':
        statusCalls.get(event.id)?.resolve(event.status);
        statusCalls.delete(event.id);
        return;
      case 'status-error':
        statusCalls.get(event.id)?.reject(TreasuryError.fromJSON(event.error));
        statusCalls.delete(event.id);
        return;
      case 'done':
        orders.get(event.id)?.resolve();
        orders.delete(event.id);
        return;
      case 'refusal':
        for (const calls of [orders, scans]) {
          calls.get(event.id)?.reject(TreasuryError.fromJSON(event.error));
          calls.delete(event.id);
        }
        return;
      case 'scanned':
        scans.get(event.id)?.resolve(event.scan);
        scans.delete(event.id);
        return;
      case 'log':
        return logger[event.level](event.message, event.fields);
      case 'died':
        failure ??= new Error(event.reason);
        endBy(failure);
        forceLater();
        return;
      case 'stopped':
        // Nothing is open any more: what is left of the thread has nothing to finish.
        void end();
    }
  }

  /** The call, which no event or signal reaches from now on. */
  function takeCall(id: number): SqlCall | undefined {
    const call = sqlCalls.get(id);
    sqlCalls.delete(id);
    call?.release();
    return call;
  }

  function onExit(code: number): void {
    const cause = failure ?? new Error(`The engine's thread ended with code ${code}`);
    endBy(cause);
    exited = true;
    clearTimeout(force);
    clearInterval(watching);
    ended.resolve();
    if (stopping !== null) return;
    logger.error('Engine died', { reason: errorMessage(cause) });
    failed.resolve(cause);
  }

  /** Every call that waits, and every one that comes, is told. */
  function endBy(cause: Error): void {
    if (death !== null) return;
    death = unavailable(stopping === null ? errorMessage(cause) : 'it was stopped', cause);
    // Who keeps something of the tables is to ask, and to be told.
    countTableChanges(tableChanges).removed();
    for (const id of sqlCalls.keys()) takeCall(id)?.answer.fail(death, true);
    for (const calls of [statusCalls, orders, scans]) {
      for (const call of calls.values()) call.reject(death);
      calls.clear();
    }
    started.reject(death);
  }

  function forceLater(afterMs: number = LIMITS.engineStopMaxMs): void {
    force ??= setTimeout(() => {
      logger.error('Engine ended by force', { afterMs });
      void end();
    }, afterMs);
  }

  async function stop(withinMs: number | undefined): Promise<void> {
    send({ type: 'stop' });
    if (!exited) forceLater(withinMs);
    await ended.promise;
  }

  function order(type: 'rebuild' | 'cancel-rebuild', projection: string): Promise<void> {
    if (death !== null) return Promise.reject(death);
    const id = ++lastId;
    return new Promise((resolve, reject) => {
      orders.set(id, { resolve, reject });
      send({ type, id, projection });
    });
  }

  const engine: Engine = {
    advance: (position) => advance.to(position),
    async sql(request, signal) {
      if (death !== null) throw death;
      if (signal.aborted) throw cancelled();
      const id = ++lastId;
      const leave = () => {
        if (takeCall(id) !== undefined) send({ type: 'cancel', id });
      };
      const answer = createIncomingAnswer((bytes) => send({ type: 'credit', id, bytes }), leave);
      const onAbort = () => {
        leave();
        answer.fail(cancelled(), true);
      };
      signal.addEventListener('abort', onAbort);
      sqlCalls.set(id, { answer, release: () => signal.removeEventListener('abort', onAbort) });
      send({ type: 'sql', id, request });
      return answer.ready;
    },
    status() {
      if (death !== null) return Promise.reject(death);
      const id = ++lastId;
      return new Promise((resolve, reject) => {
        statusCalls.set(id, { resolve, reject });
        send({ type: 'status', id });
      });
    },
    scanProjections() {
      if (death !== null) return Promise.reject(death);
      const id = ++lastId;
      return new Promise((resolve, reject) => {
        scans.set(id, { resolve, reject });
        send({ type: 'scan-projections', id });
      });
    },
    rebuildProjection: (name) => order('rebuild', name),
    cancelRebuild: (name) => order('cancel-rebuild', name),
    failed: failed.promise,
    tableChanges,
    hasCommitted: () => pulse.commits > 0,
    stop(withinMs) {
      stopping ??= stop(withinMs);
      return stopping;
    },
  };

  try {
    await started.promise;
  } catch (error) {
    stopping ??= Promise.resolve();
    await end();
    throw error;
  }
  return engine;
}

/** `--import tsx` does nothing in a worker of Node 20, so the worker registers it before it loads its module. */
function sourcesLoader(module: URL): string {
  const api = import.meta.resolve('tsx/esm/api');
  return `import(${JSON.stringify(api)}).then(({ register }) => { register(); return import(${JSON.stringify(module.href)}); });`;
}

/** At most one `advance` is under way: a busy engine finds the newest position, not a queue of old ones. */
function coalescedAdvance(send: (command: EngineCommand) => void) {
  let underWay = false;
  let next: DurablePosition | null = null;
  function flush(): void {
    if (underWay || next === null) return;
    underWay = true;
    send({ type: 'advance', position: next });
    next = null;
  }
  return {
    to(position: DurablePosition): void {
      const { durableOffset, segment, segmentBytes } = position;
      next = { durableOffset, segment, segmentBytes };
      flush();
    },
    taken(): void {
      underWay = false;
      flush();
    },
  };
}

function settled<Value>() {
  let resolve!: (value: Value) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

function unavailable(reason: string, cause?: unknown): TreasuryError {
  return new TreasuryError('TREASURY_ENGINE_UNAVAILABLE', `The engine is not running: ${reason}`, {
    retryable: true,
    cause,
  });
}

function cancelled(): TreasuryError {
  return new TreasuryError('TREASURY_QUERY_CANCELLED', 'The query was cancelled');
}
