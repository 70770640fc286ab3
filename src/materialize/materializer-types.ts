/** What the materializer's loop is made of, and what others see of it. */
import type { Clock, Logger, Signal } from '../base/index.ts';
import type { DurablePosition, LogEntry, LogReader } from '../log/index.ts';
import type { CanonicalBatch, StreamDecoder } from '../otap/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Database } from './database.ts';
import type { EntryAttempts } from './entry-attempts.ts';
import type { FailedRange } from './failed-range.ts';
import type { MaterializerCounters } from './materializer-counters.ts';
import type { ProjectionDefinition, Projector } from './projection.ts';
import type { Quarantine } from './quarantine.ts';
import type { TableRetention } from './table-retention.ts';
import type { ProjectionStatus } from './types.ts';

export interface RunningProjection {
  readonly checkpoint: Checkpoint;
  readonly projector: Projector;
}

export interface MaterializerOptions {
  readonly database: Database;
  /** A reader that begins with the segment of `from`. Throws OffsetOutOfRangeError when the log begins later. */
  readonly openReader: (from: bigint, durable: DurablePosition) => LogReader;
  readonly projections: readonly RunningProjection[];
  readonly createDecoder: (signal: Signal) => StreamDecoder;
  /** Decodes an OTLP entry: its content type is in the headers. */
  readonly decodeOtlp: (signal: Signal, entry: LogEntry) => CanonicalBatch;
  readonly quarantine: Quarantine;
  readonly failedRange: FailedRange;
  /** Default: none. */
  readonly attempts?: EntryAttempts;
  readonly counters: MaterializerCounters;
  readonly durable: DurablePosition;
  /** Awaited between slices of work: who waits here gives others the thread. Default: nobody waits. */
  readonly pace?: () => Promise<void>;
  /** Told when the loop begins to wait for news, and when it goes on. */
  readonly onWaiting?: (isWaiting: boolean) => void;
  /** Told after each commit, and when everything that is durable is done with: others may read on. Cheap. */
  readonly onProgress?: () => void;
  /**
   * Inside the transaction that passes entries by which the log no longer has: takes over their rows of an earlier build. Resolves with
   * whether that one had them.
   */
  readonly takeOver?: (definition: ProjectionDefinition, gone: OffsetRange) => Promise<boolean>;
  /** Inside the transaction that sets entries aside: takes over their rows of an earlier build, if that had some. */
  readonly takeOverEntries?: (definition: ProjectionDefinition, offsets: readonly bigint[]) => Promise<void>;
  /** Whether entries of no projection are told here. Default: yes. */
  readonly tellsOrphans?: boolean;
  /** After each commit, before the next transaction begins. */
  readonly afterCommit?: () => Promise<void>;
  /** Replaces `LIMITS.decoderStatesBytesMax`. */
  readonly statesBytesMax?: number;
  /** Works between transactions. Without it rows stay. */
  readonly retention?: TableRetention;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly commitRowsMax?: number;
  readonly commitIntervalMs?: number;
}

/** From `from` up to, not including, `to`. */
export interface OffsetRange {
  readonly from: bigint;
  readonly to: bigint;
}

/** Why the loop ended: on request, because the database instance must be opened again, or because its file must be built anew. */
export type MaterializerEnd = 'stopped' | 'lost' | 'corrupt';

export interface Materializer {
  /** Moves the end of what may be read. */
  advance(position: DurablePosition): void;
  /**
   * Works until `stop()`, then commits and returns `stopped`; returns earlier when the database cannot go on as it is.
   * Throws AssertionError when an invariant is broken.
   */
  run(): Promise<MaterializerEnd>;
  stop(): void;
  /**
   * Commits and stands still in front of the first entry at or behind `at` (default: the next one) until `release`. Resolves with the
   * offset it stands at, with null when it has ended.
   */
  hold(at?: bigint): Promise<bigint | null>;
  release(): void;
  readonly projections: readonly LoopProjection[];
  /** All entries below are in the tables of every projection. */
  readonly materializedOffset: bigint;
  /** Why nothing is materialized now, or null. */
  readonly stuck: string | null;
}

/** How far a loop is with a projection. */
export interface LoopProjection extends Pick<ProjectionStatus, 'materializedOffset' | 'rowsWritten' | 'firstOffset'> {
  readonly definition: ProjectionDefinition;
}
