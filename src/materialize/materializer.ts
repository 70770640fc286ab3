/**
 * The loop that turns log entries into rows. It reads below the durable offset, decodes, lets projections append, and commits rows
 * together with the checkpoint (I8). Nothing in data stops it: an entry that cannot become rows goes to quarantine. A store or a disk
 * that fails stops it until that works again, and the replay begins at the checkpoint.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  AssertionError,
  BatchMalformedError,
  createWake,
  errorMessage,
  LIMITS,
  type Signal,
  signalOfCode,
} from '../base/index.ts';
import { ENTRY_KINDS, type LogEntry, type LogReader } from '../log/index.ts';
import type { CanonicalBatch } from '../otap/index.ts';
import { type Checkpoint, type MovedCheckpoint, writeCheckpoints } from './checkpoint.ts';
import { rollbackQuietly } from './database.ts';
import { decodeEntry, isUndecodable } from './entry-decoder.ts';
import { NO_ATTEMPTS } from './entry-attempts.ts';
import {
  BeginFailure,
  deletedBelow,
  EntryFailure,
  flushing,
  ReadFailure,
  reading,
  readingAgain,
} from './loop-failures.ts';
import { createLoopHold } from './loop-hold.ts';
import { withLost } from './lost-offsets.ts';
import type { Materializer, MaterializerEnd, MaterializerOptions } from './materializer-types.ts';
import type { ProjectionDefinition, Projector } from './projection.ts';
import { NO_PROJECTION, quarantineName } from './quarantine.ts';
import { blamesData, storeFailure } from './store-failures.ts';
import { createStreamDecoders } from './stream-decoders.ts';
import { emptyTransaction } from './uncommitted.ts';

const ROWLESS_KINDS: ReadonlySet<number> = new Set([ENTRY_KINDS.STREAM_OPEN, ENTRY_KINDS.CURSOR]);

interface Running {
  readonly definition: ProjectionDefinition;
  readonly projector: Projector;
  readonly checkpoint: Checkpoint;
  /** Committed. */
  nextOffset: bigint;
  /** Committed: from here on everything is in the tables. */
  firstOffset: bigint;
  /** Rows of the open transaction. */
  rows: number;
  /** Entries that it sets aside. */
  aside: bigint[];
}

