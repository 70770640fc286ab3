/**
 * Goal: what is built holds of old and of undecodable entries what the version before held, and nothing stands still for it.
 * Method: the real loops on real DuckDB with small projections, and the real engine on a log of OTLP requests for resources and scopes.
 */
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { BatchMalformedError, SIGNAL_CODES, silentLogger, systemClock } from '../../src/base/index.ts';
import { startEngine } from '../../src/materialize/engine.ts';
import { MIGRATIONS_DIRECTORY } from '../../src/materialize/migrator.ts';
import type { ProjectionDefinition } from '../../src/materialize/projection.ts';
import { openTableRetention } from '../../src/materialize/table-retention.ts';
import { createRetentionFigures } from '../../src/materialize/table-retention-figures.ts';
import type { ProjectionStatus } from '../../src/materialize/types.ts';
import { engineOptions, engineRows, engineUntil, openTestLog } from '../helpers/engine-log.ts';
import {
  smallDecoder,
  smallMigrations,
  smallProjection,
  type SmallStore,
  smallStore,
} from '../helpers/small-engine.ts';
import { runTracks, smallLog } from '../helpers/small-tracks.ts';

const NANOS = 1_000_000_000n;
const V1 = smallProjection('logs');
const migrations = await smallMigrations(await mkdtemp(join(tmpdir(), 'builds-retention-')), [
  V1,
  smallProjection('logs', 2),
  smallProjection('logs', 3),
]);
await copyFile(join(MIGRATIONS_DIRECTORY, '0005_received_minutes.sql'), join(migrations, '0005_received_minutes.sql'));
after(() => rm(migrations, { recursive: true }));

async function openSmallStore(t: TestContext): Promise<SmallStore> {
  const store = await smallStore(':memory:');
  t.after(() => store.close());
  return store;
}

const serves = (offset: number) => (projections: readonly ProjectionStatus[]) =>
  projections[0]?.building === null && projections[0].materializedOffset >= BigInt(offset);

test('live data is taken in while old rows go from what is built, and none of them is seen after the switch', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write(...Array.from({ length: 60 }, () => ({ rows: 1 })));
  // The first half was received two hours before the second.
  for (const [at, entry] of log.entries.entries()) {
    log.entries[at] = { ...entry, receivedAtUnixNano: (1_700_000_000n + (at < 30 ? 0n : 7_200n)) * NANOS };
  }
  const aged: ProjectionDefinition = { ...V1, aging: { rows: { logs_v1: null }, dimensions: [] } };
  const figures = createRetentionFigures(3_600_000);
  let release: () => void = () => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  let isSweeping = false;
  const gated: SmallStore = {
    ...store,
    async connectWriting() {
      const connection = await store.connectWriting();
      return {
        ...connection,
        async rows(sql) {
          if (sql.startsWith('DELETE FROM store.logs_v1__next')) {
            isSweeping = true;
            await gate;
          }
          return connection.rows(sql);
        },
      };
    },
  };
  const running = await runTracks(t, gated, log, [aged], {
    migrations,
    commitRowsMax: 100,
    openRetention: (isShared) =>
      openTableRetention({
        database: store,
        figures,
        now: () => (1_700_000_000n + 7_260n) * NANOS,
        clock: systemClock,
        logger: silentLogger,
        isShared,
      }),
  });
  await running.until((projections) => serves(60)(projections) && figures.rowsDeleted['logs'] === 30);
  await running.tracks.rebuild('logs');
  await running.until(() => isSweeping);
  running.write({ rows: 1 }, { rows: 1 });
  await running.until(([logs]) => (logs?.materializedOffset ?? 0n) >= 62n);
  const [live] = await store.rows('SELECT count(*)::INTEGER AS count FROM store.logs_v1');
  assert.deepEqual(live, { count: 32 });
  assert.notEqual(running.tracks.projections[0]?.building, null);
  release();
  await running.until((projections) => serves(62)(projections) && projections[0]?.lastSwitch !== null);
  const [first] = await store.rows(
    'SELECT count(*)::INTEGER AS count, min(entry_offset)::INTEGER AS first FROM store.logs_v1',
  );
  assert.deepEqual(first, { count: 32, first: 30 });
  assert.deepEqual(running.tracks.projections[0]?.lastSwitch?.tables, {
    logs: { result: 'equal', rowsBefore: 30, rows: 30 },
  });
  assert.equal(figures.rowsDeleted['logs'], 30);
  await running.stop();
});

