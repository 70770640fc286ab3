/**
 * Goal: a build that cannot go on says why, waits, and goes on by itself; what came of it is known after a restart.
 * Method: the real loops on real DuckDB with small projections, faults planted in projectors, and a disk whose free bytes a test sets.
 * Invariant: the version that serves keeps up whatever the build waits for.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { AssertionError, LIMITS, type Logger } from '../../src/base/index.ts';
import { createBuildSpace } from '../../src/materialize/build-space.ts';
import type { ProjectionDefinition } from '../../src/materialize/projection.ts';
import type { BuildStatus, ProjectionStatus } from '../../src/materialize/types.ts';
import { smallMigrations, smallProjection, type SmallStore, smallStore } from '../helpers/small-engine.ts';
import { runTracks, type RunningTracks, smallLog } from '../helpers/small-tracks.ts';

const [V1, V2] = [smallProjection('logs'), smallProjection('logs', 2)] as const;
const migrations = await smallMigrations(await mkdtemp(join(tmpdir(), 'builds-')), [V1, V2]);
after(() => rm(migrations, { recursive: true }));

async function openSmallStore(t: TestContext, file = ':memory:'): Promise<SmallStore> {
  const store = await smallStore(file);
  t.after(() => store.close());
  return store;
}

function logOf(entries: number) {
  const log = smallLog();
  log.write(...Array.from({ length: entries }, () => ({ rows: 1 })));
  return log;
}

async function count(store: SmallStore, table: string): Promise<number> {
  const [row] = await store.rows(`SELECT count(DISTINCT entry_offset)::INTEGER AS entries FROM store.${table}`);
  return Number(row?.['entries']);
}

const serves = (version: number, offset: number) => (projections: readonly ProjectionStatus[]) =>
  projections[0]?.version === version &&
  projections[0].building === null &&
  projections[0].materializedOffset >= BigInt(offset);

/** Waits for a build in this state, and shows that live data is taken in meanwhile. */
async function untilWaiting(running: RunningTracks, what: BuildStatus['waiting']): Promise<BuildStatus> {
  let found: BuildStatus | null = null;
  await running.until(([logs]) => {
    if (logs?.building?.waiting === what) found = logs.building;
    return found !== null;
  });
  return found!;
}

test('the last switch and its comparison are known after a restart, and to another one', async (t) => {
  const store = await openSmallStore(t);
  const log = logOf(20);
  const first = await runTracks(t, store, log, [V1], { migrations });
  await first.until(serves(1, 20));
  await first.tracks.rebuild('logs');
  await first.until(([logs]) => logs?.lastSwitch !== null && logs?.building === null);
  const told = first.tracks.projections[0]?.lastSwitch;
  await first.stop();

  const second = await runTracks(t, store, log, [V1], { migrations });
  assert.deepEqual(second.tracks.projections[0]?.lastSwitch, told);
  assert.deepEqual(told?.tables, { logs: { result: 'equal', rowsBefore: 20, rows: 20 } });
  await second.until(serves(1, 20));
  await second.tracks.rebuild('logs');
  await second.until(([logs]) => logs?.lastSwitch !== null && logs?.lastSwitch.atUnixMs !== told.atUnixMs);
  await second.stop();
  const rows = await store.rows('SELECT count(*)::INTEGER AS count FROM meta.switches');
  assert.deepEqual(rows, [{ count: 1 }]);
});

test('a switch that is taken back is not told as one', async (t) => {
  const store = await openSmallStore(t);
  const log = logOf(20);
  let refusals = 1;
  const running = await runTracks(t, store, log, [V1], {
    migrations,
    applyViews: () => (refusals-- > 0 ? Promise.reject(new Error('No views today')) : Promise.resolve()),
  });
  await running.until(serves(1, 20));
  await running.tracks.rebuild('logs');
  const seen = new Set<string>();
  await running.until(([logs]) => {
    const rows = logs?.lastSwitch?.tables['logs']?.rows;
    seen.add(`${refusals} ${rows ?? 'none'}`);
    return rows !== undefined && logs?.building === null;
  });
  await running.stop();
  assert.ok(!seen.has('1 20'), [...seen].join());
  assert.equal(refusals, -1);
});

