/**
 * Goal: a stock Collector's OTLP exporters lose and change nothing towards this server, and neither does its Arrow exporter once it
 * has fallen back to OTLP.
 * Method: the real binary with its OTLP/gRPC and OTLP/HTTP exporters in every compression and encoding, and with the Arrow exporter
 * with Arrow off; fed by a seeded generator; then the Arrow exporter as it comes, with the server killed -9 and restarted under it.
 * Invariant: the tables have every record that came into the Collector, on all fields of both schemas; rows repeat only where an
 * acknowledgement was cut off, at most what was in flight, or came so late that the Collector sent a request again.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OtlpReceiverStatus } from '../../src/api/index.ts';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import { retriesOf, untilAllSent } from '../helpers/collector-retries.ts';
import { assertNothingLost, readTables, untilQuiet, untilRows } from '../helpers/collector-tables.ts';
import {
  type Collector,
  type CollectorConfig,
  collectorTools,
  freePort,
  generate,
  startCollector,
} from '../helpers/collector.ts';
import { expectedRows } from '../helpers/expected-rows.ts';
import { expectedMainRows } from '../helpers/main-rows.ts';
import {
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';

const SCENARIOS = ['rich', 'odd', 'empties', 'evolve'];
const DOWNGRADE = /downgrading to standard OTLP/g;
const DOWNGRADE_MAX_MS = 60_000;
const KILLS = 2;
/** 50 rows of logs and spans each 250 ms; of metrics a request has more points. */
const REQUESTS = 100;
/** A batch of the exporter is a second of requests, and what waited for the server goes out together: 2 s of downtime and one more. */
const REQUESTS_IN_FLIGHT_MAX = 4 * 5;

/** OTLP exporters carry everything. */
const EXACT = { exact: true };

const tools = collectorTools();
const skip = typeof tools === 'string' ? tools : false;
if (typeof tools === 'string') process.stderr.write(`SKIPPED: real Collector tests over OTLP: ${tools}\n`);
const options = { skip };

interface Way {
  readonly name: string;
  readonly config: CollectorConfig;
  readonly settings: readonly string[];
}

const WAYS: readonly Way[] = [
  { name: 'otlp_grpc exporter (gzip)', config: 'otlp-grpc', settings: [] },
  ...['zstd', 'none'].map((compression) => ({
    name: `otlp_grpc exporter with ${compression}`,
    config: 'otlp-grpc' as const,
    settings: [`exporters::otlp_grpc::compression=${compression}`],
  })),
  { name: 'otlp_http exporter (protobuf, gzip)', config: 'otlp-http', settings: [] },
  ...['zstd', 'deflate', 'none'].map((compression) => ({
    name: `otlp_http exporter with ${compression}`,
    config: 'otlp-http' as const,
    settings: [`exporters::otlp_http::compression=${compression}`],
  })),
  ...['gzip', 'none'].map((compression) => ({
    name: `otlp_http exporter with JSON and ${compression}`,
    config: 'otlp-http' as const,
    settings: ['exporters::otlp_http::encoding=json', `exporters::otlp_http::compression=${compression}`],
  })),
  {
    name: 'otelarrow exporter with Arrow disabled',
    config: 'arrow-default',
    settings: ['exporters::otelarrow::arrow::disabled=true'],
  },
];

for (const { name, config, settings } of WAYS) {
  test(`what the ${name} sends is in the tables as it came in`, options, async (t) => {
    const directory = scratchDirectory(t);
    const server = await startServerProcess(join(directory, 'data'));
    t.after(() => server.end('SIGKILL'));
    const target = config === 'otlp-http' ? server.otlpHttp : server.grpc;
    const collector = await startCollector(ready(), target, join(directory, 'collector'), settings, config);
    t.after(() => collector.end('SIGKILL'));
    const sent = { logs: 0, traces: 0, metrics: 0 };
    for (const scenario of SCENARIOS) {
      const flags = ['-scenario', scenario, '-seed', '78', '-pause', '10ms'];
      const items = await generate(ready(), collector.otlp, flags);
      for (const signal of SIGNALS) sent[signal] += items[signal];
    }
    const retries = await untilAllSent(collector, server, sent);
    await collector.end('SIGTERM');
    await untilMaterialized(server);
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
    assert.equal(retriesOf(collector.log()).count, retries, 'The Collector ended while it had something to send');
    const tables = await readTables(t, join(directory, 'data'), EXACT);
    for (const signal of SIGNALS) {
      const expected = collector.received(signal, EXACT);
      const repeatedMax = retries * requestRowsMax(collector, signal, config);
      assertNothingLost(t, signal, tables.normalized[signal], expected, repeatedMax);
      assertNothingLost(t, `main ${signal}`, tables.main[signal], expectedMainRows(expected), repeatedMax);
    }
  });
}

/** The most rows that a request can have had: OTLP exporters send what came in as it came in, the other one batches. */
function requestRowsMax(collector: Collector, signal: Signal, config: CollectorConfig): number {
  if (config === 'arrow-default') return collector.received(signal, EXACT).length;
  return Math.max(...collector.kept(signal).map((request) => expectedRows(signal, request, EXACT).length));
}

test(
  'the default Arrow exporter loses nothing through a kill, its fallback to OTLP and another kill',
  options,
  async (t) => {
    const directory = scratchDirectory(t);
    const grpc = `127.0.0.1:${await freePort()}`;
    const data = join(directory, 'data');
    let server = await startServerProcess(data, grpc);
    t.after(() => server.end('SIGKILL'));
    const collector = await startCollector(ready(), grpc, join(directory, 'collector'));
    t.after(() => collector.end('SIGKILL'));
    const generated = generate(ready(), collector.otlp, [
      '-scenario',
      'steady',
      '-rows',
      String(REQUESTS * 50),
      '-seed',
      '19',
    ]);
    await sleep(4_000);
    await server.end('SIGKILL');
    await untilDowngraded(() => collector.log());
    server = await startServerProcess(data, grpc);
    await untilSomethingNew(server);
    await sleep(2_000);
    await server.end('SIGKILL');
    await sleep(2_000);
    server = await startServerProcess(data, grpc);
    const sent = await generated;
    await untilRows(server, sent);
    await untilQuiet(server);
    await collector.end('SIGTERM');
    const { otlp } = await untilMaterialized(server);
    const { grpc: requests } = (otlp as OtlpReceiverStatus).requests;
    for (const signal of SIGNALS) assert.ok(requests[signal].accepted > 0, `${signal}: nothing came over OTLP`);
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
    const tables = await readTables(t, data);
    for (const signal of SIGNALS) {
      const received = collector.received(signal);
      const repeatedMax = KILLS * REQUESTS_IN_FLIGHT_MAX * (received.length / REQUESTS);
      assertNothingLost(t, signal, tables.normalized[signal], received, repeatedMax);
    }
  },
);

function ready() {
  if (typeof tools === 'string') throw new Error(tools);
  return tools;
}

/** Waits until the exporters of all signals have given up Arrow. */
async function untilDowngraded(log: () => string): Promise<void> {
  const deadline = Date.now() + DOWNGRADE_MAX_MS;
  while ((log().match(DOWNGRADE)?.length ?? 0) < SIGNALS.length) {
    assert.ok(Date.now() < deadline, `The exporters did not fall back: ${log()}`);
    await sleep(100);
  }
}

/** Waits until a restarted server has taken in something. */
async function untilSomethingNew(server: ServerProcess): Promise<void> {
  const { durableOffset } = await untilMaterialized(server);
  while ((await untilMaterialized(server)).durableOffset === durableOffset) await sleep(100);
}
