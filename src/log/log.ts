/**
 * The writing side of the log: queues entries, writes them in group commits, settles each when its frame is durable. The composition
 * root opens it after it has locked the data directory.
 */
import {
  type Clock,
  errorMessage,
  LIMITS,
  type Logger,
  LogUnavailableError,
  silentLogger,
  systemClock,
} from '../base/index.ts';
import {
  AppendQueue,
  absorbState,
  createQueuedStream,
  NO_SEGMENT,
  type PendingFrame,
  type QueuedStream,
} from './append-queue.ts';
import { encodeHeaders, ownUpdate, stateFlags } from './append-row.ts';
import { CommitWatch } from './commit-watch.ts';
import { type DirectoryGuard, guardDirectory } from './directory-guard.ts';
import { diskTakes } from './disk-probe.ts';
import { type LogFileSystem, realFileSystem } from './file-system.ts';
import { crcOf } from './frame.ts';
import { createIndexFeeder, type IndexFeeder } from './index-feeder.ts';
import { KeptSegments } from './kept-segments.ts';
import { openRetention, type Retention, type RetentionSettings } from './retention.ts';
import { type RecoveredLog, recoverLog } from './recovery.ts';
import { type OffsetRange, openSegmentIndex, type SegmentIndex, type SegmentRow } from './segment-index.ts';
import type { DamagedRange, FrameFacts } from './segment-scan.ts';
import { SegmentSealer } from './segment-sealer.ts';
import { SegmentWriter } from './segment-writer.ts';
import {
  type Appended,
  type AppendOptions,
  type DurablePosition,
  ENTRY_KINDS,
  type HoldOptions,
  type LogHold,
  type LogStatus,
  type LogStream,
  type RetainedLog,
  type StateUpdate,
} from './types.ts';

/** The limits that a log keeps: those of LIMITS unless a test says otherwise. */
export type LogLimits = Readonly<Record<(typeof LIMIT_NAMES)[number], number>>;

export interface LogOptions {
  /** Folder of the segments; made when missing. */
  readonly directory: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly fileSystem?: LogFileSystem;
  /** Opens the index; for tests that take its files away from under a process that is gone. */
  readonly openIndex?: (path: string) => SegmentIndex;
  readonly limits?: Partial<LogLimits>;
  /** What is kept; all that the disk takes without it. */
  readonly retention?: RetentionSettings;
}

type LogSettings = Required<Omit<LogOptions, 'limits'>> & { readonly limits: LogLimits };

const LIMIT_NAMES = [
  'appendWaitMaxMs',
  'diskReserveBytes',
  'frameBytesMax',
  'frameEntriesMax',
  'inFlightBytesMax',
  'logProbeIntervalMs',
  'retentionIntervalMs',
  'sealIntervalMs',
  'segmentAgeMaxMs',
  'segmentBytesMax',
] as const;

/**
 * Opens the log of a directory, recovering what an earlier process left. The caller holds the data directory's lock. Throws
 * TREASURY_LOG_CORRUPT when the directory holds a segment of another log or of another format version, TREASURY_MIGRATION when its index
 * is one of a later release, else what the disk throws.
 */
export async function openLog(options: LogOptions): Promise<RetainedLog> {
  const settings = {
    directory: options.directory,
    clock: options.clock ?? systemClock,
    logger: options.logger ?? silentLogger,
    fileSystem: options.fileSystem ?? realFileSystem,
    openIndex: options.openIndex ?? openSegmentIndex,
    retention: options.retention ?? { ageMaxMs: null, bytesMax: null },
    limits: { ...LIMITS, ...options.limits },
  };
  const recovered = await recoverLog(settings);
  const { index, logUuid } = recovered;
  try {
    const segments = new KeptSegments(index.segments(), index.segmentFacts());
    const retention = await openRetention({
      ...settings,
      ...settings.retention,
      logUuid,
      segments,
      reserveBytes: Math.max(settings.limits.diskReserveBytes, 2 * settings.limits.segmentBytesMax),
      intervalMs: settings.limits.retentionIntervalMs,
    });
    const guard = await guardDirectory(settings);
    return new GroupCommitLog(settings, { recovered, segments, retention, guard });
  } catch (error) {
    index.close({ clean: false });
    throw error;
  }
}

