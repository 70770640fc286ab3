/** How far an exporter is: entries end in any order, and a cursor moves over those that ended without a gap. */
export interface AckedOffsets {
  /** Everything below is acknowledged, set aside or filtered out. */
  readonly ackedOffset: bigint;
  /** Where reading is. */
  readonly readOffset: bigint;
  /** Entries that have begun and not ended. */
  readonly open: number;
  /** Reading has come to `offset`: what lies below and was not begun needs nothing. */
  passedTo(offset: bigint): void;
  /** Begins the entry at `offset`, which ends by as many calls of what this returns as it has `pieces`. */
  begin(offset: bigint, pieces: number): OpenEntry;
}

export interface OpenEntry {
  readonly offset: bigint;
  /** Whether a piece of it was set aside. */
  isSetAside: boolean;
  /** One piece has become `pieces` smaller ones. */
  split(pieces: number): void;
  /** A piece is acknowledged or set aside. */
  settle(): void;
}

export function createAckedOffsets(from: bigint): AckedOffsets {
  // In the order of offsets. Those at the front that have ended leave it.
  const entries: { readonly offset: bigint; pieces: number }[] = [];
  let first = 0;
  let readOffset = from;
  let open = 0;

  function settle(entry: { pieces: number }): void {
    entry.pieces--;
    if (entry.pieces > 0) return;
    open--;
    while (first < entries.length && entries[first]!.pieces === 0) first++;
    if (first * 2 < entries.length) return;
    entries.splice(0, first);
    first = 0;
  }

  return {
    get ackedOffset() {
      return entries[first]?.offset ?? readOffset;
    },
    get readOffset() {
      return readOffset;
    },
    get open() {
      return open;
    },
    passedTo(offset) {
      if (offset > readOffset) readOffset = offset;
    },
    begin(offset, pieces) {
      const entry = { offset, pieces };
      entries.push(entry);
      open++;
      if (offset >= readOffset) readOffset = offset + 1n;
      return {
        offset,
        isSetAside: false,
        split: (more) => (entry.pieces += more - 1),
        settle: () => settle(entry),
      };
    },
  };
}
