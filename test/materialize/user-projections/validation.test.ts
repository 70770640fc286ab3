import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { TreasuryError } from '../../../src/base/index.ts';
import { parseDefinition } from '../../../src/materialize/user-projections/definition-files.ts';
import { characterAt, positionOf, shownPosition } from '../../../src/materialize/user-projections/positions.ts';
import { statementEnd } from '../../../src/materialize/user-projections/sql-text.ts';
import {
  makeRangeViews,
  readableViews,
  type UserDefinition,
  validateDefinition,
} from '../../../src/materialize/user-projections/validation.ts';
import { openUserTables, projectionUntil } from '../../helpers/user-projections.ts';

const REFUSED: readonly (readonly [what: string, text: string, place: string, reason: RegExp])[] = [
  ['a syntax error', 'SELECT entry_offset,\n  FROM FROM logs', '2:8', /syntax error at or near "FROM"/],
  ['a syntax error behind letters of two bytes', "SELECT 'é' é é FROM\n logs", '1:14', /syntax error/],
  ['a string without an end', "SELECT entry_offset, 'abc FROM logs", '1:22', /unterminated quoted string/],
  ['an unknown column', '-- time: time\nSELECT entry_offset,\n  time, nope\nFROM logs', '3:9', /"nope" not found/],
  ['a wrong function', 'SELECT entry_offset,\n   nofunction(body) FROM logs', '2:4', /nofunction does not exist/],
  ['two statements', 'SELECT 1 FROM logs;\nSELECT 2 FROM logs', '1:19', /There are 2 statements/],
  ['no statement', '-- nothing\n', '1:1', /There is no statement/],
  ['a DELETE', 'DELETE FROM logs', '1:1', /It is not a SELECT/],
  ['a PIVOT', '-- why\nPIVOT logs ON severity_text USING count(*)', '2:1', /It is not a SELECT/],
  ['DESCRIBE', 'DESCRIBE logs', '1:1', /It may not have SHOW REF/],
  ['a table of schema meta', 'SELECT entry_offset\nFROM meta.quarantine', '2:6', /Cannot read "meta\.quarantine"/],
  [
    'a table of schema store',
    'SELECT entry_offset FROM logs\nJOIN store.logs_v1 USING (row)',
    '2:6',
    /"store\.logs_v1"/,
  ],
  [
    'a table inside a subquery',
    'SELECT entry_offset FROM logs WHERE row IN (\n SELECT 1 FROM duckdb_tables)',
    '2:16',
    /Cannot read/,
  ],
  ['a file as a table', "SELECT * FROM logs, 'a.parquet'", '1:21', /Cannot read "a\.parquet"/],
  [
    'a function that reads files',
    "SELECT * FROM logs,\n  read_csv('x.csv')",
    '2:3',
    /Table function read_csv is not allowed/,
  ],
  ['a function that runs text', "SELECT * FROM query('SELECT 1')", '1:15', /Table function query is not allowed/],
  ['a parameter', 'SELECT entry_offset FROM logs WHERE row = $1', '1:1', /It has a parameter/],
  ['no view with offsets', 'SELECT series_id FROM series', '1:1', /It reads no view with entry_offset/],
  ['the same column twice', 'SELECT entry_offset, body AS x, row AS X FROM logs', '1:1', /Column "X" is there twice/],
  ['a time column that is none', '-- time: body\nSELECT entry_offset, body FROM logs', '1:10', /its type is VARCHAR/],
  ['a time column that is not there', '-- time: at\nSELECT entry_offset FROM logs', '1:10', /no such column/],
  ['an unknown header', '-- about: x\nSELECT entry_offset FROM logs', '1:4', /Unknown header "about"/],
  ['a header twice', '-- time: time\n-- time: time\nSELECT time FROM logs', '2:4', /is there twice/],
  ['a column named by schema', 'SELECT main.logs.body FROM logs', '1:1', /name views by their aliases/],
];

test('a file that is wrong is told with file, line and column', async (t) => {
  const { connection } = await openUserTables(t);
  const readable = await readableViews(connection);
  for (const [what, text, place, reason] of REFUSED) {
    const error: unknown = await Promise.resolve()
      .then(() => validateDefinition(connection, parseDefinition('mine.sql', text), readable))
      .then(
        () => null,
        (thrown: unknown) => thrown,
      );
    assert.ok(error instanceof Error, `${what}: must be refused`);
    const { message, facts } = error as TreasuryError;
    assert.match(message, reason, what);
    assert.ok(message.startsWith(`mine.sql:${place}: `), `${what}: ${message}`);
    assert.equal(`${facts['line']}:${facts['column']}`, place, what);
  }
});

test('names of files are checked', () => {
  for (const name of ['', '1a', 'A', 'a-b', 'a.b', 'é', 'x'.repeat(64)]) {
    assert.throws(() => parseDefinition(`${name}.sql`, 'SELECT 1'), /Cannot name a projection/, name);
  }
  for (const name of ['a', '_', 'a1_b', 'x'.repeat(63)]) assert.equal(parseDefinition(`${name}.sql`, '').name, name);
});

test('names of views and projections of the product are refused, and those of other projections are not read', async (t) => {
  const tables = await openUserTables(t);
  await tables.addLogs(3);
  await tables.write('spans', 'SELECT entry_offset FROM logs');
  await tables.write('traces', 'SELECT entry_offset FROM logs');
  await tables.write('one', 'SELECT entry_offset FROM logs');
  const projections = tables.start();
  await projectionUntil(projections, 'one', ({ materializedOffset }) => materializedOffset === 3n);
  await tables.write('two', 'SELECT entry_offset FROM one');
  const { problems } = await projections.rescan();
  assert.deepEqual(
    problems.map(({ message }) => message.replace(/: a projection reads.*/, '')),
    [
      'spans.sql: Cannot name a projection "spans": the product has one of that name',
      'traces.sql: Cannot name a projection "traces": the product has one of that name',
      'two.sql:1:26: Cannot read "one"',
    ],
  );
  assert.deepEqual(
    projections.statuses.map(({ name, state }) => [name, state]),
    [
      ['one', 'serving'],
      ['spans', 'refused'],
      ['traces', 'refused'],
      ['two', 'refused'],
    ],
  );
});

