/** What the log is to the rest of the server: bytes in, bytes out, offsets. */

/** Kinds of entries. Written to disk: never renumber. */
export const ENTRY_KINDS = {
  /** One BatchArrowRecords of a stream. */
  BAR: 1,
  /** Schema and dictionary messages of a stream, as a BatchArrowRecords without record batches: replaces all state of the stream. */
  STATE: 2,
  /** One OTLP export request as received; its content type is in the headers. */
  OTLP: 3,
  /** The position of a named consumer. */
  CURSOR: 4,
  STREAM_OPEN: 5,
  STREAM_CLOSE: 6,
} as const;

export type EntryKind = (typeof ENTRY_KINDS)[keyof typeof ENTRY_KINDS];

/** Bits of an entry's flags. Written to disk. */
export const ENTRY_FLAGS = {
  /** The record holds a schema message. */
  HAS_SCHEMA: 1,
  /** The record holds a dictionary message. */
  HAS_DICTIONARY: 2,
  /** The record depends on state that damage has taken away; set by recovery only in memory, never in a sealed file. */
  UNDECODABLE: 4,
  /** Field 3 of the received message was cut because it held a secret. */
  HEADERS_CUT: 8,
} as const;

/** A schema or dictionary message that later records of the stream need. Same shape as the data model's, which this room does not know. */
export interface StateUpdate {
  readonly payloadType: number;
  readonly schemaId: string;
  readonly kind: 'schema' | 'dictionary' | 'delta';
  readonly dictionaryId: bigint;
  /** One encapsulated IPC message, verbatim. Kept by the log: the caller must not write to it again. */
  readonly bytes: Uint8Array;
}

export interface AppendOptions {
  readonly batchId: bigint;
  /** Parts of the record in order. Kept until the append settles. */
  readonly record: readonly Uint8Array[];
  readonly headers?: ReadonlyMap<string, string>;
  readonly flags?: number;
  readonly stateUpdates?: readonly StateUpdate[];
}

export interface Appended {
  /** Offset of the entry (not of a STATE entry that went before it). */
  readonly offset: bigint;
}

/** A live stream of one signal: owns the state that its records build up, and their sequence numbers. */
export interface LogStream {
  readonly id: bigint;
  readonly signal: number;
  /** Bytes of schema and dictionary messages carried; the caller ends the stream at its limit. */
  readonly stateBytes: number;
  /**
   * Queues one BAR. Settles after fdatasync of the frame that holds it. Rejects with LogUnavailableError when it is certain or
   * possible that the entry is not on disk; the state updates are kept in that case too, and the stream's next entry is
   * preceded by a STATE entry, so that its exporter can resend on the same stream.
   */
  append(options: AppendOptions): Promise<Appended>;
  /** Takes the state of a batch that is refused: it will not be in the log, but later batches build on it. */
  absorb(stateUpdates: readonly StateUpdate[]): void;
  /** Forgets the stream's state. Records a STREAM_CLOSE entry if the stream has entries; never rejects. */
  close(): void;
}

/** Where the durable part of the log ends. Sent to readers in other threads. */
export interface DurablePosition {
  /** All entries below are fsynced and will be found again. */
  readonly durableOffset: bigint;
  /** The segment that holds the last durable byte, by base offset, and the end of the durable bytes in it. */
  readonly segment: bigint;
  readonly segmentBytes: number;
}

/**
 * What happens to entries that a consumer has not read yet. Both delay deletion by age. `drop`: the limits of bytes and the disk's
 * reserve pass it over, and say so. `hold`: nothing does; when the disk's reserve is reached appends are refused instead.
 */
export type HoldPolicy = 'drop' | 'hold';

export interface HoldOptions {
  /** Entries from here on are needed. */
  readonly offset: bigint;
  readonly policy: HoldPolicy;
  /** Where the consumer is now: asked before entries are deleted past it. Null, or late: where it was last. */
  readonly ask?: () => Promise<bigint | null>;
}

/** A consumer's claim on entries of the log. */
export interface LogHold {
  /** Entries from `offset` on are needed. A lower one than before claims again what is left. */
  advance(offset: bigint): void;
  release(): void;
}

export interface HoldStatus extends Omit<HoldOptions, 'ask'> {
  readonly name: string;
  /** Offsets that were deleted before the consumer had read them, since its hold was taken. */
  readonly passedEntries: bigint;
}

/** Why segments were deleted: too old, the log too large, the disk's reserve touched. */
export const DELETION_REASONS = ['age', 'bytes', 'reserve'] as const;
export type DeletionReason = (typeof DELETION_REASONS)[number];

