/**
 * Goal: versions of projections are built beside those that serve, and take their place without a gap.
 * Method: the real loops on real DuckDB with small projections; a log that grows while they run.
 * Invariant: what serves keeps up; each version holds each entry once; after a switch nothing of the version before is left.
 */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { type Logger, systemClock } from '../../src/base/index.ts';
import { MIGRATIONS_DIRECTORY } from '../../src/materialize/migrator.ts';
import type { ProjectionDefinition } from '../../src/materialize/projection.ts';
import { openTableRetention } from '../../src/materialize/table-retention.ts';
import { createRetentionFigures } from '../../src/materialize/table-retention-figures.ts';
import type { ProjectionStatus } from '../../src/materialize/types.ts';
import { smallMigrations, smallProjection, type SmallStore, smallStore } from '../helpers/small-engine.ts';
import { runTracks, smallLog } from '../helpers/small-tracks.ts';

const [V1, V2, V3] = [smallProjection('logs'), smallProjection('logs', 2), smallProjection('logs', 3)] as const;

const migrations = await smallMigrations(await mkdtemp(join(tmpdir(), 'versions-')), [V1, V2, V3]);
await copyFile(join(MIGRATIONS_DIRECTORY, '0005_received_minutes.sql'), join(migrations, '0005_received_minutes.sql'));
after(() => rm(migrations, { recursive: true }));

async function openSmallStore(t: TestContext): Promise<SmallStore> {
  const store = await smallStore(':memory:');
  t.after(() => store.close());
  return store;
}

async function offsets(store: SmallStore, table: string): Promise<number[]> {
  const rows = await store.rows(`SELECT entry_offset FROM store.${table} ORDER BY entry_offset, row`);
  return rows.map((row) => Number(row['entry_offset']));
}

async function tables(store: SmallStore): Promise<string[]> {
  const rows = await store.rows("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store' ORDER BY ALL");
  return rows.map((row) => String(row['table_name']));
}

function upTo(count: number, from = 0): number[] {
  return Array.from({ length: count - from }, (_, at) => from + at);
}

const serves = (version: number, offset: number) => (projections: readonly ProjectionStatus[]) =>
  projections[0]?.version === version &&
  projections[0].building === null &&
  projections[0].materializedOffset >= BigInt(offset);

test('a version serves and keeps up while the next one is built under live load, then that one serves', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write(...upTo(400).map(() => ({ rows: 1 })));
  const first = await runTracks(t, store, log, [V1], { migrations });
  await first.until(serves(1, 400));
  await first.stop();

  const seen: ProjectionStatus[] = [];
  const second = await runTracks(t, store, log, [V1, V2], { migrations });
  let writes = 0;
  await second.until(([logs]) => {
    if (logs === undefined) return false;
    seen.push(logs);
    if (writes++ < 60) second.write({ rows: 1 }, { rows: 1 });
    return writes >= 60 && serves(2, log.entries.length)([logs]);
  });
  const end = log.entries.length;
  assert.deepEqual(await offsets(store, 'logs_v2'), upTo(end));
  assert.deepEqual(await tables(store), ['logs_v2', 'logs_v3']);
  const built = seen.filter(({ building }) => building !== null);
  assert.ok(built.length > 0, 'the build was never seen');
  for (const { version, state, building } of built) {
    assert.deepEqual([version, state, building?.version, building?.kind], [1, 'serving', 2, 'new']);
  }
  const { lastSwitch } = second.tracks.projections[0]!;
  assert.equal(lastSwitch?.fromVersion, 1);
  assert.equal(lastSwitch?.tables['logs']?.result, 'equal');
  second.write({ rows: 1 });
  await second.until(serves(2, end + 1));
  await second.stop();
  assert.deepEqual(await offsets(store, 'logs_v2'), upTo(end + 1));
  const rows = await store.rows(
    'SELECT projection, version, state, next_offset::INTEGER AS next FROM meta.projections',
  );
  assert.deepEqual(rows, [{ projection: 'logs', version: 2, state: 'serving', next: end + 1 }]);
});

test('a version without code serves as it is and says so until the next one has caught up', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write({ rows: 1 }, { rows: 1 });
  const first = await runTracks(t, store, log, [V1], { migrations });
  await first.until(serves(1, 2));
  await first.stop();
  log.write({ rows: 1 });
  const second = await runTracks(t, store, log, [V2], { migrations });
  const [before] = second.tracks.projections;
  if (before?.version === 1) {
    assert.equal(before.state, 'frozen');
    assert.equal(before.materializedOffset, 2n);
  }
  await second.until(serves(2, 3));
  second.write({ rows: 1 });
  await second.until(serves(2, 4));
  await second.stop();
  assert.deepEqual(await offsets(store, 'logs_v2'), [0, 1, 2, 3]);
});

