import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { LIMITS, type Logger, silentLogger, TreasuryError } from '../../src/base/index.ts';
import { startEngineWorker } from '../../src/materialize/engine.ts';
import type { Engine, EngineOptions, EngineStatus, SqlRequest } from '../../src/materialize/types.ts';
import { positionAt, type SmallRecord, smallMigrations, smallProjection } from '../helpers/small-engine.ts';

const WORKER = new URL('../helpers/small-engine-worker.ts', import.meta.url);
const NEVER = new AbortController().signal;

interface House {
  readonly directory: string;
  readonly entries: string;
  start(durable: bigint, options?: { uuid?: string; logger?: Logger }): Promise<Engine>;
  /** Appends BAR entries to the log. */
  write(...records: (SmallRecord | string)[]): Promise<void>;
}

async function makeHouse(t: TestContext): Promise<House> {
  const directory = await mkdtemp(join(tmpdir(), 'engine-'));
  const engines: Engine[] = [];
  t.after(async () => {
    await Promise.all(engines.map((engine) => engine.stop()));
    await rm(directory, { recursive: true });
  });
  await mkdir(join(directory, 'tables'));
  await smallMigrations(join(directory, 'migrations'), [smallProjection('logs')]);
  const entries = join(directory, 'entries.jsonl');
  await writeFile(entries, '');
  return {
    directory,
    entries,
    async start(durable, options = {}) {
      const engineOptions: EngineOptions = {
        logDirectory: directory,
        tablesDirectory: join(directory, 'tables'),
        logUuid: options.uuid ?? 'log-1',
        memoryLimitMb: 256,
        threads: 2,
        durable: positionAt(durable),
      };
      const engine = await startEngineWorker(WORKER, engineOptions, options.logger ?? silentLogger);
      engines.push(engine);
      return engine;
    },
    write: (...records) => appendFile(entries, records.map((record) => `${JSON.stringify({ record })}\n`).join('')),
  };
}

function request(query: string, more: Partial<SqlRequest> = {}): SqlRequest {
  return { query, format: 'json', rowsMax: 1_000_000, timeoutMs: 30_000, ...more };
}

async function answerText(engine: Engine, query: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await engine.sql(request(query), NEVER)).chunks) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function rows(engine: Engine, query: string): Promise<unknown[][]> {
  return (JSON.parse(await answerText(engine, query)) as { rows: unknown[][] }).rows;
}

