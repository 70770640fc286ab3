/**
 * Goal: a DuckDB file that is damaged anywhere is moved aside and its tables are built anew, also where nothing but a query reads it.
 * Method: the real engine on files of which one block after the other has wrong bytes.
 */
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { LIMITS } from '../../src/base/index.ts';
import type { Log } from '../../src/log/index.ts';
import { isDamagedFile } from '../../src/materialize/store-failures.ts';
import type { Engine } from '../../src/materialize/types.ts';
import {
  appendCapture,
  durableOf,
  engineRows,
  engineUntil,
  openTestLog,
  startTestEngine,
} from '../helpers/engine-log.ts';

async function caughtUp(engine: Engine, log: Log): Promise<void> {
  const { durableOffset } = log.status();
  engine.advance(durableOf(log.status()));
  await engineUntil(engine, ({ materializedOffset }) => materializedOffset >= durableOffset);
}

test('what users write is no damage', () => {
  const damage = 'Corrupt database file: computed checksum 1 does not match stored checksum 2';
  assert.ok(isDamagedFile(new Error(`IO Error: ${damage}`)));
  assert.ok(isDamagedFile(new Error('Cannot run the query', { cause: new Error(`IO Error: ${damage}`) })));
  assert.ok(!isDamagedFile(new Error(`Parser Error: unterminated quoted string at or near "'IO Error: ${damage}"`)));
  assert.ok(!isDamagedFile(new Error(`Invalid Input Error: IO Error: ${damage}`)));
});

test('a damaged block is found at the start or by the query that reads it, and the tables are built anew', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'damaged-tables-'));
  const log = await openTestLog(directory);
  t.after(async () => {
    await log.close();
    await rm(directory, { recursive: true, maxRetries: 3 });
  });
  await appendCapture(log, 'rich-1');
  const first = await startTestEngine(directory, log.status());
  await caughtUp(first, log);
  const everything = 'SELECT count(*), sum(hash(logs)::HUGEINT)::VARCHAR FROM logs';
  const rows = await engineRows(first, everything);
  await first.stop();
  const tables = join(directory, 'tables');
  const file = join(tables, 'treasury.duckdb');
  const good = join(directory, 'good.duckdb');
  await copyFile(file, good);
  for (const [table, foundBy] of [
    ['meta.projections', 'start'],
    ['store.logs_v1', 'query'],
  ] as const) {
    await rm(tables, { recursive: true });
    await mkdir(tables);
    await copyFile(good, file);
    await damageBlockOf(file, table);
    const engine = await startTestEngine(directory, log.status());
    t.after(() => engine.stop());
    const isMoved = async () => (await readdir(tables)).some((name) => name.includes('.broken-'));
    assert.equal(await isMoved(), foundBy === 'start', `${table}: moved at the start`);
    if (foundBy === 'query') {
      await assert.rejects(engineRows(engine, everything), { code: 'TREASURY_STORE' });
      await engineUntil(engine, ({ stuck }) => stuck === null);
    }
    await caughtUp(engine, log);
    assert.deepEqual(await engineRows(engine, everything), rows, table);
    assert.ok(await isMoved());
    await engine.stop();
  }
});

const HEADERS_BYTES = 3 * 4096;

/** Writes wrong bytes into a block that a table's rows begin in. */
async function damageBlockOf(file: string, table: string): Promise<void> {
  const instance = await DuckDBInstance.create(file);
  const connection = await instance.connect();
  const found = await connection.runAndReadAll(
    `SELECT max(block_id) FROM pragma_storage_info('${table}') WHERE persistent AND block_id >= 0`,
  );
  connection.closeSync();
  instance.closeSync();
  const block = Number(found.getRows()[0]?.[0]);
  assert.ok(Number.isInteger(block) && block >= 0, `${table} has block ${block}`);
  const damaged = await open(file, 'r+');
  await damaged.write(Buffer.alloc(64, 0xa5), 0, 64, HEADERS_BYTES + block * LIMITS.tablesBlockBytes + 64);
  await damaged.close();
}