export interface DeletionCounts {
  readonly segments: number;
  readonly bytes: number;
  readonly entries: bigint;
}

export interface RetentionStatus {
  readonly ageMaxMs: number | null;
  /** The present that segments age by, as Unix time: earlier than the system clock's while that is not believed. */
  readonly clockUnixMs: number;
  /** Null: unbounded, since the disk does not say how much room it has. */
  readonly bytesMax: number | null;
  /** Free bytes of the disk when it was last asked; null when it does not say. */
  readonly freeBytes: number | null;
  /** Below it appends are refused. */
  readonly reserveBytes: number;
  /** Totals since start. */
  readonly deleted: Readonly<Record<DeletionReason, DeletionCounts>>;
  /** All entries below were deleted, in this run or before; null when nothing ever was. */
  readonly deletedTo: bigint | null;
  /** Why the last deletion failed, or null. */
  readonly failing: string | null;
  readonly holds: readonly HoldStatus[];
}

export interface LogStatus extends DurablePosition {
  readonly uuid: string;
  readonly firstOffset: bigint;
  /** Offset of the next entry appended; at least durableOffset. */
  readonly nextOffset: bigint;
  readonly segments: number;
  readonly bytes: number;
  readonly streams: number;
  readonly streamStateBytes: number;
  readonly inFlightBytes: number;
  /** Why appends are refused now, or null. */
  readonly refusing: string | null;
  /** Why it could not begin a segment if it had to, or null. Entries may still be taken. */
  readonly fault: string | null;
  /** Why the disk is slow, or null. */
  readonly slow: string | null;
  /** Totals since start. */
  readonly entriesAppended: number;
  readonly bytesAppended: number;
  readonly frames: number;
  /** Seconds in writes and syncs of frames. */
  readonly fsyncSecondsTotal: number;
  readonly appendFailures: number;
  /** Damage found: byte ranges set aside, entries missing. */
  readonly quarantinedRanges: number;
  readonly gaps: readonly { readonly from: bigint; readonly to: bigint }[];
  readonly retention: RetentionStatus;
}

/** One entry as read back. `record` is a view that lives as long as the frame it came in. */
export interface LogEntry {
  readonly offset: bigint;
  readonly receivedAtUnixNano: bigint;
  readonly streamId: bigint;
  readonly streamSeq: number;
  readonly batchId: bigint;
  readonly signal: number;
  readonly kind: number;
  readonly flags: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly record: Uint8Array;
  /** Base offset of the segment that holds it. */
  readonly segment: bigint;
}

/** The writing side: one per data directory, main thread. */
export interface Log {
  /** Opens a stream. The id is never reused in this log. */
  openStream(signal: number): LogStream;
  /** Queues one OTLP request (kind OTLP, stream 0). Settles like `LogStream.append`. */
  appendOtlp(signal: number, options: Omit<AppendOptions, 'stateUpdates'>): Promise<Appended>;
  /** Called after every durable frame, from then on; returns the function that ends it. The listener must not throw. */
  onDurable(listener: (position: DurablePosition) => void): () => void;
  status(): LogStatus;
  /** Refuses new appends, settles the queued ones, seals the active segment, writes the index. */
  close(): Promise<void>;
}

/** The log as the composition root has it: also what its consumers claim of it. */
export interface RetainedLog extends Log {
  /** Claims entries for a consumer, in memory: it is taken again after every open, before consumers lag. Replaces one of the same name. */
  hold(name: string, options: HoldOptions): LogHold;
  /** Looks at the disk and deletes what retention does not keep. Happens by itself at intervals. Never rejects. */
  sweep(): Promise<void>;
}

/**
 * Reads entries in order up to a durable position that somebody else announces. Any thread; opens segment files itself, shares
 * nothing with the writer. Damage is skipped: the next entries simply have a higher offset, and `skipped` says what is missing.
 */
export interface LogReader {
  /** Moves the bound up to which entries may be read. Never goes back. */
  advance(position: DurablePosition): void;
  /**
   * The entries of the next frame, or null when everything below the bound was read. Reading from offset N starts with the first
   * entry of N's segment, so that the caller can build stream state from the entries below N (invariant I1: no earlier segment is
   * needed). Throws OffsetOutOfRangeError when retention has deleted what comes next. Synchronous: reads come from the page cache and the caller is a worker.
   */
  nextFrame(): readonly LogEntry[] | null;
  readonly skipped: readonly { readonly from: bigint; readonly to: bigint; readonly reason: string }[];
  close(): void;
}
