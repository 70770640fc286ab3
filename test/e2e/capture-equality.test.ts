/**
 * Goal: what a real Collector sent is in the tables, all of it, exactly once.
 * Method: the bytes of a capture go through a real gRPC client into a real server process; after it has stopped, its DuckDB file is
 * read back and compared with the OTLP that had gone into the Collector, order-free, on all fields: schema `normalized` type by type,
 * schema `main` in the form that people query. Captures too large for that are compared by counts, sums and distinct counts.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { SIGNALS } from '../../src/base/index.ts';
import {
  captureNames,
  readArrowStreams,
  readCapture,
  readSummary,
  sharedCapturesMissing,
} from '../helpers/captures.ts';
import { expectedRows } from '../helpers/expected-rows.ts';
import { expectedMainRows, mainRows } from '../helpers/main-rows.ts';
import { normalizedRows } from '../helpers/normalized-rows.ts';
import { connectOtap, replayStreams } from '../helpers/otap-client.ts';
import { fetchSql, scratchDirectory, startServerProcess, untilMaterialized } from '../helpers/server-process.ts';
import { type Summary, summarize } from '../helpers/summary.ts';
import { canonicalLines, type TelemetryRow } from '../helpers/telemetry-rows.ts';

/** Bodies of these captures are compressed frames; the client would have to send them as they are (their rows are those of rich-*). */
const NOT_PLAIN = new Set(['wire-1']);
/** Rows come twice where the capturing server refused a batch on purpose: every expected row once, none that was not sent. */
const WITH_RESENDS = new Set(['retry-1']);

/** Every view of `main` that has (entry_offset, row). */
const ROW_TABLES = ['logs', 'spans', 'samples', 'histograms', 'exp_histograms', 'summaries', 'exemplars'];

const own = captureNames({ shared: false });
const all = [...new Set([...own, ...captureNames({ shared: true })])].filter((name) => !NOT_PLAIN.has(name));

for (const name of all) {
  const streams = readArrowStreams(name).filter((stream) => stream.messages.length > 0);
  if (streams.length === 0) continue;
  test(`capture ${name} is in the tables exactly as it went into the Collector`, async (t) => {
    const server = await startServerProcess(scratchDirectory(t));
    t.after(() => server.end('SIGKILL'));
    const client = await connectOtap(server.grpc);
    for (const { statuses, end } of await replayStreams(client, streams, { encoding: 'zstdarrow5' })) {
      assert.deepEqual([end.code, statuses.filter((status) => status.code !== 0)], [0, []]);
    }
    await client.close();
    await untilMaterialized(server);
    for (const table of ROW_TABLES) {
      const repeated = `SELECT entry_offset, row FROM ${table} GROUP BY ALL HAVING count(*) > 1`;
      assert.deepEqual(await fetchSql(server, `SELECT count(*) FROM (${repeated})`), [['0']], `${table} repeats rows`);
    }
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
    const instance = await DuckDBInstance.create(join(server.data, 'tables/treasury.duckdb'), {
      access_mode: 'READ_ONLY',
    });
    const connection = await instance.connect();
    t.after(() => {
      connection.closeSync();
      instance.closeSync();
    });
    await (hasExpectation(name) ? compareRows(connection, name) : compareSummary(connection, name));
  });
}

test('all shared captures were compared', { skip: sharedCapturesMissing() }, () => {
  assert.ok(all.length > own.length);
});

async function compareRows(connection: DuckDBConnection, name: string): Promise<void> {
  const expected = readCapture(name, 'expect').filter((record) => record.t === 'otlp');
  assert.ok(expected.length > 0);
  for (const signal of SIGNALS) {
    const sent = expected
      .filter((record) => record.signal === signal)
      .flatMap((record) => expectedRows(signal, record.body));
    assertSameRows(await normalizedRows(connection, signal), sent, `${name} ${signal} normalized`);
    assertSameRows(await mainRows(connection, signal), expectedMainRows(sent), `${name} ${signal} main`);
  }

  function assertSameRows(actual: readonly TelemetryRow[], wanted: readonly TelemetryRow[], what: string): void {
    let lines = canonicalLines(actual);
    let wantedLines = canonicalLines(wanted);
    if (WITH_RESENDS.has(name)) {
      lines = [...new Set(lines)];
      wantedLines = [...new Set(wantedLines)];
    }
    const surplus = without(lines, wantedLines);
    const missing = without(wantedLines, lines);
    assert.deepEqual(
      {
        surplus: surplus.slice(0, 2),
        missing: missing.slice(0, 2),
        surplusCount: surplus.length,
        missingCount: missing.length,
      },
      { surplus: [], missing: [], surplusCount: 0, missingCount: 0 },
      `${what}: ${lines.length} rows, ${wantedLines.length} expected`,
    );
  }
}

async function compareSummary(connection: DuckDBConnection, name: string): Promise<void> {
  const expected = readSummary(name) as unknown as Summary;
  assert.deepEqual(await summarize(connection, expected), expected);
}

function hasExpectation(name: string): boolean {
  try {
    readCapture(name, 'expect');
    return true;
  } catch {
    return false;
  }
}

/** The items of sorted list `a` that sorted list `b` does not have, duplicates counted. */
function without(a: readonly string[], b: readonly string[]): string[] {
  const result: string[] = [];
  for (let i = 0, j = 0; i < a.length; i++) {
    while (j < b.length && b[j]! < a[i]!) j += 1;
    if (j < b.length && b[j] === a[i]) j += 1;
    else result.push(a[i]!);
  }
  return result;
}
