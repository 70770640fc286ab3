/**
 * Goal: retention gives disk back. Steady retention keeps the file bounded, a large deletion makes it smaller.
 * Method: real DuckDB files with hundreds of thousands of rows, written by SQL, and a clock in hand.
 * Invariant: readers see each row that is kept exactly once all the while, and so does a copy of the file made at any point.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { fileSpace, isWorthRewriting, shrinkFile } from '../../src/materialize/table-retention-space.ts';
import { namedLogs, visibleNames } from '../helpers/retained-batches.ts';
import { MINUTE, openRetainedTables, type RetainedTables, START } from '../helpers/retained-tables.ts';

const HOUR = 60n * MINUTE;
const ROUND_ROWS = 100_000;
const SMALL_FILES = { rewriteBytesMin: 1, retentionCheckpointRows: 1 };

const directory = mkdtempSync(join(tmpdir(), 'table-retention-space-'));
after(() => rmSync(directory, { recursive: true }));
let files = 0;

async function openTables(
  t: TestContext,
  options: Partial<Parameters<typeof openRetainedTables>[1]> = {},
  file = join(directory, `${++files}.duckdb`),
): Promise<RetainedTables & { readonly file: string }> {
  const tables = await openRetainedTables(file, { ageMs: 2 * 3_600_000, ...options });
  t.after(() => tables.close());
  return Object.assign(tables, { file });
}

/** Logs that do not compress, all of the same time. */
async function fill(tables: RetainedTables, offset: number, rows: number, time: bigint): Promise<void> {
  await tables.store.run(`
    INSERT INTO store.logs_v1 (entry_offset, row, time, body)
    SELECT ${offset}, i, make_timestamp_ns(${time}), hash(i, ${offset}, 1) || '-' || hash(i, ${offset}, 2) || '-' || hash(i, ${offset}, 3)
    FROM range(${rows}) AS r(i)`);
}

async function count(tables: RetainedTables): Promise<number> {
  return Number(
    (await tables.rows('SELECT count(DISTINCT (entry_offset, row)) AS n, count(*) AS all FROM main.logs'))[0]!['n'],
  );
}

test('steady table retention keeps the file bounded', async (t) => {
  const tables = await openTables(t);
  const bytes: number[] = [];
  for (let round = 0; round < 10; round++) {
    tables.now = START + BigInt(round) * HOUR;
    await fill(tables, round, ROUND_ROWS, tables.now);
    await tables.retain();
    assert.equal(await count(tables), Math.min(3, round + 1) * ROUND_ROWS);
    bytes.push(tables.store.tableBytes());
  }
  t.diagnostic(`megabytes after each round: ${bytes.map((each) => Math.round(each / 1e6)).join(' ')}`);
  assert.ok(bytes[9]! <= 1.5 * bytes[2]!);
});

test('table retention makes the file smaller after a large deletion, and readers see each row once meanwhile', async (t) => {
  const tables = await openTables(t, { limits: SMALL_FILES });
  await fill(tables, 0, 6 * ROUND_ROWS, START);
  await fill(tables, 1, ROUND_ROWS, START + 3n * HOUR);
  await tables.store.run('CHECKPOINT');
  const before = tables.store.tableBytes();
  tables.now = START + 4n * HOUR;
  while (tables.figures.runs === 0) await tables.step();
  assert.equal(await count(tables), ROUND_ROWS);
  let slices = 0;
  for (; tables.figures.rewrites === 0; slices++) {
    await tables.step(false);
    assert.equal(tables.figures.rewrites, 0, 'writing again must wait until the materializer is idle');
    await tables.step();
    assert.equal(await count(tables), ROUND_ROWS + slices, `after slice ${slices}`);
    const entry = { offset: BigInt(10 + slices), receivedAtUnixNano: tables.now };
    await tables.commit([{ ...entry, batch: namedLogs('a', [{ name: `${slices}`, time: tables.now }]) }]);
  }
  assert.ok(slices > 3, 'too few slices to mean something');
  t.diagnostic(`megabytes before and after: ${before / 1e6} ${tables.store.tableBytes() / 1e6}`);
  assert.ok(tables.store.tableBytes() < 0.4 * before);
  assert.ok(tables.figures.freeBytes < 0.2 * before);
});

