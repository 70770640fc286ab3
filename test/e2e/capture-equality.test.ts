/**
 * Goal: what a real Collector sent is in the tables, all of it, exactly once.
 * Method: the bytes of a capture go through a real gRPC client into a real server process; after it has stopped, its DuckDB file is
 * read back and compared with the OTLP that had gone into the Collector, order-free, on all fields: schema `normalized` type by type,
 * schema `main` in the form that people query. Captures too large for that are compared by counts, sums and distinct counts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DuckDBConnection } from '@duckdb/node-api';
import {
  captureNames,
  readArrowStreams,
  readCapture,
  readSummary,
  sharedCapturesMissing,
} from '../helpers/captures.ts';
import { connectOtap, replayStreams } from '../helpers/otap-client.ts';
import { assertRows, expectedLines } from '../helpers/row-comparison.ts';
import { fetchSql, scratchDirectory, startServerProcess, untilMaterialized } from '../helpers/server-process.ts';
import { openStoppedTables, ROW_VIEWS } from '../helpers/stopped-tables.ts';
import { type Summary, summarize } from '../helpers/summary.ts';

/** Messages of these captures are as they were on the wire, in zstdarrow5: they are sent again as they are. */
const ENCODED = new Set(['wire-1']);
/** Rows come twice where the capturing server refused a batch on purpose: every expected row once, none that was not sent. */
const WITH_RESENDS = new Set(['retry-1']);

const own = captureNames({ shared: false });
const all = [...new Set([...own, ...captureNames({ shared: true })])];

for (const name of all) {
  const streams = readArrowStreams(name).filter((stream) => stream.messages.length > 0);
  if (streams.length === 0) continue;
  test(`capture ${name} is in the tables exactly as it went into the Collector`, async (t) => {
    const server = await startServerProcess(scratchDirectory(t));
    t.after(() => server.end('SIGKILL'));
    const client = await connectOtap(server.grpc);
    const replayed = await replayStreams(client, streams, { encoding: 'zstdarrow5', isEncoded: ENCODED.has(name) });
    for (const { statuses, end } of replayed) {
      assert.deepEqual([end.code, statuses.filter((status) => status.code !== 0)], [0, []]);
    }
    await client.close();
    await untilMaterialized(server);
    for (const table of ROW_VIEWS) {
      const repeated = `SELECT entry_offset, row FROM ${table} GROUP BY ALL HAVING count(*) > 1`;
      assert.deepEqual(await fetchSql(server, `SELECT count(*) FROM (${repeated})`), [['0']], `${table} repeats rows`);
    }
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
    const connection = await openStoppedTables(t, server.data);
    if (!hasExpectation(name)) return compareSummary(connection, name);
    const expected = expectedLines(readCapture(name, 'expect'));
    await assertRows(connection, expected, { what: name, isRepeated: WITH_RESENDS.has(name) });
  });
}

test('all shared captures were compared', { skip: sharedCapturesMissing() }, () => {
  assert.ok(all.length > own.length);
});

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
