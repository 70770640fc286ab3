/**
 * Named positions in the log that survive kill -9: one small file each in `cursors/`, replaced whole and synced. A cursor holds entries
 * against retention by its policy from the moment it is opened.
 */
import { readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Clock,
  errorMessage,
  freePath,
  LIMITS,
  type Logger,
  removeFile,
  silentLogger,
  syncPath,
  systemClock,
  TreasuryError,
  UNFINISHED_SUFFIX,
} from '../base/index.ts';
import { type CursorRecord, isCursorName, readCursorFile } from './cursor-file.ts';
import { createCursorSlot, type CursorSlot, refuseOffset } from './cursor-slot.ts';
import { createCursorWriter } from './cursor-writer.ts';
import type { HoldPolicy, RetainedLog } from './types.ts';

export interface CursorStatus {
  readonly name: string;
  /** Entries from here on are still needed. On the disk, or about to be (`pending`). */
  readonly offset: bigint;
  readonly policy: HoldPolicy;
  readonly paused: boolean;
  /** Whether a move has yet to reach the disk. */
  readonly pending: boolean;
  /** Why the last move could not be written, or null. It is tried again by itself. */
  readonly failing: string | null;
  readonly createdAtUnixMs: number;
  readonly updatedAtUnixMs: number;
}

/** A file in `cursors/` that could not be used when they were opened. */
export interface DamagedCursor {
  /** By the name of its file. */
  readonly name: string;
  readonly reason: string;
  /** Where it is now. */
  readonly path: string;
}

export interface Cursor {
  readonly status: CursorStatus;
  /** Moves on; cheap: writes are coalesced, one at a time. An offset below the present one is ignored. Never throws. */
  advance(offset: bigint): void;
  /** Moves anywhere in the log, back too. Resolves when it is on the disk. Throws OffsetOutOfRangeError with both bounds. */
  seek(offset: bigint): Promise<void>;
  setPaused(paused: boolean): Promise<void>;
  setPolicy(policy: HoldPolicy): Promise<void>;
  /** Resolves when the last move is on the disk, rejects when it cannot be written. */
  flush(): Promise<void>;
}

export interface NewCursor {
  readonly offset: bigint;
  readonly policy: HoldPolicy;
  /** Default false. */
  readonly paused?: boolean;
}

export interface Cursors {
  list(): readonly CursorStatus[];
  get(name: string): Cursor | null;
  /** Files that were no cursors of this log when they were opened. */
  readonly damaged: readonly DamagedCursor[];
  /** Throws TreasuryError TREASURY_CURSOR_EXISTS, TREASURY_CURSOR_NAME, TREASURY_CURSOR_LIMIT, OffsetOutOfRangeError. */
  create(name: string, options: NewCursor): Promise<Cursor>;
  /** A new cursor at the place and with the policy of another. Throws TREASURY_CURSOR_UNKNOWN too. */
  fork(name: string, from: string): Promise<Cursor>;
  /** Releases its hold and removes its file. Throws TREASURY_CURSOR_UNKNOWN. */
  remove(name: string): Promise<void>;
  /** Writes what is pending and releases all holds; files stay. */
  close(): Promise<void>;
}

