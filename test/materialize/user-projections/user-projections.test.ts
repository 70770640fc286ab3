import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRetentionFigures } from '../../../src/materialize/table-retention-figures.ts';
import { openUserTables, projectionUntil } from '../../helpers/user-projections.ts';

const ROUTES = `-- description: routes of logs
SELECT entry_offset, row, time, attributes['http.route'] AS route FROM logs WHERE severity_number >= 17`;

test('projection of a user has each row once and keeps up', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(500, 3);
  await tables.write('routes', ROUTES);
  const projections = tables.start();
  await projectionUntil(projections, 'routes', ({ materializedOffset }) => materializedOffset === 500n);
  await tables.addLogs(20, 3);
  const status = await projectionUntil(projections, 'routes', ({ materializedOffset }) => materializedOffset === 520n);
  assert.equal(status.state, 'serving');
  assert.equal(status.version, 1);
  assert.equal(status.description, 'routes of logs');
  assert.equal(status.rowsWritten, 1560);
  assert.equal(status.error, null);
  const [left, right] = await Promise.all(
    ['FROM main.routes', "SELECT entry_offset, row, time, attributes['http.route'] AS route FROM main.logs"].map(
      (from) => tables.rows(`SELECT count(*), bit_xor(hash(t)), sum(hash(t)) FROM (${from}) AS t`),
    ),
  );
  assert.deepEqual(left, right);
});

test('projection of a user goes on from its checkpoint after the loop has ended', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(100);
  await tables.write('routes', ROUTES);
  const first = tables.start();
  await projectionUntil(first, 'routes', ({ materializedOffset }) => materializedOffset === 100n);
  await first.stop();
  await tables.addLogs(50);
  const second = tables.start();
  const status = await projectionUntil(second, 'routes', ({ materializedOffset }) => materializedOffset === 150n);
  assert.equal(status.rowsWritten, 50);
  assert.deepEqual(await tables.rows('SELECT count(*), count(DISTINCT entry_offset) FROM routes'), [[150n, 150n]]);
});

test('another text is another version, built beside the one that serves, and a text in other words is not', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(300);
  await tables.write('routes', ROUTES);
  const projections = tables.start();
  await projectionUntil(projections, 'routes', ({ materializedOffset }) => materializedOffset === 300n);

  await tables.write('routes', `${ROUTES}\n\n  -- the same\n;`);
  const same = await projections.rescan();
  assert.deepEqual(
    same.projections.map(({ version, state }) => ({ version, state })),
    [{ version: 1, state: 'serving' }],
  );

  await tables.write('routes', "SELECT entry_offset, time, attributes['n']::INTEGER AS n FROM logs");
  const scan = await projections.rescan();
  assert.deepEqual(
    scan.projections.map(({ version, state }) => ({ version, state })),
    [
      { version: 1, state: 'serving' },
      { version: 2, state: 'building' },
    ],
  );
  await projectionUntil(projections, 'routes', ({ version, state }) => version === 2 && state === 'serving');
  assert.equal(projections.statuses.length, 1);
  assert.deepEqual(await tables.rows('SELECT count(*), sum(n) FROM routes'), [[300n, 44850n]]);
  assert.deepEqual(
    await tables.rows("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'projected' ORDER BY 1"),
    [['checkpoints'], ['routes_v2']],
  );
});

test('a text that is wrong leaves the version of before, which serves and keeps up', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(10);
  await tables.write('routes', ROUTES);
  const projections = tables.start();
  await projectionUntil(projections, 'routes', ({ materializedOffset }) => materializedOffset === 10n);
  await tables.write('routes', 'SELECT entry_offset,\n  nope FROM logs');
  const scan = await projections.rescan();
  assert.equal(scan.problems.length, 1);
  assert.deepEqual([scan.problems[0]?.file, scan.problems[0]?.line, scan.problems[0]?.column], ['routes.sql', 2, 3]);
  await tables.addLogs(5);
  const status = await projectionUntil(projections, 'routes', ({ materializedOffset }) => materializedOffset === 15n);
  assert.equal(status.state, 'serving');
  assert.match(status.error ?? '', /^routes\.sql:2:3: .*nope/);
});

