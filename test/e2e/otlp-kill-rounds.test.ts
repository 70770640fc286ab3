/**
 * Goal: an OTLP request that was answered with success survives kill -9 of the whole server, and is in the tables exactly once.
 * Method: 25 rounds (TREASURY_TEST_KILL_ROUNDS) on one data directory. In each, clients export requests of all signals over gRPC, HTTP with protobuf and HTTP with
 * JSON; every request has a resource with an attribute of its own. The server is killed after a seeded delay. In the end the log is
 * read for the attributes and the tables for their rows.
 * Invariant: every acknowledged request is one log entry, every other one at most one; the rows of every entry are in the tables under
 * its offset, each (entry_offset, row) once.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import { ENTRY_KINDS, readEntries } from '../../src/log/index.ts';
import { ResourceSchema } from '../gen/opentelemetry/proto/resource/v1/resource_pb.js';
import { readCapture } from '../helpers/captures.ts';
import { expectedRows } from '../helpers/expected-rows.ts';
import {
  assertLogged,
  assertRowsOnce,
  KILL_ROUNDS,
  KILL_SEED,
  runKillRounds,
  type SentUnit,
} from '../helpers/kill-rounds.ts';
import { connectOtap } from '../helpers/otap-client.ts';
import { createOtlpHttpClient, exportGrpc } from '../helpers/otlp-client.ts';
import { OTLP_REQUEST_SCHEMAS, toOtlpJson } from '../helpers/otlp-json.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const KEY = 'test.request';
/** As long as every value that takes its place, so that lengths around it stay true. */
const PLACEHOLDER = 'request-00000000';
const MARK = /request-(\d{8})/;
/** Requests of a client that wait for an answer. */
const IN_FLIGHT = 2;

interface Request extends SentUnit {
  readonly signal: Signal;
  readonly transport: string;
}

/** A request of a capture with a marked resource behind its own. */
interface Template {
  readonly protobuf: Buffer;
  readonly json: Buffer;
  readonly rows: number;
}

/** Answers whether the request is acknowledged; null when the connection is gone. */
type Send = (signal: Signal, template: Template, mark: string) => Promise<boolean | null>;

const templates: Readonly<Record<Signal, readonly Template[]>> = {
  logs: templatesOf('logs'),
  traces: templatesOf('traces'),
  metrics: templatesOf('metrics'),
};

test(`kill -9 in ${KILL_ROUNDS} rounds loses no acknowledged OTLP request and repeats no row (seed ${KILL_SEED})`, async (t) => {
  const requests = new Map<bigint, Request>();
  const { data, status, connection } = await runKillRounds(t, (server) => exportUntilCut(server, requests));
  const offsets = entriesByMark(data);
  const acked = [...requests].filter(([, request]) => request.acked);
  t.diagnostic(
    `${requests.size} requests sent, ${acked.length} acknowledged, ${offsets.size} in the log, ${status.durableOffset} entries`,
  );
  assertLogged(requests, offsets);
  const ways = new Set(acked.map(([, { signal, transport }]) => `${signal} over ${transport}`));
  assert.equal(ways.size, 9, `no request was acknowledged but of ${[...ways].join(', ')}`);
  await assertRowsOnce(connection);
  for (const signal of SIGNALS) {
    const sql = `SELECT entry_offset, any_value(mark), count(DISTINCT mark)::INTEGER, sum(rows)::INTEGER FROM (${MARKED_ROWS[signal]}) GROUP BY 1`;
    const found = (await connection.runAndReadAll(sql)).getRows() as [bigint, string | null, number, number][];
    const byOffset = new Map(found.map((row) => [row[0], row]));
    const wrong = [...offsets]
      .filter(([id]) => requests.get(id)!.signal === signal)
      .flatMap(([id, entries]) => entries.map((offset) => ({ id, offset })))
      .map(({ id, offset }) => {
        const [, mark = null, marks = 0, rows = 0] = byOffset.get(offset) ?? [];
        return { found: { mark, marks, rows }, sent: { mark: markOf(id), marks: 1, rows: requests.get(id)!.rows } };
      })
      .filter(({ found: actual, sent }) => JSON.stringify(actual) !== JSON.stringify(sent));
    assert.deepEqual(wrong, [], `${signal}: entries with other rows than were sent`);
    assert.equal(
      found.length,
      [...offsets].filter(([id]) => requests.get(id)!.signal === signal).length,
      `${signal}: rows of entries that are not in the log`,
    );
  }
});

const MARKED_POINTS = ['samples', 'histograms', 'exp_histograms', 'summaries'].map(
  (view) =>
    `SELECT point.entry_offset, series.resource_attributes['${KEY}'] AS mark, 1 AS rows FROM ${view} AS point JOIN series USING (series_id)`,
);
/** Rows of each entry; `mark` is the attribute of the marked resource, NULL elsewhere. */
const MARKED_ROWS: Readonly<Record<Signal, string>> = {
  logs: `SELECT entry_offset, resource_attributes['${KEY}'] AS mark, 1 AS rows FROM logs`,
  traces: `SELECT entry_offset, resource_attributes['${KEY}'] AS mark, 1 AS rows FROM spans`,
  metrics: MARKED_POINTS.join(' UNION ALL '),
};