/** Statements of all kinds, which give over all ranges together what they give at once. */
const TAKEN: readonly string[] = [
  'FROM logs',
  'TABLE logs',
  'SELECT l.entry_offset, l.row FROM main.logs AS l; -- done',
  'SELECT x.entry_offset FROM x: logs',
  'SELECT entry_offset FROM "logs" TABLESAMPLE 100%',
  'SELECT logs.entry_offset, a.key, a.str FROM logs JOIN normalized.log_attrs AS a USING (entry_offset)',
  'SELECT o.entry_offset FROM logs o, logs AS i WHERE o.entry_offset = i.entry_offset AND o.row = i.row',
  'WITH logs AS (SELECT entry_offset, body FROM logs WHERE row = 1) SELECT * FROM logs',
  'WITH a AS (FROM logs), b AS (SELECT entry_offset, row FROM a) SELECT entry_offset, row FROM b UNION ALL FROM b',
  'WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT entry_offset, n FROM logs, r',
  'SELECT entry_offset FROM logs WHERE EXISTS (FROM normalized.logs AS n WHERE n.entry_offset = logs.entry_offset)',
  "SELECT entry_offset, unnest(map_keys(attributes)) AS key, $$;--$$ AS odd, E'\\';' AS other FROM logs",
  'SELECT entry_offset, i FROM logs, range(2) AS numbers(i)',
  '/* a; b */ SELECT entry_offset, (SELECT count(*) FROM series) AS n FROM logs',
];

test('statements give over ranges what they give at once', async (t) => {
  const { connection, addLogs, rows } = await openUserTables(t);
  await addLogs(12, 3);
  const readable = await readableViews(connection);
  for (const text of TAKEN) {
    const { statement }: UserDefinition = await validateDefinition(
      connection,
      parseDefinition('x.sql', text),
      readable,
    );
    const sum = (sql: string) => rows(`SELECT count(*), coalesce(sum(hash(t)), 0) FROM (\n${sql}\n) AS t`);
    const [whole] = await sum(text.slice(0, statementEnd(text)));
    let count = 0n;
    let hash = 0n;
    for (const [from, to] of [
      [0n, 5n],
      [5n, 6n],
      [6n, 12n],
    ] as const) {
      await makeRangeViews(connection, statement.views, { from, to });
      const [part] = await sum(statement.rangeSql);
      count += part?.[0] as bigint;
      hash += BigInt(part?.[1] as bigint);
    }
    assert.deepEqual([count, hash], [whole?.[0], BigInt(whole?.[1] as bigint)], text);
    assert.ok(count > 0n, text);
  }
});

test('statements of the documentation are taken', async (t) => {
  const { connection } = await openUserTables(t);
  const readable = await readableViews(connection);
  const root = new URL('../../../', import.meta.url);
  const guide = readFileSync(new URL('docs/projections.md', root), 'utf8');
  const readme = readFileSync(new URL('README.md', root), 'utf8');
  const texts = [
    ...guide.matchAll(/<<'SQL'\n([\s\S]*?)\nSQL\n/g),
    ...guide.matchAll(/```sql\n(-- \w+\.sql\n[\s\S]*?)```/g),
    ...readme.matchAll(/```sql\n(SELECT entry_offset[\s\S]*?)```/g),
  ].map(([, text = '']) => text);
  assert.equal(texts.length, 5);
  for (const text of texts) {
    const { timeColumn } = await validateDefinition(connection, parseDefinition('x.sql', text), readable);
    assert.notEqual(timeColumn, null, text);
  }
});

test('places in texts are those of their characters', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'é', '漢', '\n', ' ')), fc.nat(), (characters, at) => {
      const text = characters.join('');
      const place = Math.min(at, text.length);
      const bytes = Buffer.byteLength(text.slice(0, place));
      assert.equal(characterAt(text, bytes), place);
      const { line, column } = positionOf(text, place);
      const before = text.split('\n').slice(0, line - 1);
      assert.equal(before.join('\n').length + (line > 1 ? 1 : 0) + column - 1, place);
    }),
  );
});

test('places in long lines that DuckDB shows in part are those of the line', async (t) => {
  const { connection } = await openUserTables(t);
  const columns = Array.from({ length: 40 }, (_, i) => `body AS column_${i}`).join(', ');
  const text = `SELECT ${columns}, nope, ${columns.replaceAll('column', 'other')} FROM logs`;
  await assert.rejects(connection.prepare(text), (error: Error) => {
    assert.deepEqual(shownPosition(text, error.message), { line: 1, column: text.indexOf('nope') + 1 });
    return true;
  });
});

test('statements end at their semicolon, whatever stands in literals and comments', () => {
  const part = fc.constantFrom(
    "'a;b'",
    '"a;""b"',
    '-- c;\n',
    '/* ; */',
    '$$;$$',
    '$t$;$t$',
    "E'\\';'",
    "'it''s;'",
    ' 1 ',
    '+',
  );
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      const text = parts.join(' ');
      assert.equal(statementEnd(`${text};rest;`), text.length);
      assert.equal(statementEnd(text), text.length);
    }),
  );
});
