/**
 * Goal: a stock Collector loses nothing towards this server, whatever ends when.
 * Method: the real binary with its default otelarrow exporter, fed by a seeded generator; Collector stopped and killed while it sends,
 * server killed -9 and restarted under a Collector that waits for it. In the end the tables are compared with what came into the
 * Collector, on all fields of both schemas.
 * Invariant: every record is there; rows repeat only where an acknowledgement was cut off, at most what was in flight.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import { collectorTools, freePort, generate, startCollector } from '../helpers/collector.ts';
import { expectedMainRows, mainRows } from '../helpers/main-rows.ts';
import { normalizedRows } from '../helpers/normalized-rows.ts';
import {
  fetchSql,
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';
import { canonicalLines, type TelemetryRow } from '../helpers/telemetry-rows.ts';

const ARRIVAL_MAX_MS = 90_000;
const KILLS = 3;
/** Steady load: 50 rows each 250 ms a signal. */
const STEADY = ['-scenario', 'steady'];
/** One batch a second and signal, and what waited for the server goes out together: 2 s of downtime and the one being built. */
const BATCHES_IN_FLIGHT_MAX = 4;
const BATCH_ROWS = 250;

const tools = collectorTools();
const skip = typeof tools === 'string' ? tools : false;
if (typeof tools === 'string') process.stderr.write(`SKIPPED: real Collector tests: ${tools}\n`);
const options = { skip };

interface Tables {
  normalized: Record<Signal, TelemetryRow[]>;
  main: Record<Signal, TelemetryRow[]>;
}

for (const scenario of ['rich', 'odd', 'empties', 'evolve']) {
  test(`the default exporter's ${scenario} data is in the tables as it came in`, options, async (t) => {
    const { server, collector, directory } = await startBoth(t);
    await generate(ready(), collector.otlp, ['-scenario', scenario, '-seed', '77', '-pause', '300ms']);
    await untilQuiet(server);
    await collector.end('SIGTERM');
    await untilMaterialized(server);
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
    const tables = await readTables(join(directory, 'data'));
    for (const signal of SIGNALS) {
      const expected = collector.received(signal);
      assert.ok(expected.length > 0);
      assertSame(tables.normalized[signal], expected, `${signal} normalized`);
      assertSame(tables.main[signal], expectedMainRows(expected), `${signal} main`);
    }
  });
}

for (const how of ['SIGTERM', 'SIGKILL'] as const) {
  test(
    `a Collector ended by ${how} while sending leaves whole batches, and its successor goes on`,
    options,
    async (t) => {
      const { server, collector, directory } = await startBoth(t);
      const first = generate(ready(), collector.otlp, [...STEADY, '-rows', '1000', '-seed', '5', '-keep-going']);
      await sleep(2_500);
      await collector.end(how);
      await first;
      const successor = await startCollector(ready(), server.grpc, join(directory, 'second'));
      t.after(() => successor.end('SIGKILL'));
      const sent = await generate(ready(), successor.otlp, [...STEADY, '-rows', '1000', '-seed', '5']);
      await untilRows(server, sent);
      await untilQuiet(server);
      await successor.end('SIGTERM');
      await untilMaterialized(server);
      assert.equal(await server.end('SIGTERM'), 0, server.stderr());
      const tables = await readTables(join(directory, 'data'));
      for (const signal of SIGNALS) {
        // The same seed makes the same records: all of them once from the successor, some of them before from the first.
        const expected = successor.received(signal);
        const { missing, surplus } = difference(tables.normalized[signal], expected);
        assert.deepEqual(missing.slice(0, 2), [], `${signal}: rows of the successor`);
        assert.ok(surplus.length > 0, `${signal}: the first Collector was ended before it sent anything`);
        const known = new Set(canonicalLines(expected));
        assert.deepEqual(
          surplus.filter((line) => !known.has(line)).slice(0, 2),
          [],
          `${signal}: rows that were never generated`,
        );
        assert.equal(new Set(surplus).size, surplus.length, `${signal}: rows of the first Collector twice`);
      }
    },
  );
}

