/**
 * Goal: every DuckDB type arrives in Arrow as what DuckDB itself says it is.
 * Method: apache-arrow reads the stream; values are compared as text that DuckDB makes of the same query.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Table, tableFromIPC } from 'apache-arrow';
import fc from 'fast-check';
import { openSqlHarness, type SqlHarness } from './harness.ts';

let harness: SqlHarness;

before(async () => {
  harness = await openSqlHarness();
});

after(() => harness.close());

/** Columns of test_all_types whose Arrow form apache-arrow turns into something comparable. */
const SAME_AS_CAST = [
  'bool',
  'tinyint',
  'smallint',
  'int',
  'bigint',
  'uhugeint',
  'utinyint',
  'usmallint',
  'uint',
  'ubigint',
  'bignum',
  'time_tz',
  'uuid',
  'varchar',
  'bit',
  'small_enum',
  'medium_enum',
  'large_enum',
  'union',
];

test('arrow encoder gives integers, text and types without an Arrow form as DuckDB prints them', async () => {
  const table = await harness.askArrow(`SELECT ${SAME_AS_CAST.map(quoted).join(', ')} FROM test_all_types()`);
  const expected = await harness.rows(
    `SELECT ${SAME_AS_CAST.map((name) => `${quoted(name)}::VARCHAR`).join(', ')} FROM test_all_types()`,
  );
  assert.equal(table.numRows, expected.length);
  expected.forEach((row, rowIndex) => {
    SAME_AS_CAST.forEach((name, index) => {
      assert.equal(cellText(table, name, rowIndex), row[index], `${name} of row ${rowIndex}`);
    });
  });
});

test('arrow encoder keeps the bits of times, decimals, floats and intervals', async () => {
  const table = await harness.askArrow('SELECT * FROM test_all_types()');
  const longs = [
    ['time', 'epoch_us(time)'],
    ['timestamp', 'epoch_us(timestamp)'],
    ['timestamp_ns', 'epoch_ns(timestamp_ns)'],
    ['timestamp_tz', 'epoch_us(timestamp_tz)'],
  ] as const;
  for (const [name, sql] of longs) {
    const expected = (await harness.rows(`SELECT ${sql} FROM test_all_types()`)).map(([value]) => value);
    assert.deepEqual(rawValues(table, name), expected, name);
  }
  const decimals = ['dec_4_1', 'dec_9_4', 'dec_18_6', 'dec38_10', 'hugeint'];
  for (const name of decimals) {
    const sql = `SELECT replace(${name}::VARCHAR, '.', '') FROM test_all_types()`;
    const expected = (await harness.rows(sql)).map(([value]) => (value === null ? null : BigInt(value as string)));
    assert.deepEqual(wideValues(table, name), expected, name);
  }
  for (const name of ['float', 'double', 'date']) {
    const expected = (
      await harness.rows(
        `SELECT ${name === 'date' ? "date - DATE '1970-01-01'" : name} FROM test_all_types() OFFSET ${name === 'date' ? 2 : 0}`,
      )
    ).map(([value]) => (typeof value === 'bigint' ? Number(value) : value));
    assert.deepEqual(rawValues(table, name).slice(name === 'date' ? 2 : 0), expected, name);
  }
  const [interval] = (await harness.askArrow("SELECT INTERVAL '14 months 3 days 1.000001 seconds' AS i")).toArray();
  assert.deepEqual([...(interval as { i: Int32Array }).i], [14, 3, 1_000_001_000, 0]);
});

test('arrow encoder nests lists, arrays, structs and maps with nulls at every level', async () => {
  const nested = [
    'int_array',
    'varchar_array',
    'nested_int_array',
    'struct',
    'struct_of_arrays',
    'array_of_structs',
    'fixed_int_array',
    'fixed_varchar_array',
    'fixed_nested_int_array',
    'fixed_struct_array',
    'struct_of_fixed_array',
    'fixed_array_of_int_list',
    'list_of_fixed_int_array',
    'map',
  ];
  const table = await harness.askArrow(`SELECT ${nested.map(quoted).join(', ')} FROM test_all_types()`);
  const expected = await harness.rows(
    `SELECT ${nested.map((name) => `to_json(${quoted(name)})::VARCHAR`).join(', ')} FROM test_all_types()`,
  );
  expected.forEach((row, rowIndex) => {
    nested.forEach((name, index) => {
      const got: unknown = JSON.parse(JSON.stringify(table.getChild(name)?.get(rowIndex) ?? null));
      const want: unknown = JSON.parse((row[index] as string | null) ?? 'null');
      assert.deepEqual(got, want, `${name} of row ${rowIndex}`);
    });
  });
});

