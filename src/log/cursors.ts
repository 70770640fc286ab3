/**
 * Named positions in the log that survive kill -9: one small file each in `cursors/`, replaced whole and synced. A cursor holds entries
 * against retention by its policy from the moment it is opened.
 */
import type { HoldPolicy } from './types.ts';

export interface CursorStatus {
  readonly name: string;
  /** Entries from here on are still needed. On the disk, or about to be (`pending`). */
  readonly offset: bigint;
  readonly policy: HoldPolicy;
  readonly paused: boolean;
  /** Whether a move has yet to reach the disk. */
  readonly pending: boolean;
  /** Why the last move could not be written, or null. It is tried again with the next. */
  readonly failing: string | null;
  readonly createdAtUnixMs: number;
  readonly updatedAtUnixMs: number;
}

export interface Cursor {
  readonly status: CursorStatus;
  /** Moves on; cheap: writes are coalesced, one at a time. An offset below the present one is ignored. Never throws. */
  advance(offset: bigint): void;
  /** Moves anywhere in the log, back too. Resolves when it is on the disk. Throws OffsetOutOfRangeError with both bounds. */
  seek(offset: bigint): Promise<void>;
  setPaused(paused: boolean): Promise<void>;
  /** Resolves when the last move is on the disk, rejects when it cannot be written. */
  flush(): Promise<void>;
}

export interface Cursors {
  list(): readonly CursorStatus[];
  get(name: string): Cursor | null;
  /** Throws TreasuryError TREASURY_CURSOR_EXISTS, TREASURY_CURSOR_NAME, OffsetOutOfRangeError. */
  create(name: string, options: { readonly offset: bigint; readonly policy: HoldPolicy }): Promise<Cursor>;
  /** A new cursor at the place and with the policy of another. Throws TREASURY_CURSOR_UNKNOWN too. */
  fork(name: string, from: string): Promise<Cursor>;
  /** Releases its hold and removes its file. Throws TREASURY_CURSOR_UNKNOWN. */
  remove(name: string): Promise<void>;
  /** Writes what is pending and releases all holds; files stay. */
  close(): Promise<void>;
}