test('a build that a later version overtakes is dropped and that one begun', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write(...upTo(20).map(() => ({ rows: 1 })));
  const first = await runTracks(t, store, log, [V1], { migrations });
  await first.until(serves(1, 20));
  await first.tracks.rebuild('logs').catch(() => {});
  await first.stop();
  await store.run(
    `INSERT INTO meta.projections (projection, version, tables, log_uuid, next_offset, state)
     VALUES ('logs', 2, ['logs_v2'], 'log-1', 7, 'building'); INSERT INTO store.logs_v2 VALUES (3, 0, 'half')`,
  );
  const second = await runTracks(t, store, log, [V1, V2, V3], { migrations });
  await second.until(serves(3, 20));
  await second.stop();
  assert.deepEqual(await tables(store), ['logs_v3']);
  assert.deepEqual(await offsets(store, 'logs_v3'), upTo(20));
  const rows = await store.rows('SELECT version, state FROM meta.projections');
  assert.deepEqual(rows, [{ version: 3, state: 'serving' }]);
});

test('a rebuild gives the same rows and leaves nothing behind; its comparison finds a planted difference', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write(...upTo(300).map((at) => ({ rows: at % 3, ...(at % 50 === 7 ? { fault: 'malformed' as const } : {}) })));
  const running = await runTracks(t, store, log, [V1], { migrations });
  await running.until(serves(1, 300));
  const all = 'SELECT * FROM store.logs_v1 ORDER BY ALL';
  const before = await store.rows(all);
  for (const [planted, result] of [
    [null, 'equal'],
    ["UPDATE store.logs_v1 SET value = 'other' WHERE entry_offset = 5 AND row = 1", 'different'],
    ['DELETE FROM store.logs_v1 WHERE entry_offset = 11', 'different'],
  ] as const) {
    if (planted !== null) await store.run(planted);
    const at = running.tracks.projections[0]?.lastSwitch;
    await running.tracks.rebuild('logs');
    await running.tracks.rebuild('logs');
    await running.until(([logs]) => logs?.lastSwitch !== at && logs?.building === null);
    assert.equal(running.tracks.projections[0]?.lastSwitch?.tables['logs']?.result, result);
    assert.deepEqual(await store.rows(all), before);
    assert.deepEqual(await tables(store), ['logs_v1', 'logs_v2', 'logs_v3']);
  }
  const aside = await store.rows('SELECT projection, count(*)::INTEGER AS count FROM meta.quarantine GROUP BY ALL');
  assert.deepEqual(aside, [{ projection: 'logs', count: 6 }]);
  running.write({ rows: 1 });
  await running.until(serves(1, 301));
  await running.stop();
});

test('a rebuild is cancelled without a trace, and refused where there is nothing to build', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write(...upTo(200).map(() => ({ rows: 1 })));
  const running = await runTracks(t, store, log, [V1], { migrations });
  await running.until(serves(1, 200));
  await assert.rejects(running.tracks.rebuild('nothing'), { code: 'TREASURY_PROJECTION_UNKNOWN' });
  await assert.rejects(running.tracks.cancelRebuild('logs'), { code: 'TREASURY_PROJECTION_STATE' });
  // The order decides: the cancellation may come when the new tables serve already.
  const [, cancelled] = await Promise.allSettled([
    running.tracks.rebuild('logs'),
    running.tracks.cancelRebuild('logs'),
  ]);
  assert.equal(cancelled.status, 'fulfilled');
  assert.equal(running.tracks.projections[0]?.lastSwitch, null);
  assert.deepEqual(await tables(store), ['logs_v1', 'logs_v2', 'logs_v3']);
  running.write({ rows: 1 });
  await running.until(serves(1, 201));
  await running.stop();
  await assert.rejects(running.tracks.rebuild('logs'), { code: 'TREASURY_PROJECTION_STATE' });
  assert.deepEqual(await offsets(store, 'logs_v1'), upTo(201));
});

