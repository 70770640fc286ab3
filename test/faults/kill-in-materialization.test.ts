/**
 * Goal: kill -9 at any moment of materialization leaves tables that are those of an offset, and the next start makes them whole.
 * Method: a library between the process and its files kills it at the n-th write, sync, truncation, rename or removal of the tables'
 * files: in first migrations, inside transactions, inside CHECKPOINT, in table retention, and in `treasury rebuild` with its switch.
 * A run without faults counts the calls; those of the last transactions and a seeded choice of the others are taken, and with
 * TREASURY_TEST_KILL_POINTS=all every one. The killed tables are looked at as they are, then an engine goes on with them.
 * Invariant: every row is of an entry below the cursor and the rows of all entries below it are there, once (cursor = rows); in the
 * end every table equals that of a fresh build; after a killed rebuild the old tables or the new ones are in place, whole.
 * Random moments are in test/e2e/kill-rounds, test/materialize/engine-log and table-retention-kill; every database call of the
 * loop, a version switch included, in test/materialize/exactly-once.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { silentLogger, systemClock } from '../../src/base/index.ts';
import { type LogStatus, openLog } from '../../src/log/index.ts';
import { startEngine } from '../../src/materialize/engine.ts';
import type { Engine } from '../../src/materialize/types.ts';
import { loaderFlags } from '../helpers/checkout.ts';
import { appendCapture, durableOf, engineOptions, engineUntil, tableHashes } from '../helpers/engine-log.ts';
import { type FaultRule, faultShim, type FaultShim } from '../helpers/fault-shim.ts';
import { seededRandom } from '../helpers/random.ts';
import { scratchDirectory, serverEnvironment } from '../helpers/server-process.ts';
import { openStoppedTables, ROW_VIEWS } from '../helpers/stopped-tables.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const EVERY_POINT = process.env['TREASURY_TEST_KILL_POINTS'] === 'all';
/** Calls on the write-ahead log of which one is in the migrations, and those of the last two transactions. */
const MIGRATION_CALLS = 40;
const LAST_CALLS = 6;
const LANES = 2;
const VICTIM = fileURLToPath(new URL('../helpers/materialization-victim.ts', import.meta.url));
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const RECEIVED_AT = 1_790_000_000_000_000_000n;
/** The rows of the captures are older than their receipt, which was long ago. */
const AGE_MS = 3_600_000;

interface Scenario {
  readonly name: string;
  /** Tables that are there before, or none. */
  readonly tables: string | null;
  readonly retentionAgeMs: number | null;
  /** The command line of the process that is killed. */
  argv(facts: Facts): readonly string[];
}

interface Facts extends ReturnType<typeof durableOf> {
  readonly directory: string;
  readonly uuid: string;
}

const asVictim =
  (retentionAgeMs: number | null) =>
  (facts: Facts): string[] => {
    const plain = (_key: string, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value);
    return [VICTIM, JSON.stringify({ ...facts, retentionAgeMs }, plain)];
  };

for (const name of ['materialization', 'retention', 'rebuild'] as const) {
  test(`kill -9 at calls of ${name} leaves tables of an offset, and the next start makes them whole (seed ${SEED})`, async (t) => {
    const shims = Array.from({ length: LANES }, () => faultShim(t));
    if (shims.includes(null)) return;
    const origin = scratchDirectory(t);
    const status = await makeLog(origin);
    const scenario = await scenarioOf(name, origin, status);
    const reference = await referenceOf(t, origin, { status, scenario });
    const points = await pointsOf(shims[0]!, scenario, copyOf(t, origin, { status, scenario }));
    const left = [...points];
    let killed = 0;
    await Promise.all(
      shims.map(async (shim) => {
        for (let point = left.shift(); point !== undefined; point = left.shift()) {
          let facts = copyOf(t, origin, { status, scenario });
          let isKilled = await runKilled(shim!, scenario, { facts, point });
          // How transactions fall on time decides how many calls there are.
          while (!isKilled && point > 0) {
            point >>= 1;
            facts = copyOf(t, origin, { status, scenario });
            isKilled = await runKilled(shim!, scenario, { facts, point });
          }
          if (isKilled) killed += 1;
          await assertWhole(facts, { status, scenario, reference, point: `${name} at call ${point} (seed ${SEED})` });
        }
      }),
    );
    t.diagnostic(`${killed} of ${points.length} processes were killed`);
    assert.equal(killed, points.length);
  });
}

