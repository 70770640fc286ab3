/**
 * Goal: what column writers put into DuckDB is what projections meant, by both writers alike.
 * Method: random types and values from a model go through each writer into a table of its own and are read back.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { createLogger, silentLogger } from '../../src/base/index.ts';
import { placeStrings } from '../../src/materialize/raw-vectors.ts';
import { GrowableStringArena } from '../../src/materialize/string-arena.ts';
import { chooseWriter, openTableWriter } from '../../src/materialize/table-writer.ts';
import { testRawWriter } from '../../src/materialize/writer-self-test.ts';
import {
  ddlOf,
  decodeValue,
  encodeColumn,
  type ModelType,
  modelType,
  type ModelValue,
  modelValue,
} from '../helpers/column-model.ts';

const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
const connection = await instance.connect();
after(() => {
  connection.closeSync();
  instance.closeSync();
});

const KINDS = ['raw', 'safe'] as const;

/** Writes the same appends with both writers and expects the rows of the model in both tables. */
async function checkAppends(types: readonly ModelType[], appends: readonly ModelValue[][][]): Promise<void> {
  const columns = types.map((type, i) => `c${i} ${ddlOf(type)}`).join(', ');
  const arena = new GrowableStringArena();
  for (const kind of KINDS) {
    await connection.run(`CREATE OR REPLACE TABLE written (${columns})`);
    const writer = await openTableWriter(kind, connection, 'main', 'written');
    for (const rows of appends) {
      arena.reset();
      const data = types.map((type, i) =>
        encodeColumn(
          type,
          rows.map((row) => row[i]!),
          arena,
        ),
      );
      writer.append(data, rows.length);
    }
    writer.flush();
    writer.close();
    const reader = await connection.runAndReadAll('FROM written');
    const found = reader.getRows().map((row) => row.map((value) => decodeValue(value)));
    assert.deepStrictEqual(found, appends.flat(), `${kind} writer`);
  }
}

test('both table writers write what they are given, whatever the type', async () => {
  const cases = fc.array(modelType, { minLength: 1, maxLength: 4 }).chain((types) => {
    const row = fc.tuple(...types.map((type) => modelValue(type)));
    return fc.tuple(fc.constant(types), fc.array(fc.array(row, { maxLength: 12 }), { minLength: 1, maxLength: 3 }));
  });
  await fc.assert(
    fc.asyncProperty(cases, async ([types, appends]) => {
      await checkAppends(types, appends);
    }),
    { numRuns: 120 },
  );
});

