/** What the main thread and the engine's thread say to each other. Every message is plain data. */
import type { LogFields, LogLevel, SerializedError } from '../base/index.ts';
import type { DurablePosition } from '../log/index.ts';
import type { EngineOptions, EngineStatus, IncompleteTables, SqlRequest } from './types.ts';
import type { UserProjectionScan } from './user-projections/types.ts';

/** `workerData` of the engine's thread. */
export interface EngineWorkerData {
  readonly options: HostOptions;
}

/** What an engine is started with, and what ties its thread to the one that started it. */
export interface HostOptions extends EngineOptions {
  /** Differs from process to process. */
  readonly processLife: string;
  /** Of `watchPulse`. */
  readonly pulse: SharedArrayBuffer;
  /** Of `createThreadEnd`. */
  readonly nativeCalls: SharedArrayBuffer;
  /** Of `createTableChangesMemory`. */
  readonly tableChanges?: SharedArrayBuffer;
}

/** To the engine's thread. `id` names a call: chosen by the main thread, never used again. */
export type EngineCommand =
  | { readonly type: 'advance'; readonly position: DurablePosition }
  | { readonly type: 'sql'; readonly id: number; readonly request: SqlRequest }
  /** The client took this many bytes of the answer. */
  | { readonly type: 'credit'; readonly id: number; readonly bytes: number }
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'status'; readonly id: number }
  | { readonly type: 'rebuild' | 'cancel-rebuild'; readonly id: number; readonly projection: string }
  | { readonly type: 'scan-projections'; readonly id: number }
  | { readonly type: 'stop' }
  /** The thread is ended now, whatever is under way. */
  | { readonly type: 'end' };

/** From the engine's thread. */
export type EngineEvent =
  /** Tables are open and the materializer runs. */
  | { readonly type: 'ready' }
  | { readonly type: 'refused'; readonly error: SerializedError }
  /** The last `advance` was taken; the next may be sent. */
  | { readonly type: 'advanced' }
  | { readonly type: 'sql-chunk'; readonly id: number; readonly bytes: Uint8Array }
  /** Before the first chunk: what the tables lack. */
  | { readonly type: 'sql-incomplete'; readonly id: number; readonly incomplete: readonly IncompleteTables[] }
  | { readonly type: 'sql-end'; readonly id: number }
  | { readonly type: 'sql-error'; readonly id: number; readonly error: SerializedError }
  | { readonly type: 'status'; readonly id: number; readonly status: EngineStatus }
  | { readonly type: 'status-error'; readonly id: number; readonly error: SerializedError }
  /** The call has done what it should. */
  | { readonly type: 'done'; readonly id: number }
  /** Of `scan-projections`. */
  | { readonly type: 'scanned'; readonly id: number; readonly scan: UserProjectionScan }
  | { readonly type: 'refusal'; readonly id: number; readonly error: SerializedError }
  | { readonly type: 'log'; readonly level: LogLevel; readonly message: string; readonly fields: LogFields }
  /** A bug: no call is answered any more; `stopped` follows when queries have ended and the file is closed. */
  | { readonly type: 'died'; readonly reason: string }
  /** Everything is committed and closed. */
  | { readonly type: 'stopped' };

/** Posts an event; `transfer` moves buffers instead of copying them. */
export type PostEvent = (event: EngineEvent, transfer?: readonly ArrayBuffer[]) => void;
