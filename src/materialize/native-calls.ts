/**
 * DuckDB's asynchronous calls of this thread. When a thread ends before such a call does, the call's end finds no JavaScript any more, its
 * C++ throws where nobody catches, and the whole process is aborted. So they are counted where the thread that started this one sees it
 * (`thread-end.ts`); a thread that is to end interrupts them, begins no others, and goes when none is left.
 *
 * Whoever calls DuckDB while the thread ends is never answered: what an interrupted statement says is no reason to do anything any more.
 */
import { isMainThread } from 'node:worker_threads';
import type NodeBindings from '@duckdb/node-bindings';
import type { Connection, Database } from '@duckdb/node-bindings';

type Bindings = typeof NodeBindings;

/** Cells of the shared memory. */
export const NATIVE_CALLS = { UNDER_WAY: 0, IS_ENDING: 1, HAS_HEARD: 2 } as const;

/** Memory for `showNativeCalls`. */
export function createNativeCallsMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(Object.keys(NATIVE_CALLS).length * Int32Array.BYTES_PER_ELEMENT);
}

/** All that return promises. */
const ASYNCHRONOUS = [
  'get_or_create_from_cache',
  'open',
  'connect',
  'query',
  'prepare',
  'execute_prepared',
  'execute_prepared_streaming',
  'extract_statements',
  'prepare_extracted_statement',
  'execute_pending',
  'fetch_chunk',
] as const satisfies readonly (keyof Bindings)[];

/** An interrupt is lost when it comes before its statement has begun, so it is repeated until none runs. */
const INTERRUPT_INTERVAL_MS = 20;

/** Weakly: a connection that nobody closes goes with its last use, and its database with it. */
const connections = new Set<WeakRef<Connection>>();
let cells = new Int32Array(createNativeCallsMemory());
let interruptAll = (): void => {};
let ending: Promise<void> | null = null;
let onNone = (): void => {};

/** DuckDB's C API, with its asynchronous calls counted. */
export function withCountedCalls(bindings: Bindings): Bindings {
  const counted = Object.create(bindings) as Record<string, unknown>;
  const define = (name: string, value: unknown) => Object.defineProperty(counted, name, { value, configurable: true });
  for (const name of ASYNCHRONOUS) define(name, countedCall(bindings[name] as AsynchronousCall));
  const connect = counted['connect'] as Bindings['connect'];
  define('connect', async (database: Database) => {
    const connection = await connect(database);
    forget(undefined);
    connections.add(new WeakRef(connection));
    return connection;
  });
  define('disconnect_sync', (connection: Connection) => {
    forget(connection);
    bindings.disconnect_sync(connection);
  });
  interruptAll = () => {
    for (const reference of connections) {
      const connection = reference.deref();
      if (connection !== undefined) bindings.interrupt(connection);
    }
  };
  return counted as unknown as Bindings;
}

/** Has the thread that started this one, and gave the memory, see the calls. To be called before the first one. */
export function showNativeCalls(memory: SharedArrayBuffer): void {
  cells = new Int32Array(memory);
}

/** Begins to end this thread: resolves when no call is under way. What calls DuckDB from now on is not answered. */
export function endNativeCalls(): Promise<void> {
  ending ??= new Promise((resolve) => {
    Atomics.store(cells, NATIVE_CALLS.IS_ENDING, 1);
    Atomics.store(cells, NATIVE_CALLS.HAS_HEARD, 1);
    const repeat = setInterval(interruptAll, INTERRUPT_INTERVAL_MS);
    onNone = () => {
      clearInterval(repeat);
      resolve();
    };
    interruptAll();
    if (Atomics.load(cells, NATIVE_CALLS.UNDER_WAY) === 0) onNone();
  });
  return ending;
}

/**
 * Has `process.exit` in this thread, which is none of the program's own doing, wait for the calls under way: it throws instead of ending
 * at once. `onExit` is told the code.
 */
export function exitAfterNativeCalls(onExit: (code: number) => void): void {
  if (isMainThread) return;
  const exit = process.exit.bind(process);
  process.exit = (code) => {
    const shown = Number(code ?? process.exitCode ?? 0);
    if (ending === null) onExit(shown);
    void endNativeCalls().then(() => exit(code));
    throw new Error(`The thread ends with code ${shown}`);
  };
}

/** Undefined: those that are gone. */
function forget(connection: Connection | undefined): void {
  for (const reference of connections) if (reference.deref() === connection) connections.delete(reference);
}

type AsynchronousCall = (...values: readonly unknown[]) => Promise<unknown>;

function countedCall(call: AsynchronousCall): AsynchronousCall {
  return (...values) =>
    new Promise((resolve, reject) => {
      Atomics.add(cells, NATIVE_CALLS.UNDER_WAY, 1);
      // After the count: who ends the thread looks in the other order.
      if (isEnding()) return ended();
      try {
        call(...values).then(
          (value) => ended(() => resolve(value)),
          (error: unknown) => ended(() => reject(error as Error)),
        );
      } catch (error) {
        ended(() => reject(error as Error));
      }
    });
}

function isEnding(): boolean {
  return Atomics.load(cells, NATIVE_CALLS.IS_ENDING) === 1;
}

function ended(settle: () => void = () => {}): void {
  const before = Atomics.sub(cells, NATIVE_CALLS.UNDER_WAY, 1);
  if (!isEnding()) return settle();
  if (before === 1) onNone();
}
