/**
 * Goal: `treasury rebuild` ends in tables like those that were built live, and never in none: whatever ends it, a later start works.
 * Method: the real command on logs with real captures; killed at many moments, on a disk that is too small, beside tables of all kinds.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { switchTables } from '../../src/commands/tables-switch.ts';
import { loaderFlags } from '../helpers/checkout.ts';
import { appendCapture } from '../helpers/engine-log.ts';
import { serverEnvironment } from '../helpers/server-process.ts';
import { ONE_ENTRY_A_SEGMENT, openLogOf, segmentOf } from './log-directories.ts';
import { runTreasury, startServer, temporaryDirectory } from './process.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const TABLES = ['logs', 'spans', 'samples', 'histograms', 'exp_histograms', 'summaries', 'exemplars', 'series'];

async function makeCaptureLog(data: string, limits = {}): Promise<void> {
  const log = await openLogOf(data, limits);
  for (const name of ['rich-1', 'odd-1', 'hostmetrics-1']) await appendCapture(log, name);
  await log.close();
}

/** Number and hash of the rows of all tables, once a server has worked in everything; `changes` run before it ends. */
async function rowsServed(context: TestContext, data: string): Promise<unknown> {
  const server = await startServer(context, data);
  const ask = async (body: string) => {
    const response = await fetch(`${server.http}/treasury/v1/sql`, { method: 'POST', body });
    assert.equal(response.status, 200);
    return ((await response.json()) as { rows: unknown[][] }).rows;
  };
  for (;;) {
    const status = (await (await fetch(`${server.http}/treasury/v1/status`)).json()) as { lag: number | null };
    if (status.lag === 0) break;
    await sleep(20);
  }
  const selects = TABLES.map(
    (table) => `SELECT '${table}', count(*), bit_xor(hash(t)), sum(hash(t)) FROM ${table} AS t`,
  );
  const rows = await ask(selects.join(' UNION ALL ') + ' ORDER BY ALL');
  server.child.kill('SIGTERM');
  assert.equal((await server.finished).code, 0);
  return rows;
}

function rebuild(data: string, ...more: readonly string[]) {
  return runTreasury(['rebuild', '--data', data, ...more]);
}

test('rebuild gives the tables that were built live, of all projections and of each', async (context) => {
  const data = temporaryDirectory(context);
  await makeCaptureLog(data);
  const live = await rowsServed(context, data);
  const all = await rebuild(data);
  assert.equal(all.code, 0, all.stderr);
  assert.match(all.stdout, /^The tables are built anew: \d+ rows, .*iB\n$/);
  assert.match(all.stderr, /Rebuilt \d+ entries of \d+ entries \(100 %\), offset \d+, \d+ entries\/s\n$/);
  assert.deepEqual(readdirSync(join(data, 'tables')), ['treasury.duckdb']);
  assert.deepEqual(await rowsServed(context, data), live);
  for (const projection of ['logs', 'traces', 'metrics']) {
    const one = await rebuild(data, '--projection', projection);
    assert.equal(one.code, 0, one.stderr);
    const written = Number(/(\d+) rows/.exec(one.stdout)![1]);
    const total = Number(/(\d+) rows/.exec(all.stdout)![1]);
    assert.ok(written > 0 && written < total, 'the others are taken over');
  }
  assert.deepEqual(await rowsServed(context, data), live);
});

test('rebuild replaces tables that are damaged, and a write-ahead log that is not theirs', async (context) => {
  const data = temporaryDirectory(context);
  await makeCaptureLog(data);
  const live = await rowsServed(context, data);
  const file = join(data, 'tables', 'treasury.duckdb');
  truncateSync(file, 5_000);
  writeFileSync(`${file}.wal`, 'nothing that DuckDB could read');
  assert.equal((await rebuild(data)).code, 0);
  assert.deepEqual(readdirSync(join(data, 'tables')), ['treasury.duckdb']);
  assert.deepEqual(await rowsServed(context, data), live);
});

test('rebuild keeps the old tables when entries of theirs are no longer in the log', async (context) => {
  const data = temporaryDirectory(context);
  await makeCaptureLog(data, ONE_ENTRY_A_SEGMENT);
  await rowsServed(context, data);
  rmSync(segmentOf(data, 0));
  const { code, stdout, stderr } = await rebuild(data);
  assert.equal(code, 0);
  assert.match(stderr, /Entries below offset \d+ are no longer in the log: the old tables.* are kept/);
  const kept = /The old tables are kept: (.*)\n/.exec(stdout)![1]!;
  assert.ok(existsSync(kept));
  assert.equal(statSync(kept).nlink, 1);
  await rowsServed(context, data);
});

