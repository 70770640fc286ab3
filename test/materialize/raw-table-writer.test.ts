/** Column data that is not well-formed must be refused with a clear error, because the raw writer copies memory by it. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { AssertionError } from '../../src/base/index.ts';
import { openRawTableWriter } from '../../src/materialize/raw-table-writer.ts';
import { openSafeTableWriter } from '../../src/materialize/safe-table-writer.ts';
import { GrowableStringArena } from '../../src/materialize/string-arena.ts';
import type { VectorData } from '../../src/materialize/vectors.ts';

const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
const connection = await instance.connect();
after(() => {
  connection.closeSync();
  instance.closeSync();
});

const arena = { bytes: new Uint8Array(20) };
const numbers: VectorData = { kind: 'fixed', values: new Uint32Array(3), validity: null };
const string = (...words: number[]): VectorData => ({
  kind: 'string',
  arena,
  words: Uint32Array.from(words),
  validity: null,
});
const list = (offsets: number[], child: VectorData): VectorData => ({
  kind: 'list',
  offsets: Int32Array.from(offsets),
  child,
  validity: null,
});

const REFUSED: readonly { what: string; type: string; data: VectorData; rowCount: number; because: RegExp }[] = [
  { what: 'too few values', type: 'UINTEGER', data: numbers, rowCount: 4, because: /3 values are too few/ },
  { what: 'values of another width', type: 'UBIGINT', data: numbers, rowCount: 3, because: /4 bytes do not fit/ },
  {
    what: 'a short validity',
    type: 'UINTEGER',
    data: { ...numbers, validity: new Uint8Array(2) } as VectorData,
    rowCount: 3,
    because: /validity has 2 of 3/,
  },
  {
    what: 'a boolean of 2',
    type: 'BOOLEAN',
    data: { kind: 'fixed', values: Uint8Array.of(0, 2), validity: null },
    rowCount: 2,
    because: /value 2 in row 1/,
  },
  {
    what: 'an enum value without a member',
    type: "ENUM('a', 'b')",
    data: { kind: 'fixed', values: Uint8Array.of(2), validity: null },
    rowCount: 1,
    because: /value 2 in row 0/,
  },
  { what: 'too few words', type: 'VARCHAR', data: string(0, 0, 0), rowCount: 1, because: /3 words are too few/ },
  {
    what: 'a string past its arena',
    type: 'VARCHAR',
    data: string(13, 0, 8, 0),
    rowCount: 1,
    because: /not in its arena/,
  },
  { what: 'a string at 2^32', type: 'VARCHAR', data: string(13, 0, 0, 1), rowCount: 1, because: /not in its arena/ },
  {
    what: 'a string of a negative length',
    type: 'VARCHAR',
    data: string(-1, 0, 0, 0),
    rowCount: 1,
    because: /4294967295 bytes/,
  },
  {
    what: 'a string with junk behind it',
    type: 'VARCHAR',
    data: string(1, 0x6161, 0, 0),
    rowCount: 1,
    because: /padded/,
  },
  {
    what: 'falling offsets',
    type: 'UINTEGER[]',
    data: list([0, 2, 1], numbers),
    rowCount: 2,
    because: /offset 1 in row 2/,
  },
  { what: 'a negative offset', type: 'UINTEGER[]', data: list([-1, 2], numbers), rowCount: 1, because: /is negative/ },
  {
    what: 'offsets past the child',
    type: 'UINTEGER[]',
    data: list([0, 4], numbers),
    rowCount: 1,
    because: /3 values are/,
  },
  {
    what: 'too few offsets',
    type: 'UINTEGER[]',
    data: list([0], numbers),
    rowCount: 1,
    because: /1 offsets are too few/,
  },
  {
    what: 'too few UUID bytes',
    type: 'UUID',
    data: { kind: 'uuid', values: arena.bytes, validity: null },
    rowCount: 2,
    because: /20 bytes/,
  },
  {
    what: 'a struct with a field missing',
    type: 'STRUCT(a UINTEGER, b UINTEGER)',
    data: { kind: 'struct', children: [numbers], validity: null },
    rowCount: 1,
    because: /1 children do not fit 2/,
  },
  {
    what: 'a null map key',
    type: 'MAP(UINTEGER, UINTEGER)',
    data: list([0, 1], {
      kind: 'struct',
      children: [{ ...numbers, validity: Uint8Array.of(0, 1, 1) } as VectorData, numbers],
      validity: null,
    }),
    rowCount: 1,
    because: /key in row 0 is null/,
  },
  {
    what: 'a vector of another kind',
    type: 'VARCHAR',
    data: numbers,
    rowCount: 1,
    because: /fixed vector does not fit/,
  },
  {
    what: 'a constant out of range',
    type: 'UTINYINT',
    data: { kind: 'constant', value: 300 },
    rowCount: 1,
    because: /constant 300/,
  },
];

for (const { what, type, data, rowCount, because } of REFUSED) {
  test(`table writers refuse ${what} before they append a row`, async () => {
    await connection.run(`CREATE OR REPLACE TABLE written (number UINTEGER, bad ${type})`);
    for (const open of [openRawTableWriter, openSafeTableWriter]) {
      const writer = await open(connection, 'main', 'written');
      assert.throws(
        () => writer.append([{ kind: 'constant', value: 1 }, data], rowCount),
        (error: unknown) => error instanceof AssertionError && because.test(error.message),
      );
      writer.flush();
      writer.close();
    }
    const reader = await connection.runAndReadAll('SELECT count(*) FROM written');
    assert.deepStrictEqual(reader.getRows(), [[0n]]);
  });
}

test('table writers refuse a number of columns that is not the table’s', async () => {
  await connection.run('CREATE OR REPLACE TABLE written (a UINTEGER, b UINTEGER)');
  const writer = await openRawTableWriter(connection, 'main', 'written');
  assert.throws(() => writer.append([numbers], 1), AssertionError);
  writer.close();
});

test('table writers do not open tables that are not there or have columns they cannot write', async () => {
  await connection.run('CREATE OR REPLACE TABLE written (a DECIMAL(9, 2))');
  for (const open of [openRawTableWriter, openSafeTableWriter]) {
    await assert.rejects(open(connection, 'main', 'nowhere'), /nowhere/);
    await assert.rejects(open(connection, 'main', 'written'), { code: 'TREASURY_STORE' });
  }
});

test('raw table writer takes values from shared memory', async () => {
  await connection.run('CREATE OR REPLACE TABLE written (a UINTEGER)');
  const values = new Uint32Array(new SharedArrayBuffer(8));
  values.set([7, 8]);
  const writer = await openRawTableWriter(connection, 'main', 'written');
  writer.append([{ kind: 'fixed', values, validity: null }], 2);
  writer.flush();
  writer.close();
  const reader = await connection.runAndReadAll('FROM written');
  assert.deepStrictEqual(reader.getRows(), [[7], [8]]);
});

test('raw table writer frees the block of an append: memory stays flat over many', async () => {
  await connection.run('CREATE OR REPLACE TABLE written (a VARCHAR, b VARCHAR[])');
  const writer = await openRawTableWriter(connection, 'main', 'written');
  const strings = new GrowableStringArena();
  const text = 'x'.repeat(4 * 1024 * 1024);
  const appendOnce = () => {
    strings.reset();
    const words = strings.takeWords(2);
    strings.addText(words, 0, text);
    strings.addText(words, 1, 'a short one');
    // Only the short string of the arena goes into the table, so that what grows is not the table.
    const short: VectorData = { kind: 'string', arena: strings, words: words.subarray(4), validity: null };
    writer.append([short, { kind: 'list', offsets: Uint32Array.of(0, 1), child: short, validity: null }], 1);
  };
  for (let i = 0; i < 20; i++) appendOnce();
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 250; i++) appendOnce();
  const grownBytes = process.memoryUsage().rss - before;
  writer.flush();
  writer.close();
  // Kept blocks would be 1,000 MB.
  assert.ok(grownBytes < 100 * 1024 * 1024, `grew by ${grownBytes} bytes`);
});
