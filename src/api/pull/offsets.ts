/** Offsets by time of receipt, which the log knows, and by event time, which the tables know. */
import type { Engine } from '../../materialize/index.ts';
import type { HttpServices } from '../http/services.ts';

type OffsetServices = Pick<HttpServices, 'engine' | 'pulls' | 'sqlLimits'>;

/** A time as Unix nanoseconds. */
export type OffsetTime = { readonly receivedAt: bigint } | { readonly eventTime: bigint };

/**
 * The offset from which everything of a time on can be read. By receipt: the first entry received at or after it, the log's end when
 * there is none (clocks that were put back: src/log/receipt.ts). By event time: the least offset of a row of that time or later, or as far
 * as the tables are when there is none. Rejects with TreasuryError of the engine or of the pulls.
 */
export async function offsetAtTime(services: OffsetServices, time: OffsetTime): Promise<bigint> {
  if ('receivedAt' in time) {
    return (await services.pulls.ask({ type: 'received-at', unixNano: time.receivedAt })).offset;
  }
  // Asked first: rows that come in between are found by the query, or are above it.
  const { materializedOffset } = await services.engine.status();
  const [[found]] = (await rowsOf(services, leastOffsetQuery(), [String(time.eventTime)])) as [[string | null]];
  return found === null ? materializedOffset : BigInt(found);
}

/** The event times of the rows of an entry, as Unix nanoseconds; null when it has none in the tables. */
export async function eventTimesOf(
  services: OffsetServices,
  offset: bigint,
): Promise<{ readonly from: bigint; readonly to: bigint } | null> {
  const [[from, to]] = (await rowsOf(services, rangeQuery(), [String(offset)])) as [[string | null, string | null]];
  return from === null || to === null ? null : { from: BigInt(from), to: BigInt(to) };
}

/** Views with event times and the column of it. */
const TIMES = [
  ['logs', 'time'],
  ['spans', 'start_time'],
  ['samples', 'time'],
  ['histograms', 'time'],
  ['exp_histograms', 'time'],
  ['summaries', 'time'],
] as const;

function leastOffsetQuery(): string {
  const parts = TIMES.map(
    ([view, time]) =>
      `SELECT min(entry_offset) AS found FROM main.${view} WHERE ${time} >= make_timestamp_ns($1::BIGINT)`,
  );
  return `SELECT min(found)::VARCHAR FROM (${parts.join(' UNION ALL ')})`;
}

function rangeQuery(): string {
  const parts = TIMES.map(
    ([view, time]) => `SELECT ${time} AS time FROM main.${view} WHERE entry_offset = $1::UBIGINT`,
  );
  return `SELECT epoch_ns(min(time))::VARCHAR, epoch_ns(max(time))::VARCHAR FROM (${parts.join(' UNION ALL ')})`;
}

/** Rows of a small answer. */
export async function rowsOf(
  { engine, sqlLimits }: { readonly engine: Pick<Engine, 'sql'>; readonly sqlLimits: { readonly timeoutMs: number } },
  query: string,
  params: readonly string[] = [],
): Promise<unknown[][]> {
  const request = { query, params, format: 'json' as const, rowsMax: SMALL_ROWS_MAX, timeoutMs: sqlLimits.timeoutMs };
  const answer = await engine.sql(request, new AbortController().signal);
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.chunks) chunks.push(chunk);
  return (JSON.parse(Buffer.concat(chunks).toString('utf8')) as { rows: unknown[][] }).rows;
}

/** There are some dozens of views, and projections of users. */
const SMALL_ROWS_MAX = 1_000;
