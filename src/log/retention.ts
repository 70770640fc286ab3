/**
 * Retention: deletes the oldest segments when they are too old, the log too large or the disk too full, and says when the disk's
 * reserve is touched all the same. One file after the other, oldest first, each followed by a sync of the directory, so that whatever a
 * crash leaves is the log without some of its oldest segments: nothing to repair (invariant I7). The index and the record follow.
 */
import { join } from 'node:path';
import { type Clock, errorMessage, LIMITS, type Logger } from '../base/index.ts';
import { type Deletion, type DeletionRecord, openDeletionRecord } from './deletion-record.ts';
import type { LogFileSystem } from './file-system.ts';
import { Holds } from './holds.ts';
import type { KeptSegment, KeptSegments } from './kept-segments.ts';
import { segmentBaseOffsets, segmentFileName } from './layout.ts';
import { createRetentionClock, type RetentionClock, timeAtOpen } from './retention-clock.ts';
import { deletionReason, receivedAtOfOldest, type RetentionState } from './retention-plan.ts';
import type { DeletionCounts, DeletionReason, RetentionStatus } from './types.ts';

/** What a log keeps. */
export interface RetentionSettings {
  readonly ageMaxMs: number | null;
  /** Null: what the log has at open and `logGrowthPercentMax` of the free space then; of a disk that is full then, once it has its reserve. */
  readonly bytesMax: number | null;
}

export interface RetentionOptions extends RetentionSettings {
  readonly directory: string;
  readonly fileSystem: LogFileSystem;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly logUuid: string;
  readonly segments: KeptSegments;
  readonly reserveBytes: number;
  readonly intervalMs: number;
}

/** Looks at the disk, and makes up for what the record of deletions lacks. Nothing is deleted before `start` or `sweep`. */
export async function openRetention(options: RetentionOptions): Promise<Retention> {
  const { segments, logUuid, clock } = options;
  const record = await openDeletionRecord(options);
  const retention = new Retention(options, record);
  await retention.look();
  const recordedTo = record.deletedTo ?? 0n;
  if (segments.firstOffset !== null && segments.firstOffset > recordedTo) {
    const deletion: Deletion = {
      at: isoTime(clock.nowUnixNano()),
      log: logUuid,
      from: Number(recordedTo),
      to: Number(segments.firstOffset),
      entries: null,
      segments: null,
      bytes: null,
      reason: 'unrecorded',
      receivedUntil: null,
      passed: [],
    };
    options.logger.info('The log begins later than its record of deletions says', {
      from: deletion.from,
      to: deletion.to,
    });
    await record.add([deletion]);
  }
  return retention;
}

