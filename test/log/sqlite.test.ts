/**
 * Goal: no native object of SQLite is ever freed by the garbage collector, which aborts the process on Node 24.19 and later.
 * Method: a child process opens logs, uses all that the index does, closes them, and makes garbage until all is collected.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openSqlite } from '../../src/log/sqlite.ts';
import { loaderFlags } from '../helpers/checkout.ts';
import { scratch } from './log-helpers.ts';

test('openSqlite makes each statement once and refuses pragma()', () => {
  const database = openSqlite(':memory:');
  assert.equal(database.prepare('SELECT 1'), database.prepare('SELECT 1'));
  assert.throws(() => database.pragma('user_version'), /pragma\(\) makes a statement/);
  database.close();
});

test('a process that opens, reads and closes log indexes survives the collection of garbage', (t) => {
  const child = fileURLToPath(new URL('collect-child.ts', import.meta.url));
  const result = spawnSync(process.execPath, [...loaderFlags, child, scratch(t)], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.deepEqual([result.status, result.stderr, result.stdout], [0, '', 'collected\n']);
});
