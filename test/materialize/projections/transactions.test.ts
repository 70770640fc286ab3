/** Dimension rows across commits and rollbacks: stored once, never lost, never for rows that were rolled back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PROJECTIONS } from '../../../src/materialize/projections/projections.ts';
import { logsBatch, metricsBatch } from './rows.ts';
import { openStore } from './store.ts';

const LOGS = logsBatch({
  logs: [{ resource: { id: 0 }, scope: { id: 0, name: 'lib' } }],
  resource_attrs: [{ parent_id: 0, key: 'service.name', type: 1, str: 'shop' }],
});
const METRICS = metricsBatch({
  univariate_metrics: [{ id: 0, name: 'm' }],
  number_data_points: [
    { parent_id: 0, int_value: 1n },
    { parent_id: 0, int_value: 2n },
  ],
});
const COUNTS = `SELECT (SELECT count(*) FROM store.logs_v1) AS logs, (SELECT count(*) FROM store.logs_resources_v1) AS resources,
  (SELECT count(*) FROM store.logs_resources_staged_v1) AS staged, (SELECT count(*) FROM series) AS series,
  (SELECT count(*) FROM store.series_staged_v1) AS staged_series`;

test('dimension rows are written once over several commits', async (t) => {
  const store = await openStore(t);
  await store.commit([LOGS, LOGS, METRICS], 1n);
  await store.commit([LOGS, METRICS], 4n);
  assert.deepEqual(await store.rows(COUNTS), [{ logs: 3n, resources: 1n, staged: 0n, series: 1n, staged_series: 0n }]);
});

test('after a rollback the dimension rows are written with the replayed batches', async (t) => {
  const store = await openStore(t);
  await store.run('BEGIN');
  store.project(LOGS, 1n);
  store.project(METRICS, 2n);
  await store.beforeCommit();
  await store.run('ROLLBACK');
  store.afterRollback();
  assert.deepEqual(await store.rows(COUNTS), [{ logs: 0n, resources: 0n, staged: 0n, series: 0n, staged_series: 0n }]);
  await store.commit([LOGS, METRICS], 1n);
  assert.deepEqual(await store.rows(COUNTS), [{ logs: 1n, resources: 1n, staged: 0n, series: 1n, staged_series: 0n }]);
  assert.deepEqual(await store.rows('SELECT service_name, scope_name FROM logs'), [
    { service_name: 'shop', scope_name: 'lib' },
  ]);
});

test('keys that were forgotten in memory are not stored twice', async (t) => {
  const store = await openStore(t);
  await store.commit([LOGS, METRICS], 1n);
  // What a rollback or a full memory of keys leaves: the next batches stage the rows again.
  store.afterRollback();
  await store.commit([LOGS, METRICS], 3n);
  assert.deepEqual(await store.rows(COUNTS), [{ logs: 2n, resources: 1n, staged: 0n, series: 1n, staged_series: 0n }]);
});

test('a key that is staged twice in one transaction is stored once', async (t) => {
  const store = await openStore(t);
  await store.run('BEGIN');
  store.project(LOGS, 1n);
  store.project(METRICS, 2n);
  // The memory of keys was full in between.
  store.afterRollback();
  store.project(LOGS, 3n);
  store.project(METRICS, 4n);
  await store.beforeCommit();
  await store.run('COMMIT');
  assert.deepEqual(await store.rows(COUNTS), [{ logs: 2n, resources: 1n, staged: 0n, series: 1n, staged_series: 0n }]);
});

test('a batch that fails while it is shaped writes nothing and its keys are not taken as known', async (t) => {
  const store = await openStore(t);
  const broken = {
    ...LOGS,
    get logAttrs(): null {
      throw new Error('broken column');
    },
  };
  assert.throws(() => store.project(broken, 1n), /broken column/);
  await store.commit([LOGS], 2n);
  assert.deepEqual(await store.rows('SELECT entry_offset, service_name FROM logs'), [
    { entry_offset: 2n, service_name: 'shop' },
  ]);
  assert.deepEqual(await store.rows('SELECT count(*) AS n FROM store.logs_resources_v1'), [{ n: 1n }]);
});

test('empty batches write nothing', async (t) => {
  const store = await openStore(t);
  assert.equal(store.project(logsBatch({})), 0);
  assert.equal(store.project(metricsBatch({})), 0);
});

test('project returns the number of rows over all tables', async (t) => {
  const store = await openStore(t);
  // Log, resource, scope, wire id of the resource.
  assert.equal(store.project(LOGS, 1n), 4);
  assert.equal(store.project(LOGS, 2n), 2);
});

test('every physical table belongs to one projection and carries its version', async (t) => {
  const store = await openStore(t);
  const tables = PROJECTIONS.flatMap(({ tables }) => tables).toSorted();
  const found = await store.rows(
    `SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store' ORDER BY table_name`,
  );
  assert.deepEqual(
    found.map((row) => row['table_name']),
    tables,
  );
  for (const { tables: own, version } of PROJECTIONS) assert.ok(own.every((name) => name.endsWith(`_v${version}`)));
});
