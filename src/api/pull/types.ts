/** What a pull of the log is, and what the main thread and the thread of pulls say to each other. Every message is plain data. */
import type { SerializedError } from '../../base/index.ts';
import type { DurablePosition, PullStep } from '../../log/index.ts';

export interface LogPullRequest {
  readonly from: bigint;
  /** Entries at most; null: all. */
  readonly limit: bigint | null;
  /** Number of a signal; null: all. */
  readonly signal: number | null;
  /** Goes on with what becomes durable later. */
  readonly follow: boolean;
  /** Canonical tables instead of records. */
  readonly decoded: boolean;
}

/** Where something is in the log, by its heads. */
export type LogQuestion =
  /** The first offset received at or after a time, as `offsetAtReceipt` defines it. */
  | { readonly type: 'received-at'; readonly unixNano: bigint }
  /** When an entry was received. */
  | { readonly type: 'offset'; readonly offset: bigint };

export interface LogAnswer {
  readonly offset: bigint;
  /** Of the entry at `offset`; null when there is none (the log's end, or a gap). */
  readonly receivedAtUnixNano: bigint | null;
}

/** Bytes that are put where they are to go when they are wanted there. */
export interface Placeable {
  readonly length: number;
  placeIn(target: Uint8Array, at: number): void;
}

export type StepPart = readonly (Uint8Array | Placeable)[];

/** Turns the steps of a pull into the bytes that its client gets. */
export interface StepWriter {
  head(): Uint8Array;
  /** Made one after the other, each when it is asked for: a step may be worth many times what its client is ahead by. Returns the last. */
  parts(step: PullStep): Iterator<StepPart, StepPart>;
  tail(): readonly Uint8Array[];
}

/** `workerData` of the thread. */
export interface PullWorkerData {
  readonly logDirectory: string;
  readonly logUuid: string;
}

/** To the thread. `id` names a call: chosen by the main thread, never used again. */
export type PullCommand =
  | {
      readonly type: 'pull';
      readonly id: number;
      readonly request: LogPullRequest;
      readonly durable: DurablePosition;
    }
  | { readonly type: 'ask'; readonly id: number; readonly question: LogQuestion; readonly durable: DurablePosition }
  | { readonly type: 'advance'; readonly durable: DurablePosition }
  /** The client took this many bytes. */
  | { readonly type: 'credit'; readonly id: number; readonly bytes: number }
  | { readonly type: 'cancel'; readonly id: number }
  /** A chunk's memory, which nobody needs any more: moved back to be filled again. */
  | { readonly type: 'memory'; readonly memory: ArrayBuffer };

/** From the thread. */
export type PullEvent =
  | {
      readonly type: 'chunk';
      readonly id: number;
      readonly bytes: Uint8Array;
      /** Entries in it, without those that are state only. */
      readonly entries: number;
      /** Everything below is in this chunk or before it. */
      readonly nextOffset: bigint;
    }
  | { readonly type: 'end'; readonly id: number }
  | { readonly type: 'error'; readonly id: number; readonly error: SerializedError }
  | { readonly type: 'answer'; readonly id: number; readonly answer: LogAnswer }
  /** The last `advance` was taken; the next may be sent. */
  | { readonly type: 'advanced' };