test('a file that is gone takes its table and its view with it', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(10);
  await tables.write('routes', ROUTES);
  const projections = tables.start();
  await projectionUntil(projections, 'routes', ({ materializedOffset }) => materializedOffset === 10n);
  await tables.remove('routes');
  assert.deepEqual((await projections.rescan()).projections, []);
  await assert.rejects(tables.rows('FROM routes'), /does not exist/);
  assert.deepEqual(await tables.rows('SELECT count(*) FROM projected.checkpoints'), [[0n]]);
});

test('an entry that a statement fails on is passed by and told, the others have their rows', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(100);
  await tables.write('numbers', "SELECT entry_offset, if(entry_offset IN (17, 64), 'x', '1')::INTEGER AS n FROM logs");
  const told: bigint[] = [];
  const projections = tables.start({ onQuarantined: ({ offset }) => void told.push(offset) });
  const status = await projectionUntil(projections, 'numbers', ({ materializedOffset }) => materializedOffset === 100n);
  assert.equal(status.quarantined, 2);
  assert.deepEqual(told, [17n, 64n]);
  assert.deepEqual(await tables.rows('SELECT count(*) FROM numbers'), [[98n]]);
  const quarantined = await tables.rows(
    'SELECT entry_offset, projection, version, reason FROM meta.quarantine ORDER BY 1',
  );
  assert.deepEqual(
    quarantined.map((row) => row.slice(0, 3)),
    [
      [17n, 'numbers', 1],
      [64n, 'numbers', 1],
    ],
  );
  assert.match(String(quarantined[0]?.[3]), /^Statement failed: Conversion Error/);
});

test('a statement that fails on every entry is stopped, and tried again when the files are looked at', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(100);
  await tables.write('numbers', 'SELECT entry_offset, body::INTEGER AS n FROM logs');
  await tables.write('routes', ROUTES);
  const projections = tables.start({ limits: { userFailuresInRowMax: 4 } });
  const status = await projectionUntil(projections, 'numbers', ({ state }) => state === 'stopped');
  assert.match(status.error ?? '', /^It failed on 4 entries in a row: Conversion Error/);
  assert.equal(status.materializedOffset, 3n);
  await projectionUntil(projections, 'routes', ({ materializedOffset }) => materializedOffset === 100n);
  await projections.rescan();
  const again = await projectionUntil(projections, 'numbers', ({ state }) => state === 'stopped');
  assert.equal(again.materializedOffset, 6n);
});

test('a statement that runs too long is halved, and passes by an entry that takes too long alone', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(8);
  const slow = 'SELECT sum(a.i * b.i) FROM range(400000) AS a(i), range(400000) AS b(i)';
  await tables.write('slow', `SELECT entry_offset, if(entry_offset = 5, (${slow}), 0) AS n FROM logs`);
  // The scalar subquery is worked out once for every range that holds rows: all of them take too long.
  const projections = tables.start({ limits: { userRangeMaxMs: 60, userEntryMaxMs: 60, userFailuresInRowMax: 3 } });
  const status = await projectionUntil(projections, 'slow', ({ state }) => state === 'stopped');
  assert.match(status.error ?? '', /entries in a row: It ran longer than 60 ms/);
});

test('a range that gives too many rows is halved', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(64, 10);
  await tables.write('routes', ROUTES);
  const projections = tables.start({ limits: { userRangeRowsMax: 25, userEntryRowsMax: 100 } });
  const status = await projectionUntil(projections, 'routes', ({ materializedOffset }) => materializedOffset === 64n);
  assert.equal(status.rowsWritten, 640);
  assert.equal(status.quarantined, 0);
});