async function scenarioOf(name: string, origin: string, status: LogStatus): Promise<Scenario> {
  if (name === 'materialization') return { name, tables: null, retentionAgeMs: null, argv: asVictim(null) };
  const tables = join(origin, 'tables');
  const engine = await openEngine({ directory: origin, status, retentionAgeMs: null });
  await engineUntil(engine, ({ materializedOffset }) => materializedOffset >= status.durableOffset);
  await engine.stop();
  if (name === 'retention') return { name, tables, retentionAgeMs: AGE_MS, argv: asVictim(AGE_MS) };
  return { name, tables, retentionAgeMs: null, argv: ({ directory }) => [MAIN, 'rebuild', '--data', directory] };
}

/** A log whose entries were received long ago. */
async function makeLog(directory: string): Promise<LogStatus> {
  let receivedAt = RECEIVED_AT - 90n * 86_400_000_000_000n;
  const clock = { monotonicMs: () => systemClock.monotonicMs(), nowUnixNano: () => (receivedAt += 1_000_000_000n) };
  const log = await openLog({ directory: join(directory, 'log'), clock, limits: { segmentBytesMax: 100_000 } });
  for (const capture of ['rich-1', 'odd-1']) await appendCapture(log, capture);
  await log.close();
  const reopened = await openLog({ directory: join(directory, 'log') });
  const status = reopened.status();
  await reopened.close();
  return status;
}

interface Setting {
  readonly status: LogStatus;
  readonly scenario: Scenario;
}

/** What the scenario begins with, in a folder of its own. */
function copyOf(t: TestContext, origin: string, { status, scenario }: Setting): Facts {
  const directory = scratchDirectory(t);
  cpSync(join(origin, 'log'), join(directory, 'log'), { recursive: true });
  mkdirSync(join(directory, 'tables'));
  if (scenario.tables !== null) cpSync(scenario.tables, join(directory, 'tables'), { recursive: true });
  return { directory, uuid: status.uuid, ...durableOf(status) };
}

const FILE = 'treasury.duckdb';
const CALLS = ['write', 'sync', 'truncate', 'rename', 'unlink'] as const;
const TABLES: FaultRule = { calls: CALLS, path: 'treasury.duckdb', notPath: '.lease' };

