/**
 * Goal: JSON, NDJSON and CSV answers that lose nothing and never fail on odd values.
 * Method: answers are parsed and compared with literals; times over all 64 bits against the platform's calendar where it reaches.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { dateText, intervalText, NANOS_PER, timestampText } from '../../../src/materialize/sql/time-text.ts';
import { openSqlHarness, type SqlHarness } from './harness.ts';

let harness: SqlHarness;

before(async () => {
  harness = await openSqlHarness();
});

after(() => harness.close());

async function value(expression: string): Promise<unknown> {
  return (await harness.askJson(`SELECT ${expression} AS v`)).rows[0]?.[0];
}

const VALUES: readonly (readonly [string, unknown])[] = [
  ['true', true],
  ['(-128)::TINYINT', -128],
  ['4294967295::UINTEGER', 4_294_967_295],
  ['9223372036854775807', '9223372036854775807'],
  ['18446744073709551615::UBIGINT', '18446744073709551615'],
  ['(-170141183460469231731687303715884105728)::HUGEINT', '-170141183460469231731687303715884105728'],
  ['340282366920938463463374607431768211455::UHUGEINT', '340282366920938463463374607431768211455'],
  ['-0.05::DECIMAL(4,2)', '-0.05'],
  ['12345678901234567890.12::DECIMAL(38,2)', '12345678901234567890.12'],
  ['0.1::FLOAT', 0.1],
  ['1e-7::DOUBLE', 1e-7],
  ["'nan'::DOUBLE", 'NaN'],
  ["'-inf'::FLOAT", '-Infinity'],
  ["'a\"\\b' || chr(10) || chr(0) || '🦆'", 'a"\\b\n\0🦆'],
  ["'\\xAA\\x41'::BLOB", '\\xAAA'],
  ["'00112233-4455-6677-8899-aabbccddeeff'::UUID", '00112233-4455-6677-8899-aabbccddeeff'],
  ["DATE '0044-03-15 (BC)'", '-000043-03-15'],
  ["TIME '23:59:59.000001'", '23:59:59.000001000'],
  ["TIMESTAMP_NS '2026-01-31 23:59:59.123456789'", '2026-01-31T23:59:59.123456789Z'],
  ["TIMESTAMP_S '1969-12-31 23:59:59'", '1969-12-31T23:59:59.000000000Z'],
  ["TIMESTAMPTZ '2026-01-31 23:59:59+01'", '2026-01-31T22:59:59.000000000Z'],
  ["'infinity'::TIMESTAMP", 'infinity'],
  ["INTERVAL '14 months -3 days 1.5 seconds'", '1 year 2 months -3 days 00:00:01.5'],
  ["'b'::ENUM('a', 'b')", 'b'],
  ['[1, NULL, 3]', [1, null, 3]],
  ["[[], NULL, ['x']]", [[], null, ['x']]],
  ["{a: 1, 'b c': [true]}", { a: 1, 'b c': [true] }],
  ["MAP {'k': 'v', 'l': NULL}", { k: 'v', l: null }],
  ['MAP {1: [2]}', { 1: [2] }],
  ['[1, 2]::INTEGER[2]', [1, 2]],
  ['union_value(num := 2)', '2'],
  ["'101'::BIT", '101'],
  ['NULL', null],
];

for (const [expression, expected] of VALUES) {
  test(`json encoder writes ${expression}`, async () => {
    assert.deepEqual(await value(expression), expected);
  });
}

test('json encoder names columns and types, repeated names included', async () => {
  const { columns, rowCount } = await harness.askJson('SELECT 1 AS a, 2::BIGINT AS a, [1] AS l, MAP {1: 2.5} AS m');
  assert.deepEqual(columns, [
    { name: 'a', type: 'INTEGER' },
    { name: 'a', type: 'BIGINT' },
    { name: 'l', type: 'INTEGER[]' },
    { name: 'm', type: 'MAP(INTEGER, DECIMAL(2,1))' },
  ]);
  assert.equal(rowCount, 1);
});

test('json encoder writes an answer without rows', async () => {
  const answer = await harness.askJson('SELECT 1 AS a WHERE false');
  assert.deepEqual(answer, { columns: [{ name: 'a', type: 'INTEGER' }], rows: [], rowCount: 0, truncated: false });
});

test('text encoders agree with each other over many batches and all types', async () => {
  const query = `SELECT i, i::VARCHAR || 'é' AS s, CASE WHEN i % 2 = 0 THEN i END AS n FROM range(10000) t(i)`;
  const json = await harness.askJson(query);
  const lines = (await harness.askText(query, { format: 'ndjson' })).trimEnd().split('\n');
  assert.equal(lines.length, 10_000);
  assert.deepEqual(
    lines.map((line) => Object.values(JSON.parse(line) as object)),
    json.rows,
  );
  const csv = (await harness.askText(query, { format: 'csv' })).trimEnd().split('\n');
  assert.equal(csv[0], 'i,s,n');
  assert.deepEqual(
    csv.slice(1).map((line) => line.split(',')),
    json.rows.map((row) => row.map((cell) => cell ?? '')),
  );
  for (const format of ['json', 'ndjson', 'csv'] as const) {
    await harness.ask('SELECT * FROM test_all_types()', { format });
  }
});

test('csv encoder quotes what needs quotes and tells null from empty', async () => {
  const text = await harness.askText(
    `SELECT 'a,b' AS "x,y", 'say "hi"' AS q, chr(10) AS n, NULL AS z, '' AS e, [1] AS l`,
    {
      format: 'csv',
    },
  );
  assert.equal(text, '"x,y",q,n,z,e,l\n"a,b","say ""hi""","\n",,"",[1]\n');
});

test('ndjson encoder makes repeated column names unique', async () => {
  assert.equal(
    await harness.askText('SELECT 1 AS a, 2 AS a, 3 AS a', { format: 'ndjson' }),
    '{"a":1,"a:1":2,"a:2":3}\n',
  );
});

test('timestamp text is what the calendar says and exists for any 64 bits', () => {
  const limit = 8_640_000_000_000_000n;
  fc.assert(
    fc.property(fc.bigInt({ min: -limit, max: limit }), (millis) => {
      const expected = new Date(Number(millis)).toISOString().replace('Z', '000000Z');
      assert.equal(timestampText(millis, NANOS_PER.ms), expected);
    }),
  );
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (bits) => {
      for (const nanos of Object.values(NANOS_PER))
        assert.match(timestampText(bits, nanos), /^[+-]?\d{4,}-\d\d-\d\dT|infinity/);
    }),
  );
  assert.equal(dateText(2_147_483_646), '+5881580-07-10');
});

test('interval text is what DuckDB prints', async () => {
  for (const text of ['0 days', '1 month', '-13 months', '2 years 1 day', '25 hours', '-1.000001 seconds']) {
    const [row] = await harness.rows(`SELECT (INTERVAL '${text}')::VARCHAR`);
    assert.equal(await value(`INTERVAL '${text}'`), row?.[0]);
  }
  assert.equal(intervalText(0, 0, 0n), '00:00:00');
});

test('odd timestamps in tables answer instead of failing', async () => {
  await harness.setup('CREATE TABLE odd (time TIMESTAMP_NS)');
  await harness.appendTimes('odd', [-(2n ** 63n), -(2n ** 63n) + 2n, 2n ** 63n - 2n]);
  const { rows } = await harness.askJson('SELECT time FROM odd');
  assert.deepEqual(rows.flat(), [
    '1677-09-21T00:12:43.145224192Z',
    '1677-09-21T00:12:43.145224194Z',
    '2262-04-11T23:47:16.854775806Z',
  ]);
  assert.equal((await harness.askArrow('SELECT time FROM odd')).numRows, 3);
});
