/** What passes between the two sides of the exporters' thread besides commands and events. */
import type { LogLevel } from '../../base/index.ts';
import type { PushCommand, PushEvent } from './types.ts';

export interface PushWorkerData {
  readonly logDirectory: string;
  /** Of `createThreadEnd`. */
  readonly nativeCalls: SharedArrayBuffer;
}

/** Main thread to worker. */
export type WorkerCommand =
  | PushCommand
  /** The thread is ended now, whatever is under way. */
  | { readonly type: 'cut' };

/** Worker to main thread. */
export type WorkerMessage =
  | { readonly type: 'event'; readonly event: PushEvent }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: Record<string, unknown>;
    }
  /** An `advance` was taken: the next one may come. */
  | { readonly type: 'advanced' }
  /** A bug: everything stops in order, and `ended` follows. */
  | { readonly type: 'died'; readonly reason: string }
  /** Nothing is open any more. */
  | { readonly type: 'ended' };
