import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { TreasuryError } from '../../src/base/index.ts';
import { openStore, type StoreOptions } from '../../src/materialize/store.ts';
import { openTableWriter } from '../../src/materialize/table-writer.ts';

function optionsIn(context: TestContext): StoreOptions {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-store-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return { file: join(directory, 'tables', 'treasury.duckdb'), memoryLimitMb: 128, threads: 2 };
}

/** Makes a store with one table `kept` of one row, closed. */
async function makeStore(options: StoreOptions): Promise<void> {
  const store = await openStore(options);
  await store.run('CREATE TABLE kept AS SELECT 1 AS value');
  await store.close();
}

test('openStore makes a file and finds its rows again', async (context) => {
  const options = optionsIn(context);
  const first = await openStore(options);
  assert.equal(first.recreated, null);
  await first.run('CREATE TABLE kept (value BIGINT, small INTEGER, name VARCHAR)');
  await first.begin();
  await first.run("INSERT INTO kept VALUES (9007199254740993, 1, 'one')");
  await first.commit();
  assert.ok(first.tableBytes() > 0);
  await first.close();
  assert.deepStrictEqual(readdirSync(join(options.file, '..')), ['treasury.duckdb']);
  const second = await openStore(options);
  assert.equal(second.recreated, null);
  assert.deepStrictEqual(await second.rows('FROM kept'), [{ value: 9007199254740993n, small: 1, name: 'one' }]);
  await second.close();
});

test('store rolls back, also when nothing is open', async (context) => {
  const store = await openStore(optionsIn(context));
  context.after(() => store.close());
  await store.run('CREATE TABLE kept (value INTEGER)');
  await store.begin();
  await store.run('INSERT INTO kept VALUES (1)');
  await store.rollback();
  await store.rollback();
  await store.begin();
  await assert.rejects(store.run('INSERT INTO nowhere VALUES (1)'), { code: 'TREASURY_STORE' });
  await store.rollback();
  assert.deepStrictEqual(await store.rows('SELECT count(*) AS count FROM kept'), [{ count: 0n }]);
});

test('store drops at a rollback what table writers hold back', async (context) => {
  const store = await openStore(optionsIn(context));
  context.after(() => store.close());
  await store.run('CREATE TABLE kept (value INTEGER)');
  const writers = [
    await openTableWriter('raw', store.connection, 'main', 'kept'),
    await openTableWriter('safe', store.connection, 'main', 'kept'),
  ];
  const append = (value: number) => {
    for (const writer of writers) writer.append([{ kind: 'constant', value }], 1);
  };
  await store.begin();
  append(1);
  await store.rollback();
  await store.begin();
  append(2);
  for (const writer of writers) writer.flush();
  await store.commit();
  for (const writer of writers) writer.close();
  await store.rollback();
  assert.deepStrictEqual(await store.rows('FROM kept'), [{ value: 2 }, { value: 2 }]);
});

test('store readers see committed rows only and end with the store', async (context) => {
  const store = await openStore(optionsIn(context));
  const reader = await store.connect();
  const count = async () => (await reader.runAndReadAll('SELECT count(*) FROM kept')).getRows();
  await store.run('CREATE TABLE kept (value INTEGER)');
  await store.begin();
  await store.run('INSERT INTO kept VALUES (1)');
  assert.deepStrictEqual(await count(), [[0n]]);
  await store.commit();
  assert.deepStrictEqual(await count(), [[1n]]);
  await store.close();
  await assert.rejects(count());
  await assert.rejects(store.run('SELECT 1'), { code: 'TREASURY_STORE' });
  await assert.rejects(store.connect(), { code: 'TREASURY_STORE' });
  await store.close();
});

test('store keeps statements of users away from files and settings, and answers in UTC', async (context) => {
  const store = await openStore(optionsIn(context));
  context.after(() => store.close());
  const reader = await store.connect();
  const refused = [
    "FROM read_text('/etc/hostname')",
    "COPY (SELECT 1) TO 'out.csv'",
    "ATTACH 'other.duckdb'",
    'SET threads = 1',
  ];
  for (const sql of [...refused, 'SET enable_external_access = true', 'INSTALL httpfs', 'LOAD httpfs']) {
    await assert.rejects(async () => await reader.run(sql), sql);
  }
  const settings = await reader.runAndReadAll(
    "SELECT current_setting('TimeZone'), current_setting('threads'), current_setting('memory_limit')",
  );
  assert.deepStrictEqual(settings.getRows(), [['UTC', 2n, '122.0 MiB']]);
});