test('a build that fails by a fault of its own is tried again with growing pauses, and says why it waits', async (t) => {
  const store = await openSmallStore(t);
  const log = logOf(20);
  const first = await runTracks(t, store, log, [V1], { migrations });
  await first.until(serves(1, 20));
  await first.stop();
  let faults = 3;
  const faulty: ProjectionDefinition = {
    ...V2,
    start: async (context) => {
      const projector = await V2.start(context);
      return {
        ...projector,
        beforeCommit() {
          if (faults-- > 0) throw new AssertionError('The build broke');
          return projector.beforeCommit();
        },
      };
    },
  };
  const pauses: unknown[] = [];
  const note: Logger['error'] = (message, fields) => {
    if (message === 'Build of projection versions failed') pauses.push(fields?.['retryInMs']);
  };
  const second = await runTracks(t, store, log, [V1, faulty], {
    migrations,
    logger: { debug() {}, info() {}, warn() {}, error: note },
  });
  const { stuck, retryAtUnixMs } = await untilWaiting(second, 'retry');
  assert.match(stuck ?? '', /has failed and is tried again: The build broke/);
  assert.ok(retryAtUnixMs === null || retryAtUnixMs > 0);
  second.write({ rows: 1 });
  await second.until(([logs]) => (logs?.materializedOffset ?? 0n) >= 21n);
  assert.equal(second.tracks.stuck, null);
  await second.until(serves(2, 21));
  await second.stop();
  const { storeRetryMinMs } = LIMITS;
  assert.deepEqual(pauses, [storeRetryMinMs, 2 * storeRetryMinMs, 4 * storeRetryMinMs]);
  assert.equal(await count(store, 'logs_v2'), 21);
});

test('a rebuild that cannot fit the disk is refused with what is needed and what is free', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'builds-'));
  t.after(() => rm(directory, { recursive: true }));
  const store = await openSmallStore(t, join(directory, 'tables'));
  const log = logOf(20);
  let freeBytes = LIMITS.buildDiskReserveBytes - 1;
  const full: SmallStore = { ...store, diskFreeBytes: () => freeBytes };
  const running = await runTracks(t, full, log, [V1], { migrations });
  await running.until(serves(1, 20));
  await assert.rejects(running.tracks.rebuild('logs'), {
    code: 'TREASURY_DISK_FULL',
    message: /^Cannot rebuild logs: about \d+ MB are needed beside a reserve of 403 MB, 403 MB are free$/,
  });
  assert.equal(running.tracks.projections[0]?.building, null);
  freeBytes = 2 * LIMITS.buildDiskReserveBytes;
  await running.tracks.rebuild('logs');
  await running.until(([logs]) => logs?.lastSwitch !== null && logs?.building === null);
  await running.stop();
});

test('the room that a build needs is that of the tables that serve, less what is built of them', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'builds-'));
  t.after(() => rm(directory, { recursive: true }));
  const store = await openSmallStore(t, join(directory, 'tables'));
  await store.run(`
    CREATE SCHEMA store;
    CREATE TABLE store.a AS SELECT hash(range) AS value FROM range(1_000_000);
    CREATE TABLE store.b AS FROM store.a LIMIT 600_000;
    CREATE TABLE store.c AS FROM store.a WITH NO DATA;
    CHECKPOINT`);
  const lackAt = (freeBytes: number) => createBuildSpace(() => freeBytes, 0);
  const whole = [{ serving: ['a'], built: ['c'] }];
  assert.match((await lackAt(5_000_000).lackFor(store, whole)) ?? 'fits', /^about [89] MB are needed/);
  assert.equal(await lackAt(10_000_000).lackFor(store, whole), null);
  assert.equal(await lackAt(5_000_000).lackFor(store, [{ serving: ['a'], built: ['b'] }]), null);
  assert.equal(await lackAt(0).lackFor(store, [{ serving: ['a'], built: ['a'] }]), null);
  assert.match((await lackAt(10_000_000).lackFor(store, [...whole, ...whole])) ?? 'fits', /^about 1[678] MB/);
});

