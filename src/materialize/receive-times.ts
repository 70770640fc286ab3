/**
 * When entries were received, to the minute, kept with the tables: the log may have forgotten them. Replay from scratch finds the
 * same minutes, as they depend on nothing but the entries: also where a clock that was set back makes them earlier again.
 */
import { LIMITS } from '../base/index.ts';
import type { LogEntry } from '../log/index.ts';
import type { Database } from './database.ts';

const NANOS_PER_MINUTE = 60_000_000_000n;
const CLOCK_SET_MINUTE = BigInt(LIMITS.clockSetUnixMs) / 60_000n;
const CLOCK_SLACK_MINUTES = BigInt(Math.ceil(LIMITS.clockSlackMs / 60_000));

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
   * Minutes go on from those before them: one that is earlier comes from a clock that was set back. One in the future, or before 2020,
   * comes from a clock that was ahead or not set: what was received in it is as old as what follows. Forgets what no later call needs.
   */
  boundary(limitUnixNano: bigint, nowUnixNano: bigint, committedOffset: bigint): Promise<bigint>;
}

/** Reads how far the minutes go. */
export async function openReceiveTimes(database: Database): Promise<ReceiveTimes> {
  let committedMinute = await lastMinuteOf(database);
  let lastMinute = committedMinute;
  let pending: string[] = [];

  return {
    saw({ offset, receivedAtUnixNano }) {
      const minute = receivedAtUnixNano / NANOS_PER_MINUTE;
      const isSetBack = minute < lastMinute - CLOCK_SLACK_MINUTES;
      if (minute <= lastMinute && !isSetBack) return;
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
      // The last moment of a kept minute is not before the limit.
      const keptMinute = (limitUnixNano + NANOS_PER_MINUTE - 1n) / NANOS_PER_MINUTE - 1n;
      const newestMinute = nowUnixNano / NANOS_PER_MINUTE + CLOCK_SLACK_MINUTES;
      const [found] = await database.rows(`
        WITH believed AS (
          SELECT entry_offset, minute FROM meta.received_minutes WHERE minute BETWEEN ${CLOCK_SET_MINUTE} AND ${newestMinute}
        ), kept AS (SELECT min(entry_offset) AS first FROM believed WHERE minute >= ${keptMinute})
        SELECT max(entry_offset) AS gone FROM believed, kept
        WHERE minute < ${keptMinute} AND (first IS NULL OR entry_offset < first)`);
      const gone = optionalBigint(found?.['gone']);
      // Of entries below the first minute it is known only that they were received before it.
      if (gone === null) return 0n;
      await database.run(`DELETE FROM meta.received_minutes WHERE entry_offset < ${gone}`);
      const [next] = await database.rows(
        `SELECT min(entry_offset) AS next FROM meta.received_minutes WHERE entry_offset > ${gone}`,
      );
      return optionalBigint(next?.['next']) ?? committedOffset;
    },
  };
}

/** Of the newest entry that has one; below all without any. */
async function lastMinuteOf(database: Database): Promise<bigint> {
  const [found] = await database.rows(
    'SELECT arg_max(minute, entry_offset)::UBIGINT AS minute FROM meta.received_minutes',
  );
  return optionalBigint(found?.['minute']) ?? -1n;
}

function optionalBigint(value: unknown): bigint | null {
  return value === null || value === undefined ? null : BigInt(value as bigint);
}
