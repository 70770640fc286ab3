import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DuckDBInstance } from '../../src/materialize/duckdb.ts';
import { openStore } from '../../src/materialize/store.ts';
import { cutTornWal } from '../../src/materialize/write-ahead-log.ts';

const COMMITS = 6;

/** A database whose commits are all in its write-ahead log still: `ends[i]` is the log's size after commit `i`. */
interface Unchecked {
  readonly file: string;
  readonly wal: Buffer;
  readonly ends: readonly number[];
}

async function makeUnchecked(context: TestContext): Promise<Unchecked> {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-wal-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'treasury.duckdb');
  const instance = await DuckDBInstance.create(file, {});
  const connection = await instance.connect();
  await connection.run('CREATE TABLE kept (value INTEGER, text VARCHAR)');
  await connection.run('CHECKPOINT');
  const ends: number[] = [];
  for (let value = 0; value < COMMITS; value++) {
    await connection.run(`INSERT INTO kept VALUES (${value}, repeat('text ', ${20 * value}))`);
    ends.push(statSync(`${file}.wal`).size);
  }
  const copy = join(directory, 'copy', 'treasury.duckdb');
  mkdirSync(join(directory, 'copy'));
  copyFileSync(file, copy);
  const wal = readFileSync(`${file}.wal`);
  connection.closeSync();
  instance.closeSync();
  return { file: copy, wal, ends };
}

/** Opens a copy of the database beside these bytes of its log. Answers the values found, what was cut off, and the folder's names. */
async function openWith({ file }: Unchecked, wal: Buffer, name: string) {
  const directory = join(file, '..', '..', name);
  mkdirSync(directory);
  const copy = join(directory, 'treasury.duckdb');
  copyFileSync(file, copy);
  writeFileSync(`${copy}.wal`, wal);
  const store = await openStore({ file: copy, memoryLimitMb: 128, threads: 1 });
  const { cutBytes, recreated } = store;
  const values =
    recreated === null ? (await store.rows('SELECT value FROM kept ORDER BY 1')).map((row) => row['value']) : [];
  // What comes after the cut is kept like anything else.
  if (recreated === null) await store.run('INSERT INTO kept VALUES (100, NULL)');
  await store.close();
  const again = await openStore({ file: copy, memoryLimitMb: 128, threads: 1 });
  const kept =
    recreated === null ? await again.rows('SELECT count(*)::INTEGER AS n FROM kept WHERE value = 100') : [{ n: 1 }];
  assert.deepEqual([again.cutBytes, again.recreated, kept], [0, null, [{ n: 1 }]]);
  await again.close();
  return { values, cutBytes, recreated, names: readdirSync(directory) };
}

test('openStore keeps all whole commits of a log whose end a power cut left as zeros, wherever they begin', async (context) => {
  const made = await makeUnchecked(context);
  let cuts = 0;
  for (let torn = made.ends[0]!; torn < made.wal.length; torn += 23) {
    const wal = Buffer.from(made.wal).fill(0, torn);
    const { values, cutBytes, recreated, names } = await openWith(made, wal, `torn-${torn}`);
    assert.equal(recreated, null, `zeros from ${torn} on`);
    const whole = made.ends.filter((end) => end <= torn).length;
    // The last bytes of a commit may be zeros anyhow.
    assert.deepEqual(
      values,
      Array.from({ length: whole }, (_, value) => value),
      `zeros from ${torn} on`,
    );
    assert.deepEqual(names, ['treasury.duckdb']);
    if (cutBytes > 0) cuts++;
  }
  assert.ok(cuts > 10, `${cuts} cuts`);
});

test('openStore keeps the commits in front of zeros that were appended to the log', async (context) => {
  const made = await makeUnchecked(context);
  const { values, cutBytes } = await openWith(made, Buffer.concat([made.wal, Buffer.alloc(70_000)]), 'longer');
  assert.deepEqual([values.length, cutBytes], [COMMITS, 70_000]);
});

test('openStore moves tables aside whose log is damaged before its end: what follows may say that they hold it already', async (context) => {
  const made = await makeUnchecked(context);
  const flipped = Buffer.from(made.wal);
  flipped[made.ends[2]! + 60]! ^= 0xff;
  const zeroed = Buffer.from(made.wal).fill(0, made.ends[2]!, made.ends[3]);
  for (const [name, wal] of Object.entries({ flipped, zeroed })) {
    const { cutBytes, recreated, names } = await openWith(made, wal, name);
    assert.match(recreated ?? '', /Corrupt WAL file/, name);
    assert.equal(cutBytes, 0);
    assert.equal(names.filter((found) => found.includes('.broken-')).length, 2, names.join());
  }
});

test('cutTornWal leaves the log alone where DuckDB complains of something else', async (context) => {
  const { file, wal } = await makeUnchecked(context);
  const zeros = Buffer.concat([wal, Buffer.alloc(100)]);
  writeFileSync(`${file}.wal`, zeros);
  for (const reason of ['IO Error: No space left', 'Failure while replaying WAL file "x": Corrupt WAL file: no idea']) {
    assert.equal(cutTornWal(file, reason), null);
  }
  const beyond =
    'Failure while replaying WAL file "x": Corrupt WAL file: entry at byte position 99999 computed checksum 1';
  assert.equal(cutTornWal(file, beyond), null);
  assert.deepEqual(readFileSync(`${file}.wal`), zeros);
});