test('rebuild killed at any moment leaves tables, and a start that works', async (context) => {
  const data = temporaryDirectory(context);
  await makeCaptureLog(data);
  const live = await rowsServed(context, data);
  const file = join(data, 'tables', 'treasury.duckdb');
  const before = Date.now();
  assert.equal((await rebuild(data)).code, 0);
  const wholeMs = Date.now() - before;
  const killed: boolean[] = [];
  for (const part of [0.4, 0.7, 0.9]) {
    const child = spawn(process.execPath, [...loaderFlags, MAIN, 'rebuild', '--data', data], {
      stdio: 'ignore',
      env: serverEnvironment(),
    });
    const exited = once(child, 'exit');
    await Promise.race([sleep(wholeMs * part), exited]);
    child.kill('SIGKILL');
    const [, signal] = (await exited) as [number | null, NodeJS.Signals | null];
    killed.push(signal === 'SIGKILL');
    assert.ok(existsSync(file));
    assert.deepEqual(await rowsServed(context, data), live);
    assert.ok(!existsSync(join(data, 'tables', 'rebuild')), 'what a killed rebuild left is gone');
  }
  assert.ok(killed.includes(true));
  assert.equal((await rebuild(data)).code, 0);
  assert.deepEqual(await rowsServed(context, data), live);
});

test('switch of tables leaves old or new ones usable between any two of its steps', async (context) => {
  const data = temporaryDirectory(context);
  await makeCaptureLog(data);
  const live = await rowsServed(context, data);
  const tables = join(data, 'tables');
  const file = join(tables, 'treasury.duckdb');
  // Killed behind the second name.
  writeFileSync(`${file}.wal`, '');
  linkSync(file, `${file}.replaced-1`);
  assert.deepEqual(await rowsServed(context, data), live);
  // The next rebuild takes the second name away.
  assert.equal((await rebuild(data)).code, 0);
  assert.deepEqual(readdirSync(tables), ['treasury.duckdb']);
  const built = join(data, 'built');
  mkdirSync(built);
  writeFileSync(join(built, 'treasury.duckdb'), 'new');
  writeFileSync(`${file}.wal`, 'old');
  const kept = switchTables({ tables, built, keepsOld: true });
  assert.ok(kept !== null && existsSync(kept) && existsSync(`${kept}.wal`));
  assert.ok(!existsSync(`${file}.wal`));
  assert.equal(statSync(file).size, 3);
});

test('rebuild on a disk that is too small says so before it begins or when it happens, and changes nothing', async (context) => {
  const data = smallDisk(context, 48);
  if (data === null) return;
  await makeCaptureLog(data, { diskReserveBytes: 0, segmentBytesMax: 1_000_000 });
  const live = await rowsServed(context, data);
  const ballast = join(data, 'ballast');
  const fill = (leftBytes: number) => {
    rmSync(ballast, { force: true });
    const free = Number(/(\d+)\s*$/.exec(spawnSync('df', ['-B1', '--output=avail', data]).stdout.toString())![1]);
    writeFileSync(ballast, Buffer.alloc(Math.max(0, free - leftBytes)));
  };
  const oldBytes = statSync(join(data, 'tables', 'treasury.duckdb')).size;
  fill(oldBytes - 500_000);
  const before = await rebuild(data);
  assert.equal(before.code, 1);
  assert.match(before.stderr, /Cannot rebuild the tables: about .* are needed beside the old ones, .* are free/);
  rmSync(ballast);
  // Without old tables nobody knows how much they will take.
  rmSync(join(data, 'tables'), { recursive: true });
  for (const leftBytes of [1_000_000, oldBytes / 2]) {
    fill(Math.floor(leftBytes));
    const during = await rebuild(data);
    assert.equal(during.code, 1, during.stdout);
    assert.match(during.stderr, /Cannot rebuild the tables, the old ones are as they were: .*No space left/);
    assert.ok(!existsSync(join(data, 'tables', 'rebuild')));
  }
  rmSync(ballast);
  assert.deepEqual(await rowsServed(context, data), live);
});

/** A disk of some megabytes, gone when the test ends; null, and the test skipped, where the machine mounts none. */
function smallDisk(context: TestContext, megabytes: number): string | null {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-'));
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', directory]);
  context.after(() => {
    if (mount.status === 0) spawnSync('umount', ['-l', directory]);
    rmSync(directory, { recursive: true, force: true });
  });
  if (mount.status === 0) return directory;
  context.skip(`this machine mounts no small disk: ${mount.stderr?.toString().trim() || mount.error?.message}`);
  return null;
}

test('rebuild refuses a directory without a log, and one whose log is empty', async (context) => {
  const data = temporaryDirectory(context);
  const absent = await rebuild(join(data, 'nothing'));
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /Cannot find a log/);
  mkdirSync(join(data, 'log'));
  const empty = await rebuild(data);
  assert.equal(empty.code, 1);
  assert.match(empty.stderr, /holds no segment/);
});
