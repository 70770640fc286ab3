/**
 * Counts what happens to the tables in memory that threads share, so that readers that keep something of them know without a question whether it still holds. The engine's
 * thread counts before it tells anybody else of a change.
 */
const APPENDED = 0;
const REMOVED = 1;
const CELLS = 2;

/** The writing side. */
export interface TableChanges {
  /** Rows came, by a commit. */
  appended(): void;
  /** Rows went, or other tables took the place of these, or nobody serves them. */
  removed(): void;
}

/** How often it happened; only whether a number moved means anything. */
export interface TableChangesSeen {
  readonly appended: number;
  readonly removed: number;
}

/** Memory for both sides, one for all engines that follow each other on the same tables. */
export function createTableChangesMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT);
}

/** Without memory nobody reads what is counted. */
export function countTableChanges(memory: SharedArrayBuffer = createTableChangesMemory()): TableChanges {
  const cells = new Int32Array(memory);
  return {
    appended: () => void Atomics.add(cells, APPENDED, 1),
    removed: () => void Atomics.add(cells, REMOVED, 1),
  };
}

/** What was counted until now. */
export function seeTableChanges(memory: SharedArrayBuffer): TableChangesSeen {
  const cells = new Int32Array(memory);
  return { appended: Atomics.load(cells, APPENDED), removed: Atomics.load(cells, REMOVED) };
}
