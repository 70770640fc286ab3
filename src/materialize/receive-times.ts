/**
 * When entries were received, to the minute, kept with the tables: the log may have forgotten them. Replay from scratch finds the
 * same minutes, as they depend on nothing but the entries.
 */
import { LIMITS } from '../base/index.ts';
import type { LogEntry } from '../log/index.ts';
import type { Database } from './database.ts';

const NANOS_PER_MINUTE = 60_000_000_000n;
/** A clock that shows less has not been set: what it says is no time of receipt. */
const CLOCK_SET_MINUTE = BigInt(Date.UTC(2020, 0, 1)) / 60_000n;

/** The minutes of one database. What was seen waits until its transaction commits. */
export interface ReceiveTimes {
  saw(entry: Pick<LogEntry, 'offset' | 'receivedAtUnixNano'>): void;
  /** Before COMMIT: writes the minutes that began. */
  write(): Promise<void>;
  /** After COMMIT. */
  committed(): void;
  /** After ROLLBACK: the replay sees the entries again. */
  rolledBack(): void;
  /**
   * The offset below which all entries were received before `limit`: `committedOffset` when all were whose rows are in the tables.
   * Forgets what no later call needs, and minutes that a clock running ahead has left.
   */
  boundary(limitUnixNano: bigint, nowUnixNano: bigint, committedOffset: bigint): Promise<bigint>;
}

/** Reads how far the minutes go. */
export async function openReceiveTimes(database: Database): Promise<ReceiveTimes> {
  let committedMinute = await newestMinute(database);
  let lastMinute = committedMinute;
  let pending: string[] = [];

  /** Minutes ahead of now would keep what was received in them, and what follows, for ever. */
  async function dropFuture(nowUnixNano: bigint): Promise<void> {
    const newest = nowUnixNano / NANOS_PER_MINUTE + BigInt(Math.ceil(LIMITS.clockSlackMs / 60_000));
    if (committedMinute <= newest) return;
    await database.run(`DELETE FROM meta.received_minutes WHERE minute > ${newest}`);
    committedMinute = await newestMinute(database);
    lastMinute = committedMinute;
  }

  return {
    saw({ offset, receivedAtUnixNano }) {
      const minute = receivedAtUnixNano / NANOS_PER_MINUTE;
      if (minute <= lastMinute) return;
      pending.push(`(${offset}, ${minute})`);
      lastMinute = minute;
    },
    async write() {
      if (pending.length > 0) await database.run(`INSERT INTO meta.received_minutes VALUES ${pending.join(', ')}`);
    },
    committed() {
      pending = [];
      committedMinute = lastMinute;
    },
    rolledBack() {
      pending = [];
      lastMinute = committedMinute;
    },
    async boundary(limitUnixNano, nowUnixNano, committedOffset) {
      await dropFuture(nowUnixNano);
      // The last moment of a kept minute is not before the limit.
      const keptMinute = (limitUnixNano + NANOS_PER_MINUTE - 1n) / NANOS_PER_MINUTE - 1n;
      const [found] = await database.rows(`
        SELECT max(entry_offset) FILTER (minute < ${keptMinute}) AS gone, min(entry_offset) FILTER (minute >= ${keptMinute}) AS kept
        FROM meta.received_minutes`);
      const gone = optionalBigint(found?.['gone']);
      // Of entries below the first minute it is known only that they were received before it.
      if (gone === null) return 0n;
      await database.run(`DELETE FROM meta.received_minutes WHERE entry_offset < ${gone}`);
      return optionalBigint(found?.['kept']) ?? committedOffset;
    },
  };
}

async function newestMinute(database: Database): Promise<bigint> {
  const [found] = await database.rows('SELECT max(minute)::UBIGINT AS minute FROM meta.received_minutes');
  return optionalBigint(found?.['minute']) ?? CLOCK_SET_MINUTE - 1n;
}

function optionalBigint(value: unknown): bigint | null {
  return value === null || value === undefined ? null : BigInt(value as bigint);
}
