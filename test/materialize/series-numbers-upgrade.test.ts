/**
 * Goal: tables of releases whose points had ids of series become those of this one, in place, without the log.
 * Method: tables of this release are filled, their rows put into tables made by the step of then, and upgraded.
 * Invariant: every view shows the same rows as before, what comes after goes on with the numbers, and a rebuild under way begins again.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type DescMessage, toBinary } from '@bufbuild/protobuf';
import { silentLogger } from '../../src/base/index.ts';
import { storedVersions } from '../../src/materialize/checkpoint.ts';
import { type Database, inTransaction } from '../../src/materialize/database.ts';
import { storeParts } from '../../src/materialize/engine-store.ts';
import { applyViews, migrate, MIGRATIONS_DIRECTORY } from '../../src/materialize/migrator.ts';
import { nextDefinition } from '../../src/materialize/projection-versions.ts';
import { METRICS_PROJECTION } from '../../src/materialize/projections/metrics.ts';
import { PLACED_ROWS_MIN } from '../../src/materialize/projections/places.ts';
import { renewBuilds } from '../../src/materialize/version-tables.ts';
import { type CanonicalBatch, decodeOtlp, OTLP_CONTENT_TYPES } from '../../src/otap/index.ts';
import { fullRequest } from '../helpers/otlp-full-request.ts';
import { OTLP_REQUEST_SCHEMAS } from '../helpers/otlp-json.ts';
import { namedSamples } from '../helpers/retained-batches.ts';
import { openRetainedTables, START } from '../helpers/retained-tables.ts';
import { metricsBatch } from './projections/rows.ts';

const STEP = '0004_metrics_v1.sql';
const UPGRADE = '0010_series_numbers.sql';
const PLACES = '0011_places.sql';
const POINT_TABLES = ['samples_v1', 'histograms_v1', 'exp_histograms_v1', 'summaries_v1'];
/** As the release before named them. */
const OLD_TABLES = METRICS_PROJECTION.tables.filter((table) => !table.startsWith('series_numbers_'));

test('tables whose points have ids of series are upgraded in place, with equal rows in all views', async (t) => {
  const file = await newFile(t);
  const tables = await openRetainedTables(file, { ageMs: null });
  const request = toBinary(OTLP_REQUEST_SCHEMAS.metrics as DescMessage, fullRequest('metrics', 2));
  const full = decodeOtlp('metrics', request, OTLP_CONTENT_TYPES.PROTOBUF);
  const batches: CanonicalBatch[] = [full, namedSamples('a', [{ name: 'x', time: START }]), ORPHANS, full];
  const entries = batches.map((batch, at) => ({ offset: BigInt(at), receivedAtUnixNano: START, batch }));
  await tables.commit(entries.slice(0, 2));
  await tables.commit(entries.slice(2));
  const before = await viewRows(tables.store);
  assert.ok(
    before.every(({ view, rows }) => rows.length > 0 || !view.includes('_data_points')),
    'there are points',
  );
  await makeOld(tables.store);
  await tables.close();

  const upgraded = await openRetainedTables(file, { ageMs: null, nextOffset: 4n });
  t.after(() => upgraded.close());
  assert.deepEqual(await viewRows(upgraded.store), before);
  const numbers = 'SELECT * FROM store.series_numbers_v1 ORDER BY series_number';
  const given = await upgraded.rows(numbers);
  assert.deepEqual(
    given.map((row) => row['series_number']),
    given.map((_, at) => at + 1),
  );
  await upgraded.commit([{ offset: 4n, receivedAtUnixNano: START, batch: full }]);
  assert.deepEqual(await upgraded.rows(numbers), given);
});

