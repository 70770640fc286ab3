import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { migrateIndex } from '../../src/log/index-schema.ts';
import { openLog } from '../../src/log/index.ts';
import { openSqlite } from '../../src/log/sqlite.ts';
import { scratch } from './log-helpers.ts';

/** A directory of steps and an empty database. */
function setUp(t: TestContext) {
  const steps = join(scratch(t), 'steps');
  mkdirSync(steps);
  const database = openSqlite(':memory:');
  t.after(() => database.close());
  const write = (file: string, sql: string) => writeFileSync(join(steps, file), sql);
  write('0001_first.sql', 'CREATE TABLE first\n(x INTEGER);\n');
  const applied = () => database.prepare('SELECT name FROM migrations ORDER BY version').pluck().all();
  return { steps, database, write, applied };
}

test('index migrations are applied once each, in order', (t) => {
  const { steps, database, write, applied } = setUp(t);
  migrateIndex(database, steps);
  migrateIndex(database, steps);
  write('0002_second.sql', 'CREATE TABLE second (x INTEGER);');
  migrateIndex(database, steps);
  assert.deepEqual(applied(), ['0001_first.sql', '0002_second.sql']);
});

test('index migrations refuse a step that was changed, but not its line ends', (t) => {
  const { steps, database, write } = setUp(t);
  migrateIndex(database, steps);
  write('0001_first.sql', 'CREATE TABLE first\r\n(x INTEGER);\r\n');
  migrateIndex(database, steps);
  write('0001_first.sql', 'CREATE TABLE first (y INTEGER);');
  assert.throws(() => migrateIndex(database, steps), {
    code: 'TREASURY_MIGRATION',
    message: /0001_first.sql: it was changed/,
  });
});

test('index migrations leave nothing of a step that fails', (t) => {
  const { steps, database, write, applied } = setUp(t);
  write('0002_broken.sql', 'CREATE TABLE half (x INTEGER); SELECT x FROM nowhere;');
  assert.throws(() => migrateIndex(database, steps), /nowhere/);
  assert.deepEqual(applied(), ['0001_first.sql']);
  assert.throws(() => database.prepare('SELECT * FROM half'), /no such table/);
});

test('openLog refuses an index of a later release and keeps what is in it', async (t) => {
  const directory = scratch(t);
  await (await openLog({ directory })).close();
  const path = join(directory, 'index.sqlite');
  const index = openSqlite(path);
  index.prepare('INSERT INTO migrations VALUES (99, ?, ?)').run('0099_later.sql', 'unknown');
  index.prepare("INSERT INTO cursors VALUES ('consumer', 'log', 7, 0)").run();
  index.close();
  await assert.rejects(openLog({ directory }), {
    code: 'TREASURY_MIGRATION',
    message: /log index of a later release: it has step 0099_later.sql/,
  });
  const kept = openSqlite(path, { readonly: true });
  assert.deepEqual(kept.prepare('SELECT name FROM cursors').pluck().all(), ['consumer']);
  kept.close();
});
