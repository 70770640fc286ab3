import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { LIMITS } from '../../src/base/index.ts';
import { openStore, type StoreOptions } from '../../src/materialize/store.ts';

const ROWS = `
  SELECT (i * 7919) % 100000 AS number, ((i * 7919) % 100000) * 1.25::DOUBLE AS decimal, 'instance-' || (i * 7919) % 500 AS name, epoch_ns(now()) + i AS time
  FROM range(130000) AS rows (i)`;

function optionsIn(context: TestContext): StoreOptions {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-format-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return { file: join(directory, 'treasury.duckdb'), memoryLimitMb: 128, threads: 2 };
}

/** How the first row group of each column is packed. */
const PACKING = `
  SELECT DISTINCT column_name, compression FROM pragma_storage_info('packed')
  WHERE segment_type <> 'VALIDITY' AND row_group_id = 0 ORDER BY ALL`;

test('openStore makes files of small blocks in which all kinds of columns are packed', async (context) => {
  const options = optionsIn(context);
  const store = await openStore(options);
  context.after(() => store.close());
  await store.run(`CREATE TABLE packed AS ${ROWS}; CHECKPOINT`);
  const [size] = await store.rows('SELECT block_size FROM pragma_database_size()');
  assert.equal(size?.['block_size'], BigInt(LIMITS.tablesBlockBytes));
  assert.deepStrictEqual(await store.rows(PACKING), [
    { column_name: 'decimal', compression: 'ALP' },
    { column_name: 'name', compression: 'DICT_FSST' },
    { column_name: 'number', compression: 'BitPacking' },
    { column_name: 'time', compression: 'BitPacking' },
  ]);
});

test('openStore keeps the blocks and the format of a file of before, and adds to it', async (context) => {
  const options = optionsIn(context);
  const before = await DuckDBInstance.create(options.file);
  const connection = await before.connect();
  await connection.run(`CREATE TABLE kept AS ${ROWS}; CREATE TABLE packed AS FROM kept`);
  connection.closeSync();
  before.closeSync();
  for (const count of [260_000n, 390_000n]) {
    const store = await openStore(options);
    assert.equal(store.recreated, null);
    const [size] = await store.rows('SELECT block_size FROM pragma_database_size()');
    assert.equal(size?.['block_size'], 262_144n);
    await store.run('INSERT INTO packed FROM kept');
    assert.deepStrictEqual(
      await store.rows('SELECT count(*) AS count FROM packed JOIN kept USING (number, decimal, name, time)'),
      [{ count }],
    );
    await store.close();
  }
  // Another DuckDB that knows the format of before only.
  const after = await DuckDBInstance.create(options.file, { access_mode: 'READ_ONLY' });
  context.after(() => after.closeSync());
  const reader = await after.connect();
  const compressions = await reader.runAndReadAll(PACKING);
  assert.ok(!compressions.getRowsJS().flat().includes('DICT_FSST'));
});