test('tables whose rows have no places get them in place, with equal rows in all views', async (t) => {
  const file = await newFile(t);
  const tables = await openRetainedTables(file, { ageMs: null });
  const small = namedSamples('a', [{ name: 'x', time: START }]);
  const names = Array.from({ length: 2 * PLACED_ROWS_MIN }, (_, at) => ({ name: `n${at}`, time: START }));
  const entry = (offset: bigint, batch: CanonicalBatch) => ({ offset, receivedAtUnixNano: START, batch });
  await tables.commit([entry(0n, small), entry(1n, ORPHANS)]);
  const before = await viewRows(tables.store);
  await tables.store.run(`
    ${POINT_TABLES.flatMap((table) => PLACE_COLUMNS.split(', ').map((column) => `ALTER TABLE store.${table} DROP COLUMN ${column};`)).join('\n')}
    ${['row_place', 'row_base', 'id_shift'].map((column) => `ALTER TABLE store.metrics_v1 DROP COLUMN ${column};`).join('\n')}
    CREATE TABLE store.samples_v1__next AS FROM store.samples_v1 WITH NO DATA;
    DELETE FROM meta.migrations WHERE file = '${PLACES}'`);
  await tables.close();

  const upgraded = await openRetainedTables(file, { ageMs: null, nextOffset: 2n });
  t.after(() => upgraded.close());
  assert.deepEqual(await viewRows(upgraded.store), before);
  assert.deepEqual(
    await upgraded.rows(`SELECT count(*)::INTEGER AS n FROM duckdb_columns() WHERE table_name = 'samples_v1__next'`),
    await upgraded.rows(`SELECT count(*)::INTEGER AS n FROM duckdb_columns() WHERE table_name = 'samples_v1'`),
  );
  await upgraded.commit([entry(2n, namedSamples('b', names))]);
  assert.deepEqual(
    await upgraded.rows(
      'SELECT count(DISTINCT row)::INTEGER AS n, max(row) AS last FROM samples WHERE entry_offset = 2',
    ),
    [{ n: names.length, last: names.length - 1 }],
  );
});

test('a rebuild that was under way before the upgrade begins again', async (t) => {
  const file = await newFile(t);
  const tables = await openRetainedTables(file, { ageMs: null });
  await makeOld(tables.store);
  await tables.close();
  const store = await storeParts({ memoryLimitMb: 256, threads: 1 }).openStore(file, silentLogger);
  t.after(() => store.close());
  for (const table of OLD_TABLES)
    await store.run(`CREATE TABLE store.${table}__next AS FROM store.${table} WITH NO DATA`);
  const list = (names: readonly string[]): string => `[${names.map((name) => `'${name}'`).join(', ')}]::VARCHAR[]`;
  await store.run(`
    INSERT INTO store.samples_v1__next (entry_offset, row, series_id) VALUES (3, 0, 7);
    INSERT INTO meta.projections (projection, version, tables, log_uuid, next_offset, state, first_offset, target_offset) VALUES
      ('metrics', 1, ${list(OLD_TABLES)}, 'log-1', 9, 'serving', 2, 5),
      ('metrics', 1, ${list(OLD_TABLES.map((table) => `${table}__next`))}, 'log-1', 4, 'rebuilding', 2, 8);
    INSERT INTO meta.quarantine (entry_offset, projection, version, reason, stream_id, quarantined_at) VALUES
      (3, 'metrics__next', 1, 'odd', 0, now()), (3, 'metrics', 1, 'odd', 0, now())`);
  assert.deepEqual(await migrate(store), [UPGRADE, PLACES]);
  assert.deepEqual(await renewBuilds(store, [METRICS_PROJECTION], 'log-1'), ['metrics']);
  const facts = (await storedVersions(store)).map(({ tables: names, ...rest }) => ({
    ...rest,
    tables: names.toSorted(),
  }));
  assert.deepEqual(facts, [
    {
      name: 'metrics',
      version: 1,
      nextOffset: 9n,
      state: 'serving',
      firstOffset: 2n,
      targetOffset: 5n,
      tables: METRICS_PROJECTION.tables.toSorted(),
    },
    {
      name: 'metrics',
      version: 1,
      nextOffset: 0n,
      state: 'rebuilding',
      firstOffset: 2n,
      targetOffset: 8n,
      tables: nextDefinition(METRICS_PROJECTION).tables.toSorted(),
    },
  ]);
  assert.deepEqual(await columns(store, '__next'), await columns(store, ''));
  assert.deepEqual(await store.rows('SELECT count(*)::INTEGER AS n FROM store.samples_v1__next'), [{ n: 0 }]);
  assert.deepEqual(await store.rows('SELECT projection FROM meta.quarantine'), [{ projection: 'metrics' }]);
  assert.deepEqual(await renewBuilds(store, [METRICS_PROJECTION], 'log-1'), []);
});

