/**
 * One range of offsets of one version: the statement fills a temporary table, which is no write that others could meet, then one short
 * transaction takes the rows over with the checkpoint. A kill in between leaves nothing.
 */
import type { DuckDBConnection } from '@duckdb/node-api';
import { LIMITS } from '../../base/index.ts';
import type { ParsedStatement } from './statement.ts';
import { makeRangeViews } from './validation.ts';
import { moveCheckpoint, type StoredVersion, versionTable } from './versions.ts';

export interface OffsetRange {
  readonly from: bigint;
  readonly to: bigint;
}

export type RangeLimits = {
  readonly [name in 'userRangeRowsMax' | 'userEntryRowsMax' | 'userRangeMaxMs' | 'userEntryMaxMs']: number;
};

/** Why a statement was stopped from outside. */
export type RangeStop = 'yield' | 'memory';

/** A range that took more than it may. */
export class RangeTooLarge extends Error {}

/** A statement that was stopped for others; the same range may be tried again. */
export class RangeStopped extends Error {
  readonly why: RangeStop;

  constructor(why: RangeStop) {
    super(`Statement stopped: ${why}`);
    this.why = why;
  }
}

const RESULT = 'temp.main."result of a range"';
/** An interrupt is lost when it comes between two statements, so it is repeated until the statement ends. */
const WATCH_INTERVAL_MS = 20;

/** Writes the rows of a range and moves the checkpoint behind it. Returns the number of rows. */
export async function runRange(
  connection: DuckDBConnection,
  version: StoredVersion,
  statement: ParsedStatement,
  range: OffsetRange,
  options: { readonly shouldStop: () => RangeStop | null; readonly limits?: Partial<RangeLimits> },
): Promise<number> {
  const limits: RangeLimits = { ...LIMITS, ...options.limits };
  const isEntry = range.to - range.from === 1n;
  const rowsMax = isEntry ? limits.userEntryRowsMax : limits.userRangeRowsMax;
  const maxMs = isEntry ? limits.userEntryMaxMs : limits.userRangeMaxMs;
  await makeRangeViews(connection, statement.views, range);
  try {
    const sql = `CREATE OR REPLACE TEMP TABLE ${RESULT} AS SELECT * FROM (\n${statement.rangeSql}\n) LIMIT ${rowsMax + 1}`;
    const rows = await interruptible(connection, sql, maxMs, options.shouldStop);
    if (rows > rowsMax) throw new RangeTooLarge(`It gives more than ${rowsMax} rows`);
    const insert = rows === 0 ? [] : [`INSERT INTO ${versionTable(version)} SELECT * FROM ${RESULT}`];
    await moveCheckpoint(connection, version, range.to, insert);
    return rows;
  } finally {
    await connection.run(`DROP TABLE IF EXISTS ${RESULT}`).catch(() => {});
  }
}

/** Runs one statement; throws RangeTooLarge past its time and RangeStopped when told to stop. Returns the rows it counted. */
async function interruptible(
  connection: DuckDBConnection,
  sql: string,
  maxMs: number,
  shouldStop: () => RangeStop | null,
): Promise<number> {
  const endMs = performance.now() + maxMs;
  let stop: Error | null = null;
  const watch = setInterval(() => {
    const why = shouldStop();
    if (stop === null && why !== null) stop = new RangeStopped(why);
    if (stop === null && performance.now() >= endMs) stop = new RangeTooLarge(`It ran longer than ${maxMs} ms`);
    if (stop !== null) connection.interrupt();
  }, WATCH_INTERVAL_MS);
  try {
    const reader = await connection.runAndReadAll(sql);
    return Number(reader.getRowsJS()[0]?.[0] ?? 0);
  } catch (error) {
    // oxlint-disable-next-line typescript/only-throw-error -- Set by the timer above.
    throw stop ?? error;
  } finally {
    clearInterval(watch);
  }
}