test('rows grow old by their time and by the receipt of their entry', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(100);
  // Times of entries are seconds from 1,700,000,000; entries up to 50 were received before minute 28,333,335.
  await tables.connection.run('INSERT INTO meta.received_minutes VALUES (0, 28333333), (50, 28333335)');
  await tables.write('timed', ROUTES);
  await tables.write('received', 'SELECT entry_offset, body FROM logs');
  await tables.write('kept', 'SELECT count(*) AS n, max(time) AS last FROM logs');
  await tables.write(
    'minutes',
    "-- time: minute\nSELECT date_trunc('minute', time) AS minute, count(*) AS n FROM logs GROUP BY ALL",
  );
  const figures = createRetentionFigures(60_000);
  let now = 1_700_000_000n * 1_000_000_000n;
  const projections = tables.start({ retentionFigures: { ...figures, intervalMs: 10 }, retentionNow: () => now });
  for (const name of ['timed', 'received', 'kept', 'minutes']) {
    await projectionUntil(projections, name, ({ materializedOffset }) => materializedOffset === 100n);
  }
  assert.deepEqual(await tables.rows('SELECT count(*) FROM timed'), [[100n]]);
  // 80 s and a minute later: logs of the first 80 s are too old, and what was received 20 s before that.
  now += 140n * 1_000_000_000n;
  const until = async (sql: string, wanted: bigint) => {
    while ((await tables.rows(sql))[0]?.[0] !== wanted) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  await until('SELECT count(*) FROM timed', 20n);
  await until('SELECT count(*) FROM received', 50n);
  assert.deepEqual(await tables.rows('SELECT min(entry_offset) FROM timed'), [[80n]]);
  assert.deepEqual(await tables.rows('SELECT sum(n) FROM kept'), [[100n]]);
  // The minutes began before that.
  await until('SELECT count(*) FROM minutes', 0n);
});

test('a range reads the row groups of its offsets alone', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(5_000, 100);
  const { makeRangeViews, readableViews } = await import('../../../src/materialize/user-projections/validation.ts');
  const { parseStatement } = await import('../../../src/materialize/user-projections/statement.ts');
  const { connection } = tables;
  for (const text of ['SELECT max(body) FROM logs', "SELECT max(str) FROM normalized.log_attrs WHERE key = 'n'"]) {
    const [[tree]] = (await tables.rows(`SELECT json_serialize_sql('${text.replaceAll("'", "''")}')`)) as [[string]];
    const statement = parseStatement(text, tree, await readableViews(connection));
    const scanned = async (range: { from: bigint; to: bigint } | null) => {
      await makeRangeViews(connection, statement.views, range);
      const plan = await tables.rows(`EXPLAIN (ANALYZE, FORMAT json) ${statement.rangeSql}`);
      return (JSON.parse(String(plan[0]?.[1])) as { cumulative_rows_scanned: number }).cumulative_rows_scanned;
    };
    assert.ok((await scanned(null)) > 4 * 122_880);
    assert.ok((await scanned({ from: 2_500n, to: 2_510n })) <= 2 * 122_880);
  }
});

test('projection of a user rests while the materializer is behind, and goes on when it has caught up', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(1_000);
  await tables.write('routes', ROUTES);
  tables.live.isCaughtUp = false;
  const projections = tables.start({ limits: { userRestFactor: 1e6 } });
  await projectionUntil(projections, 'routes', ({ materializedOffset }) => materializedOffset > 0n);
  projections.advanced();
  const { materializedOffset } = await projectionUntil(projections, 'routes', () => true);
  assert.equal(materializedOffset, 64n);
  tables.live.isCaughtUp = true;
  projections.advanced();
  await projectionUntil(projections, 'routes', (status) => status.materializedOffset === 1_000n);
});

test('a statement gives its memory back while the materializer cannot go on, and is run again', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(10);
  await tables.write(
    'pairs',
    'SELECT l.entry_offset, count(*) AS n FROM logs AS l, range(3000000) AS r(i) WHERE r.i <> l.row GROUP BY ALL',
  );
  const turns: string[] = [];
  const projections = tables.start({
    async inTurn(work) {
      turns.push('begun');
      // The first one meets a materializer that has run out of memory.
      const timer = turns.length === 1 ? setTimeout(() => (tables.live.isStuck = true), 5) : undefined;
      await work();
      clearTimeout(timer);
      turns.push('ended');
      setTimeout(() => {
        tables.live.isStuck = false;
        projections.advanced();
      }, 20);
    },
  });
  const status = await projectionUntil(projections, 'pairs', ({ materializedOffset }) => materializedOffset === 10n);
  assert.equal(status.quarantined, 0);
  assert.ok(turns.length >= 4);
  assert.deepEqual(await tables.rows('SELECT count(*), min(n) FROM pairs'), [[10n, 2_999_999n]]);
});