class GroupCommitLog implements RetainedLog {
  readonly #options: LogSettings;
  readonly #recovered: RecoveredLog;
  readonly #writer: SegmentWriter;
  readonly #sealer: SegmentSealer;
  readonly #feeder: IndexFeeder;
  readonly #queue = new AppendQueue();
  readonly #streams = new Set<QueuedStream>();
  readonly #listeners = new Set<(position: DurablePosition) => void>();
  readonly #segments: KeptSegments;
  readonly #retention: Retention;
  readonly #guard: DirectoryGuard;
  readonly #commits: CommitWatch;
  #gaps: OffsetRange[];
  #quarantinedRanges: DamagedRange[];
  #framesEnd: bigint | null;
  #streamIdNext: bigint;
  #inFlightBytes = 0;
  #entriesAppended = 0;
  #bytesAppended = 0;
  #frames = 0;
  #appendFailures = 0;
  #refusing: string | null = null;
  #framesRefused = 0;
  #written: { readonly frame: PendingFrame; readonly baseOffset: bigint } | null = null;
  #pump: Promise<void> | null = null;
  #closed: Promise<void> | null = null;
  #waitTimer: NodeJS.Timeout | null = null;
  #probeTimer: NodeJS.Timeout | null = null;

  constructor(options: LogSettings, { recovered, segments, retention, guard }: LogParts) {
    const { directory, fileSystem, clock, logger, limits } = options;
    const { durable, nextOffset, lastCrc, logUuid, index } = recovered;
    this.#options = options;
    this.#recovered = recovered;
    this.#gaps = index.gaps();
    this.#framesEnd = recovered.framesEnd;
    this.#segments = segments;
    this.#retention = retention;
    this.#guard = guard;
    this.#commits = new CommitWatch({ clock, logger, waitMaxMs: limits.appendWaitMaxMs });
    this.#streamIdNext = recovered.streamIdNext;
    this.#quarantinedRanges = index.quarantinedRanges();
    this.#feeder = createIndexFeeder(index, logger);
    this.#writer = new SegmentWriter({
      directory,
      fileSystem,
      clock,
      logger,
      logUuid,
      durable,
      nextOffset,
      lastCrc,
      segmentBytesMax: segmentBytesMax(options),
      segmentAgeMaxMs: limits.segmentAgeMaxMs,
      streamIdNext: () => this.#streamIdNext,
      beforeSegment: async () => {
        await guard.check();
        await retention.beforeSegment();
      },
      onWritten: (segment, frame) => this.#onWritten(segment, frame),
      onLeft: (segment) => this.#sealer.add(segment),
    });
    this.#sealer = new SegmentSealer({
      directory,
      fileSystem,
      logger,
      intervalMs: limits.sealIntervalMs,
      onInterval: () => {
        // Without traffic nothing else would end a segment that is old enough.
        if (this.#pump === null) this.#writer.rest();
      },
      isKept: (baseOffset) => segments.has(baseOffset),
      onSealed: (segment) => this.#onWritten(segment, null),
    });
    this.#sealer.start(recovered.unsealed);
    retention.start((firstOffset) => this.#onDeleted(firstOffset));
    guard.start();
  }

  openStream(signal: number): LogStream {
    const stream = createQueuedStream(this.#streamIdNext++, signal);
    this.#streams.add(stream);
    return {
      id: stream.id,
      signal,
      get stateBytes() {
        return stream.state.bytes + stream.queuedStateBytes;
      },
      append: (options) => this.#append(stream, ENTRY_KINDS.BAR, signal, options),
      absorb: (stateUpdates) => this.#absorb(stream, stateUpdates.map(ownUpdate)),
      close: () => this.#closeStream(stream),
    };
  }

  appendOtlp(signal: number, options: Omit<AppendOptions, 'stateUpdates'>): Promise<Appended> {
    return this.#append(null, ENTRY_KINDS.OTLP, signal, options);
  }

  onDurable(listener: (position: DurablePosition) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  hold(name: string, options: HoldOptions): LogHold {
    return this.#retention.holds.take(name, options);
  }

  sweep(): Promise<void> {
    return this.#retention.sweep();
  }

  status(): LogStatus {
    const { durable, nextOffset, fsyncMs } = this.#writer;
    const hasOpenGap = this.#framesEnd !== null && this.#framesEnd < durable.durableOffset;
    let streamStateBytes = 0;
    for (const stream of this.#streams) streamStateBytes += stream.state.bytes + stream.queuedStateBytes;
    return {
      ...durable,
      uuid: this.#recovered.logUuid,
      firstOffset: this.#segments.firstOffset ?? durable.durableOffset,
      nextOffset,
      segments: this.#segments.list.length,
      bytes: this.#segments.bytes,
      streams: this.#streams.size,
      streamStateBytes,
      inFlightBytes: this.#inFlightBytes,
      refusing: this.#refusing ?? this.#retention.shortage ?? (this.#commits.isStalled ? this.#commits.slow : null),
      fault: this.#guard.fault,
      slow: this.#commits.slow,
      entriesAppended: this.#entriesAppended,
      bytesAppended: this.#bytesAppended,
      frames: this.#frames,
      fsyncSecondsTotal: fsyncMs / 1000,
      appendFailures: this.#appendFailures,
      quarantinedRanges: this.#quarantinedRanges.length,
      gaps: hasOpenGap ? [...this.#gaps, { from: this.#framesEnd!, to: durable.durableOffset }] : [...this.#gaps],
      retention: this.#retention.status(),
    };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    if (this.#probeTimer !== null) clearTimeout(this.#probeTimer);
    await Promise.all([this.#retention.stop(), this.#guard.stop()]);
    // Whoever appended before is settled first; new appends are refused since #closed is set.
    while (this.#pump !== null) await this.#pump;
    if (this.#waitTimer !== null) clearTimeout(this.#waitTimer);
    await this.#writer.seal();
    await this.#sealer.stop();
    this.#feeder.close();
  }

  async #append(stream: QueuedStream | null, kind: number, signal: number, options: AppendOptions): Promise<Appended> {
    const { batchId, record, headers, flags = 0 } = options;
    const { clock, limits } = this.#options;
    const stateUpdates = (options.stateUpdates ?? []).map(ownUpdate);
    const headersBytes = encodeHeaders(headers);
    let recordBytes = 0;
    for (const part of record) recordBytes += part.length;
    const bytes = recordBytes + headersBytes.length;
    const refusal = this.#refusal(bytes, limits.inFlightBytesMax);
    if (refusal !== null) {
      this.#appendFailures++;
      if (stream !== null) this.#absorb(stream, stateUpdates);
      throw new LogUnavailableError(refusal);
    }
    this.#inFlightBytes += bytes;
    try {
      const offset = await new Promise<bigint>((resolve, reject) => {
        const row = {
          receivedAtUnixNano: clock.nowUnixNano(),
          batchId,
          signal,
          kind,
          flags: flags | stateFlags(stateUpdates),
          headers: headersBytes,
          record,
          recordBytes,
          // Here, not when its frame is made: the disk is busy with the frame before it.
          recordCrc: crcOf(record),
        };
        this.#queue.push({
          type: 'entry',
          stream,
          row,
          stateUpdates,
          queuedAtMs: clock.monotonicMs(),
          resolve,
          reject,
        });
        this.#wake();
      });
      return { offset };
    } catch (error) {
      this.#appendFailures++;
      throw error;
    } finally {
      this.#inFlightBytes -= bytes;
    }
  }

  #refusal(bytes: number, inFlightBytesMax: number): string | null {
    if (this.#closed !== null) return 'Cannot append: the log is closing';
    const { shortage } = this.#retention;
    if (shortage !== null) return `Cannot append: ${shortage}`;
    // One entry alone is always taken: its headers must not make the largest message too large for ever.
    const isTooMuch = this.#inFlightBytes > 0 && this.#inFlightBytes + bytes > inFlightBytesMax;
    if (!isTooMuch) return null;
    return `Cannot append ${bytes} bytes: ${this.#inFlightBytes} bytes of ${inFlightBytesMax} are not yet on the disk`;
  }

  /** Behind what the stream has queued: its state changes in order. */
  #absorb(stream: QueuedStream, stateUpdates: readonly StateUpdate[]): void {
    if (stateUpdates.length === 0) return;
    if (stream.queued === 0) absorbState(stream, stateUpdates);
    else this.#queue.push({ type: 'absorb', stream, stateUpdates });
  }

  #closeStream(stream: QueuedStream): void {
    if (!this.#streams.delete(stream) || this.#closed !== null) return;
    if (!stream.isOpened && stream.queued === 0) return;
    this.#queue.push({ type: 'close', stream, receivedAtUnixNano: this.#options.clock.nowUnixNano() });
    this.#wake();
  }

  #wake(): void {
    this.#armWaitTimer();
    // Not at once: whatever arrives in the same turn of the event loop shares the commit.
    this.#pump ??= new Promise<void>((resolve) => {
      setImmediate(resolve);
    }).then(() => this.#run());
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      await this.#commits.run(() => this.#commit());
      if (this.#commits.isStalled) this.#armProbe();
    }
    this.#settle();
    this.#pump = null;
  }

  /** Tells those who wait for the frame written last. While the disk is busy with the next one, if there is one. */
  #settle(): void {
    const written = this.#written;
    this.#written = null;
    if (written !== null) this.#succeed(written.frame, written.baseOffset);
  }

  async #commit(): Promise<void> {
    const { frameBytesMax, frameEntriesMax } = this.#options.limits;
    const limits = { frameBytesMax, frameEntriesMax };
    this.#expire();
    if (this.#queue.length === 0) return;
    let segment: bigint;
    try {
      if (!this.#writer.isReady()) this.#settle();
      segment = await this.#writer.prepare();
    } catch (error) {
      this.#fail(this.#queue.take({ segment: NO_SEGMENT, ...limits }), error);
      return;
    }
    this.#expire();
    const frame = this.#queue.take({ segment, ...limits });
    if (frame.rows.length === 0) return;
    try {
      const appending = this.#writer.append(frame.rows);
      this.#settle();
      this.#written = { frame, baseOffset: await appending };
    } catch (error) {
      this.#fail(frame, error);
    }
  }

  #succeed(frame: PendingFrame, baseOffset: bigint): void {
    if (this.#refusing !== null) this.#options.logger.info('The log takes entries again');
    this.#refusing = null;
    this.#frames++;
    this.#entriesAppended += frame.rows.length;
    for (const row of frame.rows) this.#bytesAppended += row.recordBytes;
    for (const { entry, place } of frame.entries) entry.resolve(baseOffset + BigInt(place));
    for (const listener of this.#listeners) listener(this.#writer.durable);
  }

  #fail(frame: PendingFrame, error: unknown): void {
    frame.undo();
    const reason = errorMessage(error);
    if (this.#refusing === null) this.#options.logger.error('The log refuses entries', { error: reason });
    this.#refusing = reason;
    this.#framesRefused++;
    for (const { entry } of frame.entries) {
      entry.reject(new LogUnavailableError(`Cannot append: ${reason}`, error));
    }
    this.#armProbe();
  }

  #onWritten(segment: SegmentRow, frame: FrameFacts | null): void {
    // Its seal, which took longer than it was kept.
    if (frame === null && !this.#segments.has(segment.baseOffset)) return;
    // At once, not at the next interval: a fast sender must not outrun the limits.
    if (this.#segments.note(segment, frame)) void this.#retention.sweep();
    if (frame !== null) {
      const expected = this.#framesEnd ?? segment.baseOffset;
      if (frame.baseOffset > expected) this.#gaps.push({ from: expected, to: frame.baseOffset });
      this.#framesEnd = frame.baseOffset + BigInt(frame.rows);
    }
    this.#feeder.add(segment, frame);
  }

  /** What is left is what a log without those segments would say of itself. */
  #onDeleted(firstOffset: bigint): void {
    const max = (offset: bigint) => (offset > firstOffset ? offset : firstOffset);
    this.#gaps = this.#gaps.filter(({ to }) => to > firstOffset).map(({ from, to }) => ({ from: max(from), to }));
    this.#quarantinedRanges = this.#quarantinedRanges.filter(({ segment }) => segment >= firstOffset);
    this.#feeder.trim(firstOffset);
  }

  #expire(): void {
    const { clock, limits } = this.#options;
    const oldestMs = this.#queue.oldestMs();
    const deadlineMs = clock.monotonicMs() - limits.appendWaitMaxMs;
    if (oldestMs === null || oldestMs > deadlineMs) return;
    for (const entry of this.#queue.expire(deadlineMs)) {
      entry.reject(new LogUnavailableError(`Cannot append: the disk took nothing for ${limits.appendWaitMaxMs} ms`));
    }
  }

  /** Runs while a slow commit keeps the queue waiting. */
  #armWaitTimer(): void {
    if (this.#waitTimer !== null) return;
    const { clock, limits } = this.#options;
    const waitedMs = clock.monotonicMs() - (this.#queue.oldestMs() ?? clock.monotonicMs());
    this.#waitTimer = setTimeout(
      () => {
        this.#waitTimer = null;
        this.#expire();
        if (this.#queue.oldestMs() !== null) this.#armWaitTimer();
      },
      Math.max(1, limits.appendWaitMaxMs - waitedMs),
    );
  }

  /** Without traffic nothing would find out that the disk is well again. */
  #armProbe(delayMs = this.#options.limits.logProbeIntervalMs): void {
    if (this.#probeTimer !== null || this.#closed !== null) return;
    this.#probeTimer = setTimeout(() => {
      const { clock, limits } = this.#options;
      const startedAtMs = clock.monotonicMs();
      const framesRefused = this.#framesRefused;
      void diskTakes({ ...this.#options, guard: this.#guard }).then((isWell) => {
        this.#probeTimer = null;
        // What was refused meanwhile tells more of the disk than a trial that began before.
        if (isWell && framesRefused === this.#framesRefused) {
          this.#refusing = null;
          this.#commits.taken();
        }
        // At once after one that took long: the disk may have become well since it failed.
        const restMs = limits.logProbeIntervalMs - (clock.monotonicMs() - startedAtMs);
        if (this.#refusing !== null || this.#commits.isStalled) this.#armProbe(Math.max(0, restMs));
      });
    }, delayMs).unref();
  }
}

interface LogParts {
  readonly recovered: RecoveredLog;
  readonly segments: KeptSegments;
  readonly retention: Retention;
  readonly guard: DirectoryGuard;
}

/** Smaller than the limit where little is kept: segments are deleted whole. */
function segmentBytesMax({ limits, retention }: LogSettings): number {
  if (retention.bytesMax === null) return limits.segmentBytesMax;
  const share = Math.floor(retention.bytesMax / LIMITS.retainedSegmentsMin);
  return Math.min(limits.segmentBytesMax, Math.max(limits.frameBytesMax, share));
}
