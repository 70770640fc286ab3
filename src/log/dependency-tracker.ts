import { ENTRY_FLAGS, ENTRY_KINDS, type LogEntry } from './types.ts';

/**
 * Knows which entries build on entries that are lost. Sequence numbers tell which streams a loss concerns; such a stream's entries are
 * marked until a STATE entry renews what it needs. Whether a lost entry changed dictionaries is not known: all are taken as if it did.
 */
export class DependencyTracker {
  readonly #nextSeqs = new Map<bigint, number>();
  readonly #broken = new Set<bigint>();
  #hasLoss = false;

  /** A new segment holds all state that its entries need. */
  startSegment(): void {
    this.#nextSeqs.clear();
    this.#broken.clear();
    this.#hasLoss = false;
  }

  /** Entries between the last and the next one are missing. */
  lose(): void {
    this.#hasLoss = true;
  }

  /** The entry, with flag UNDECODABLE when it may depend on a lost one. */
  mark(entry: LogEntry): LogEntry {
    const { streamId, streamSeq, kind } = entry;
    if (streamId === 0n) return entry;
    const expected = this.#nextSeqs.get(streamId);
    if (expected === undefined ? this.#hasLoss : streamSeq !== expected) this.#broken.add(streamId);
    this.#nextSeqs.set(streamId, streamSeq + 1);
    if (kind === ENTRY_KINDS.STATE || kind === ENTRY_KINDS.STREAM_OPEN) this.#broken.delete(streamId);
    if (kind === ENTRY_KINDS.STREAM_CLOSE) this.#nextSeqs.delete(streamId);
    const isBroken = kind === ENTRY_KINDS.BAR && this.#broken.has(streamId);
    return isBroken ? { ...entry, flags: entry.flags | ENTRY_FLAGS.UNDECODABLE } : entry;
  }
}