test('tables copied while they are written again have each row once', async (t) => {
  const tables = await openTables(t, { limits: SMALL_FILES });
  await fill(tables, 0, 3 * ROUND_ROWS, START);
  await fill(tables, 1, 40_000, START + 3n * HOUR);
  tables.now = START + 4n * HOUR;
  while (tables.figures.runs === 0) await tables.step();
  for (let slices = 0; tables.figures.rewrites === 0; slices++) {
    await tables.step();
    const copy = join(directory, `copy-${slices}.duckdb`);
    for (const suffix of ['', '.wal']) {
      if (existsSync(tables.file + suffix)) cpSync(tables.file + suffix, copy + suffix);
    }
    const copied = await openRetainedTables(copy, { ageMs: null });
    assert.equal(await count(copied), 40_000, `after slice ${slices}`);
    await copied.close();
  }
});

test('table retention goes on with batches and runs after tables were written again', async (t) => {
  const tables = await openTables(t, { limits: SMALL_FILES });
  const log = (offset: bigint, at: bigint) => ({
    offset,
    receivedAtUnixNano: at,
    batch: namedLogs('a', [{ name: `${offset}`, time: at }]),
  });
  await fill(tables, 0, 5 * ROUND_ROWS, START);
  await tables.commit([log(1n, START + HOUR)]);
  tables.now = START + 150n * MINUTE;
  await tables.retain();
  assert.equal(tables.figures.rewrites, 1);
  await tables.commit([log(2n, tables.now)]);
  assert.deepEqual(await visibleNames(tables), ['log 1', 'log 2']);
  tables.now = START + 4n * HOUR;
  await tables.retain();
  assert.deepEqual(await visibleNames(tables), ['log 2']);
});

test('table retention does not write tables again and again when that makes the file no smaller', async (t) => {
  const tables = await openTables(t, { limits: { ...SMALL_FILES, rewriteIntervalMs: 0 } });
  await fill(tables, 0, 5 * ROUND_ROWS, START);
  // Tables that change while the file is large, and are empty then.
  const touched = ['spans_orphan_links_v1', 'metrics_orphan_attrs_v1', 'samples_v1', 'series_v1', 'spans_v1'];
  for (const table of touched) await tables.store.run(`INSERT INTO store.${table} DEFAULT VALUES`);
  await tables.store.run('CHECKPOINT');
  for (const table of touched) await tables.store.run(`DELETE FROM store.${table}`);
  await tables.store.run('CHECKPOINT');
  tables.now = START + 3n * HOUR;
  for (let run = 0; run < 3; run++) await tables.retain();
  assert.equal(tables.figures.rewrites, 1);
  t.diagnostic(`megabytes free: ${tables.figures.freeBytes / 1e6} of ${tables.store.tableBytes() / 1e6}`);
});

test('a file that is held up by what it says about its tables gets smaller at the next start', async (t) => {
  const instance = await DuckDBInstance.create(join(directory, 'held.duckdb'));
  const connection = await instance.connect();
  const run = async (sql: string) => void (await connection.run(sql));
  const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRowObjectsJS();
  try {
    await run('CREATE TABLE t AS SELECT hash(i, 1) AS a, hash(i, 2) AS b FROM range(1000000) AS r(i); CHECKPOINT');
    // Columns enough for a block of metadata of their own, at the end.
    const columns = Array.from({ length: 200 }, (_, i) => `${i} AS c${i}`).join(', ');
    await run(`CREATE TABLE wide AS SELECT ${columns}; CHECKPOINT`);
    await run('DELETE FROM t; CHECKPOINT');
    const before = await fileSpace({ rows });
    assert.ok(isWorthRewriting(before, 1), 'the file must be held up');
    await shrinkFile({ run, rows }, 1);
    const space = await fileSpace({ rows });
    t.diagnostic(`bytes before and after: ${JSON.stringify([before, space])}`);
    assert.ok(space.usedBytes + space.freeBytes < 0.5 * (before.usedBytes + before.freeBytes));
    assert.equal(Number((await rows('SELECT count(*) AS n FROM wide'))[0]!['n']), 1);
    assert.equal((await rows("SELECT current_setting('experimental_metadata_reuse') AS v"))[0]!['v'], true);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
});
