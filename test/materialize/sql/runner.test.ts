/**
 * Goal: only queries run, within their limits, and an answer that is not whole never looks whole.
 * Method: real DuckDB in memory behind the runner.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TreasuryError } from '../../../src/base/index.ts';
import type { SqlRequest } from '../../../src/materialize/index.ts';
import { openSqlHarness, type SqlHarness } from './harness.ts';

let harness: SqlHarness;

before(async () => {
  harness = await openSqlHarness();
  await harness.setup('CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2), (3); CREATE SEQUENCE s');
});

after(() => harness.close());

const READING = [
  'SELECT a FROM t',
  'FROM t',
  'VALUES (1)',
  'WITH x AS (SELECT 1) FROM x',
  'SELECT 1;',
  '-- a remark\nSELECT 1 /* and another */',
  'EXPLAIN SELECT a FROM t',
  'EXPLAIN ANALYZE SELECT a FROM t',
  '/* why */ explain (format json) select 1',
  'DESCRIBE t',
  'SHOW TABLES',
  'SUMMARIZE t',
  "PRAGMA table_info('t')",
  'PRAGMA show_tables',
  'SELECT * FROM duckdb_settings()',
  'SELECT * FROM range(3)',
  "SELECT * FROM json_each('[1,2]')",
  'SELECT * FROM pragma_version()',
];

for (const query of READING) {
  test(`sql runner runs ${JSON.stringify(query)}`, async () => {
    await harness.askJson(query);
  });
}

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['INSERT INTO t VALUES (4)', /only queries are accepted, this is INSERT/],
  ['UPDATE t SET a = 1', /UPDATE/],
  ['DELETE FROM t', /DELETE/],
  ['CREATE TABLE u (a INT)', /CREATE/],
  ['CREATE TEMP TABLE u (a INT)', /CREATE/],
  ['DROP TABLE t', /DROP/],
  ["ATTACH ':memory:' AS z", /ATTACH/],
  ['SET threads = 1', /SET/],
  ['RESET threads', /SET/],
  ['USE memory', /SET/],
  ['PREPARE p AS SELECT 1', /PREPARE/],
  ['BEGIN', /TRANSACTION/],
  ['CHECKPOINT', /CALL/],
  ['CALL pragma_version()', /CALL/],
  ['VACUUM', /VACUUM/],
  ['LOAD json', /LOAD/],
  ['INSTALL fts', /LOAD/],
  ['PRAGMA enable_profiling', /PRAGMA/],
  ['EXPLAIN ANALYZE INSERT INTO t VALUES (4)', /Cannot explain|read-only/],
  ['EXPLAIN ANALYZE SET threads = 1', /Cannot explain/],
  ['EXPLAIN ANALYZE CREATE TEMP TABLE u AS SELECT 1', /Cannot explain/],
  ['SELECT * FROM checkpoint()', /checkpoint is not among those that only read/],
  ['SELECT * FROM enable_logging()', /enable_logging/],
  ["SELECT * FROM query('FROM enable_' || 'profiling()')", /enable_profiling/],
  ["SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM checkpoint()'))", /json_execute_serialized_sql/],
  ['EXPLAIN ANALYZE SELECT * FROM force_checkpoint()', /force_checkpoint/],
  ['SUMMARIZE SELECT * FROM checkpoint()', /checkpoint/],
  ["COPY t TO '/tmp/never.csv'", /disabled by configuration/],
  ["SELECT * FROM read_csv('/etc/passwd')", /disabled by configuration/],
  ["SELECT * FROM glob('/*')", /disabled by configuration/],
  ["EXPORT DATABASE '/tmp/never'", /disabled by configuration/],
  ['SELECT 1; SELECT 2', /Cannot run 2 statements/],
  ['SELECT 1; DROP TABLE t', /Cannot run 2 statements/],
  ["SELECT nextval('s')", /read-only/],
  ['', /empty/],
  [' ; -- nothing\n ; ', /empty/],
];

for (const [query, reason] of REFUSED) {
  test(`sql runner refuses ${JSON.stringify(query)}`, async () => {
    await assert.rejects(harness.ask(query), (error: unknown) => {
      assert.ok(error instanceof TreasuryError);
      assert.equal(error.code, 'TREASURY_QUERY_INVALID');
      assert.match(error.message, reason);
      return true;
    });
    assert.deepEqual(await harness.rows('SELECT count(*) FROM t'), [[3n]]);
  });
}

test("sql runner gives DuckDB's message with the position", async () => {
  await assert.rejects(harness.ask('SELECT\n  nope\nFROM t'), {
    code: 'TREASURY_QUERY_INVALID',
    message: /Referenced column "nope" not found[\s\S]*LINE 2:/,
    facts: { line: 2 },
  });
});

