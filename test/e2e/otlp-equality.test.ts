/**
 * Goal: the rows of OTLP are those of OTAP, whatever transport and form the request came in; nothing of a request is missing.
 * Method: all requests that went into captured Collectors go into one real server process: as OTLP/gRPC (zstd), OTLP/HTTP protobuf
 * (gzip) and OTLP/HTTP JSON; what a Collector's own OTLP exporters sent is sent again with its headers and encodings. The DuckDB file
 * of the stopped server is read back by ranges of log offsets.
 * Invariant: rows of OTLP/gRPC and of the Collectors' exports equal the exact expectation, on all fields of both schemas, order-free;
 * the stored rows of the other two forms equal those of OTLP/gRPC to the last bit, in order; of columns that may say the same in several
 * ways what they say.
 * That the same capture's OTAP stream gives the same rows, less what the exporter drops, is tested in capture-equality.test.ts.
 */
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { after, before, test } from 'node:test';
import type { DuckDBConnection } from '@duckdb/node-api';
import type { Signal } from '../../src/base/index.ts';
import { captureNames, readCapture, sharedCapturesMissing } from '../helpers/captures.ts';
import { formsOf } from '../helpers/compared-forms.ts';
import type { OffsetRange } from '../helpers/duckdb-values.ts';
import { connectOtap } from '../helpers/otap-client.ts';
import { createOtlpHttpClient, exportGrpc } from '../helpers/otlp-client.ts';
import { toOtlpJson } from '../helpers/otlp-json.ts';
import { otlpExports, replayGrpc, replayHttp } from '../helpers/otlp-replay.ts';
import { assertRows, expectedLines } from '../helpers/row-comparison.ts';
import {
  fetchStatus,
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';
import { openStoppedTables, ROW_VIEWS } from '../helpers/stopped-tables.ts';

interface Request {
  readonly signal: Signal;
  readonly body: Buffer;
}

/** Sends a request. Returns what is wrong with the answer, or null. */
type Send = (request: Request) => Promise<string | null>;

/** What one way of sending a capture left in the log. */
interface Phase {
  readonly range: OffsetRange;
  /** Answers that were not plain successes. */
  readonly refused: readonly string[];
}

interface Sent {
  readonly grpc: Phase;
  readonly protobuf: Phase;
  readonly json: Phase;
  /** Absent when the capture's Collector sent no OTLP. */
  readonly wire: Phase | null;
}

const own = captureNames({ shared: false });
const names = [...new Set([...own, ...captureNames({ shared: true })])].filter(hasExpectation);
const sent = new Map<string, Sent>();
const cleanups: (() => unknown)[] = [];
let tables: DuckDBConnection;

before(async () => {
  const context = { after: (fn: () => void) => void cleanups.unshift(fn) };
  const server = await startServerProcess(scratchDirectory(context));
  context.after(() => void server.end('SIGKILL'));
  const grpc = await connectOtap(server.grpc);
  const http = await createOtlpHttpClient(server.otlpHttp);
  const agent = new Agent({ keepAlive: true });
  const sendGrpc: Send = async ({ signal, body }) => {
    const { code, message, body: answer } = await exportGrpc(grpc, signal, body, { encoding: 'zstd' });
    return code === 0 && answer.length === 0 ? null : `code ${code}: ${message}`;
  };
  const sendProtobuf: Send = async ({ signal, body }) => {
    const { status, body: answer } = await http.export(signal, body, { encoding: 'gzip' });
    return status === 200 && answer.length === 0 ? null : `status ${status}: ${answer}`;
  };
  const sendJson: Send = async ({ signal, body }) => {
    const json = Buffer.from(toOtlpJson(signal, body));
    const { status, body: answer } = await http.export(signal, json, { contentType: 'application/json' });
    return status === 200 && answer.toString() === '{}' ? null : `status ${status}: ${answer}`;
  };
  for (const name of names) {
    const requests = requestsOf(name);
    const exports = otlpExports(readCapture(name));
    sent.set(name, {
      grpc: await phase(server, requests, sendGrpc),
      protobuf: await phase(server, requests, sendProtobuf),
      json: await phase(server, requests, sendJson),
      wire:
        exports.length === 0
          ? null
          : await phase(server, exports, (call) =>
              call.transport === 'grpc' ? replayGrpc(grpc, call) : replayHttp(server.otlpHttp, agent, call),
            ),
    });
  }
  await grpc.close();
  http.close();
  agent.destroy();
  await untilMaterialized(server);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  tables = await openStoppedTables(context, server.data);
});

after(async () => {
  for (const cleanup of cleanups) await cleanup();
});

for (const name of names) {
  test(`requests of capture ${name} give the same rows over OTLP/gRPC, OTLP/HTTP and in JSON`, async () => {
    const { grpc, protobuf, json } = sent.get(name)!;
    assert.deepEqual([...grpc.refused, ...protobuf.refused, ...json.refused], []);
    const expected = expectedLines(readCapture(name, 'expect'), { exact: true });
    await assertRows(tables, expected, { what: `${name} over gRPC`, exact: true, range: grpc.range });
    for (const [what, { range }] of Object.entries({ protobuf, json })) {
      assert.deepEqual(await storedHashes(range), await storedHashes(grpc.range), `${name}: ${what} as over gRPC`);
    }
  });
  const exports = otlpExports(readCapture(name));
  if (exports.length === 0) continue;
  test(`capture ${name} sent again is in the tables exactly as it went into the Collector`, async () => {
    const { wire } = sent.get(name)!;
    assert.deepEqual(wire!.refused, []);
    const expected = expectedLines(readCapture(name, 'expect'), { exact: true });
    await assertRows(tables, expected, { what: name, exact: true, range: wire!.range });
  });
}

test('no view repeats a row, no entry is in quarantine', async () => {
  for (const view of ROW_VIEWS) {
    const repeated = `SELECT entry_offset, row FROM ${view} GROUP BY ALL HAVING count(*) > 1 LIMIT 3`;
    assert.deepEqual(await rows(repeated), [], `${view} repeats rows`);
    const [[count]] = (await rows(`SELECT count(*) FROM ${view}`)) as [[bigint]];
    assert.ok(count > 0n, `${view} is empty: the captures show nothing of it`);
  }
  assert.deepEqual(await rows('SELECT * FROM meta.quarantine'), []);
});

test('all shared captures with an expectation were compared', { skip: sharedCapturesMissing() }, () => {
  assert.ok(names.length > own.length);
});

async function phase<Item>(
  server: ServerProcess,
  items: readonly Item[],
  send: (item: Item) => Promise<string | null>,
): Promise<Phase> {
  const from = BigInt((await fetchStatus(server)).durableOffset);
  const refused: string[] = [];
  // One after the other: entries of two phases correspond by their position.
  for (const item of items) {
    const failure = await send(item);
    if (failure !== null) refused.push(failure);
  }
  return { range: { from, to: BigInt((await fetchStatus(server)).durableOffset) }, refused };
}

/** Count and hash of the rows of every stored table, with the position of the entry in the range instead of its offset. */
async function storedHashes({ from, to }: OffsetRange): Promise<Record<string, unknown>> {
  const columns = await rows(
    `SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'store' ORDER BY ALL`,
  );
  const hashes: Record<string, unknown> = {};
  for (const table of new Set(columns.map(([name]) => String(name)))) {
    const columnsOfTable = columns.filter(([name]) => name === table);
    if (!columnsOfTable.some(([, column]) => column === 'entry_offset')) continue;
    const { columns: formed, values: meant } = formsOf(table) ?? { columns: [], values: [] };
    const plain = columnsOfTable.filter(([, column]) => !formed.includes(String(column)));
    const values = plain.map(([, column, type]) => {
      if (column === 'entry_offset') return `entry_offset - ${from}`;
      // Only their text tells -0 from 0.
      return String(type).includes('DOUBLE') ? `"${column}"::VARCHAR` : `"${column}"`;
    });
    values.push(...meant.map((value) => value.replace(/ AS \w+$/, '')));
    const sql = `SELECT count(*), sum(entry), bit_xor(entry) FROM (
      SELECT hash(${values.join(', ')}) AS entry FROM store.${table} WHERE entry_offset >= ${from} AND entry_offset < ${to})`;
    [hashes[table]] = await rows(sql);
  }
  assert.ok('logs_v1' in hashes && 'spans_v1' in hashes && 'samples_v1' in hashes, Object.keys(hashes).join());
  return hashes;
}

function requestsOf(name: string): Request[] {
  return readCapture(name, 'expect')
    .filter((record) => record.t === 'otlp')
    .map(({ signal, body }) => ({ signal: signal!, body }));
}

function hasExpectation(name: string): boolean {
  try {
    return requestsOf(name).length > 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

async function rows(sql: string): Promise<unknown[][]> {
  return (await tables.runAndReadAll(sql)).getRows() as unknown[][];
}