test('a rebuild takes over the rows of entries that do not decode any more, and tells them in quarantine', async (t) => {
  const store = await openSmallStore(t);
  const log = smallLog();
  log.write(...Array.from({ length: 40 }, (_, at) => (at === 5 ? { fault: 'malformed' as const } : { rows: at % 3 })));
  let isBroken = false;
  const running = await runTracks(t, store, log, [V1], {
    migrations,
    createDecoder: (signal) => {
      const decoder = smallDecoder(signal);
      return {
        ...decoder,
        decode(bytes) {
          const batch = decoder.decode(bytes) as unknown as { record: { rows?: number } };
          if (isBroken && batch.record.rows === 2) throw new BatchMalformedError('Cannot decode: it did once');
          return batch as unknown as ReturnType<typeof decoder.decode>;
        },
      };
    },
  });
  await running.until(serves(40));
  const all = 'SELECT entry_offset, row, value FROM store.logs_v1 ORDER BY ALL';
  const before = await store.rows(all);
  isBroken = true;
  await running.tracks.rebuild('logs');
  await running.until(([logs]) => logs?.lastSwitch !== null && logs?.building === null);
  await running.stop();
  assert.deepEqual(await store.rows(all), before);
  assert.deepEqual(running.tracks.projections[0]?.lastSwitch?.tables['logs']?.result, 'equal');
  const aside = await store.rows(
    'SELECT entry_offset::INTEGER AS at, count(*)::INTEGER AS count FROM meta.quarantine GROUP BY ALL ORDER BY ALL',
  );
  const undecodable = Array.from({ length: 40 }, (_, at) => at).filter((at) => at === 5 || at % 3 === 2);
  assert.deepEqual(
    aside,
    undecodable.map((at) => ({ at, count: 1 })),
  );
});

test('a rebuild beside retention compares resources and scopes of the rows that stay, and keeps those alone', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'builds-retention-'));
  const log = await openTestLog(directory);
  const nowMs = Date.UTC(2026, 0, 10);
  const append = (service: string, ageHours: number) => {
    const logRecords = [{ timeUnixNano: `${nowMs - ageHours * 3_600_000}000000`, body: { stringValue: service } }];
    const attributes = [{ key: 'service.name', value: { stringValue: service } }];
    const body = {
      resourceLogs: [{ resource: { attributes }, scopeLogs: [{ scope: { name: service }, logRecords }] }],
    };
    const headers = new Map([['content-type', 'application/json']]);
    return log.appendOtlp(SIGNAL_CODES.logs, { batchId: 0n, record: [Buffer.from(JSON.stringify(body))], headers });
  };
  for (let at = 0; at < 20; at++) await append(`old-${at % 4}`, 30);
  for (let at = 0; at < 10; at++) await append(`new-${at % 2}`, 1);
  // Rows that come after the first run of retention would wait for the second.
  const filling = await startEngine(engineOptions(directory, log.status()), silentLogger);
  await engineUntil(filling, ({ materializedOffset }) => materializedOffset >= 30n);
  await filling.stop();
  const engine = await startEngine(
    { ...engineOptions(directory, log.status()), retentionAgeMs: 24 * 3_600_000, retentionClockUnixMs: nowMs },
    silentLogger,
  );
  t.after(async () => {
    await engine.stop();
    await log.close();
    await rm(directory, { recursive: true });
  });
  await engineUntil(engine, ({ retention }) => retention.rowsDeleted['logs'] === 20 && retention.runs > 0);
  await engine.rebuildProjection('logs');
  const { projections } = await engineUntil(engine, (status) =>
    status.projections.some(({ lastSwitch }) => lastSwitch !== null),
  );
  const { tables } = projections.find(({ name }) => name === 'logs')!.lastSwitch!;
  // What maps ids of resources is as old as its receipt, whatever the time of the rows.
  const equal = (rows: number) => ({ result: 'equal', rowsBefore: rows, rows });
  assert.deepEqual([tables['logs'], tables['logs_resources'], tables['logs_scopes']], [equal(10), equal(6), equal(2)]);
  assert.ok(Object.values(tables).every(({ result }) => result === 'equal'));
  assert.deepEqual(await engineRows(engine, 'SELECT count(*), min(body) FROM logs'), [['10', 'new-0']]);
  assert.deepEqual(await engineRows(engine, 'SELECT count(*) FROM scopes'), [['2']]);
});