test('a statement that no longer fits the views is stopped, the others go on', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(5);
  await tables.write('routes', ROUTES);
  await tables.write('bodies', 'SELECT entry_offset, body FROM logs');
  const projections = tables.start();
  for (const name of ['routes', 'bodies']) {
    await projectionUntil(projections, name, ({ materializedOffset }) => materializedOffset === 5n);
  }
  await tables.connection.run('CREATE OR REPLACE VIEW main.logs AS SELECT * EXCLUDE (attributes) FROM store.logs_v1');
  await tables.addLogs(5);
  const status = await projectionUntil(projections, 'routes', ({ state }) => state === 'stopped');
  assert.match(status.error ?? '', /attributes/);
  await projectionUntil(projections, 'bodies', ({ materializedOffset }) => materializedOffset === 10n);
  assert.deepEqual(await tables.rows('SELECT count(*) FROM routes'), [[5n]]);
});

test('a version that was begun goes on after a start, and one whose text is gone again is dropped', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(200);
  await tables.write('routes', ROUTES);
  const first = tables.start();
  await projectionUntil(first, 'routes', ({ materializedOffset }) => materializedOffset === 200n);
  await first.stop();
  await tables.write('routes', 'SELECT entry_offset, body FROM logs');
  tables.live.isCaughtUp = false;
  const second = tables.start({ limits: { userRestFactor: 1e6 } });
  await projectionUntil(
    second,
    'routes',
    ({ version, materializedOffset }) => version === 2 && materializedOffset > 0n,
  );
  await second.stop();
  assert.deepEqual(await tables.rows('SELECT version, state FROM projected.checkpoints ORDER BY 1'), [
    [1, 'serving'],
    [2, 'building'],
  ]);
  await tables.write('routes', ROUTES);
  tables.live.isCaughtUp = true;
  const third = tables.start();
  await third.rescan();
  assert.deepEqual(
    third.statuses.map(({ version, state }) => [version, state]),
    [[1, 'serving']],
  );
  assert.deepEqual(await tables.rows("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'routes%'"), [
    ['routes_v1'],
  ]);
});

test('a table that is filled for the first time lacks what it has not read, one that is built beside another lacks nothing', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(30);
  await tables.write('routes', 'SELECT entry_offset, row FROM logs');
  let open: () => void = () => {};
  let gate = new Promise<void>((resolve) => (open = resolve));
  const projections = tables.start({
    inTurn: async (work) => {
      await gate;
      await work();
    },
  });
  await projections.looked;
  assert.deepEqual(projections.incomplete, [{ projection: 'routes', from: 0n, to: 0n, of: 30n }]);
  open();
  const first = await projectionUntil(projections, 'routes', ({ complete }) => complete);
  assert.equal(first.targetOffset, 30n);
  assert.deepEqual(projections.incomplete, []);
  await tables.addLogs(5);
  await projectionUntil(projections, 'routes', ({ materializedOffset }) => materializedOffset === 35n);
  gate = new Promise<void>((resolve) => (open = resolve));
  await tables.write('routes', 'SELECT entry_offset, row, body FROM logs');
  await projections.rescan();
  const second = await projectionUntil(projections, 'routes', ({ version }) => version === 2);
  assert.deepEqual([second.state, second.complete, second.targetOffset], ['building', false, 35n]);
  assert.deepEqual(projections.incomplete, []);
  open();
  await projectionUntil(projections, 'routes', ({ version, state }) => version === 2 && state === 'serving');
  assert.deepEqual(projections.incomplete, []);
});
