/** The rows of a view by ranges of offsets, each as Arrow messages of whole entries, out of statements that are each bounded. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS, TreasuryError } from '../../base/index.ts';
import type { Engine } from '../../materialize/index.ts';
import { headerType, isEnd, MESSAGE_TYPES } from './arrow-messages.ts';
import { rowsOf } from './offsets.ts';
import type { PulledView } from './views.ts';

export interface ViewRange {
  readonly from: bigint;
  /** All rows below are in this range or before it. */
  readonly to: bigint;
  /** The schema message, the same for each range of a view. */
  readonly schema: Uint8Array;
  /** One record batch, or none: the range has no rows. */
  readonly batches: readonly Uint8Array[];
}

interface RangeServices {
  readonly engine: Pick<Engine, 'sql'>;
  readonly sqlLimits: { readonly timeoutMs: number };
}

export interface RangeLimits {
  /** Unless the first entry alone has more. */
  readonly rowsMax: number;
  readonly entriesMax: number;
  /** Of a range of several entries. */
  readonly rangeBytesMax: number;
  /** Of a range of one entry. */
  readonly batchBytesMax: number;
}

/** The limits of the server. */
const RANGE_LIMITS: RangeLimits = {
  rowsMax: LIMITS.pullRangeRowsMax,
  entriesMax: LIMITS.pullRangeEntriesMax,
  rangeBytesMax: LIMITS.pullRangeBytesMax,
  batchBytesMax: LIMITS.pullBatchBytesMax,
};

/**
 * Reads the range that begins at `from` and ends at `end` or before. Rejects with TreasuryError: what the engine says, and
 * TREASURY_PULL_LIMIT for an entry whose rows do not fit a batch.
 */
export async function readRange(
  services: RangeServices,
  view: PulledView,
  { from, end, signal, limits: own }: { from: bigint; end: bigint; signal: AbortSignal; limits?: Partial<RangeLimits> },
): Promise<ViewRange> {
  const limits = { ...RANGE_LIMITS, ...own };
  let to = await patiently(() => rangeEnd(services, view, { from, end, limits }), signal);
  for (;;) {
    const range = { from, to };
    const isOneEntry = to - from <= 1n;
    const bytesMax = isOneEntry ? limits.batchBytesMax : limits.rangeBytesMax;
    const messages = await patiently(() => rangeMessages(services, view, { ...range, signal, bytesMax }), signal);
    if (messages !== null) return { ...range, ...messages };
    if (isOneEntry) {
      throw new TreasuryError(
        'TREASURY_PULL_LIMIT',
        `Cannot send the rows of entry ${from}: they are more than ${limits.batchBytesMax} bytes, name fewer columns`,
        { facts: { offset: String(from), batchBytesMax: limits.batchBytesMax } },
      );
    }
    to = from + (to - from) / 2n;
  }
}

/** How many rows the range behind `range` should have, which was to have `rowsMax`, so that it takes about what ranges should. */
export function rowsBehind({ batches }: ViewRange, rowsMax: number): number {
  const bytes = batches.reduce((sum, { length }) => sum + length, 0);
  const fitting = bytes === 0 ? LIMITS.pullRangeRowsMax : Math.ceil((rowsMax * LIMITS.pullRangeTargetBytes) / bytes);
  // A range may have fewer rows than it was to have: what it took tells little of more rows then.
  return Math.max(1, Math.min(fitting, 2 * rowsMax, LIMITS.pullRangeRowsMax));
}

/** Where a range from `from` on ends so that it has no more rows than it may, unless its first entry has. */
async function rangeEnd(
  services: RangeServices,
  { source }: PulledView,
  { from, end, limits }: { readonly from: bigint; readonly end: bigint; readonly limits: RangeLimits },
): Promise<bigint> {
  const furthest = from + BigInt(limits.entriesMax);
  const to = furthest < end ? furthest : end;
  if (to - from <= 1n) return to;
  const [[rows, fitting, first]] = (await rowsOf(
    services,
    `WITH counts AS (
       SELECT entry_offset, count(*) AS rows FROM ${source}
       WHERE entry_offset >= $1::UBIGINT AND entry_offset < $2::UBIGINT GROUP BY entry_offset
     ), sums AS (SELECT entry_offset, sum(rows) OVER (ORDER BY entry_offset) AS upto FROM counts)
     SELECT max(upto)::VARCHAR, (max(entry_offset) FILTER (upto <= ${limits.rowsMax}))::VARCHAR,
       min(entry_offset)::VARCHAR FROM sums`,
    [String(from), String(to)],
  )) as [[string | null, string | null, string | null]];
  if (rows === null || BigInt(rows) <= BigInt(limits.rowsMax)) return to;
  return BigInt(fitting ?? first!) + 1n;
}

/** Null when the rows did not fit one batch. */
async function rangeMessages(
  { engine, sqlLimits }: RangeServices,
  { source, columns, order }: PulledView,
  { from, to, signal, bytesMax }: { from: bigint; to: bigint; signal: AbortSignal; bytesMax: number },
): Promise<Pick<ViewRange, 'schema' | 'batches'> | null> {
  const query = `SELECT ${columns.join(', ')} FROM ${source}
    WHERE entry_offset >= $1::UBIGINT AND entry_offset < $2::UBIGINT ORDER BY ${order.join(', ')}`;
  const answer = await engine.sql(
    {
      query,
      params: [String(from), String(to)],
      format: 'arrow',
      rowsMax: Number.MAX_SAFE_INTEGER,
      timeoutMs: sqlLimits.timeoutMs,
      batchBytesMax: bytesMax,
    },
    signal,
  );
  let schema: Uint8Array | null = null;
  const batches: Uint8Array[] = [];
  for await (const message of answer.chunks) {
    if (isEnd(message)) continue;
    if (headerType(message) === MESSAGE_TYPES.SCHEMA) schema = message;
    else batches.push(message);
    if (batches.length > 1) return null;
  }
  if (schema === null) throw new Error('The engine answered without a schema');
  return { schema, batches };
}

/** Tries again what an engine that is busy, or starts again, did not answer. For what nothing has gone out of yet. */
export async function patiently<Result>(read: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await read();
    } catch (error) {
      const isPassing = error instanceof TreasuryError && error.retryable;
      if (!isPassing || tries >= LIMITS.pullRangeTriesMax || signal.aborted) throw error;
      await sleep(LIMITS.pullRetryMs, undefined, { signal });
    }
  }
}