export class Retention {
  readonly holds = new Holds();
  readonly #options: RetentionOptions;
  readonly #record: DeletionRecord;
  #bytesMax: number | null;
  #onDeleted: (firstOffset: bigint) => void = () => {};
  readonly #clock: RetentionClock;
  readonly #deleted: Record<DeletionReason, DeletionCounts> = { age: NOTHING, bytes: NOTHING, reserve: NOTHING };
  #receivedBefore: bigint | null = null;
  #freeBytes: number | null = null;
  #shortage: string | null = null;
  #failing: string | null = null;
  #unknownSpace: string | null = null;
  #attempted: DeletionReason = 'bytes';
  #reserveDeletedAtMs = Number.NEGATIVE_INFINITY;
  #sweeps: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: RetentionOptions, record: DeletionRecord) {
    this.#options = options;
    this.#record = record;
    this.#bytesMax = options.bytesMax;
    const receivedAt = options.segments.list.map(({ receivedAtMax }) => receivedAtMax);
    const start = timeAtOpen(options.clock.nowUnixNano(), receivedAt);
    this.#clock = createRetentionClock(options.clock, options.logger, start);
  }

  /** Why appends are refused to spare the disk's reserve, or null. */
  get shortage(): string | null {
    return this.#shortage;
  }

  status(): RetentionStatus {
    const { ageMaxMs, reserveBytes } = this.#options;
    return {
      ageMaxMs,
      clockUnixMs: Number(this.#clock.now() / 1_000_000n),
      bytesMax: this.#bytesMax,
      freeBytes: this.#freeBytes,
      reserveBytes,
      deleted: { ...this.#deleted },
      deletedTo: this.#record.deletedTo,
      failing: this.#failing,
      holds: this.holds.status(),
    };
  }

  /** Begins to sweep at intervals. `onDeleted` is called when the segments below one that is kept are gone for good. */
  start(onDeleted: (firstOffset: bigint) => void): void {
    this.#onDeleted = onDeleted;
    this.#timer ??= setInterval(() => void this.sweep(), this.#options.intervalMs).unref();
  }

  /** Ends sweeping; resolves when the one under way has ended. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#sweeps;
  }

  /** Asks the disk, deletes what is to go. Never rejects. Sweeps follow each other. */
  sweep(): Promise<void> {
    this.#sweeps = this.#sweeps.then(() => this.#sweep());
    return this.#sweeps;
  }

  /**
   * Asks the disk before the log takes more of it, and lets deletions catch up: however slow they are, senders do not outrun them. Rejects
   * when the reserve is touched and retention cannot help.
   */
  async beforeSegment(): Promise<void> {
    await this.look();
    const isTooLong = this.#bytesMax !== null && this.#options.segments.bytes > this.#bytesMax;
    if (this.#shortage !== null || isTooLong) await this.sweep();
    if (this.#shortage !== null) throw new Error(this.#shortage);
  }

  /** Asks the disk how much room it has. The first time that it has its reserve settles what the log may grow to. */
  async look(): Promise<void> {
    const { directory, fileSystem, logger, reserveBytes } = this.#options;
    try {
      this.#freeBytes = await fileSystem.freeBytes(directory);
      this.#unknownSpace = null;
    } catch (error) {
      const reason = errorMessage(error);
      if (this.#unknownSpace !== reason) logger.warn('The disk does not say how much room it has', { error: reason });
      this.#unknownSpace = reason;
      this.#freeBytes = null;
    }
    const free = this.#freeBytes;
    if (this.#bytesMax === null && free !== null && free >= reserveBytes) {
      this.#bytesMax = this.#options.segments.bytes + Math.floor((free * LIMITS.logGrowthPercentMax) / 100);
    }
    const wasShort = this.#shortage !== null;
    this.#shortage =
      free === null || free >= reserveBytes
        ? null
        : `Too little room on the disk: ${free} bytes are free, ${reserveBytes} are kept in reserve`;
    if (this.#shortage === null && wasShort) logger.info('The disk has room for the log again', { freeBytes: free });
  }

  async #sweep(): Promise<void> {
    const { clock, logger, reserveBytes } = this.#options;
    const wasShort = this.#shortage !== null;
    await this.look();
    const isSettled = clock.monotonicMs() - this.#reserveDeletedAtMs >= LIMITS.diskSettleMs;
    let missingBytes = this.#freeBytes === null || !isSettled ? 0 : reserveBytes - this.#freeBytes;
    const deletions: Deletion[] = [];
    let isCaughtUp = false;
    try {
      for (;;) {
        const state = this.#state(missingBytes);
        const reason = this.#unfinished() ?? deletionReason(state);
        if (reason === null) break;
        const { endOffset } = state.segments[0]!;
        if (!isCaughtUp && this.holds.needs(endOffset, 'any')) {
          await this.holds.catchUp(endOffset);
          isCaughtUp = true;
          continue;
        }
        this.#attempted = reason;
        const receivedAt = receivedAtOfOldest(state);
        const segment = await this.#deleteOldest();
        missingBytes -= segment.bytes;
        if (reason === 'reserve') this.#reserveDeletedAtMs = clock.monotonicMs();
        this.#note(deletions, segment, reason, receivedAt);
      }
      this.#failing = null;
    } catch (error) {
      const reason = errorMessage(error);
      if (this.#failing !== reason) logger.error('Cannot delete a log segment', { error: reason });
      this.#failing = reason;
    }
    if (deletions.length > 0) {
      for (const deletion of deletions) this.#tell(deletion);
      await this.#record.add(deletions);
      await this.look();
    }
    if (this.#shortage !== null && !wasShort) logger.error('The log refuses entries', { error: this.#shortage });
  }

  #state(missingBytes: number): RetentionState {
    const { segments, ageMaxMs } = this.#options;
    return {
      segments: segments.list,
      bytes: segments.bytes,
      nowUnixNano: this.#clock.now(),
      ageMaxMs,
      bytesMax: this.#bytesMax ?? Number.POSITIVE_INFINITY,
      missingBytes,
      receivedBefore: this.#receivedBefore,
      holds: this.holds,
    };
  }

  /** Why the oldest segment is being deleted when its file is gone and only what follows has failed. */
  #unfinished(): DeletionReason | null {
    const { directory, fileSystem, segments } = this.#options;
    if (this.#failing === null || segments.list.length < 2) return null;
    const isThere = fileSystem.list(directory).includes(segmentFileName(segments.list[0]!.baseOffset));
    return isThere ? null : this.#attempted;
  }

  /** Also files below it that hold no entry and could not be removed when they were given up. */
  async #deleteOldest(): Promise<KeptSegment> {
    const { directory, fileSystem, segments } = this.#options;
    const [oldest, next] = segments.list as [KeptSegment, KeptSegment];
    for (const baseOffset of segmentBaseOffsets(fileSystem.list(directory))) {
      if (baseOffset >= next.baseOffset) break;
      await fileSystem.remove(join(directory, segmentFileName(baseOffset)));
      // Before the next one goes: should the machine fail, none but the oldest may be missing.
      await fileSystem.syncDirectory(directory);
    }
    // A sync that failed the last time is made up for, though the file is gone.
    if (this.#failing !== null) await fileSystem.syncDirectory(directory);
    segments.removeOldest();
    this.#onDeleted(next.baseOffset);
    return oldest;
  }

  #note(deletions: Deletion[], segment: KeptSegment, reason: DeletionReason, receivedAt: bigint | null): void {
    const { segments, logUuid, clock } = this.#options;
    const to = segments.firstOffset ?? segment.endOffset;
    if (receivedAt !== null && (this.#receivedBefore === null || receivedAt > this.#receivedBefore)) {
      this.#receivedBefore = receivedAt;
    }
    const passed = this.holds.deleted(segment.baseOffset, segment.endOffset);
    const counts = this.#deleted[reason];
    this.#deleted[reason] = {
      segments: counts.segments + 1,
      bytes: counts.bytes + segment.bytes,
      entries: counts.entries + segment.entries,
    };
    const last = deletions.at(-1);
    const isSame = last?.reason === reason;
    if (isSame) deletions.pop();
    deletions.push({
      at: isoTime(clock.nowUnixNano()),
      log: logUuid,
      from: isSame ? last.from : Number(segment.baseOffset),
      to: Number(to),
      entries: (isSame ? last.entries! : 0) + Number(segment.entries),
      segments: (isSame ? last.segments! : 0) + 1,
      bytes: (isSame ? last.bytes! : 0) + segment.bytes,
      reason,
      receivedUntil: segment.receivedAtMax === null ? null : isoTime(segment.receivedAtMax),
      passed: [...new Set([...(isSame ? last.passed : []), ...passed])],
    });
  }

  #tell({ at: _at, log: _log, passed, ...facts }: Deletion): void {
    const { logger } = this.#options;
    logger.info('Deleted log segments', facts);
    if (passed.length === 0) return;
    logger.warn('Deleted entries that a consumer had not read', { consumers: passed, from: facts.from, to: facts.to });
  }
}

const NOTHING: DeletionCounts = { segments: 0, bytes: 0, entries: 0n };

function isoTime(unixNano: bigint): string {
  return new Date(Number(unixNano / 1_000_000n)).toISOString();
}
