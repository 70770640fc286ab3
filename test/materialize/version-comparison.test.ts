/** What two builds of metrics have in common does not depend on the numbers that their series have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeNextTables } from '../../src/materialize/version-tables.ts';
import { compareTables } from '../../src/materialize/version-comparison.ts';
import { METRICS_PROJECTION } from '../../src/materialize/projections/metrics.ts';
import { nextDefinition } from '../../src/materialize/projection-versions.ts';
import { openSeriesNumbers } from '../../src/materialize/projections/series-numbers.ts';
import { openRawTableWriter } from '../../src/materialize/raw-table-writer.ts';
import type { CanonicalBatch } from '../../src/otap/index.ts';
import { metricsBatch } from './projections/rows.ts';
import { openStore } from './projections/store.ts';

/** The other form of rows and parents, with an error. */
function placedPoint(error: number): string {
  return `row_place = series_number::BIGINT - row_shift + 7, row_base = 7, row_shift = NULL,
    parent_place = parent_id + 9, parent_base = ${9 + error}, parent_id = NULL`;
}

function placedMetric(error: number): string {
  return `row_place = row + 5, row_base = 5, row = NULL, id_shift = id::BIGINT - row + ${error}, id = NULL`;
}

const WHOLE = { firstOffset: 0n, kept: null };

test('tables of metrics compare by series, whatever numbers these have', async (t) => {
  const store = await openStore(t);
  const database = {
    ...store,
    begin: () => store.run('BEGIN'),
    commit: () => store.run('COMMIT'),
    rollback: () => store.run('ROLLBACK'),
  };
  const batches = [points('a', 'b'), points('b', 'c', 'a')];
  await store.commit(batches, 1n);
  // A second number of one series.
  await store.run(`
    INSERT INTO store.series_numbers_v1 SELECT 1000, series_id FROM store.series_numbers_v1 WHERE series_number = 1;
    UPDATE store.samples_v1 SET series_number = 1000, row_shift = row_shift + 999 WHERE series_number = 1 AND entry_offset = 2`);
  const next = nextDefinition(METRICS_PROJECTION);
  await makeNextTables(database, METRICS_PROJECTION, { firstOffset: 0n, targetOffset: 3n, logUuid: 'log-1' });
  const projector = await next.start({
    run: store.run,
    rows: store.rows,
    openWriter: (table) => openRawTableWriter(store.connection, 'store', table),
    seriesNumbers: await openSeriesNumbers(store),
  });
  t.after(() => projector.close());
  await store.run('BEGIN');
  const project = (batch: CanonicalBatch, offset: bigint) =>
    projector.project({ offset, receivedAtUnixNano: 0n }, batch);
  for (const [at, batch] of batches.entries()) project(batch, BigInt(at + 1));
  await projector.beforeCommit();
  await store.run('COMMIT');
  const compare = async (): Promise<string[]> => {
    const tables = await compareTables(database, METRICS_PROJECTION, next, WHOLE);
    return Object.entries(tables).flatMap(([table, { result }]) => (result === 'equal' ? [] : [`${table} ${result}`]));
  };
  const [numbers] = await store.rows('SELECT min(series_number) AS least FROM store.series_numbers_v1__next');
  assert.equal(numbers!['least'], 1001, 'other numbers');
  assert.deepEqual(await compare(), []);
  for (const [damage, repair, table] of [
    ['row_shift = row_shift + 1', 'row_shift = row_shift - 1', 'samples different'],
    ['int_value = 8', 'int_value = 1', 'samples different'],
  ] as const) {
    const one = 'WHERE entry_offset = 1 AND series_number = 1001';
    await store.run(`UPDATE store.samples_v1__next SET ${damage} ${one}`);
    assert.deepEqual(await compare(), [table]);
    await store.run(`UPDATE store.samples_v1__next SET ${repair} ${one}`);
  }
  const pointsDiffer = ['samples different', 'exemplars different'];
  for (const [damage, differing] of [
    [
      'DELETE FROM store.series_numbers_v1__next WHERE series_number = 1002',
      ['series_numbers different', ...pointsDiffer],
    ],
    [
      'INSERT INTO store.series_numbers_v1__next FROM store.series_numbers_v1__next WHERE series_number = 1002',
      pointsDiffer,
    ],
    [
      'INSERT INTO store.series_numbers_v1__next SELECT 1002, series_id FROM store.series_numbers_v1__next WHERE series_number = 1001',
      pointsDiffer,
    ],
    ['UPDATE store.exemplars_v1__next SET value = 2 WHERE series_number IS NULL', ['exemplars different']],
    ['UPDATE store.exemplars_v1__next SET series_number = NULL WHERE series_number = 1002', ['exemplars different']],
    ['UPDATE store.exemplars_v1__next SET series_number = 1001 WHERE series_number = 1002', ['exemplars different']],
    [
      'UPDATE store.samples_v1__next SET series_number = series_number + 1, row_shift = row_shift + 1 WHERE series_number = 1001',
      ['samples different'],
    ],
    ['UPDATE store.samples_v1__next SET id_shift = id_shift + 1 WHERE series_number = 1001', ['samples different']],
    [`UPDATE store.samples_v1__next SET ${placedPoint(0)}`, []],
    [`UPDATE store.samples_v1__next SET ${placedPoint(1)}`, ['samples different']],
    [`UPDATE store.metrics_v1__next SET ${placedMetric(0)}`, []],
    [`UPDATE store.metrics_v1__next SET ${placedMetric(1)}`, ['metrics different']],
  ] as const) {
    await store.run('BEGIN');
    await store.run(damage);
    assert.deepEqual(await compare(), differing, damage);
    await store.run('ROLLBACK');
  }
  assert.deepEqual(await compare(), []);
  await store.run(`UPDATE store.series_numbers_v1__next SET series_id = series_id + 1 WHERE series_number = 1002`);
  assert.deepEqual(await compare(), ['series_numbers different', 'samples different', 'exemplars different']);
});

function points(...series: readonly string[]) {
  return metricsBatch({
    univariate_metrics: [{ id: 0, metric_type: 1, name: 'm' }],
    number_data_points: series.map((_, at) => ({ id: at, parent_id: 0, int_value: 1n })),
    number_dp_attrs: series.map((name, at) => ({ parent_id: at, key: 'name', type: 1, str: name })),
    // The last one belongs to no point.
    number_dp_exemplars: [...series, ''].map((_, at) => ({ id: at, parent_id: at, double_value: 1 })),
  });
}
