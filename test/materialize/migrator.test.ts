import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { applyViews, migrate } from '../../src/materialize/migrator.ts';
import { smallMigrations, smallProjection, smallStore } from '../helpers/small-engine.ts';

async function setUp(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'migrator-'));
  const store = await smallStore(':memory:');
  t.after(async () => {
    await store.close();
    await rm(directory, { recursive: true });
  });
  await smallMigrations(directory, [smallProjection('logs')]);
  return { directory, store };
}

test('migrator applies each step once, in order', async (t) => {
  const { directory, store } = await setUp(t);
  assert.deepEqual(await migrate(store, directory), ['0001_meta.sql', '0002_logs_v1.sql']);
  assert.deepEqual(await migrate(store, directory), []);
  await writeFile(
    join(directory, '0003_more.sql'),
    'CREATE TABLE store.more (x INTEGER); INSERT INTO store.more VALUES (1);',
  );
  assert.deepEqual(await migrate(store, directory), ['0003_more.sql']);
  const rows = await store.rows('SELECT version, file, length(checksum) AS hex FROM meta.migrations ORDER BY version');
  assert.deepEqual(
    rows.map(({ version, file, hex }) => [Number(version), file, Number(hex)]),
    [
      [1, '0001_meta.sql', 64],
      [2, '0002_logs_v1.sql', 64],
      [3, '0003_more.sql', 64],
    ],
  );
});

test('migrator applies the steps and views of the product to an empty database', async (t) => {
  const { store } = await setUp(t);
  assert.ok((await migrate(store)).length > 1);
  await applyViews(store);
  await applyViews(store);
  assert.deepEqual(await store.rows('FROM logs'), []);
});

test('migrator refuses a step that was changed, but not its line ends', async (t) => {
  const { directory, store } = await setUp(t);
  await writeFile(join(directory, '0003_more.sql'), 'CREATE TABLE store.more\n(x INTEGER);\n');
  await migrate(store, directory);
  await writeFile(join(directory, '0003_more.sql'), 'CREATE TABLE store.more\r\n(x INTEGER);\r\n');
  assert.deepEqual(await migrate(store, directory), []);
  await writeFile(join(directory, '0003_more.sql'), 'CREATE TABLE store.more (y INTEGER);');
  await assert.rejects(migrate(store, directory), {
    code: 'TREASURY_MIGRATION',
    message: /0003_more.sql: it was changed/,
  });
});

test('migrator refuses a database of a later release', async (t) => {
  const { directory, store } = await setUp(t);
  await migrate(store, directory);
  await rm(join(directory, '0002_logs_v1.sql'));
  await assert.rejects(migrate(store, directory), { code: 'TREASURY_MIGRATION', message: /later release/ });
});

test('migrator leaves nothing of a step that fails', async (t) => {
  const { directory, store } = await setUp(t);
  await writeFile(
    join(directory, '0003_broken.sql'),
    'CREATE TABLE store.half (x INTEGER); SELECT nothing FROM nowhere;',
  );
  await assert.rejects(migrate(store, directory), { code: 'TREASURY_MIGRATION', message: /0003_broken.sql.*nowhere/s });
  const tables = await store.rows("SELECT table_name FROM duckdb_tables() WHERE table_name IN ('half', 'logs_v1')");
  assert.deepEqual(tables, [{ table_name: 'logs_v1' }]);
});

test('migrator refuses numbers with a gap', async (t) => {
  const { directory, store } = await setUp(t);
  await writeFile(join(directory, '0004_late.sql'), 'SELECT 1;');
  await assert.rejects(migrate(store, directory), {
    code: 'TREASURY_MIGRATION',
    message: /0004_late.sql does not follow step 2/,
  });
});
