/**
 * Finds the one entry that makes a transaction fail. The range is tried again as it was, then halved until it is a single entry,
 * which is poisoned: the next replay puts it into quarantine instead of the tables. Good entries around it are committed meanwhile.
 */
export interface FailedRange {
  /** Entries that the next transaction may hold. Infinity when nothing is wrong. */
  readonly entriesMax: number;
  /** Why an entry must not be projected, or undefined. */
  poisonOf(offset: bigint): string | undefined;
  /**
   * A transaction of these entries failed. Returns the offset that was poisoned for it, or null when a smaller range is tried first.
   * With `attemptsMax` a single entry is tried that often before it is poisoned.
   */
  failed(offsets: readonly bigint[], reason: string, attemptsMax?: number): bigint | null;
  /** One entry failed for itself, behind `before` good ones of its transaction, which are to be committed without it. */
  poison(offset: bigint, reason: string, before: number): void;
  /** Transactions hold at most `entries` until everything up to `last` is settled. */
  narrow(entries: number, last: bigint): void;
  /** A transaction succeeded; everything below `nextOffset` is settled. */
  succeeded(nextOffset: bigint): void;
}

const SINGLE_ENTRY_ATTEMPTS_MAX = 2;

export function createFailedRange(): FailedRange {
  const poisoned = new Map<bigint, string>();
  let entriesMax = Number.POSITIVE_INFINITY;
  let end = 0n;
  let attempts = 0;

  function mark(offset: bigint, reason: string): void {
    poisoned.set(offset, reason);
    attempts = 0;
  }

  return {
    get entriesMax() {
      return entriesMax;
    },
    poisonOf: (offset) => poisoned.get(offset),
    failed(offsets, reason, attemptsMax = SINGLE_ENTRY_ATTEMPTS_MAX) {
      attempts += 1;
      const last = offsets.at(-1);
      if (last === undefined) return null;
      if (last >= end) end = last + 1n;
      const count = offsets.length;
      if (count > 1) {
        entriesMax = attempts === 1 ? count : Math.max(1, count >> 1);
        return null;
      }
      entriesMax = 1;
      if (attempts < attemptsMax) return null;
      mark(last, reason);
      return last;
    },
    poison(offset, reason, before) {
      mark(offset, reason);
      if (offset >= end) end = offset + 1n;
      entriesMax = Math.max(1, before);
    },
    narrow(entries, last) {
      entriesMax = Math.max(1, entries);
      if (last >= end) end = last + 1n;
    },
    succeeded(nextOffset) {
      attempts = 0;
      for (const offset of poisoned.keys()) if (offset < nextOffset) poisoned.delete(offset);
      entriesMax = nextOffset >= end ? Number.POSITIVE_INFINITY : entriesMax * 2;
    },
  };
}