export interface CursorsOptions {
  /** Made with the first cursor. */
  readonly directory: string;
  readonly log: Pick<RetainedLog, 'hold' | 'status'>;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/**
 * Opens the cursors of a data directory. Files that are none of this log are told and moved aside; a position that the log has not reached
 * is put at its end. All entries are held until it is known which are needed. Rejects with what the system says of the folder.
 */
export async function openCursors(options: CursorsOptions): Promise<Cursors> {
  const { directory, log, logger = silentLogger, clock = systemClock } = options;
  const opening = log.hold('cursors', { offset: 0n, policy: 'hold' });
  try {
    const found = await readCursors(directory, log.status().uuid, logger);
    return openFound({ directory, log, logger, clock }, found);
  } finally {
    opening.release();
  }
}

interface Found {
  readonly records: readonly CursorRecord[];
  readonly damaged: readonly DamagedCursor[];
}

const SUFFIX = '.json';

async function readCursors(directory: string, logUuid: string, logger: Logger): Promise<Found> {
  const files = (await namesIn(directory)).toSorted();
  const records: CursorRecord[] = [];
  const damaged: DamagedCursor[] = [];
  for (const file of files) {
    const path = join(directory, file);
    if (file.startsWith('.') && file.endsWith(UNFINISHED_SUFFIX)) await unlink(path).catch(() => {});
    if (file.startsWith('.') || !file.endsWith(SUFFIX)) continue;
    const name = file.slice(0, -SUFFIX.length);
    const read = isCursorName(name)
      ? await readCursorFile(path, name, logUuid)
      : { fault: 'its name is that of no cursor' };
    if ('record' in read && records.length < LIMITS.cursorsMax) records.push(read.record);
    else {
      const reason = 'fault' in read ? read.fault : `there are more than ${LIMITS.cursorsMax} cursors`;
      damaged.push({ name, reason, path: await moveAside(path) });
      logger.error('A cursor cannot be used', { ...damaged.at(-1) });
    }
  }
  return { records, damaged };
}

/** A start on a full disk has no room for a folder: that there is none is fine. */
async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Where the file is then; a folder that does not let it be moved keeps it. */
async function moveAside(path: string): Promise<string> {
  const aside = freePath(`${path}.damaged`);
  try {
    await rename(path, aside);
    await syncPath(join(path, '..'));
    return aside;
  } catch {
    return path;
  }
}

function openFound({ directory, log, logger, clock }: Required<CursorsOptions>, { records, damaged }: Found): Cursors {
  const writer = createCursorWriter({ directory, logUuid: log.status().uuid, logger });
  const slots = new Map<string, CursorSlot>();
  let isClosed = false;

  const add = (record: CursorRecord): CursorSlot => {
    const slot = createCursorSlot(record, { log, writer, clock });
    slots.set(record.name, slot);
    return slot;
  };
  for (const record of records) {
    const { durableOffset } = log.status();
    const slot = add(record);
    if (record.offset <= durableOffset) continue;
    logger.warn('A cursor was ahead of the log and is put at its end', {
      cursor: record.name,
      offset: record.offset,
      durableOffset,
    });
    slot.move(durableOffset);
  }

  const known = (name: string): CursorSlot => {
    const slot = slots.get(name);
    if (slot !== undefined) return slot;
    throw new TreasuryError('TREASURY_CURSOR_UNKNOWN', `Cannot find cursor ${name}`, { facts: { cursor: name } });
  };

  async function create(name: string, { offset, policy, paused = false }: NewCursor): Promise<Cursor> {
    refuseName(name);
    if (slots.has(name)) {
      throw new TreasuryError('TREASURY_CURSOR_EXISTS', `Cannot create cursor ${name}: it exists`, {
        facts: { cursor: name },
      });
    }
    if (slots.size >= LIMITS.cursorsMax || isClosed) {
      const reason = isClosed ? 'the log is being closed' : `there are ${LIMITS.cursorsMax} already`;
      throw new TreasuryError('TREASURY_CURSOR_LIMIT', `Cannot create cursor ${name}: ${reason}`, {
        facts: { cursorsMax: LIMITS.cursorsMax },
      });
    }
    refuseOffset(offset, log);
    const now = nowUnixMs(clock);
    const slot = add({ name, offset, policy, paused, createdAtUnixMs: now, updatedAtUnixMs: now });
    try {
      slot.touch();
      await slot.cursor.flush();
    } catch (error) {
      slot.end();
      slots.delete(name);
      // It may be there all the same, only not for certain.
      await writer.run(() => removeFile(writer.pathOf(name))).catch(() => {});
      throw error;
    }
    return slot.cursor;
  }

  return {
    damaged,
    list: () => [...slots.values()].map(({ cursor }) => cursor.status),
    get: (name) => slots.get(name)?.cursor ?? null,
    create,
    async fork(name, from) {
      refuseName(name);
      const { offset, policy } = known(from).cursor.status;
      const { firstOffset } = log.status();
      // Of a cursor that retention has passed there is nothing to claim below.
      return create(name, { offset: offset < firstOffset ? firstOffset : offset, policy });
    },
    async remove(name) {
      const slot = known(name);
      slot.end();
      slots.delete(name);
      await writer.run(() => removeFile(writer.pathOf(name)));
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      const flushed = await Promise.allSettled([...slots.values()].map(({ cursor }) => cursor.flush()));
      for (const slot of slots.values()) slot.end();
      for (const each of flushed) {
        if (each.status === 'rejected') logger.error('A cursor was not written', { error: errorMessage(each.reason) });
      }
    },
  };
}

function refuseName(name: string): void {
  if (isCursorName(name)) return;
  const message = `Cannot use the name ${JSON.stringify(name.slice(0, 100))}: it must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit`;
  throw new TreasuryError('TREASURY_CURSOR_NAME', message);
}

function nowUnixMs(clock: Clock): number {
  return Number(clock.nowUnixNano() / 1_000_000n);
}
