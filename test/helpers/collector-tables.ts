/** What a Collector sent against what the server has in its tables: waiting for rows, reading them back, comparing. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import type { ExpectedRowsOptions } from './expected-rows.ts';
import { mainRows } from './main-rows.ts';
import { normalizedRows } from './normalized-rows.ts';
import { fetchSql, type ServerProcess, untilMaterialized } from './server-process.ts';
import { openStoppedTables } from './stopped-tables.ts';
import { canonicalLines, type TelemetryRow } from './telemetry-rows.ts';

const ARRIVAL_MAX_MS = 90_000;

export interface Tables {
  normalized: Record<Signal, TelemetryRow[]>;
  main: Record<Signal, TelemetryRow[]>;
}

/** All rows of a stopped server, from its DuckDB file. */
export async function readTables(t: TestContext, data: string, options: ExpectedRowsOptions = {}): Promise<Tables> {
  const connection = await openStoppedTables(t, data);
  const tables = { normalized: {}, main: {} } as Tables;
  for (const signal of SIGNALS) {
    tables.normalized[signal] = await normalizedRows(connection, signal, options);
    tables.main[signal] = await mainRows(connection, signal);
  }
  return tables;
}

/** Equal rows in whatever order. */
export function assertSameRows(actual: readonly TelemetryRow[], expected: readonly TelemetryRow[], what: string): void {
  const { missing, surplus } = rowDifference(actual, expected);
  assert.deepEqual(
    { missing: missing.slice(0, 2), surplus: surplus.slice(0, 2), counts: [missing.length, surplus.length] },
    { missing: [], surplus: [], counts: [0, 0] },
    what,
  );
}

/** All rows that were sent are there, none that was not; at most `repeatedMax` came more than once. */
export function assertNothingLost(
  t: TestContext,
  what: string,
  actual: readonly TelemetryRow[],
  sent: readonly TelemetryRow[],
  repeatedMax: number,
): void {
  const { missing, surplus } = rowDifference(actual, sent);
  assert.ok(sent.length > 0, `${what}: nothing was sent`);
  assert.deepEqual(missing.slice(0, 2), [], `${what}: records that were lost`);
  t.diagnostic(`${what}: ${sent.length} rows sent, ${surplus.length} rows came twice`);
  assert.ok(
    surplus.length <= repeatedMax,
    `${what}: ${surplus.length} rows came twice, ${repeatedMax} can have been in flight`,
  );
  const known = new Set(canonicalLines(sent));
  assert.deepEqual(surplus.filter((line) => !known.has(line)).slice(0, 2), [], `${what}: rows that were never sent`);
}

/** Waits until no entry has come in for longer than the exporter's batcher holds records back. */
export async function untilQuiet(server: ServerProcess): Promise<void> {
  const QUIET_MS = 2_500;
  for (let last = ''; ; ) {
    const { durableOffset } = await untilMaterialized(server);
    if (durableOffset === last) return;
    last = durableOffset;
    await sleep(QUIET_MS);
  }
}

/** Waits until as many rows as were sent are in the tables, or more. */
export async function untilRows(server: ServerProcess, sent: Record<Signal, number>): Promise<void> {
  const deadline = Date.now() + ARRIVAL_MAX_MS;
  const query = `SELECT (SELECT count(*) FROM logs), (SELECT count(*) FROM spans),
    (SELECT count(*) FROM samples) + (SELECT count(*) FROM histograms) + (SELECT count(*) FROM exp_histograms) + (SELECT count(*) FROM summaries)`;
  for (;;) {
    const counts = (await fetchSql(server, query))[0]!.map(Number);
    if (SIGNALS.every((signal, index) => counts[index]! >= sent[signal])) return;
    assert.ok(Date.now() < deadline, `rows ${counts.join('/')} of ${JSON.stringify(sent)} arrived`);
    await sleep(250);
  }
}

/** What is in one of them only, duplicates counted. */
export function rowDifference(
  actual: readonly TelemetryRow[],
  expected: readonly TelemetryRow[],
): { surplus: string[]; missing: string[] } {
  const counts = new Map<string, number>();
  for (const line of canonicalLines(actual)) counts.set(line, (counts.get(line) ?? 0) + 1);
  const missing: string[] = [];
  for (const line of canonicalLines(expected)) {
    const count = counts.get(line) ?? 0;
    if (count === 0) missing.push(line);
    else counts.set(line, count - 1);
  }
  return { missing, surplus: [...counts].flatMap(([line, count]) => Array.from({ length: count }, () => line)) };
}