test(`a server killed ${KILLS} times under a Collector with wait_for_ready loses nothing`, options, async (t) => {
  const directory = scratchDirectory(t);
  const grpc = `127.0.0.1:${await freePort()}`;
  const data = join(directory, 'data');
  let server = await startServerProcess(data, grpc);
  t.after(() => server.end('SIGKILL'));
  const collector = await startCollector(ready(), grpc, join(directory, 'collector'), [
    'exporters::otelarrow::wait_for_ready=true',
  ]);
  t.after(() => collector.end('SIGKILL'));
  const generated = generate(ready(), collector.otlp, [...STEADY, '-rows', '5000', '-seed', '9']);
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(4_000 + kill * 370);
    await server.end('SIGKILL');
    await sleep(500);
    server = await startServerProcess(data, grpc);
  }
  const sent = await generated;
  await untilRows(server, sent);
  await untilQuiet(server);
  await collector.end('SIGTERM');
  await untilMaterialized(server);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  assert.doesNotMatch(collector.log(), /downgrading to standard OTLP/);
  const tables = await readTables(data);
  for (const signal of SIGNALS) {
    const { missing, surplus } = difference(tables.normalized[signal], collector.received(signal));
    assert.deepEqual(missing.slice(0, 2), [], `${signal}: records that were lost`);
    const repeatedMax = KILLS * BATCHES_IN_FLIGHT_MAX * BATCH_ROWS;
    t.diagnostic(`${signal}: ${collector.received(signal).length} rows sent, ${surplus.length} rows came twice`);
    assert.ok(
      surplus.length <= repeatedMax,
      `${signal}: ${surplus.length} rows came twice, ${repeatedMax} can have been in flight`,
    );
    const known = new Set(canonicalLines(collector.received(signal)));
    assert.deepEqual(
      surplus.filter((line) => !known.has(line)).slice(0, 2),
      [],
      `${signal}: rows that were never sent`,
    );
  }
});

function assertSame(actual: readonly TelemetryRow[], expected: readonly TelemetryRow[], what: string): void {
  const { missing, surplus } = difference(actual, expected);
  assert.deepEqual(
    { missing: missing.slice(0, 2), surplus: surplus.slice(0, 2), counts: [missing.length, surplus.length] },
    { missing: [], surplus: [], counts: [0, 0] },
    what,
  );
}

function ready() {
  if (typeof tools === 'string') throw new Error(tools);
  return tools;
}

async function startBoth(t: TestContext) {
  const directory = scratchDirectory(t);
  const server = await startServerProcess(join(directory, 'data'));
  t.after(() => server.end('SIGKILL'));
  const collector = await startCollector(ready(), server.grpc, join(directory, 'first'));
  t.after(() => collector.end('SIGKILL'));
  return { directory, server, collector };
}

/** Waits until no entry has come in for longer than the exporter's batcher holds records back. */
async function untilQuiet(server: ServerProcess): Promise<void> {
  const QUIET_MS = 2_500;
  for (let last = ''; ; ) {
    const { durableOffset } = await untilMaterialized(server);
    if (durableOffset === last) return;
    last = durableOffset;
    await sleep(QUIET_MS);
  }
}

async function untilRows(server: ServerProcess, sent: Record<Signal, number>): Promise<void> {
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

async function readTables(data: string): Promise<Tables> {
  const instance = await DuckDBInstance.create(join(data, 'tables/treasury.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  const tables = { normalized: {}, main: {} } as Tables;
  for (const signal of SIGNALS) {
    tables.normalized[signal] = await normalizedRows(connection, signal);
    tables.main[signal] = await mainRows(connection, signal);
  }
  connection.closeSync();
  instance.closeSync();
  return tables;
}

function difference(
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
