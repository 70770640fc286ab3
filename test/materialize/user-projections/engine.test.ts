/**
 * Goal: projections of users on the real engine: beside live work, over starts and over a lost DuckDB file.
 * Method: a real log and a real engine in a directory of their own; OTLP logs are appended as the receivers do.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { SIGNAL_CODES, silentLogger } from '../../../src/base/index.ts';
import type { Log } from '../../../src/log/index.ts';
import { startEngine } from '../../../src/materialize/engine.ts';
import type { Engine, EngineOptions, EngineStatus } from '../../../src/materialize/types.ts';
import { durableOf, engineOptions, engineRows, engineUntil, openTestLog } from '../../helpers/engine-log.ts';

const ROUTES = "SELECT entry_offset, row, time, attributes['n'] AS n FROM logs";

interface Setting {
  readonly directory: string;
  readonly log: Log;
  start(options?: Partial<EngineOptions>): Promise<Engine>;
  write(name: string, text: string): Promise<void>;
  /** Appends entries of one log each. */
  append(entries: number): Promise<void>;
}

async function setUp(t: TestContext): Promise<Setting> {
  const directory = await mkdtemp(join(tmpdir(), 'user-projections-engine-'));
  const log = await openTestLog(directory);
  const engines: Engine[] = [];
  let appended = 0;
  await mkdir(join(directory, 'projections'));
  await mkdir(join(directory, 'tables'));
  t.after(async () => {
    for (const engine of engines) await engine.stop();
    await log.close();
    await rm(directory, { recursive: true });
  });
  return {
    directory,
    log,
    async start(options = {}) {
      const projectionsDirectory = join(directory, 'projections');
      const engine = await startEngine(
        { ...engineOptions(directory, log.status()), projectionsDirectory, ...options },
        silentLogger,
      );
      engines.push(engine);
      log.onDurable((position) => engine.advance(position));
      engine.advance(durableOf(log.status()));
      return engine;
    },
    write: (name, text) => writeFile(join(directory, 'projections', `${name}.sql`), text),
    async append(entries) {
      const headers = new Map([['content-type', 'application/json']]);
      const all = Array.from({ length: entries }, () => {
        const record = Buffer.from(oneLog(appended++));
        return log.appendOtlp(SIGNAL_CODES.logs, { batchId: 0n, record: [record], headers });
      });
      await Promise.all(all);
    },
  };
}

function oneLog(n: number): string {
  const attributes = [{ key: 'n', value: { stringValue: String(n) } }];
  const record = { timeUnixNano: `${1_700_000_000 + n}000000000`, body: { stringValue: `log ${n}` }, attributes };
  return JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] });
}

function ofUser(status: EngineStatus, name: string) {
  return status.userProjections.find((projection) => projection.name === name);
}

function upTo(engine: Engine, name: string, log: Log): Promise<EngineStatus> {
  const { durableOffset } = log.status();
  return engineUntil(engine, (status) => (ofUser(status, name)?.materializedOffset ?? -1n) >= durableOffset);
}

const HELD = 'SELECT count(*), count(DISTINCT n), count(DISTINCT entry_offset) FROM routes';

test('projection of a user follows the engine, and comes again from its file when the DuckDB file is lost', async (t) => {
  const { directory, log, start, write, append } = await setUp(t);
  await append(200);
  await write('routes', ROUTES);
  const first = await start();
  await upTo(first, 'routes', log);
  await append(100);
  await upTo(first, 'routes', log);
  assert.deepEqual(await engineRows(first, HELD), [['300', '300', '300']]);
  await first.stop();

  const second = await start();
  await append(10);
  const status = await upTo(second, 'routes', log);
  assert.equal(ofUser(status, 'routes')?.rowsWritten, 10);
  assert.deepEqual(await engineRows(second, HELD), [['310', '310', '310']]);
  await second.stop();

  await rm(join(directory, 'tables'), { recursive: true });
  await mkdir(join(directory, 'tables'));
  const third = await start();
  await upTo(third, 'routes', log);
  assert.deepEqual(await engineRows(third, HELD), [['310', '310', '310']]);
});