/** Sends requests of all signals over all transports until the server is gone. */
async function exportUntilCut(server: ServerProcess, requests: Map<bigint, Request>): Promise<void> {
  const grpc = await connectOtap(server.grpc).catch(() => undefined);
  if (grpc === undefined) return;
  const http = await createOtlpHttpClient(server.otlpHttp);
  const transports: Readonly<Record<string, Send>> = {
    grpc: async (signal, { protobuf }, mark) => {
      const { code } = await exportGrpc(grpc, signal, marked(protobuf, mark), { encoding: 'zstd' });
      return code === -1 ? null : code === 0;
    },
    protobuf: async (signal, { protobuf }, mark) => {
      const { status } = await http.export(signal, marked(protobuf, mark), { encoding: 'gzip' });
      return status === 0 ? null : status === 200;
    },
    json: async (signal, { json }, mark) => {
      const { status } = await http.export(signal, marked(json, mark), { contentType: 'application/json' });
      return status === 0 ? null : status === 200;
    },
  };
  const clients = SIGNALS.flatMap((signal) =>
    Object.entries(transports).map(([transport, send]) => ({ signal, transport, send })),
  );
  const all = clients.flatMap((client) => Array.from({ length: IN_FLIGHT }, () => client));
  await Promise.all(all.map((client) => sendUntilCut(client, requests)));
  grpc.destroy();
  http.close();
}

async function sendUntilCut(
  { signal, transport, send }: { signal: Signal; transport: string; send: Send },
  requests: Map<bigint, Request>,
): Promise<void> {
  for (;;) {
    const id = BigInt(requests.size);
    const template = templates[signal][requests.size % templates[signal].length]!;
    const request: Request = { signal, transport, rows: template.rows, acked: false };
    requests.set(id, request);
    const answer = await send(signal, template, markOf(id));
    if (answer === null) return;
    request.acked = answer;
  }
}

function markOf(id: bigint): string {
  return `request-${String(id).padStart(8, '0')}`;
}

function marked(template: Buffer, mark: string): Buffer {
  const body = Buffer.from(template);
  body.write(mark, template.indexOf(PLACEHOLDER), 'latin1');
  return body;
}

/** The requests of a capture, each with its first resource again behind it: one more attribute, the rest as it was. */
function templatesOf(signal: Signal): Template[] {
  return readCapture('rich-1', 'expect')
    .filter((record) => record.t === 'otlp' && record.signal === signal)
    .map(({ body }) => {
      const protobuf = Buffer.concat([body, markedResource(signal, body)]);
      assert.equal(protobuf.indexOf(PLACEHOLDER), protobuf.lastIndexOf(PLACEHOLDER));
      const rows = expectedRows(signal, protobuf).filter((row) => row['kind'] !== 'metric').length;
      return { protobuf, json: Buffer.from(toOtlpJson(signal, protobuf)), rows };
    });
}

/** A request of the first resource of `body` alone, marked. Two requests end to end are one with the resources of both. */
function markedResource(signal: Signal, body: Buffer): Uint8Array {
  const value = { value: { case: 'stringValue', value: PLACEHOLDER } } as const;
  const resource = create(ResourceSchema, { attributes: [{ key: KEY, value }] });
  if (signal === 'logs') {
    const request = fromBinary(OTLP_REQUEST_SCHEMAS.logs, body);
    request.resourceLogs.splice(1);
    request.resourceLogs[0]!.resource = resource;
    return toBinary(OTLP_REQUEST_SCHEMAS.logs, request);
  }
  if (signal === 'traces') {
    const request = fromBinary(OTLP_REQUEST_SCHEMAS.traces, body);
    request.resourceSpans.splice(1);
    request.resourceSpans[0]!.resource = resource;
    return toBinary(OTLP_REQUEST_SCHEMAS.traces, request);
  }
  const request = fromBinary(OTLP_REQUEST_SCHEMAS.metrics, body);
  request.resourceMetrics.splice(1);
  request.resourceMetrics[0]!.resource = resource;
  return toBinary(OTLP_REQUEST_SCHEMAS.metrics, request);
}

/** Offsets of the OTLP entries of each mark, read from the segments of a stopped server. */
function entriesByMark(data: string): Map<bigint, bigint[]> {
  const offsets = new Map<bigint, bigint[]>();
  for (const entry of readEntries(join(data, 'log'), { from: 0n })) {
    assert.equal(entry.kind, ENTRY_KINDS.OTLP);
    const match = MARK.exec(Buffer.from(entry.record).toString('latin1'));
    assert.ok(match !== null, `entry ${entry.offset} has no mark`);
    const id = BigInt(match[1]!);
    offsets.set(id, [...(offsets.get(id) ?? []), entry.offset]);
  }
  return offsets;
}