test('a rebuild takes over the rows of entries that the log no longer has, a new version says what it lacks', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write(...upTo(100).map((at) => (at === 3 ? { fault: 'malformed' as const } : { rows: 1 })));
  const running = await runTracks(t, store, log, [V1], { migrations });
  await running.until(serves(1, 100));
  log.firstOffset = 40n;
  await running.tracks.rebuild('logs');
  await running.until(([logs]) => logs?.lastSwitch !== null && logs?.building === null);
  const [rebuilt] = running.tracks.projections;
  assert.equal(rebuilt?.lastSwitch?.tables['logs']?.result, 'equal');
  assert.equal(rebuilt?.firstOffset, 0n);
  const kept = upTo(100).filter((at) => at !== 3);
  assert.deepEqual(await offsets(store, 'logs_v1'), kept);
  const aside = await store.rows('SELECT projection, entry_offset::INTEGER AS offset FROM meta.quarantine');
  assert.deepEqual(aside, [{ projection: 'logs', offset: 3 }]);
  await running.stop();

  const next = await runTracks(t, store, log, [V1, V2], { migrations });
  await next.until(serves(2, 100));
  const [built] = next.tracks.projections;
  assert.equal(built?.firstOffset, 40n);
  assert.equal(built?.lastSwitch?.tables['logs']?.result, 'equal');
  await next.stop();
  assert.deepEqual(await offsets(store, 'logs_v2'), upTo(100, 40));
});

test('a rebuild that is ordered while the live loop has a transaction open begins all the same', {
  timeout: 60_000,
}, async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write(...upTo(20).map(() => ({ rows: 1 })));
  let begun = 0;
  const counting = { ...store, begin: () => ((begun += 1), store.begin()) };
  const running = await runTracks(t, counting, log, [V1], { migrations, commitIntervalMs: 2000 });
  await running.until(serves(1, 20));
  const before = begun;
  running.write({ rows: 1 });
  while (begun === before) await new Promise((resolve) => setTimeout(resolve, 1));
  await running.tracks.rebuild('logs');
  await running.until(([logs]) => logs?.lastSwitch !== null && logs?.building === null);
  await running.stop();
  assert.deepEqual(await offsets(store, 'logs_v1'), upTo(21));
});

test('queries never fail while versions are switched, and see each row once', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write(...upTo(150).map(() => ({ rows: 1 })));
  const running = await runTracks(t, store, log, [V1], { migrations });
  await running.until(serves(1, 150));
  await store.run('CREATE OR REPLACE VIEW logs AS FROM store.logs_v1');
  const connection = await store.connect();
  let isOver = false;
  t.after(() => {
    isOver = true;
  });
  let queries = 0;
  const reading = (async () => {
    while (!isOver) {
      const reader = await connection.runAndReadAll('SELECT count(*), count(DISTINCT entry_offset) FROM logs');
      const [[rows, distinct]] = reader.getRows() as [[bigint, bigint]];
      assert.equal(rows, distinct);
      assert.ok(rows >= 150n);
      queries++;
    }
  })();
  for (let round = 0; round < 5; round++) {
    const at = running.tracks.projections[0]?.lastSwitch;
    running.write({ rows: 1 });
    await running.tracks.rebuild('logs');
    await running.until(([logs]) => logs?.lastSwitch !== at && logs?.building === null);
  }
  isOver = true;
  await reading;
  connection.closeSync();
  await running.stop();
  assert.ok(queries > 0);
  assert.deepEqual(await offsets(store, 'logs_v1'), upTo(155));
});

test('retention beside a build leaves in the new version what it leaves in the one that serves', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write(...upTo(100).map(() => ({ rows: 1 })));
  const NANOS = 1_000_000_000n;
  // The first half was received two hours before the second.
  for (const [at, entry] of log.entries.entries()) {
    log.entries[at] = { ...entry, receivedAtUnixNano: (1_700_000_000n + (at < 50 ? 0n : 7_200n)) * NANOS };
  }
  const aged = (definition: ProjectionDefinition): ProjectionDefinition => ({
    ...definition,
    aging: { rows: { [definition.tables[0]!]: null }, dimensions: [] },
  });
  const figures = createRetentionFigures(3_600_000);
  const lines: string[] = [];
  const note = (message: string) => void lines.push(message);
  const logger: Logger = { debug: note, info: note, warn: note, error: note };
  const options = {
    migrations,
    logger,
    openRetention: (isShared: () => boolean) =>
      openTableRetention({
        database: store,
        figures,
        now: () => (1_700_000_000n + 7_260n) * NANOS,
        clock: systemClock,
        logger,
        isShared,
      }),
  };
  // One commit: rows of a later one would wait for the second run of retention.
  const first = await runTracks(t, store, log, [aged(V1)], {
    ...options,
    commitRowsMax: 100,
    commitIntervalMs: 60_000,
  });
  await first.until((projections) => serves(1, 100)(projections) && figures.rowsDeleted['logs'] === 50);
  await first.stop();
  assert.deepEqual(await offsets(store, 'logs_v1'), upTo(100, 50));
  const second = await runTracks(t, store, log, [aged(V1), aged(V2)], options);
  await second.until(serves(2, 100));
  assert.equal(second.tracks.projections[0]?.lastSwitch?.tables['logs']?.result, 'equal');
  await second.tracks.rebuild('logs');
  await second.until(([logs]) => logs?.lastSwitch?.fromVersion === 2 && logs.building === null);
  assert.equal(second.tracks.projections[0]?.lastSwitch?.tables['logs']?.result, 'equal');
  await second.stop();
  assert.deepEqual(await offsets(store, 'logs_v2'), upTo(100, 50));
  assert.equal(figures.rowsDeleted['logs'], 50);
  assert.equal(figures.failing, null);
});