test('sql runner binds parameters by position and by name', async () => {
  const byPosition = await harness.askJson('SELECT $1 + 1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e', {
    params: [41, 'x', null, true, 9_007_199_254_740_991],
  });
  assert.deepEqual(byPosition.rows, [[42, 'x', null, true, '9007199254740991']]);
  const byName = await harness.askJson('SELECT a FROM t WHERE a >= $low LIMIT $count', {
    params: { low: 2, count: 1 },
  });
  assert.deepEqual(byName.rows, [[2]]);
  const cast = await harness.askJson("SELECT TIMESTAMP '2026-01-01' > $1 AS later", { params: ['2025-01-01'] });
  assert.deepEqual(cast.rows, [[true]]);
});

test('sql runner refuses parameters that do not fit', async () => {
  for (const params of [[], [1, 2], { other: 1 }]) {
    await assert.rejects(harness.ask('SELECT $1', { params }), { code: 'TREASURY_QUERY_INVALID' });
  }
});

test('sql runner cuts at the row limit and says so', async () => {
  const query = 'SELECT i FROM range(10000) t(i)';
  const cut = await harness.askJson(query, { rowsMax: 3000 });
  assert.deepEqual([cut.rows.length, cut.rowCount, cut.truncated], [3000, 3000, true]);
  const exact = await harness.askJson(query, { rowsMax: 10_000 });
  assert.deepEqual([exact.rows.length, exact.rowCount, exact.truncated], [10_000, 10_000, false]);
  for (const format of ['csv', 'ndjson'] as const) {
    await assert.rejects(harness.ask(query, { format, rowsMax: 10 }), { code: 'TREASURY_QUERY_LIMIT' });
  }
});

const ENDLESS = 'SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE hash(a.range + b.range) % 7 = 8';

test('sql runner stops a query at its time limit', async () => {
  await assert.rejects(harness.ask(ENDLESS, { timeoutMs: 100 }), {
    code: 'TREASURY_QUERY_LIMIT',
    facts: { timeoutMs: 100 },
  });
  assert.deepEqual((await harness.askJson('SELECT 1')).rows, [[1]]);
});

test('sql runner stops a cancelled query, running or about to', async () => {
  const running = new AbortController();
  setTimeout(() => running.abort(), 50);
  const gone = AbortSignal.abort();
  for (const signal of [running.signal, gone]) {
    await assert.rejects(run({ query: ENDLESS }, signal), { code: 'TREASURY_QUERY_CANCELLED' });
  }
  assert.equal(harness.runner.running, 0);
});

test('sql runner waits for each part to be taken', async () => {
  let taken = 0;
  const abort = new AbortController();
  const request = { query: 'SELECT range AS i FROM range(1000000)', format: 'csv' as const };
  await assert.rejects(
    run(request, abort.signal, async () => {
      taken++;
      if (taken === 3) abort.abort();
      await new Promise((resolve) => setImmediate(resolve));
    }),
    { code: 'TREASURY_QUERY_CANCELLED' },
  );
  assert.equal(taken, 3);
});

test('sql runner sends nothing of a query that fails in its first rows', async () => {
  let parts = 0;
  const failing = run(
    { query: "SELECT CAST('x' || range AS INTEGER) FROM range(10)" },
    new AbortController().signal,
    async () => {
      parts++;
    },
  );
  await assert.rejects(failing, { code: 'TREASURY_QUERY_INVALID' });
  assert.equal(parts, 0);
});

test('sql runner sends wide rows in small parts and refuses a value beyond any', async () => {
  for (const format of ['arrow', 'json', 'csv', 'ndjson'] as const) {
    const { bytes, parts } = await harness.ask("SELECT repeat('x', 20000) AS v FROM range(2000)", { format });
    assert.ok(bytes.length > 40_000_000 && parts > 4, `${format}: ${parts} parts`);
    await assert.rejects(harness.ask("SELECT repeat('x', 100000000) AS v", { format }), {
      code: 'TREASURY_QUERY_LIMIT',
    });
  }
});

test('sql runner answers many queries at once and later ones on the same connections', async () => {
  const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => harness.askJson(`SELECT ${i} AS i`)));
  assert.deepEqual(
    answers.map(({ rows }) => rows[0]?.[0]),
    Array.from({ length: 12 }, (_, i) => i),
  );
});

function run(
  request: Partial<SqlRequest> & { query: string },
  signal: AbortSignal,
  emit: (part: Uint8Array) => Promise<void> = async () => {},
): Promise<void> {
  return harness.runner.run({ format: 'json', rowsMax: 10_000_000, timeoutMs: 20_000, ...request }, { emit, signal });
}