test('tables with times out of range, of which DuckDB tells no blocks, need their share of the file', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'builds-'));
  t.after(() => rm(directory, { recursive: true }));
  const store = await openSmallStore(t, join(directory, 'tables'));
  await store.run(`
    CREATE SCHEMA store;
    CREATE TABLE store.a AS SELECT make_timestamp_ns(-9223372036854775806 + range) AS time, hash(range) AS value FROM range(1_000_000);
    CREATE TABLE store.b AS SELECT time, value FROM store.a WHERE value % 3 = 0;
    CREATE TABLE store.c AS FROM store.a WITH NO DATA;
    CHECKPOINT`);
  await assert.rejects(store.rows("FROM pragma_storage_info('store.a')"), /Date out of range/);
  const lackAt = (freeBytes: number) => createBuildSpace(() => freeBytes, 0);
  const tables = [{ serving: ['a'], built: ['c'] }];
  assert.match((await lackAt(1_000_000).lackFor(store, tables)) ?? 'fits', /^about ([5-9]|1[0-9]) MB are needed/);
  assert.equal(await lackAt(30_000_000).lackFor(store, tables), null);
  assert.equal(await lackAt(0).lackFor(store, [{ serving: ['a'], built: ['a'] }]), null);
});

test('a new version waits for free disk at the start, says so, and is built when there is some', async (t) => {
  const store = await openSmallStore(t);
  const log = logOf(20);
  const first = await runTracks(t, store, log, [V1], { migrations });
  await first.until(serves(1, 20));
  await first.stop();
  let freeBytes = 1_000_000;
  const full: SmallStore = { ...store, diskFreeBytes: () => freeBytes };
  const second = await runTracks(t, full, log, [V1, V2], { migrations });
  const { stuck, retryAtUnixMs } = await untilWaiting(second, 'disk');
  assert.match(stuck ?? '', /waits for free disk: .* 1 MB are free$/);
  assert.ok(retryAtUnixMs !== null);
  second.write({ rows: 1 });
  await second.until(([logs]) => (logs?.materializedOffset ?? 0n) >= 21n);
  assert.equal(second.tracks.projections[0]?.version, 1);
  freeBytes = Number.POSITIVE_INFINITY;
  await second.until(serves(2, 21));
  await second.stop();
  assert.equal(await count(store, 'logs_v2'), 21);
});

test('a build stands between transactions while the disk is short, and can be cancelled then', async (t) => {
  const store = await openSmallStore(t);
  const log = logOf(400);
  let freeBytes = Number.POSITIVE_INFINITY;
  const shrinking: SmallStore = { ...store, diskFreeBytes: () => freeBytes };
  const filling: ProjectionDefinition = {
    ...V1,
    start: async (context) => {
      const projector = await V1.start(context);
      const isBuild = context.tableName !== undefined;
      return {
        ...projector,
        beforeCommit() {
          if (isBuild) freeBytes = 0;
          return projector.beforeCommit();
        },
      };
    },
  };
  const running = await runTracks(t, shrinking, log, [filling], { migrations });
  await running.until(serves(1, 400));
  await running.tracks.rebuild('logs');
  const standing = await untilWaiting(running, 'disk');
  assert.ok(standing.offset > 0n && standing.offset < 400n, String(standing.offset));
  running.write({ rows: 1 });
  await running.until(([logs]) => (logs?.materializedOffset ?? 0n) >= 401n);
  await running.tracks.cancelRebuild('logs');
  assert.equal(running.tracks.projections[0]?.building, null);
  freeBytes = Number.POSITIVE_INFINITY;
  await running.tracks.rebuild('logs');
  await untilWaiting(running, 'disk');
  const widening = setInterval(() => (freeBytes = Number.POSITIVE_INFINITY), 1);
  t.after(() => clearInterval(widening));
  await running.until(([logs]) => logs?.lastSwitch !== null && logs?.building === null);
  await running.stop();
  assert.equal(await count(store, 'logs_v1'), 401);
});