test('a build that cannot go on costs the version that serves nothing', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write({ rows: 1 }, { rows: 1 });
  const first = await runTracks(t, store, log, [V1], { migrations });
  await first.until(serves(1, 2));
  await first.stop();
  const broken: ProjectionDefinition = {
    ...V2,
    start: async (context) => ({
      ...(await V2.start(context)),
      beforeCommit: () => context.run('INSERT INTO store.nowhere VALUES (1)'),
    }),
  };
  const second = await runTracks(t, store, log, [V1, broken], { migrations });
  await second.until(([logs]) => (logs?.building?.stuck ?? null) !== null || logs?.version === 2);
  if (second.tracks.projections[0]?.version === 1) {
    second.write({ rows: 1 });
    await second.until(([logs]) => (logs?.materializedOffset ?? 0n) >= 3n);
    assert.equal(second.tracks.stuck, null);
  }
  await second.stop();
});

test('a rebuild that is cancelled in the last moment is not switched to, and another one begins', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write(...upTo(100).map(() => ({ rows: 1 })));
  // Between the comparison and the switch.
  let onCompared: () => void = () => {};
  const note = (message: string) => void (message.startsWith('Compared') && onCompared());
  const logger: Logger = { debug: note, info: note, warn: note, error: note };
  const running = await runTracks(t, store, log, [V1], { migrations, logger });
  await running.until(serves(1, 100));
  for (let round = 0; round < 8; round++) {
    const before = running.tracks.projections[0]?.lastSwitch;
    const compared = new Promise<void>((resolve) => {
      onCompared = resolve;
    });
    await running.tracks.rebuild('logs');
    await compared;
    for (let turn = 0; turn < round * 4; turn++) await Promise.resolve();
    const cancelled = running.tracks.cancelRebuild('logs');
    // The tables of a rebuild that begins now have the names of those that were ready.
    const again = running.tracks.rebuild('logs');
    const [first] = await Promise.allSettled([cancelled, again]);
    if (first.status === 'fulfilled') assert.equal(running.tracks.projections[0]?.lastSwitch, before);
    await running.until(([logs]) => logs?.lastSwitch !== before && logs?.building === null);
    assert.deepEqual(await offsets(store, 'logs_v1'), upTo(100));
    assert.equal(running.tracks.projections[0]?.lastSwitch?.tables['logs']?.result, 'equal');
  }
  await running.stop();
  assert.deepEqual(await tables(store), ['logs_v1', 'logs_v2', 'logs_v3']);
});

test('a build that cannot begin is tried again, and says why meanwhile', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write({ rows: 1 }, { rows: 1 });
  const first = await runTracks(t, store, log, [V1], { migrations });
  await first.until(serves(1, 2));
  await first.stop();
  let refusals = 2;
  const refusing: SmallStore = {
    ...store,
    connectWriting() {
      if (refusals-- > 0) throw new Error('No connection is left');
      return store.connectWriting();
    },
  };
  const seen: (string | null)[] = [];
  const newVersions: string[] = [];
  const second = await runTracks(t, refusing, log, [V1, V2], {
    migrations,
    onNewVersions: () => newVersions.push('new'),
  });
  await second.until((projections) => {
    seen.push(projections[0]?.building?.stuck ?? null);
    return serves(2, 2)(projections);
  });
  assert.ok(seen.includes('No connection is left'), JSON.stringify(seen));
  assert.deepEqual(newVersions, ['new']);
  await second.tracks.rebuild('logs');
  await second.until(([logs]) => logs?.lastSwitch?.fromVersion === 2 && logs.building === null);
  assert.deepEqual(newVersions, ['new']);
  await second.stop();
});
