/** The log as an exporter reads it: entries from an offset on, decoded, with what is missing between them. */
import {
  errorMessage,
  LIMITS,
  type Logger,
  OffsetOutOfRangeError,
  type Signal,
  signalOfCode,
} from '../../base/index.ts';
import { type DurablePosition, ENTRY_KINDS, type LogEntry, type LogReader, openLogReader } from '../../log/index.ts';
import { createEntryDecoder, type EntryDecoder } from '../../materialize/index.ts';
import type { CanonicalBatch } from '../../otap/index.ts';
import { segmentEntries } from '../segment-entries.ts';

export type SourceStep =
  | {
      readonly type: 'batch';
      readonly entry: LogEntry;
      readonly signal: Signal;
      readonly batch: CanonicalBatch;
    }
  | { readonly type: 'undecodable'; readonly offset: bigint; readonly reason: string }
  /** Nothing to send at this offset, or state alone below `from`. */
  | { readonly type: 'passed' };

export interface EntrySource {
  /** All entries below were handed out or need not be. */
  readonly position: bigint;
  /** Entries that were deleted before they were read. */
  readonly lostEntries: bigint;
  advance(durable: DurablePosition): void;
  /** The next entry, or null at the durable end. Throws when the log cannot be read now; a later call begins anew at `position`. */
  next(): Promise<SourceStep | null>;
  close(): void;
}

export interface EntrySourceOptions {
  readonly logDirectory: string;
  readonly from: bigint;
  readonly durable: DurablePosition;
  /** Signals that are wanted; others are passed by unread. */
  readonly signals: readonly Signal[];
  readonly logger: Logger;
}

interface Opened {
  readonly reader: LogReader;
  readonly decoder: EntryDecoder;
  frame: readonly LogEntry[];
  row: number;
  skippedTold: number;
}

/** A source of its own reader and decoders: where one exporter reads is nothing to another. */
export function createEntrySource(options: EntrySourceOptions): EntrySource {
  const { logDirectory, logger } = options;
  const signals = new Set<Signal | undefined>(options.signals);
  let durable = options.durable;
  let position = options.from;
  let lostEntries = 0n;
  let opened: Opened | null = null;

  async function open(): Promise<Opened> {
    const decoder = await createEntryDecoder({ readSegment });
    for (;;) {
      try {
        const reader = openLogReader({ directory: logDirectory, from: position, durable });
        return { reader, decoder, frame: [], row: 0, skippedTold: 0 };
      } catch (error) {
        if (!passDeleted(error)) throw error;
      }
    }
  }

  /** A stream that the decoder forgot comes back: its entries are read again. */
  function readSegment(segment: bigint, end: bigint): Iterable<LogEntry> {
    return segmentEntries(logDirectory, segment, end, durable);
  }

  /** Whether reading goes on where the log begins now, since what came next was deleted. */
  function passDeleted(error: unknown): boolean {
    if (!(error instanceof OffsetOutOfRangeError)) return false;
    const firstOffset = BigInt(error.facts['firstOffset'] ?? position);
    const to = firstOffset < durable.durableOffset ? firstOffset : durable.durableOffset;
    if (to <= position) return false;
    logger.warn('Entries were deleted before they were sent', { from: position, to });
    lostEntries += to - position;
    position = to;
    return true;
  }

  async function next(): Promise<SourceStep | null> {
    for (;;) {
      opened ??= await open();
      const entry = opened.frame[opened.row];
      if (entry !== undefined) {
        opened.row++;
        const step = stepOf(entry, opened.decoder);
        passTo(entry.offset + 1n);
        return step;
      }
      const frame = nextFrame(opened);
      if (frame === 'again') continue;
      if (frame === null) return null;
      opened.frame = frame;
      opened.row = 0;
    }
  }

  function nextFrame(source: Opened): readonly LogEntry[] | null | 'again' {
    try {
      const frame = source.reader.nextFrame();
      tellSkipped(source);
      // Behind the last frame nothing follows that would move the position over what is missing.
      if (frame === null) passTo(source.reader.skipped.at(-1)?.to ?? position);
      return frame;
    } catch (error) {
      close();
      if (passDeleted(error)) return 'again';
      throw error;
    }
  }

  /** Damage, or offsets that were given up: nobody can send them. */
  function tellSkipped(source: Opened): void {
    const { skipped } = source.reader;
    for (; source.skippedTold < skipped.length; source.skippedTold++) {
      const { from, to, reason } = skipped[source.skippedTold]!;
      if (to <= position) continue;
      logger.warn('Entries are missing in the log and are not sent', { from, to, reason });
    }
  }

  function passTo(offset: bigint): void {
    if (offset > position) position = offset;
  }

  function stepOf(entry: LogEntry, decoder: EntryDecoder): SourceStep {
    const isNew = entry.offset >= position;
    const signal = signalOfCode(entry.signal);
    if (entry.kind === ENTRY_KINDS.STREAM_CLOSE) decoder.decode(entry);
    if (!CONTENT_KINDS.has(entry.kind) || (signal !== undefined && !signals.has(signal))) return PASSED;
    // Requests carry no state for what follows.
    if (!isNew && entry.kind === ENTRY_KINDS.OTLP) return PASSED;
    const decoded = decoder.decode(entry);
    if (!isNew || decoded === null) return PASSED;
    if (typeof decoded === 'string') {
      return { type: 'undecodable', offset: entry.offset, reason: decoded.slice(0, LIMITS.quarantineReasonCharsMax) };
    }
    return { type: 'batch', entry, signal: decoded.signal, batch: decoded };
  }

  function close(): void {
    opened?.reader.close();
    opened = null;
  }

  return {
    get position() {
      return position;
    },
    get lostEntries() {
      return lostEntries;
    },
    advance(next) {
      if (next.durableOffset > durable.durableOffset) durable = next;
      opened?.reader.advance(durable);
    },
    async next() {
      try {
        return await next();
      } catch (error) {
        close();
        throw new Error(`Cannot read the log: ${errorMessage(error)}`, { cause: error });
      }
    },
    close,
  };
}

const PASSED: SourceStep = { type: 'passed' };

const CONTENT_KINDS: ReadonlySet<number> = new Set([ENTRY_KINDS.BAR, ENTRY_KINDS.STATE, ENTRY_KINDS.OTLP]);
