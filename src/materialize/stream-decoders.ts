/**
 * The decoder of every live stream. All of them are dropped where a segment begins: each segment carries the state it needs (I1), so
 * what an entry decodes to depends on its own segment alone, whether the log is read live or replayed from any offset.
 */
import { BatchMalformedError, LIMITS, type Signal } from '../base/index.ts';
import type { LogEntry } from '../log/index.ts';
import { ENTRY_FLAGS, ENTRY_KINDS } from '../log/index.ts';
import type { CanonicalBatch, StreamDecoder } from '../otap/index.ts';

export interface StreamDecodersOptions {
  readonly createDecoder: (signal: Signal) => StreamDecoder;
  /** The entries of a segment in order, from its first one up to (not including) `end`. Read when a forgotten stream comes back. */
  readonly readSegment: (segment: bigint, end: bigint) => Iterable<LogEntry>;
  /** Entries that are passed over by `skip`, when they are read again too. */
  readonly isSkipped?: (entry: LogEntry) => boolean;
  readonly statesBytesMax?: number;
  readonly streamsMax?: number;
}

/** Calls must come in log order. */
export interface StreamDecoders {
  /** Dictionary bytes held over all streams. */
  readonly stateBytes: number;
  readonly streams: number;
  /** Takes a STATE entry. Throws BatchMalformedError. */
  restoreState(entry: LogEntry, signal: Signal): void;
  /** Takes the state changes of a BAR entry without its rows. Throws BatchMalformedError. */
  applyState(entry: LogEntry, signal: Signal): void;
  /** Decodes a BAR entry. Throws BatchMalformedError. */
  decode(entry: LogEntry, signal: Signal): CanonicalBatch;
  /** Passes over an entry without looking into it: what the stream needs of it is missing until its next STATE entry. */
  skip(entry: LogEntry): void;
  /** Forgets a stream that has ended. */
  drop(streamId: bigint): void;
  clear(): void;
}

interface Held {
  readonly decoder: StreamDecoder;
  bytes: number;
}

/** Decoders made on demand, bounded by bytes and streams: the one used longest ago is forgotten and, if need be, read again. */
export function createStreamDecoders(options: StreamDecodersOptions): StreamDecoders {
  const statesBytesMax = options.statesBytesMax ?? LIMITS.decoderStatesBytesMax;
  const streamsMax = options.streamsMax ?? LIMITS.streamsMax;
  // Insertion order is order of use.
  const held = new Map<bigint, Held>();
  const forgotten = new Set<bigint>();
  const spoilt = new Set<bigint>();
  let segment = -1n;
  let stateBytes = 0;

  function use<Result>(entry: LogEntry, signal: Signal, work: (decoder: StreamDecoder) => Result): Result {
    enterSegment(entry.segment);
    if (entry.kind === ENTRY_KINDS.STATE) spoilt.delete(entry.streamId);
    refuseSpoilt(entry.streamId);
    const found = take(entry, signal);
    try {
      return work(found.decoder);
    } finally {
      stateBytes += found.decoder.stateBytes - found.bytes;
      found.bytes = found.decoder.stateBytes;
      if (stateBytes > statesBytesMax || held.size > streamsMax) forgetOldest(entry.streamId);
    }
  }

  function take(entry: LogEntry, signal: Signal): Held {
    const found = held.get(entry.streamId);
    if (found !== undefined) {
      held.delete(entry.streamId);
      held.set(entry.streamId, found);
      return found;
    }
    const made: Held = { decoder: options.createDecoder(signal), bytes: 0 };
    held.set(entry.streamId, made);
    if (forgotten.delete(entry.streamId) && entry.kind !== ENTRY_KINDS.STATE) readAgain(made.decoder, entry);
    return made;
  }

  function readAgain(decoder: StreamDecoder, until: LogEntry): void {
    for (const entry of options.readSegment(until.segment, until.offset)) {
      if (entry.streamId !== until.streamId || entry.segment !== until.segment) continue;
      if (options.isSkipped?.(entry) === true) {
        if (isStateful(entry)) spoilt.add(entry.streamId);
        continue;
      }
      if (entry.kind === ENTRY_KINDS.STATE) spoilt.delete(entry.streamId);
      applyQuietly(decoder, entry);
    }
    refuseSpoilt(until.streamId);
  }

  function refuseSpoilt(streamId: bigint): void {
    if (spoilt.has(streamId)) {
      throw new BatchMalformedError('Cannot decode the entry: an entry that was left out has state that it depends on');
    }
  }

  function enterSegment(next: bigint): void {
    if (next === segment) return;
    clear();
    segment = next;
  }

  function forgetOldest(spared: bigint): void {
    for (const [streamId, { bytes }] of held) {
      if (stateBytes <= statesBytesMax && held.size <= streamsMax) return;
      if (streamId === spared) continue;
      held.delete(streamId);
      stateBytes -= bytes;
      forgotten.add(streamId);
    }
  }

  function clear(): void {
    held.clear();
    forgotten.clear();
    spoilt.clear();
    stateBytes = 0;
    segment = -1n;
  }

  return {
    get stateBytes() {
      return stateBytes;
    },
    get streams() {
      return held.size;
    },
    restoreState: (entry, signal) => use(entry, signal, (decoder) => decoder.restoreState(entry.record)),
    applyState: (entry, signal) => use(entry, signal, (decoder) => decoder.applyState(entry.record)),
    decode: (entry, signal) => use(entry, signal, (decoder) => decoder.decode(entry.record)),
    skip(entry) {
      enterSegment(entry.segment);
      if (isStateful(entry)) spoilt.add(entry.streamId);
    },
    drop(streamId) {
      spoilt.delete(streamId);
      stateBytes -= held.get(streamId)?.bytes ?? 0;
      held.delete(streamId);
      forgotten.delete(streamId);
    },
    clear,
  };
}

function isStateful({ kind, flags }: LogEntry): boolean {
  return kind === ENTRY_KINDS.STATE || (flags & (ENTRY_FLAGS.HAS_SCHEMA | ENTRY_FLAGS.HAS_DICTIONARY)) !== 0;
}

/** The decoder marks what a malformed entry has spoilt, here as in the first reading. */
function applyQuietly(decoder: StreamDecoder, entry: LogEntry): void {
  try {
    if (entry.kind === ENTRY_KINDS.STATE) decoder.restoreState(entry.record);
    else if (entry.kind === ENTRY_KINDS.BAR) decoder.applyState(entry.record);
  } catch {
    // Was told when the entry itself was read.
  }
}
