/** What of numbered telemetry has arrived at a target, and how often. */
import assert from 'node:assert/strict';
import { SIGNALS } from '../../src/base/index.ts';
import type { Collector } from './collector.ts';
import { expectedRows } from './expected-rows.ts';
import type { NumberedLog } from './numbered-telemetry.ts';
import { fetchSql, type ServerProcess } from './server-process.ts';
import type { TelemetryRow } from './telemetry-rows.ts';

/** A record, and what brought it: the entry of a server, the request of a Collector. */
export interface Arrival {
  readonly record: number;
  /** Later ones are higher. */
  readonly request: number;
}

/** All records that are in the tables of a server, as often as they are. */
export async function arrivalsAtServer(server: ServerProcess): Promise<Arrival[]> {
  const rows = await fetchSql(
    server,
    `SELECT body, entry_offset FROM logs UNION ALL SELECT name, entry_offset FROM spans
     UNION ALL SELECT int_value::VARCHAR, entry_offset FROM samples`,
  );
  return rows.map(([record, request]) => ({ record: Number(record), request: Number(request) }));
}

/** All records that Collectors keep, which ran one after the other. */
export function arrivalsAtCollectors(collectors: readonly Pick<Collector, 'kept'>[]): Arrival[] {
  let request = 0;
  return collectors.flatMap((collector) =>
    SIGNALS.flatMap((signal) =>
      collector.kept(signal).flatMap((message) => {
        request++;
        return expectedRows(signal, message).map((row) => ({ record: numberOfRow(row), request }));
      }),
    ),
  );
}

function numberOfRow(row: TelemetryRow): number {
  const { kind, body, name, point } = row as {
    readonly kind: string;
    readonly body?: { readonly s: string };
    readonly name?: string;
    readonly point?: { readonly value: { readonly i: string } };
  };
  return Number(kind === 'log' ? body!.s : kind === 'span' ? name : point!.value.i);
}

/** How often each record arrived, by its number; 0 for those that did not. Fails for one that was never sent. */
export function countArrivals({ offsets }: NumberedLog, arrivals: readonly Arrival[]): number[] {
  const counts = offsets.map(() => 0);
  for (const { record } of arrivals) {
    assert.ok(counts[record] !== undefined, `record ${record} was never sent`);
    counts[record] += 1;
  }
  return counts;
}

/** How many requests arrived with a record that an earlier one had brought already. */
export function repeatedRequests(arrivals: readonly Arrival[]): number {
  const first = new Map<number, number>();
  for (const { record, request } of arrivals) first.set(record, Math.min(request, first.get(record) ?? request));
  const repeated = arrivals.filter(({ record, request }) => request > first.get(record)!);
  return new Set(repeated.map(({ request }) => request)).size;
}