test('openStore refuses a file that is open in this process, until it is closed', async (context) => {
  const options = optionsIn(context);
  const store = await openStore(options);
  await assert.rejects(openStore(options), { code: 'TREASURY_STORE', message: /second time/ });
  await store.run('CREATE TABLE kept (value INTEGER)');
  await store.close();
  const again = await openStore(options);
  assert.deepStrictEqual(await again.rows('FROM kept'), []);
  await again.close();
});

const STORE_MODULE = new URL('../../src/materialize/store.ts', import.meta.url).href;

test('openStore refuses a file that another thread of this process has open', async (context) => {
  const options = optionsIn(context);
  const store = await openStore(options);
  context.after(() => store.close());
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    import('tsx/esm/api').then(async ({ register }) => {
      register();
      const { openStore } = await import(${JSON.stringify(STORE_MODULE)});
      await openStore(workerData).then(() => parentPort.postMessage('opened'), (error) => parentPort.postMessage(error.message));
    });`;
  const worker = new Worker(code, { eval: true, workerData: options });
  const answer = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await worker.terminate();
  assert.match(String(answer), /second time/);
});

test('openStore refuses a file that another process holds, and names it', async (context) => {
  const options = optionsIn(context);
  await makeStore(options);
  const code = `import { DuckDBInstance } from '@duckdb/node-api';
    const instance = await DuckDBInstance.create(${JSON.stringify(options.file)});
    const connection = await instance.connect();
    process.stdout.write('open');
    process.stdin.on('data', () => { connection.closeSync(); instance.closeSync(); process.exit(0); });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exit = new Promise((resolve) => child.once('exit', resolve));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  await assert.rejects(
    openStore(options),
    (error: unknown) => error instanceof TreasuryError && error.message.includes(`PID ${child.pid}`),
  );
  child.stdin.end('close');
  await exit;
  const store = await openStore(options);
  assert.equal(store.recreated, null);
  assert.deepStrictEqual(await store.rows('FROM kept'), [{ value: 1 }]);
  await store.close();
});

const DAMAGES: readonly { what: string; damage: (bytes: Buffer) => Buffer; reason: RegExp }[] = [
  { what: 'another kind of file', damage: () => Buffer.from('not a database'), reason: /not a valid DuckDB/ },
  { what: 'an empty file', damage: () => Buffer.alloc(0), reason: /not a valid DuckDB/ },
  { what: 'a file cut short', damage: (bytes) => bytes.subarray(0, 6000), reason: /not read enough bytes/ },
  { what: 'flipped bits', damage: (bytes) => bytes.fill(7, 4096, 12288), reason: /checksum/ },
  { what: 'a newer format', damage: withNewerVersion, reason: /version number 9999/ },
];

for (const { what, damage, reason } of DAMAGES) {
  test(`openStore moves ${what} aside with its write-ahead log and makes a fresh one`, async (context) => {
    const options = optionsIn(context);
    await makeStore(options);
    const damaged = damage(readFileSync(options.file));
    writeFileSync(options.file, damaged);
    writeFileSync(`${options.file}.wal`, 'left over');
    const store = await openStore(options);
    assert.match(store.recreated ?? '', reason);
    assert.deepStrictEqual(await store.rows('SELECT table_name FROM duckdb_tables()'), []);
    await store.run('CREATE TABLE fresh (value INTEGER)');
    await store.close();
    const files = readdirSync(join(options.file, '..')).toSorted();
    assert.equal(files.length, 3);
    assert.match(files[1]!, /^treasury\.duckdb\.broken-[0-9TZ-]+$/);
    assert.equal(files[2], `${files[1]}.wal`);
    assert.deepStrictEqual(readFileSync(join(options.file, '..', files[1]!)), damaged);
    const again = await openStore(options);
    assert.equal(again.recreated, null);
    await again.close();
  });
}

test('openStore leaves a file alone that it may not open', async (context) => {
  const options = optionsIn(context);
  await makeStore(options);
  await assert.rejects(openStore({ ...options, file: join(options.file, 'below-a-file.duckdb') }));
  const files = readdirSync(join(options.file, '..'));
  assert.deepStrictEqual(files, ['treasury.duckdb']);
});

/** Writes another version into the main header and mends its checksum: 8 bytes before the 4,088 that it covers. */
function withNewerVersion(bytes: Buffer): Buffer {
  bytes.writeBigUInt64LE(9999n, 12);
  let sum = 5381n;
  for (let at = 8; at < 4096; at += 8) {
    sum ^= (bytes.readBigUInt64LE(at) * 0xbf58476d1ce4e5b9n) & 0xffffffffffffffffn;
  }
  bytes.writeBigUInt64LE(sum, 0);
  return bytes;
}
