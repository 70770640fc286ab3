/**
 * Goal: a folder of Parquet files that a server exports to has every row once, whatever kills the server in the middle of writing them.
 * Method: a log with requests of all signals and two days; a server process on it with an exporter to a folder, killed with -9 in several
 * rounds, each a seeded moment after drafts of files showed up; the folder is read back with DuckDB after each of them.
 * Invariant: every file that has its name is whole, and no row is in two of them; in the end each row is there, and no draft.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import { LIMITS, type Signal, SIGNAL_CODES, SIGNALS } from '../../src/base/index.ts';
import { openLog } from '../../src/log/index.ts';
import { KILL_SEED } from '../helpers/kill-rounds.ts';
import { numberedRequest } from '../helpers/numbered-telemetry.ts';
import { seededRandom } from '../helpers/random.ts';
import { scratchDirectory, type ServerProcess, startServerProcess } from '../helpers/server-process.ts';

/** More by night: TREASURY_TEST_FOLDER_KILLS=40. */
const KILLS = Number(process.env['TREASURY_TEST_FOLDER_KILLS'] ?? 3);
/** One set of files takes so long to write on an idle machine. */
const DELAY_MAX_MS = 400;
const ROWS = 5_000;
/** Sets of files come with these: the last one leaves no rows that would wait for the interval. */
const ENTRIES_A_WRITE = LIMITS.pushFolderRowsMax / ROWS;
const ENTRIES = (KILLS + 2) * ENTRIES_A_WRITE;
const DAYS = ['2025-10-09', '2025-10-10'];
const TABLES: Readonly<Record<Signal, { readonly name: string; readonly number: string }>> = {
  logs: { name: 'logs', number: 'body::INTEGER' },
  traces: { name: 'spans', number: 'name::INTEGER' },
  metrics: { name: 'samples', number: 'int_value' },
};

test(`kill -9 amid the files of an exporter to a folder leaves each row in it once (seed ${KILL_SEED})`, async (t) => {
  const data = scratchDirectory(t);
  const folder = join(scratchDirectory(t), 'out');
  await writeLog(data);
  const random = seededRandom(KILL_SEED);
  let server = await startServer(t, data, ['--export', `files=parquet:${folder}?from=start`]);
  const left: string[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    await untilDrafts(folder, kill * ENTRIES_A_WRITE);
    await sleep(random.below(DELAY_MAX_MS));
    await server.end('SIGKILL');
    left.push(`${draftsIn(folder).length} drafts at ${nextOffsetOf(folder)}`);
    await assertRows(folder, (entries) => entries <= ENTRIES);
    server = await startServer(t, data);
  }
  while ((await ackedOffset(server)) < ENTRIES) await sleep(50);
  await assertRows(folder, (entries) => entries === ENTRIES);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  assert.deepEqual(draftsIn(folder), []);
  t.diagnostic(`killed with ${left.join(', ')}`);
});

/** Signals and days in turn. */
async function writeLog(data: string): Promise<void> {
  const log = await openLog({ directory: join(data, 'log') });
  const numbers = Array.from({ length: ROWS }, (_, number) => number);
  const requests = DAYS.flatMap((day) =>
    SIGNALS.map((signal) => ({ signal, body: numberedRequest(signal, numbers, BigInt(Date.parse(day)) * 1_000_000n) })),
  );
  const headers = new Map([['content-type', 'application/x-protobuf']]);
  for (let entry = 0; entry < ENTRIES; entry++) {
    const { signal, body } = requests[entry % requests.length]!;
    await log.appendOtlp(SIGNAL_CODES[signal], { batchId: 0n, record: [body], headers });
  }
  await log.close();
}

async function startServer(t: TestContext, data: string, flags: readonly string[] = []): Promise<ServerProcess> {
  const server = await startServerProcess(data, '127.0.0.1:0', ['--materialize', 'off', ...flags]);
  t.after(() => server.end('SIGKILL'));
  return server;
}

async function ackedOffset(server: ServerProcess): Promise<number> {
  const response = await fetch(`http://${server.http}/treasury/v1/exporters/files`);
  const figures = (await response.json()) as { ackedOffset: number; error: string | null };
  assert.equal(figures.error, null);
  return figures.ackedOffset;
}

/** Waits until files are being written and the folder has the entries below `offset`. */
async function untilDrafts(folder: string, offset: number): Promise<void> {
  while (nextOffsetOf(folder) < offset || draftsIn(folder).length === 0) await sleep(2);
}

function nextOffsetOf(folder: string): number {
  const state = join(folder, '_treasury.json');
  return existsSync(state) ? Number((JSON.parse(readFileSync(state, 'utf8')) as { nextOffset: string }).nextOffset) : 0;
}

function draftsIn(folder: string): string[] {
  return namesIn(folder).filter((name) => name.endsWith('.tmp'));
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
}

/** Reads all that a reader of the folder sees: the rows of each entry, each with its own number, below its own day. */
async function assertRows(folder: string, isRight: (entries: number) => boolean): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    let entries = 0;
    for (const signal of SIGNALS) {
      const { name, number } = TABLES[signal];
      const prefix = join(name, `signal=${signal}`);
      const files = namesIn(folder).filter((file) => file.startsWith(prefix) && /\/\d[^/]*\.parquet$/.test(file));
      if (files.length === 0) continue;
      const answer = await connection.runAndReadAll(
        `SELECT entry_offset, day::VARCHAR, count(*)::INTEGER, count(DISTINCT ${number})::INTEGER, count(DISTINCT row)::INTEGER
         FROM read_parquet([${files.map((file) => `'${join(folder, file)}'`).join(', ')}], hive_partitioning = true)
         GROUP BY ALL`,
      );
      for (const [offset, ...found] of answer.getRows() as [bigint, ...unknown[]][]) {
        entries++;
        const day = DAYS[Math.floor(Number(offset) / SIGNALS.length) % DAYS.length];
        assert.deepEqual(found, [day, ROWS, ROWS, ROWS], `entry ${offset} of ${name}`);
      }
    }
    assert.ok(isRight(entries), `the folder has ${entries} entries`);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