/** Points without a metric, without a value, with wide ids, and exemplars without a point. */
const ORPHANS = metricsBatch({
  univariate_metrics: [{ id: 0, metric_type: 2, name: 'm' }],
  number_data_points: [
    { id: 2 ** 32 - 1, parent_id: 0, int_value: 2n ** 53n + 1n },
    { id: 0, parent_id: 0, double_value: -0 },
    { parent_id: 9, double_value: Number.NaN },
    { id: 5, parent_id: 0 },
  ],
  number_dp_attrs: [{ parent_id: 0, key: 'k', type: 1, str: 'v' }],
  number_dp_exemplars: [
    { id: 0, parent_id: 5, int_value: -3n },
    { id: 1, parent_id: 77, double_value: 1.5 },
  ],
});

async function newFile(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'series-numbers-'));
  t.after(() => rm(directory, { recursive: true }));
  return join(directory, 'treasury.duckdb');
}

/** Puts the rows of metrics into tables of the release before, and forgets that there was another. */
async function makeOld(store: Database): Promise<void> {
  const step = await readFile(join(MIGRATIONS_DIRECTORY, STEP), 'utf8');
  await inTransaction(store, async () => {
    for (const table of OLD_TABLES) await store.run(`ALTER TABLE store.${table} RENAME TO new_${table}`);
    await store.run(step);
    for (const table of OLD_TABLES) {
      const own = `FROM store.new_${table} JOIN store.series_numbers_v1 USING (series_number)`;
      if (POINT_TABLES.includes(table))
        await store.run(`INSERT INTO store.${table} BY NAME SELECT ${oldPoint(table)} ${own}`);
      else if (table === 'exemplars_v1') {
        await store.run(
          `INSERT INTO store.${table} BY NAME SELECT * EXCLUDE (series_number) REPLACE (${VALUE}) ${own.replace('JOIN', 'LEFT JOIN')}`,
        );
      } else if (table === 'metrics_v1') {
        await store.run(`INSERT INTO store.${table} BY NAME SELECT ${OLD_METRIC} FROM store.new_${table}`);
      } else await store.run(`INSERT INTO store.${table} FROM store.new_${table}`);
    }
    for (const table of OLD_TABLES) await store.run(`DROP TABLE store.new_${table}`);
    await store.run(`
      DROP TABLE store.series_numbers_v1;
      DROP TABLE store.series_numbers_staged_v1;
      DELETE FROM meta.migrations WHERE file >= '${UPGRADE}'`);
  });
}

/** The columns of metrics as they were. */
const OLD_METRIC = `* EXCLUDE (row, row_place, row_base, id, id_shift),
  store.placed(row, row_place, row_base) AS row, store.metric_id(id, row_place, row_base, id_shift) AS id`;

const PLACE_COLUMNS = 'row_place, row_base, parent_place, parent_base';

const VALUE = 'coalesce(value, int_value::DOUBLE) AS value';

/** The columns of a table of points as they were; row and id are what the difference is from. */
function oldPoint(table: string): string {
  const row = 'store.point_row(series_number, row_shift, row_place, row_base)';
  const id = 'store.point_id(series_number, row_shift, row_place, row_base, id_shift)';
  const value = table === 'samples_v1' ? ` REPLACE (${VALUE})` : '';
  const parent = 'store.placed(parent_id, parent_place, parent_base)';
  return `* EXCLUDE (series_number, row_shift, id_shift, parent_id, ${PLACE_COLUMNS})${value}, ${row} AS row, ${id} AS id, ${parent} AS parent_id`;
}

/** All rows of all views of `main` and `normalized`, in an order of their own. */
async function viewRows(store: Database): Promise<{ view: string; rows: unknown[] }[]> {
  await inTransaction(store, () => applyViews(store));
  const views = await store.rows(
    `SELECT schema_name || '.' || view_name AS view FROM duckdb_views() WHERE schema_name IN ('main', 'normalized') AND NOT internal ORDER BY 1`,
  );
  const found: { view: string; rows: unknown[] }[] = [];
  for (const row of views) {
    const view = String(row['view']);
    const rows = await store.rows(`SELECT CAST(v AS VARCHAR) AS text FROM ${view} AS v ORDER BY 1`);
    found.push({ view, rows: rows.map(({ text }) => text) });
  }
  return found;
}

/** Columns and types of the tables of metrics. */
async function columns(store: Database, suffix: string): Promise<unknown[]> {
  const names = METRICS_PROJECTION.tables.map((table) => `'${table}${suffix}'`).join(', ');
  return store.rows(`
    SELECT replace(table_name, '__next', '') AS name, column_name, data_type FROM duckdb_columns()
    WHERE schema_name = 'store' AND table_name IN (${names}) ORDER BY name, column_index`);
}