test('arrow encoder cuts large answers into batches that add up', async () => {
  const query = `SELECT i, 'body ' || i || repeat('x', (i % 120)::INT) AS body, CASE WHEN i % 3 = 0 THEN NULL ELSE i % 7 = 0 END AS b,
    range((i % 5)::BIGINT) AS l FROM range(200000) t(i)`;
  const { bytes, parts } = await harness.ask(query, { format: 'arrow' });
  const table = tableFromIPC(bytes);
  assert.equal(table.numRows, 200_000);
  assert.ok(table.batches.length >= 4, `${table.batches.length} batches`);
  assert.ok(parts > table.batches.length);
  const [expected] = await harness.rows(`SELECT sum(i)::BIGINT, count(b), sum(len(l))::BIGINT FROM (${query})`);
  let sum = 0n;
  let bools = 0;
  let lists = 0;
  for (let row = 0; row < table.numRows; row++) {
    const i = table.getChild('i')?.get(row) as bigint;
    sum += i;
    if (table.getChild('b')?.get(row) !== null) bools++;
    lists += (table.getChild('l')!.get(row) as { length: number }).length;
    if (row % 977 === 0) {
      assert.equal(table.getChild('body')?.get(row), `body ${i}${'x'.repeat(Number(i % 120n))}`);
    }
  }
  assert.deepEqual([sum, BigInt(bools), BigInt(lists)], [expected?.[0], expected?.[1], expected?.[2]]);
});

test('arrow encoder reads strings of any mix of lengths and nulls', async () => {
  const texts = fc.array(fc.option(fc.string({ unit: 'binary', maxLength: 40 }), { nil: null }), {
    minLength: 1,
    maxLength: 50,
  });
  await fc.assert(
    fc.asyncProperty(texts, async (values) => {
      const items = values.map((value) => (value === null ? 'NULL' : `'${clean(value).replaceAll("'", "''")}'`));
      const table = await harness.askArrow(`SELECT unnest([${items.join(', ')}]::VARCHAR[]) AS text`);
      const got = Array.from({ length: table.numRows }, (_, row) => table.getChild('text')?.get(row) as string | null);
      assert.deepEqual(
        got,
        values.map((value) => (value === null ? null : clean(value))),
      );
    }),
    { numRuns: 60 },
  );
});

test('arrow encoder writes a schema and an end for an answer without rows', async () => {
  const table = await harness.askArrow('SELECT 1 AS a, [1] AS b, {x: 1} AS c WHERE false');
  assert.equal(table.numRows, 0);
  assert.deepEqual(
    table.schema.fields.map(({ name }) => name),
    ['a', 'b', 'c'],
  );
});

test('arrow encoder marks an answer that the row limit has cut', async () => {
  const { bytes } = await harness.ask('SELECT i FROM range(100) t(i)', { format: 'arrow', rowsMax: 10 });
  assert.equal(tableFromIPC(bytes).numRows, 10);
  assert.ok(bytes.includes('treasury.truncated'));
  const { bytes: whole } = await harness.ask('SELECT i FROM range(10) t(i)', { format: 'arrow', rowsMax: 10 });
  assert.ok(!whole.includes('treasury.truncated'));
});

function quoted(name: string): string {
  return `"${name}"`;
}

/** NUL cannot be part of a SQL text. */
function clean(text: string): string {
  return text.replaceAll('\0', '');
}

function cellText(table: Table, name: string, row: number): string | null {
  const value: unknown = table.getChild(name)?.get(row);
  return value === null || value === undefined ? null : String(value as string | number | bigint | boolean);
}

function rawValues(table: Table, name: string): unknown[] {
  return table
    .getChild(name)!
    .data.flatMap((data) =>
      Array.from({ length: data.length }, (_, row) =>
        data.getValid(row) ? (data.values as ArrayLike<unknown>)[row] : null,
      ),
    );
}

function wideValues(table: Table, name: string): (bigint | null)[] {
  return table.getChild(name)!.data.flatMap((data) => {
    const words = data.values as Uint32Array;
    const view = new DataView(words.buffer, words.byteOffset, words.byteLength);
    return Array.from({ length: data.length }, (_, row) =>
      data.getValid(row) ? (view.getBigInt64(row * 16 + 8, true) << 64n) | view.getBigUint64(row * 16, true) : null,
    );
  });
}