test('files are looked at again when asked, and not without materialization', async (t) => {
  const { log, start, write, append } = await setUp(t);
  await append(5);
  const engine = await start();
  assert.deepEqual(await engine.scanProjections(), { projections: [], problems: [] });
  await write('routes', ROUTES);
  await write('Wrong', 'SELECT 1');
  const { projections, problems } = await engine.scanProjections();
  assert.deepEqual(
    projections.map(({ name, state }) => [name, state]),
    [
      ['routes', 'serving'],
      ['Wrong', 'refused'],
    ],
  );
  assert.match(problems[0]?.message ?? '', /^Wrong\.sql: Cannot name a projection "Wrong"/);
  await upTo(engine, 'routes', log);
  await engine.stop();
  const idle = await start({ materialize: false });
  await assert.rejects(idle.scanProjections(), { code: 'TREASURY_PROJECTION_STATE' });
  assert.deepEqual(await engineRows(idle, 'SELECT count(*) FROM routes'), [['5']]);
});

const ENDLESS =
  'SELECT l.entry_offset, count(*) AS n FROM logs AS l, range(1000000000) AS a(i), range(1000) AS b(j) WHERE a.i + b.j <> l.row GROUP BY ALL';

test('answers say what tables of users lack while these are filled, from the first answer on', async (t) => {
  const { directory, log, start, write, append } = await setUp(t);
  await append(50);
  await write('endless', ENDLESS);
  await write('routes', ROUTES);
  const lacks = async (engine: Engine) => {
    const { chunks, incomplete = [] } = await engine.sql(
      { query: 'SELECT count(*) FROM endless', format: 'json', rowsMax: 10, timeoutMs: 10_000 },
      new AbortController().signal,
    );
    for await (const _chunk of chunks);
    return incomplete.filter(({ projection }) => projection === 'endless');
  };
  const expected = [{ projection: 'endless', from: 0n, to: 0n, of: 50n }];
  const first = await start();
  assert.deepEqual(await lacks(first), expected);
  const status = await upTo(first, 'routes', log);
  assert.equal(status.complete, false);
  assert.deepEqual([ofUser(status, 'routes')?.complete, ofUser(status, 'endless')?.complete], [true, false]);
  await first.stop();
  const off = await start({ materialize: false });
  assert.deepEqual(await lacks(off), expected);
  assert.equal((await off.status()).complete, false);
  await off.stop();
  await rm(join(directory, 'projections', 'endless.sql'));
  const last = await start();
  assert.equal((await upTo(last, 'routes', log)).complete, true);
});

test('live work goes on beside a statement that does not end, and the engine stops in the middle of it', async (t) => {
  const { log, start, write, append } = await setUp(t);
  await append(50);
  await write('endless', ENDLESS);
  const engine = await start();
  for (let round = 0; round < 5; round++) {
    await append(20);
    const { durableOffset } = log.status();
    // Each round has to be materialized while the statement runs.
    const status = await engineUntil(engine, ({ materializedOffset }) => materializedOffset >= durableOffset);
    assert.equal(status.stuck, null);
    assert.equal(ofUser(status, 'endless')?.materializedOffset ?? 0n, 0n);
    const rows = await engineRows(engine, 'SELECT count(*) FROM logs');
    assert.ok(Number(rows[0]?.[0]) >= 50);
  }
});

test('rows of users stay when the engine is told to build a projection of the product anew', async (t) => {
  const { log, start, write, append } = await setUp(t);
  await append(60);
  await write('routes', ROUTES);
  const engine = await start();
  await upTo(engine, 'routes', log);
  await engine.rebuildProjection('logs');
  await append(30);
  await engineUntil(engine, ({ projections }) => projections.some(({ lastSwitch }) => lastSwitch !== null));
  await append(10);
  const status = await upTo(engine, 'routes', log);
  assert.equal(ofUser(status, 'routes')?.error, null);
  assert.deepEqual(await engineRows(engine, HELD), [['100', '100', '100']]);
});
