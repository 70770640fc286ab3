/**
 * Deletes rows of one table that have grown old, in slices: each is a statement and a transaction of its own, short enough for the
 * materializer to wait for.
 */
import { LIMITS } from '../base/index.ts';
import type { Database } from './database.ts';

/** Deletes the rows of `store.<table>` that satisfy `condition`; yields how many after each slice. */
export async function* sweepRows(
  database: Database,
  table: string,
  condition: string,
  sliceRowsMax: number = LIMITS.retentionSliceRowsMax,
): AsyncGenerator<number, void> {
  for (;;) {
    const [found] = await database.rows(`
      SELECT max(id) AS last, count(*) AS count
      FROM (SELECT rowid AS id FROM store.${table} WHERE ${condition} LIMIT ${sliceRowsMax})`);
    const count = Number(found?.['count'] ?? 0);
    if (count === 0) return;
    yield await deleteRows(database, `store.${table} WHERE rowid <= ${found?.['last'] as bigint} AND ${condition}`);
    if (count < sliceRowsMax) return;
  }
}

/** Runs `DELETE FROM <what>`; returns the number of rows. */
export async function deleteRows(database: Database, what: string): Promise<number> {
  const [answer] = await database.rows(`DELETE FROM ${what}`);
  return Number(answer?.['Count'] ?? 0);
}

/** What a run of retention leaves. */
export interface KeptRows {
  /** Rows of entries below are as old as the age. */
  readonly boundary: bigint;
  /** As are rows of an earlier time. */
  readonly limitUnixNano: bigint;
}

/** The conditions of rows that go, each for a sweep of its own. `timeColumn`: null for tables without a time. */
export function oldConditions(timeColumn: string | null, { boundary, limitUnixNano }: KeptRows): string[] {
  return [`entry_offset < ${boundary}`, ...(timeColumn === null ? [] : [olderThan(timeColumn, limitUnixNano)])];
}

/** Both as one condition. */
export function isOld(timeColumn: string | null, kept: KeptRows): string {
  return oldConditions(timeColumn, kept).join(' OR ');
}

/** Rows that lie in time but before `limitUnixNano`. What shows as 1970 or before has no time, or one that is out of range. */
function olderThan(timeColumn: string, limitUnixNano: bigint): string {
  return `${timeColumn} > make_timestamp_ns(0) AND ${timeColumn} < make_timestamp_ns(${limitUnixNano})`;
}

/**
 * The oldest time from `fromUnixNano` on, in nanoseconds, or null. Looks into growing windows of time: DuckDB passes over the row
 * groups outside of each, where a plain minimum would read the column of all rows.
 */
export async function oldestTime(
  database: Database,
  table: string,
  timeColumn: string,
  fromUnixNano: bigint,
  nowUnixNano: bigint,
): Promise<bigint | null> {
  let from = fromUnixNano;
  for (let window = FIRST_WINDOW_NANOS; ; window *= 8n) {
    const isLast = from + window > nowUnixNano;
    const end = isLast ? '' : `AND ${timeColumn} < make_timestamp_ns(${from + window})`;
    const [found] = await database.rows(`
      SELECT epoch_ns(min(${timeColumn})) AS oldest FROM store.${table}
      WHERE ${timeColumn} >= make_timestamp_ns(${from}) ${end}`);
    const oldest = found?.['oldest'];
    if (oldest !== null && oldest !== undefined) return BigInt(oldest as bigint);
    if (isLast) return null;
    from += window;
  }
}

const FIRST_WINDOW_NANOS = 60_000_000_000n;
