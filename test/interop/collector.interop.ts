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
import { SIGNALS } from '../../src/base/index.ts';
import {
  assertNothingLost,
  assertSameRows,
  readTables,
  rowDifference,
  untilQuiet,
  untilRows,
} from '../helpers/collector-tables.ts';
import { collectorTools, freePort, generate, startCollector } from '../helpers/collector.ts';
import { expectedMainRows } from '../helpers/main-rows.ts';
import { scratchDirectory, startServerProcess, untilMaterialized } from '../helpers/server-process.ts';
import { canonicalLines } from '../helpers/telemetry-rows.ts';

const KILLS = 3;
/** Steady load: 50 rows each 250 ms a signal. */
const STEADY = ['-scenario', 'steady'];
/** One batch a second and signal, and what waited for the server goes out together: 2 s of downtime and the one being built. */
const BATCHES_IN_FLIGHT_MAX = 4;
/** What fits into a second and the moments around it; of metrics a request has many more points than rows were asked for. */
const REQUESTS_A_BATCH = 5;
const REQUESTS = 100;

const tools = collectorTools();
const skip = typeof tools === 'string' ? tools : false;
if (typeof tools === 'string') process.stderr.write(`SKIPPED: real Collector tests: ${tools}\n`);
const options = { skip };

for (const scenario of ['rich', 'odd', 'empties', 'evolve']) {
  test(`the default exporter's ${scenario} data is in the tables as it came in`, options, async (t) => {
    const { server, collector, directory } = await startBoth(t);
    await generate(ready(), collector.otlp, ['-scenario', scenario, '-seed', '77', '-pause', '300ms']);
    await untilQuiet(server);
    await collector.end('SIGTERM');
    await untilMaterialized(server);
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
    const tables = await readTables(t, join(directory, 'data'));
    for (const signal of SIGNALS) {
      const expected = collector.received(signal);
      assert.ok(expected.length > 0);
      assertSameRows(tables.normalized[signal], expected, `${signal} normalized`);
      assertSameRows(tables.main[signal], expectedMainRows(expected), `${signal} main`);
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
      const tables = await readTables(t, join(directory, 'data'));
      for (const signal of SIGNALS) {
        // The same seed makes the same records: all of them once from the successor, some of them before from the first.
        const expected = successor.received(signal);
        const { missing, surplus } = rowDifference(tables.normalized[signal], expected);
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
  const generated = generate(ready(), collector.otlp, [...STEADY, '-rows', String(REQUESTS * 50), '-seed', '9']);
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
  const tables = await readTables(t, data);
  for (const signal of SIGNALS) {
    const received = collector.received(signal);
    const repeatedMax = KILLS * BATCHES_IN_FLIGHT_MAX * REQUESTS_A_BATCH * (received.length / REQUESTS);
    assertNothingLost(t, signal, tables.normalized[signal], received, repeatedMax);
  }
});

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