test('both table writers cut appends of any length into chunks', async () => {
  const map: ModelType = { of: 'map', value: { of: 'VARCHAR' } };
  const event: ModelType = {
    of: 'struct',
    fields: [{ of: 'TIMESTAMP_NS' }, map, { of: 'list', child: { of: 'BLOB' } }],
  };
  const types: ModelType[] = [{ of: 'UINTEGER' }, { of: 'VARCHAR' }, { of: 'UUID' }, map, { of: 'list', child: event }];
  const rowOf = (i: number): ModelValue[] => [
    i,
    i % 7 === 0 ? null : `body ${'x'.repeat(i % 19)}`,
    i % 5 === 0 ? null : `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
    i % 11 === 0 ? null : Array.from({ length: i % 3 }, (_, k) => [`key ${k}`, k === 1 ? null : `a longer value ${i}`]),
    i % 13 === 0
      ? null
      : Array.from({ length: i % 2 }, () => [BigInt(i), [['k', String(i)]], [Uint8Array.of(i & 255), null]]),
  ];
  for (const rowCount of [0, 1, 2048, 2049, 5000]) {
    await checkAppends(types, [Array.from({ length: rowCount }, (_, i) => rowOf(i))]);
  }
});

test('both table writers keep odd values bit by bit', async () => {
  const long = 'é'.repeat(150_000);
  const types: ModelType[] = [
    { of: 'DOUBLE' },
    { of: 'VARCHAR' },
    { of: 'TIMESTAMP_NS' },
    { of: 'map', value: { of: 'INTEGER' } },
  ];
  const times = [-(2n ** 63n), 2n ** 63n - 1n, -(2n ** 63n) + 1n, 0n, -1n];
  const rows: ModelValue[][] = [
    [Number.NaN, '', times[0]!, []],
    [
      -0,
      'twelve bytes',
      times[1]!,
      [
        ['same', 1],
        ['same', 2],
        ['same', 1],
      ],
    ],
    [Number.NEGATIVE_INFINITY, 'thirteen byte', times[2]!, [['', null]]],
    [5e-324, 'nul\0inside a longer string', times[3]!, [[long, 7]]],
    [Number.MAX_VALUE, long, times[4]!, null],
  ];
  await checkAppends(types, [rows]);
});

test('both table writers make the fields of a null struct null, whatever stands there', async () => {
  await connection.run('CREATE OR REPLACE TABLE written (s STRUCT(a VARCHAR, b STRUCT(c UTINYINT, d UTINYINT)))');
  const numbers = (validity: Uint8Array | null) => ({
    kind: 'fixed' as const,
    values: Uint8Array.of(1, 2, 3, 4),
    validity,
  });
  const inner = {
    kind: 'struct' as const,
    children: [numbers(null), numbers(Uint8Array.of(1, 1, 1, 0))],
    validity: Uint8Array.of(1, 0, 1, 1),
  };
  const outer = {
    kind: 'struct' as const,
    children: [{ kind: 'constant' as const, value: 'text' }, inner],
    validity: Uint8Array.of(0, 1, 1, 1),
  };
  for (const kind of KINDS) {
    await connection.run('TRUNCATE written');
    const writer = await openTableWriter(kind, connection, 'main', 'written');
    writer.append([outer], 4);
    writer.flush();
    writer.close();
    const reader = await connection.runAndReadAll('SELECT s.a, s.b.c, s.b.d, s IS NULL, s.b IS NULL FROM written');
    assert.deepStrictEqual(
      reader.getRows(),
      [
        [null, null, null, true, true],
        ['text', null, null, false, true],
        ['text', 3, 3, false, false],
        ['text', 4, null, false, false],
      ],
      kind,
    );
  }
});

test('placeStrings turns positions into pointers across a 4 GB line and leaves short strings alone', () => {
  const address = 5 * 2 ** 32 - 10;
  const target = new Uint32Array(12);
  placeStrings(target, Uint32Array.of(13, 7, 9, 0, 13, 7, 10, 0, 12, 1, 2, 3), address);
  assert.deepStrictEqual([...target], [13, 7, 2 ** 32 - 1, 4, 13, 7, 0, 5, 12, 1, 2, 3]);
});

test('both table writers repeat constants of every type', async () => {
  await connection.run(
    "CREATE OR REPLACE TABLE written (a UTINYINT, b BIGINT, c DOUBLE, d BOOLEAN, e VARCHAR, f VARCHAR, g ENUM('x', 'y'), h UUID, i TIMESTAMP_NS, j SMALLINT[])",
  );
  const constants = [200, -5n, 0.5, true, 'short', 'longer than twelve bytes', 1, null, 7n, null];
  for (const kind of KINDS) {
    const writer = await openTableWriter(kind, connection, 'main', 'written');
    const columns = constants.map((value) => ({ kind: 'constant' as const, value }));
    writer.append(columns, 3000);
    writer.flush();
    writer.close();
  }
  const reader = await connection.runAndReadAll('SELECT DISTINCT * FROM written');
  const rows = reader.getRows().map((row) => row.map((value) => decodeValue(value)));
  assert.deepStrictEqual(rows, [[200, -5n, 0.5, true, 'short', 'longer than twelve bytes', 'y', null, 7n, null]]);
});

test('table writers are part of the transaction: a rollback leaves nothing, also not for the next one', async () => {
  for (const kind of KINDS) {
    await connection.run('CREATE OR REPLACE TABLE written (a INTEGER)');
    const writer = await openTableWriter(kind, connection, 'main', 'written');
    const one = (value: number) => [{ kind: 'fixed' as const, values: Int32Array.of(value), validity: null }];
    await connection.run('BEGIN');
    writer.append(one(1), 1);
    writer.flush();
    writer.append(one(2), 1);
    await connection.run('ROLLBACK');
    writer.discard();
    await connection.run('BEGIN');
    writer.append(one(3), 1);
    writer.flush();
    await connection.run('COMMIT');
    writer.append(one(4), 1);
    writer.close();
    const reader = await connection.runAndReadAll('FROM written');
    assert.deepStrictEqual(reader.getRows(), [[3]], kind);
  }
});

test('table writers go on after DuckDB refused a flush', async () => {
  for (const kind of KINDS) {
    await connection.run('CREATE OR REPLACE TABLE written (a INTEGER NOT NULL)');
    const writer = await openTableWriter(kind, connection, 'main', 'written');
    await connection.run('BEGIN');
    writer.append([{ kind: 'constant', value: null }], 1);
    assert.throws(() => writer.flush(), /NOT NULL/, kind);
    await connection.run('ROLLBACK');
    writer.discard();
    await connection.run('BEGIN');
    writer.append([{ kind: 'constant', value: 5 }], 1);
    writer.flush();
    await connection.run('COMMIT');
    writer.close();
    const reader = await connection.runAndReadAll('FROM written');
    assert.deepStrictEqual(reader.getRows(), [[5]], kind);
  }
});

test('chooseWriter takes the raw writer on the DuckDB that is installed and leaves no table behind', async () => {
  assert.equal(await testRawWriter(connection), null);
  assert.equal(await chooseWriter(connection, silentLogger), 'raw');
  const reader = await connection.runAndReadAll('SELECT count(*) FROM duckdb_tables() WHERE temporary');
  assert.deepStrictEqual(reader.getRows(), [[0n]]);
});

test('chooseWriter falls back to the safe writer and logs why', async () => {
  const lines: string[] = [];
  const logger = createLogger({ format: 'text', level: 'warn', write: (line) => lines.push(line) });
  const closed = await instance.connect();
  closed.closeSync();
  assert.equal(await chooseWriter(closed, logger), 'safe');
  assert.match(lines.join(''), /Raw column writer is off.*reason=/);
});
