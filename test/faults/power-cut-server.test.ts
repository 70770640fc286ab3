/**
 * Goal: a whole server whose machine loses power starts by itself, has what it acknowledged, and tables that agree with its log (row 2 of
 * the fault tests).
 * Method: a server on a loop-mounted disk takes OTAP streams of all signals and OTLP requests, materializes them and indexes its log. At
 * seeded moments the image of its disk is copied without what the file system has not written out (cut-disk.ts); the copy is mounted and
 * a server started on it, stopped in order once its tables have caught up, and everything read.
 * Invariant: every acknowledged batch and request is one entry; the rows of every entry are in the tables, each (entry_offset, row) once
 * (I8); the server sets nothing aside and complains of nothing but the cut; `log verify` finds nothing.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SIGNALS } from '../../src/base/index.ts';
import { runTreasury } from '../commands/process.ts';
import { openCutDisk } from '../helpers/cut-disk.ts';
import { assertLogged, assertRowsOnce } from '../helpers/kill-rounds.ts';
import {
  assertRowsOfBatches,
  createOtapLoad,
  entriesByBatchId,
  noteAcked,
  type SentBatch,
  streamUntilCut,
} from '../helpers/otap-load.ts';
import { seededRandom } from '../helpers/random.ts';
import { type ServerProcess, startServerProcess, untilMaterialized } from '../helpers/server-process.ts';
import { openStoppedTables } from '../helpers/stopped-tables.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const CUTS = Number(process.env['TREASURY_TEST_SERVER_CUTS'] ?? 3);
const DELAY_MIN_MS = 100;
const DELAY_MAX_MS = 900;
/** Acknowledged before the first cut: every view then has rows. */
const BATCHES_MIN = 60;
/** What a start after a loss of power may have to tell: ends of files that were being written, and that the engine was at work. */
const OF_POWER_CUTS = ['Cut a torn write off the ', 'An engine ended while it worked on entries'];

test(`server starts by itself after each of ${CUTS} power cuts, and its tables agree (seed ${SEED})`, async (t) => {
  const disk = openCutDisk(t, 'ext4');
  if (disk === null) return;
  const random = seededRandom(SEED);
  const load = createOtapLoad();
  const requests = new Set<number>();
  const server = await startServerProcess(join(disk.path, 'data'));
  const sending = [...SIGNALS.map((signal) => streamUntilCut(server, signal, load)), exportUntilCut(server, requests)];
  try {
    while (ackedBatches(load.batches) < BATCHES_MIN) {
      await sleep(20);
      noteAcked(load);
    }
    for (let cut = 0; cut < CUTS; cut++) {
      await sleep(DELAY_MIN_MS + random.below(DELAY_MAX_MS - DELAY_MIN_MS));
      let told: Told = { batches: new Map(), requests: new Set() };
      const copy = await disk.cut(() => {
        noteAcked(load);
        // Which is marked as acknowledged later must not change what was at the cut.
        const batches = new Map([...load.batches].map(([id, batch]) => [id, { ...batch }]));
        told = { batches, requests: new Set(requests) };
        server.child.kill('SIGSTOP');
      });
      try {
        const data = join(copy.path, 'data');
        noteReboot(join(data, 'lock'), join(server.data, 'lock'));
        await t.test(`cut ${cut} of seed ${SEED}`, (t) => assertSurvived(t, data, told));
      } finally {
        copy.discard();
        server.child.kill('SIGCONT');
      }
    }
  } finally {
    await server.end('SIGKILL');
    await Promise.all(sending);
  }
});

interface Told {
  readonly batches: ReadonlyMap<bigint, SentBatch>;
  readonly requests: ReadonlySet<number>;
}

function ackedBatches(batches: ReadonlyMap<bigint, SentBatch>): number {
  return [...batches.values()].filter(({ acked }) => acked).length;
}

async function assertSurvived(t: TestContext, data: string, { batches, requests }: Told): Promise<void> {
  const tablesBefore = existsSync(join(data, 'tables', 'treasury.duckdb'));
  const server = await startServerProcess(data);
  try {
    await untilMaterialized(server);
  } finally {
    assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  }
  const complaints = server
    .stderr()
    .split('\n')
    .filter((line) => /warn|error/i.test(line));
  assert.deepEqual(
    complaints.filter((line) => !OF_POWER_CUTS.some((words) => line.includes(words))),
    [],
  );
  const aside = readdirSync(join(data, 'tables')).filter((name) => !/^treasury\.duckdb(\.wal|\.lock)?$/.test(name));
  assert.deepEqual([tablesBefore, aside], [true, []], 'tables that were set aside');

  const verified = await runTreasury(['log', 'verify', '--data', data]);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  const offsets = entriesByBatchId(data);
  assertLogged(batches, offsets);
  const connection = await openStoppedTables(t, data);
  await assertRowsOnce(connection);
  await assertRowsOfBatches(connection, batches, offsets);
  const sql = "SELECT body, count(*)::INTEGER FROM logs WHERE body LIKE 'request %' GROUP BY 1";
  const found = new Map((await connection.runAndReadAll(sql)).getRows() as [string, number][]);
  const lost = [...requests].filter((request) => found.get(`request ${request}`) !== 1);
  assert.deepEqual(lost, [], 'acknowledged requests that have not exactly one row');
  t.diagnostic(
    `${ackedBatches(batches)} batches and ${requests.size} requests acknowledged, ${offsets.size} batches there`,
  );
  connection.closeSync();
}

/**
 * The machine of the test goes on, and so does the server that was cut: its lock is made one of an earlier boot, which it would be. It is
 * there whole even where the cut took it, as nobody syncs it: with the process alive, its boot alone tells that it holds nothing.
 */
function noteReboot(lock: string, lockOfRunning: string): void {
  const held = JSON.parse(readFileSync(lockOfRunning, 'utf8')) as { bootId: string | null };
  writeFileSync(lock, JSON.stringify({ ...held, bootId: 'of the boot before' }));
}

/** Posts OTLP requests, each with a body of its own; those that were answered with success are added to `acked`. */
async function exportUntilCut(server: ServerProcess, acked: Set<number>): Promise<void> {
  for (let request = 0; ; request++) {
    const logRecords = [{ timeUnixNano: String(request + 1), body: { stringValue: `request ${request}` } }];
    const body = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
    const headers = { 'content-type': 'application/json' };
    try {
      const { ok } = await fetch(`http://${server.otlpHttp}/v1/logs`, { method: 'POST', headers, body });
      if (ok) acked.add(request);
    } catch {
      return;
    }
  }
}