async function until(engine: Engine, reached: (status: EngineStatus) => boolean): Promise<EngineStatus> {
  for (;;) {
    const status = await engine.status();
    if (reached(status)) return status;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function recordingLogger(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const at = (message: string, fields?: object) => void lines.push(`${message} ${JSON.stringify(fields, plain)}`);
  const plain = (_key: string, value: unknown) => (typeof value === 'bigint' ? Number(value) : value);
  return { lines, debug: at, info: at, warn: at, error: at };
}

const ENDLESS = 'SELECT count(*) FROM range(1_000_000_000_000) a, range(1_000_000) b WHERE a.range * b.range = 7';
const COUNT = 'SELECT count(*), count(DISTINCT entry_offset) FROM logs';

test('engine shows rows after advance and reports where it is', async (t) => {
  const house = await makeHouse(t);
  const engine = await house.start(0n);
  await house.write({ rows: 2 }, 'bad', { rows: 1 });
  engine.advance(positionAt(3n));
  const status = await until(engine, ({ materializedOffset }) => materializedOffset === 3n);
  assert.deepEqual(await rows(engine, COUNT), [['3', '2']]);
  assert.equal(status.rowsWritten, 3);
  assert.equal(status.entriesDecoded, 2);
  assert.equal(status.quarantinedTotal, 1);
  assert.deepEqual(status.quarantined, [{ offset: 1n, projection: 'logs', reason: 'Cannot parse the record' }]);
  assert.deepEqual(status.projections, [
    {
      name: 'logs',
      version: 1,
      state: 'serving',
      materializedOffset: 3n,
      firstOffset: 0n,
      complete: true,
      targetOffset: 0n,
      rowsWritten: 3,
      building: null,
      lastSwitch: null,
    },
  ]);
  assert.match(status.duckdbVersion, /^v1\./);
  assert.equal(status.stuck, null);
  assert.ok(status.tableBytes > 0);
});

test('engine reads nothing beyond the durable offset', async (t) => {
  const house = await makeHouse(t);
  await house.write({}, {}, {});
  const engine = await house.start(1n);
  await until(engine, ({ materializedOffset }) => materializedOffset === 1n);
  assert.deepEqual(await rows(engine, COUNT), [['1', '1']]);
  for (let durable = 1n; durable <= 3n; durable++) engine.advance(positionAt(durable));
  await until(engine, ({ materializedOffset }) => materializedOffset === 3n);
  assert.deepEqual(await rows(engine, COUNT), [['3', '3']]);
});

test('engine commits what it has read when it is stopped', async (t) => {
  const house = await makeHouse(t);
  await house.write({}, {}, {});
  const engine = await house.start(3n);
  await until(engine, ({ entriesDecoded, materializedOffset }) => entriesDecoded > 0 || materializedOffset >= 0n);
  await engine.stop();
  await engine.stop();
  const again = await house.start(3n);
  await until(again, ({ materializedOffset }) => materializedOffset === 3n);
  assert.deepEqual(await rows(again, COUNT), [['3', '3']]);
});

test('engine rebuilds deleted tables to the same rows', async (t) => {
  const house = await makeHouse(t);
  await house.write({ set: { a: 'x' }, use: 'a', rows: 3 }, 'bad', { use: 'a' }, { rows: 2 });
  const all = 'SELECT * FROM logs ORDER BY ALL';
  const first = await house.start(4n);
  await until(first, ({ materializedOffset }) => materializedOffset === 4n);
  const before = await rows(first, all);
  await first.stop();
  await rm(join(house.directory, 'tables'), { recursive: true });
  await mkdir(join(house.directory, 'tables'));
  const second = await house.start(4n);
  await until(second, ({ materializedOffset }) => materializedOffset === 4n);
  assert.deepEqual(await rows(second, all), before);
  assert.equal((await second.status()).quarantinedTotal, 2);
});

test('engine moves damaged tables aside and rebuilds them', async (t) => {
  const house = await makeHouse(t);
  await house.write({}, {});
  const first = await house.start(2n);
  await until(first, ({ materializedOffset }) => materializedOffset === 2n);
  await first.stop();
  await writeFile(join(house.directory, 'tables', 'treasury.duckdb'), 'this was a database');
  const logger = recordingLogger();
  const second = await house.start(2n, { logger });
  await until(second, ({ materializedOffset }) => materializedOffset === 2n);
  assert.deepEqual(await rows(second, COUNT), [['2', '2']]);
  assert.match(logger.lines.join('\n'), /building them anew from the log/);
});

test('engine never builds on tables of another log or ahead of the log', async (t) => {
  const house = await makeHouse(t);
  await house.write({}, {}, {});
  const first = await house.start(3n);
  await until(first, ({ materializedOffset }) => materializedOffset === 3n);
  await first.stop();
  for (const { durable, uuid, reason } of [
    { durable: 2n, uuid: 'log-1', reason: /is at offset 3, the log ends at 2/ },
    { durable: 3n, uuid: 'log-2', reason: /was built from log log-1, this log is log-2/ },
  ]) {
    const logger = recordingLogger();
    const engine = await house.start(durable, { uuid, logger });
    await until(engine, ({ materializedOffset }) => materializedOffset === durable);
    assert.deepEqual(await rows(engine, COUNT), [[String(durable), String(durable)]]);
    assert.match(logger.lines.join('\n'), reason);
    await engine.stop();
  }
  const files = await readdir(join(house.directory, 'tables'));
  assert.equal(files.filter((name) => name.includes('.stale-')).length, 2);
});

test('engine builds a new projection version and then shows it', async (t) => {
  const house = await makeHouse(t);
  await house.write({ rows: 2 }, 'bad', {});
  const first = await house.start(3n);
  await until(first, ({ materializedOffset }) => materializedOffset === 3n);
  await first.stop();
  await smallMigrations(join(house.directory, 'migrations'), [smallProjection('logs'), smallProjection('logs', 2)]);
  await writeFile(join(house.directory, 'version-2'), '');
  const second = await house.start(3n);
  await until(second, ({ projections }) => projections[0]?.version === 2 && projections[0].materializedOffset === 3n);
  while ((await rows(second, "FROM duckdb_tables() WHERE table_name = 'logs_v1'")).length > 0);
  assert.deepEqual(await rows(second, COUNT), [['3', '2']]);
  await second.stop();
  await rm(join(house.directory, 'version-2'));
  // The release before has views of its own.
  await smallMigrations(join(house.directory, 'migrations'), [smallProjection('logs')]);
  const logger = recordingLogger();
  const older = await house.start(3n, { logger });
  await until(older, ({ materializedOffset }) => materializedOffset === 3n);
  assert.match(logger.lines.join('\n'), /later release.*projection logs has version 2, this release makes 1/);
  assert.deepEqual(await rows(older, COUNT), [['3', '2']]);
});

test('engine moves a database of a later release aside and builds the tables anew', async (t) => {
  const house = await makeHouse(t);
  await house.write({}, {});
  await smallMigrations(join(house.directory, 'migrations'), [smallProjection('logs'), smallProjection('traces')]);
  await (await house.start(0n)).stop();
  await rm(join(house.directory, 'migrations'), { recursive: true });
  await smallMigrations(join(house.directory, 'migrations'), [smallProjection('logs')]);
  const logger = recordingLogger();
  const engine = await house.start(2n, { logger });
  await until(engine, ({ materializedOffset }) => materializedOffset === 2n);
  assert.deepEqual(await rows(engine, COUNT), [['2', '2']]);
  assert.match(logger.lines.join('\n'), /of another release.*later release/);
  const files = await readdir(join(house.directory, 'tables'));
  assert.equal(files.filter((name) => name.includes('.newer-')).length, 1);
});

test('SQL answers wait for a reader and arrive whole', async (t) => {
  const house = await makeHouse(t);
  const engine = await house.start(0n);
  const rowCount = 400_000;
  const query = `SELECT repeat('x', 80) AS body, i FROM range(${rowCount}) AS r(i)`;
  const answer = await engine.sql(request(query, { format: 'ndjson' }), NEVER);
  // More than the buffer: the query must still be there, waiting for its reader.
  await until(engine, ({ queriesRunning }) => queriesRunning === 1);
  await engine.status();
  assert.equal((await engine.status()).queriesRunning, 1);
  let bytes = 0;
  let lines = 0;
  for await (const chunk of answer.chunks) {
    bytes += chunk.byteLength;
    for (const byte of chunk) if (byte === 10) lines += 1;
  }
  assert.ok(bytes > 4 * LIMITS.answerBufferedBytesMax);
  assert.equal(lines, rowCount);
  await until(engine, ({ queriesRunning }) => queriesRunning === 0);
});

test('SQL answers hold no more than the buffer while nobody reads', async (t) => {
  const house = await makeHouse(t);
  const engine = await house.start(0n);
  const abort = new AbortController();
  const query = `SELECT repeat('x', 1000) AS body FROM range(200_000)`;
  const answer = await engine.sql(request(query, { format: 'csv' }), abort.signal);
  const seen = answer.chunks[Symbol.asyncIterator]();
  const first = await seen.next();
  assert.ok(!first.done);
  assert.ok(first.value.byteLength <= LIMITS.answerBufferedBytesMax);
  await seen.return?.();
  await until(engine, ({ queriesRunning }) => queriesRunning === 0);
});

test('SQL is cancelled by its signal, before and while it is answered', async (t) => {
  const house = await makeHouse(t);
  const engine = await house.start(0n);
  const early = new AbortController();
  const pending = engine.sql(request(ENDLESS), early.signal);
  await until(engine, ({ queriesRunning }) => queriesRunning === 1);
  early.abort();
  await assert.rejects(pending, { code: 'TREASURY_QUERY_CANCELLED' });
  await until(engine, ({ queriesRunning }) => queriesRunning === 0);

  const late = new AbortController();
  const answer = await engine.sql(request('FROM range(100_000_000)', { format: 'csv' }), late.signal);
  await assert.rejects(
    async () => {
      for await (const _chunk of answer.chunks) late.abort();
    },
    { code: 'TREASURY_QUERY_CANCELLED' },
  );
  await until(engine, ({ queriesRunning }) => queriesRunning === 0);
  await assert.rejects(engine.sql(request('SELECT 1'), late.signal), { code: 'TREASURY_QUERY_CANCELLED' });
});

test('SQL errors keep their code across the thread', async (t) => {
  const house = await makeHouse(t);
  const engine = await house.start(0n);
  await assert.rejects(engine.sql(request('SELECT nothing FROM nowhere'), NEVER), (error) => {
    assert.ok(error instanceof TreasuryError);
    assert.equal(error.code, 'TREASURY_QUERY_INVALID');
    return true;
  });
});

test('SQL beyond the queue is refused, the queued ones are answered or cancelled', async (t) => {
  const house = await makeHouse(t);
  const engine = await house.start(0n);
  const abort = new AbortController();
  const many = Array.from({ length: LIMITS.sqlConcurrencyMax + LIMITS.sqlQueueMax }, () =>
    engine.sql(request(ENDLESS), abort.signal),
  );
  const settled = Promise.allSettled(many);
  await until(engine, ({ queriesQueued }) => queriesQueued === LIMITS.sqlQueueMax);
  await assert.rejects(engine.sql(request('SELECT 1'), NEVER), { code: 'TREASURY_QUERY_LIMIT', retryable: true });
  abort.abort();
  for (const { status } of await settled) assert.equal(status, 'rejected');
  await until(engine, ({ queriesRunning, queriesQueued }) => queriesRunning + queriesQueued === 0);
  assert.deepEqual(await rows(engine, 'SELECT 1'), [[1]]);
});

test("the worker's death rejects pending calls and is told once", async (t) => {
  const house = await makeHouse(t);
  const logger = recordingLogger();
  const engine = await house.start(0n, { logger });
  const abandoned = await engine.sql(request('FROM range(100_000_000)', { format: 'csv' }), NEVER);
  const pending = engine.sql(request(ENDLESS), NEVER);
  await until(engine, ({ queriesRunning }) => queriesRunning === 2);
  const status = engine.status();
  const queued = engine.sql(request('SELECT 1'), NEVER);
  await house.write({}, {});
  await writeFile(join(house.directory, 'break'), '');
  engine.advance(positionAt(2n));
  await assert.rejects(pending, { code: 'TREASURY_ENGINE_UNAVAILABLE', retryable: true });
  await assert.rejects(queued, { code: 'TREASURY_ENGINE_UNAVAILABLE', retryable: true });
  await status;
  await assert.rejects(
    async () => {
      for await (const chunk of abandoned.chunks) assert.ok(chunk.byteLength > 0);
    },
    { code: 'TREASURY_ENGINE_UNAVAILABLE' },
  );
  assert.match((await engine.failed).message, /broken on purpose/);
  await assert.rejects(engine.status(), { code: 'TREASURY_ENGINE_UNAVAILABLE' });
  await assert.rejects(engine.sql(request('SELECT 1'), NEVER), { code: 'TREASURY_ENGINE_UNAVAILABLE' });
  engine.advance(positionAt(5n));
  await engine.stop();
  assert.equal(logger.lines.filter((line) => line.startsWith('Engine died')).length, 1);
});

test('engine starts again after the death of one before it in the same process', async (t) => {
  const house = await makeHouse(t);
  await house.write({}, {});
  const first = await house.start(2n);
  await until(first, ({ materializedOffset }) => materializedOffset === 2n);
  await writeFile(join(house.directory, 'break'), '');
  first.advance(positionAt(2n));
  await first.failed;
  await rm(join(house.directory, 'break'));
  await house.write({});
  const second = await house.start(3n);
  await until(second, ({ materializedOffset }) => materializedOffset === 3n);
  assert.deepEqual(await rows(second, COUNT), [['3', '3']]);
});

test('a worker that just ends is noticed', async (t) => {
  const house = await makeHouse(t);
  const engine = await house.start(0n);
  await assert.rejects(engine.sql(request('die'), NEVER), { code: 'TREASURY_ENGINE_UNAVAILABLE' });
  assert.match((await engine.failed).message, /ended with code 7/);
  await engine.stop();
});
