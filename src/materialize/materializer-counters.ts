import { noLostOffsets } from './lost-offsets.ts';
import type { LostOffsets } from './types.ts';

/** Totals since the engine's start. They outlive a store that had to be opened again. */
export interface MaterializerCounters {
  commits: number;
  rowsWritten: number;
  entriesDecoded: number;
  repairedStrings: number;
  lastCommitMs: number;
  lost: LostOffsets;
  /** By projection name. */
  readonly projectionRows: Map<string, number>;
}

export function createCounters(): MaterializerCounters {
  return {
    commits: 0,
    rowsWritten: 0,
    entriesDecoded: 0,
    repairedStrings: 0,
    lastCommitMs: 0,
    projectionRows: new Map(),
    lost: noLostOffsets(),
  };
}