export function createMaterializer(options: MaterializerOptions): Materializer {
  const { database, quarantine, failedRange, counters, retention, logger, clock, attempts = NO_ATTEMPTS } = options;
  const commitRowsMax = options.commitRowsMax ?? LIMITS.commitRowsMax;
  const commitIntervalMs = options.commitIntervalMs ?? LIMITS.commitIntervalMs;
  const running = options.projections.map(({ checkpoint, projector }): Running => {
    const { definition, nextOffset, firstOffset } = checkpoint;
    return { definition, projector, checkpoint, nextOffset, firstOffset, rows: 0, aside: [] };
  });
  const verdictOn = (offset: bigint) => attempts.verdictOn(offset) ?? quarantine.deadlyReason(offset);
  const isSkipped = ({ offset }: LogEntry) => verdictOn(offset) !== undefined;
  const { createDecoder, statesBytesMax = LIMITS.decoderStatesBytesMax } = options;
  const decoders = createStreamDecoders({ createDecoder, readSegment, isSkipped, statesBytesMax });
  const held = createLoopHold();
  const work = createWake();
  const stopped = createWake();
  let durable = options.durable;
  let reader: LogReader | null = null;
  // The next entry to handle; entries below it are committed, in the open transaction, or have no rows.
  let position = committedOffset();
  let uncommitted = emptyTransaction();
  let skippedTold = 0;
  // Firsts of the offsets behind those that the transaction passes by.
  let moved: MovedCheckpoint[] = [];
  let stopping = false;
  let stuck: string | null = null;
  let failures = 0;

  async function run(): Promise<MaterializerEnd> {
    try {
      while (!stopping) {
        try {
          await step();
        } catch (error) {
          if (error instanceof AssertionError) throw error;
          const end = await recover(error);
          if (end !== 'again') return end;
        }
      }
      return await finish();
    } finally {
      held.end();
    }
  }

  /** One frame, or one wait for news. */
  async function step(): Promise<void> {
    let frame: readonly LogEntry[] | null;
    if (options.pace !== undefined) await options.pace();
    try {
      frame = reading(() => openedReader().nextFrame());
    } catch (error) {
      if (await passDeleted(error)) return;
      throw error;
    }
    if (frame === null) {
      tellSkipped(openedReader());
      if (commitDue()) await commit();
      if (held.isDue(position)) await stand(position);
      if (!uncommitted.open) stuck = null;
      await retain(true);
      options.onWaiting?.(true);
      options.onProgress?.();
      await work.wait(waitMs());
      options.onWaiting?.(false);
      return;
    }
    let sliceEndMs = clock.monotonicMs() + LIMITS.materializeSliceMs;
    for (const entry of frame) {
      if (held.isDue(entry.offset)) await stand(entry.offset);
      if (stopping) return;
      if (uncommitted.open && attempts.isSuspect(entry.offset)) await commit();
      await take(entry);
      if (commitDue()) {
        await commit();
        await retain(false);
      }
      if (clock.monotonicMs() < sliceEndMs) continue;
      await nextTurn();
      await options.pace?.();
      sliceEndMs = clock.monotonicMs() + LIMITS.materializeSliceMs;
    }
    await nextTurn();
  }

  /**
   * Goes on where the log begins now, if that is why it cannot be read. What was decoded of deleted entries is committed: they cannot be
   * read again.
   */
  async function passDeleted(error: unknown): Promise<boolean> {
    const firstOffset = deletedBelow(error);
    if (firstOffset === null) return false;
    if (reader !== null) tellSkipped(reader);
    const to = firstOffset < durable.durableOffset ? firstOffset : durable.durableOffset;
    if (to <= position) return false;
    if (!uncommitted.open) await begin();
    uncommitted.lost = { from: position, to };
    position = to;
    await commit();
    closeReader();
    return true;
  }

  /** What comes next is at `next`, so everything below is done with. */
  async function stand(next: bigint): Promise<void> {
    while (held.isDue(next) && !stopping) {
      const at = held.offset(position);
      if (at > position) position = at;
      if (uncommitted.open || committedOffset() < position) await commit();
      await held.stand(position);
    }
  }

  async function retain(isIdle: boolean): Promise<void> {
    if (!uncommitted.open) await retention?.step(running, isIdle);
  }

  function waitMs(): number | undefined {
    return uncommitted.open ? uncommitted.firstAtMs + commitIntervalMs - clock.monotonicMs() : retention?.waitMs;
  }

  async function take(entry: LogEntry): Promise<void> {
    const signal = signalOfCode(entry.signal);
    if (entry.kind === ENTRY_KINDS.STREAM_CLOSE) decoders.drop(entry.streamId);
    else if (entry.offset < position) replayState(entry, signal);
    else if (!ROWLESS_KINDS.has(entry.kind)) await materialize(entry, signal);
    if (entry.offset < position) return;
    retention?.saw(entry);
    position = entry.offset + 1n;
  }

  /** Entries below the checkpoint only build up what later ones need. Their failures were told when they were new. */
  function replayState(entry: LogEntry, signal: Signal | undefined): void {
    const isState = entry.kind === ENTRY_KINDS.STATE;
    if (signal === undefined || !(isState || (entry.kind === ENTRY_KINDS.BAR && !isUndecodable(entry)))) return;
    if (verdictOn(entry.offset) !== undefined) return decoders.skip(entry);
    try {
      attempts.working(entry.offset, () => decoders[isState ? 'restoreState' : 'applyState'](entry, signal));
    } catch (error) {
      if (error instanceof ReadFailure) throw error;
      if (!(error instanceof BatchMalformedError))
        logger.debug('Replayed state failed', { offset: entry.offset, error });
    }
  }

  async function materialize(entry: LogEntry, signal: Signal | undefined): Promise<void> {
    const targets = running.filter(
      ({ definition, nextOffset }) => definition.signal === signal && entry.offset >= nextOffset,
    );
    if (signal !== undefined && targets.length === 0) {
      replayState(entry, signal);
      return;
    }
    const verdict = verdictOn(entry.offset);
    if (verdict !== undefined) decoders.skip(entry);
    const parts = { decoders, decodeOtlp: options.decodeOtlp };
    const decoded = verdict ?? attempts.working(entry.offset, () => decodeEntry(entry, signal, parts));
    if (decoded === null) return;
    if (!uncommitted.open) await begin();
    uncommitted.logBytes += entry.record.byteLength;
    if (typeof decoded === 'string') {
      setAside(entry, targets, decoded);
      return;
    }
    uncommitted.decoded += 1;
    uncommitted.repaired += decoded.repairedStrings;
    for (const target of targets) projectEntry(entry, target, decoded);
  }

  function projectEntry(entry: LogEntry, target: Running, batch: CanonicalBatch): void {
    const poison = failedRange.poisonOf(entry.offset);
    if (poison !== undefined) {
      setAside(entry, [target], poison);
      return;
    }
    try {
      const rows = attempts.working(entry.offset, () => target.projector.project(entry, batch));
      target.rows += rows;
      uncommitted.rows += rows;
      if (uncommitted.offsets.at(-1) !== entry.offset) uncommitted.offsets.push(entry.offset);
    } catch (error) {
      // A malformed batch has appended nothing, by contract. Of anything else it is not known what was appended.
      if (!(error instanceof BatchMalformedError)) throw new EntryFailure(entry.offset, error);
      setAside(entry, [target], error.message);
    }
  }

  function setAside(entry: LogEntry, targets: readonly Running[], reason: string): void {
    const facts = { offset: entry.offset, reason, streamId: entry.streamId, atUnixNano: clock.nowUnixNano() };
    const names = targets.map(({ checkpoint, definition }) => ({
      projection: quarantineName(checkpoint),
      version: definition.version,
    }));
    // An entry of no projection is told once, by the version that is furthest.
    const orphan =
      options.tellsOrphans !== false &&
      targets.length === 0 &&
      running.every(({ nextOffset }) => entry.offset >= nextOffset);
    for (const target of targets) target.aside.push(entry.offset);
    for (const name of orphan ? [{ projection: NO_PROJECTION, version: 0 }] : names)
      quarantine.add({ ...facts, ...name });
    logger.warn('Entry quarantined', { offset: entry.offset, stream: entry.streamId, reason });
  }

  async function begin(): Promise<void> {
    try {
      await database.begin();
    } catch (error) {
      throw new BeginFailure(error);
    }
    uncommitted.open = true;
    uncommitted.firstAtMs = clock.monotonicMs();
  }

  function commitDue(): boolean {
    if (!uncommitted.open) return false;
    return (
      uncommitted.rows >= commitRowsMax ||
      uncommitted.logBytes >= LIMITS.commitBytesMax ||
      uncommitted.offsets.length >= failedRange.entriesMax ||
      attempts.isSuspect(position - 1n) ||
      clock.monotonicMs() - uncommitted.firstAtMs >= commitIntervalMs
    );
  }

  async function commit(): Promise<void> {
    const startMs = clock.monotonicMs();
    if (!uncommitted.open) await begin();
    attempts.committing(uncommitted.offsets);
    for (const { projector, rows } of running) if (rows > 0) await flushing(projector.beforeCommit());
    for (const one of running) if (one.aside.length > 0) await options.takeOverEntries?.(one.definition, one.aside);
    await quarantine.write();
    await retention?.beforeCommit();
    moved = [];
    for (const one of running) if (one.nextOffset < position) moved.push(await movedCheckpoint(one));
    if (moved.length > 0) await writeCheckpoints(database, moved, durable.durableOffset);
    await database.commit();
    settle(clock.monotonicMs() - startMs);
    options.onProgress?.();
    await options.afterCommit?.();
  }

  /** Takes over what of the passed offsets the log no longer had. */
  async function movedCheckpoint({ checkpoint, definition, ...one }: Running): Promise<MovedCheckpoint> {
    let { firstOffset } = one;
    const lost = uncommitted.lost === null ? [] : [uncommitted.lost];
    const damaged = (options.takeOver === undefined ? undefined : reader?.skipped) ?? [];
    for (const range of [...lost, ...damaged]) {
      const from = range.from > one.nextOffset ? range.from : one.nextOffset;
      if (range.to > position || from >= range.to) continue;
      const isTaken = await options.takeOver?.(definition, { from, to: range.to });
      if (isTaken !== true && range === uncommitted.lost) firstOffset = range.to;
    }
    return { definition, state: checkpoint.state, nextOffset: position, firstOffset };
  }

  function settle(durationMs: number): void {
    quarantine.committed();
    retention?.afterCommit();
    failedRange.succeeded(position);
    attempts.settled(position);
    for (const one of running) {
      if (one.rows > 0) one.projector.afterCommit();
      counters.projectionRows.set(
        one.definition.name,
        (counters.projectionRows.get(one.definition.name) ?? 0) + one.rows,
      );
      one.rows = 0;
      one.aside = [];
      one.firstOffset = moved.find(({ definition }) => definition === one.definition)?.firstOffset ?? one.firstOffset;
      if (one.nextOffset < position) one.nextOffset = position;
    }
    counters.commits += 1;
    counters.rowsWritten += uncommitted.rows;
    counters.entriesDecoded += uncommitted.decoded;
    counters.repairedStrings += uncommitted.repaired;
    counters.lastCommitMs = durationMs;
    if (uncommitted.lost !== null) tellLost(uncommitted.lost);
    uncommitted = emptyTransaction();
    stuck = null;
    failures = 0;
  }

  /** Takes back the open transaction and makes ready for a replay from the checkpoint. */
  async function recover(error: unknown): Promise<'again' | MaterializerEnd> {
    const range = error instanceof EntryFailure ? [...uncommitted.offsets, error.offset] : uncommitted.offsets;
    await takeBack();
    const reason = errorMessage(error);
    if (error instanceof ReadFailure) return retryLater(`Cannot read the log: ${reason}`);
    const kind = error instanceof BeginFailure ? 'lost' : storeFailure(error);
    if (kind === 'lost' || kind === 'corrupt') {
      // An entry that breaks the instance must not break the next one for ever.
      if (blamesData(error)) failedRange.failed(range, reason, LIMITS.entryMemoryAttemptsMax);
      stuck = `The database has to be opened again: ${reason}`;
      logger.error('Database lost', { reason });
      return kind;
    }
    if (kind === 'unavailable') return retryLater(`Cannot write to the tables: ${reason}`);
    if (kind === 'data' && error instanceof EntryFailure) {
      failedRange.poison(error.offset, reason, range.length - 1);
      return 'again';
    }
    if (range.length === 0) return retryLater(`Cannot write to the tables: ${reason}`);
    logger.warn('Transaction refused, trying a smaller one', { from: range[0], entries: range.length, reason });
    const attemptsMax = kind === 'memory' ? LIMITS.entryMemoryAttemptsMax : undefined;
    const poisoned = failedRange.failed(range, reason, attemptsMax);
    return kind === 'memory' && poisoned === null ? retryLater(`Out of memory: ${reason}`) : 'again';
  }

  async function takeBack(): Promise<void> {
    if (uncommitted.open) await rollbackQuietly(database);
    for (const one of running) {
      one.projector.afterRollback();
      one.rows = 0;
      one.aside = [];
    }
    quarantine.rolledBack();
    attempts.takenBack();
    retention?.afterRollback();
    uncommitted = emptyTransaction();
    position = committedOffset();
    closeReader();
  }

  async function retryLater(reason: string): Promise<'again'> {
    const waitMs = Math.min(LIMITS.storeRetryMaxMs, LIMITS.storeRetryMinMs * 2 ** failures);
    failures += 1;
    stuck = reason;
    logger.error('Materialization stopped', { reason, retryInMs: waitMs });
    await stopped.wait(waitMs);
    return 'again';
  }

  async function finish(): Promise<MaterializerEnd> {
    try {
      if (uncommitted.open || committedOffset() < position) await commit();
      return 'stopped';
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      logger.warn('Last commit failed, the next start replays it', { error });
      await takeBack();
      return 'stopped';
    } finally {
      closeReader();
    }
  }

  function openedReader(): LogReader {
    if (reader === null) {
      decoders.clear();
      position = committedOffset();
      reader = options.openReader(position, durable);
      skippedTold = 0;
    }
    return reader;
  }

  function tellLost({ from, to }: { readonly from: bigint; readonly to: bigint }): void {
    counters.lost = withLost(counters.lost, from, to);
    logger.warn('Older entries are gone from the log, going on behind them', { from, to, offsets: to - from });
  }

  /** Entries that damage has taken are passed by like the others; the log keeps the bytes. */
  function tellSkipped({ skipped }: LogReader): void {
    for (const range of skipped.slice(skippedTold)) logger.warn('Entries are missing from the log', { ...range });
    skippedTold = skipped.length;
    const end = skipped.at(-1)?.to ?? 0n;
    if (end > position) position = end;
  }

  function closeReader(): void {
    reader?.close();
    reader = null;
  }

  /** Throws ReadFailure, or OffsetOutOfRangeError when the segment was deleted meanwhile: only the entry that needs it is lost then. */
  function* readSegment(_segment: bigint, end: bigint): Iterable<LogEntry> {
    const again = readingAgain(() => options.openReader(end, durable));
    try {
      for (;;) {
        const frame = readingAgain(() => again.nextFrame());
        for (const entry of frame ?? []) {
          if (entry.offset >= end) return;
          yield entry;
        }
        if (frame === null) return;
      }
    } finally {
      again.close();
    }
  }

  function committedOffset(): bigint {
    return running.reduce((least, { nextOffset }) => (nextOffset < least ? nextOffset : least), durable.durableOffset);
  }

  function reached(nextOffset: bigint): bigint {
    return uncommitted.open || nextOffset > position ? nextOffset : position;
  }

  return {
    advance(next) {
      if (next.durableOffset < durable.durableOffset) return;
      durable = next;
      reader?.advance(next);
      work.wake();
    },
    run,
    stop() {
      stopping = true;
      held.release();
      work.wake();
      stopped.wake();
    },
    hold(at = 0n) {
      const standing = held.hold(at);
      work.wake();
      return standing;
    },
    release: () => held.release(),
    get projections() {
      return running.map(({ definition, nextOffset, firstOffset }) => ({
        definition,
        firstOffset,
        materializedOffset: reached(nextOffset),
        rowsWritten: counters.projectionRows.get(definition.name) ?? 0,
      }));
    },
    get materializedOffset() {
      return reached(committedOffset());
    },
    get stuck() {
      return stuck;
    },
  };
}