/** The calls to be killed at, as numbers of a run without faults. */
async function pointsOf(shim: FaultShim, scenario: Scenario, facts: Facts): Promise<number[]> {
  shim.set([TABLES]);
  assert.equal(await run(shim, scenario, facts), null);
  const calls = shim.calls().filter(({ rule }) => rule === 0);
  shim.clear();
  const kinds = new Map<string, number[]>();
  for (const [at, { call, path }] of calls.entries()) {
    const kind = `${call} ${basename(path)}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), at]);
  }
  assert.ok(kinds.has('write treasury.duckdb.wal') || scenario.name === 'rebuild', [...kinds.keys()].join(', '));
  assert.ok(kinds.has('sync treasury.duckdb'), [...kinds.keys()].join(', '));
  if (EVERY_POINT) return calls.map((_call, at) => at);
  const random = seededRandom(SEED);
  const all = [...kinds.values()];
  const syncs = kinds.get(`sync ${FILE}`)!;
  if (scenario.tables !== null) return [syncs, random.pick(all), random.pick(all)].map((at) => random.pick(at));
  // Migrations, CHECKPOINT, and all that the last transactions do: between any two of their calls rows and cursor must agree.
  const inLog = calls.flatMap(({ path }, at) => (path.endsWith('.wal') ? [at] : []));
  return [random.pick(inLog.slice(0, MIGRATION_CALLS)), random.pick(syncs), ...inLog.slice(-LAST_CALLS)];
}

async function runKilled(
  shim: FaultShim,
  scenario: Scenario,
  { facts, point }: { readonly facts: Facts; readonly point: number },
): Promise<boolean> {
  shim.set([{ ...TABLES, skip: point, times: 1, kill: true }]);
  const signal = await run(shim, scenario, facts);
  shim.clear();
  assert.ok(signal === null || signal === 'SIGKILL', `the process ended by ${String(signal)}`);
  return signal === 'SIGKILL';
}

/** Runs the process to its end: null when it was not killed. */
async function run(shim: FaultShim, scenario: Scenario, facts: Facts): Promise<NodeJS.Signals | null> {
  const child = spawn(process.execPath, [...loaderFlags, ...scenario.argv(facts)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...serverEnvironment(), ...shim.env },
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  assert.ok(code === 0 || signal !== null, errors);
  return signal;
}

interface Reference {
  readonly hashes: Awaited<ReturnType<typeof tableHashes>>;
  /** Tables with all rows, also those that are too old. */
  readonly complete: DuckDBConnection;
}

/** The tables as a process makes them that is never killed. */
async function referenceOf(t: TestContext, origin: string, setting: Setting): Promise<Reference> {
  const { status, scenario } = setting;
  const { directory } = copyOf(t, origin, { status, scenario: { ...scenario, tables: null } });
  const hashes = await finish({ directory, status, scenario: { ...scenario, retentionAgeMs: null } });
  const complete = await openStoppedTables(t, directory);
  if (scenario.retentionAgeMs === null) return { complete, hashes };
  const { directory: retained } = copyOf(t, origin, setting);
  return { complete, hashes: await finish({ directory: retained, ...setting }) };
}

interface Killed extends Setting {
  readonly reference: Reference;
  readonly point: string;
}

async function assertWhole({ directory }: Facts, { status, scenario, reference, point }: Killed): Promise<void> {
  const cursor = await assertCursor(join(directory, 'tables'), { scenario, reference, point });
  if (scenario.tables !== null) assert.equal(cursor, status.durableOffset, point);
  assert.deepEqual(await finish({ directory, status, scenario }), reference.hashes, point);
}

/** Asserts that a copy of the tables has the rows of all entries below its cursor and no others. Returns the cursor. */
async function assertCursor(tables: string, { scenario, reference, point }: Omit<Killed, 'status'>): Promise<bigint> {
  const copy = join(tables, 'copy');
  mkdirSync(copy);
  for (const file of [FILE, `${FILE}.wal`]) {
    if (existsSync(join(tables, file))) copyFileSync(join(tables, file), join(copy, file));
  }
  const instance = await DuckDBInstance.create(join(copy, FILE));
  const connection = await instance.connect();
  try {
    const known = "SELECT 1 FROM duckdb_views() WHERE view_name = 'logs'";
    if ((await rowsOf(connection, known)).length === 0) return 0n;
    const cursors = await rowsOf(connection, 'SELECT DISTINCT next_offset FROM meta.projections');
    assert.equal(cursors.length, 1, `${point}: projections are apart`);
    const cursor = cursors[0]![0] as bigint;
    for (const view of ROW_VIEWS) {
      const counted = `SELECT count(*), count(DISTINCT (entry_offset, row)) FROM ${view}`;
      const [[rows, distinct]] = (await rowsOf(connection, counted)) as [[bigint, bigint]];
      assert.equal(rows, distinct, `${point}: ${view} repeats rows`);
      // Retention may have taken some of them.
      if (scenario.retentionAgeMs !== null) continue;
      const hash = `SELECT count(*), sum(hash(t)) FROM ${view} AS t`;
      const expected = await rowsOf(reference.complete, `${hash} WHERE entry_offset < ${cursor}`);
      assert.deepEqual(await rowsOf(connection, hash), expected, `${point}: ${view} is not that of offset ${cursor}`);
    }
    return cursor;
  } finally {
    connection.closeSync();
    instance.closeSync();
    rmSync(copy, { recursive: true });
  }
}

async function rowsOf(connection: DuckDBConnection, sql: string): Promise<unknown[][]> {
  return (await connection.runAndReadAll(sql)).getRows();
}

/** Goes on until everything is done; hashes of all tables. */
async function finish({ directory, status, scenario }: Setting & { readonly directory: string }) {
  const { retentionAgeMs } = scenario;
  const engine = await openEngine({ directory, status, retentionAgeMs });
  try {
    await engineUntil(
      engine,
      ({ materializedOffset, retention }) =>
        materializedOffset >= status.durableOffset && (retentionAgeMs === null || retention.runs > 0),
    );
    assert.equal((await engine.status()).quarantinedTotal, 0);
    return await tableHashes(engine);
  } finally {
    await engine.stop();
  }
}

interface Opening {
  readonly directory: string;
  readonly status: LogStatus;
  readonly retentionAgeMs: number | null;
}

function openEngine({ directory, status, ...options }: Opening): Promise<Engine> {
  return startEngine({ ...engineOptions(directory, status), ...options }, silentLogger);
}
