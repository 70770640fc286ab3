/**
 * Proves at every start that the raw writer's idea of DuckDB's memory is right here: a table with columns of all shapes is written
 * both ways and compared. A few milliseconds against silent garbage after an upgrade.
 */
import type { DuckDBConnection } from '@duckdb/node-api';
import { errorMessage } from '../base/index.ts';
import { duckdb } from './duckdb.ts';
import { openRawTableWriter } from './raw-table-writer.ts';
import { openSafeTableWriter } from './safe-table-writer.ts';
import { GrowableStringArena } from './string-arena.ts';
import type { FixedVector, ListVector, StringVector, StructVector, VectorData } from './vectors.ts';

/** The DuckDB whose memory layouts `raw-vectors.ts` was written for: with any other one even the test could crash. */
const LAYOUTS_OF_VERSION = 'v1.5.6';

/** Few, because values go one by one in the safe writer; more than a byte of validity. */
const ROW_COUNT = 20;
/** More than the 2,048 elements that list vectors begin with. */
const LONG_LIST_LENGTH = 2100;

const RAW = 'writer_self_test_raw';
const SAFE = 'writer_self_test_safe';

const COLUMNS = `number UBIGINT, time TIMESTAMP_NS, flag BOOLEAN, id UUID, name VARCHAR, constant VARCHAR, nothing BLOB,
  types UTINYINT[], attributes MAP(VARCHAR, VARCHAR), events STRUCT(time TIMESTAMP_NS, attributes MAP(VARCHAR, VARCHAR), ser BLOB[])[]`;

/**
 * Compares the writers in temporary tables of a connection without an open transaction, and drops them. Answers null when the
 * tables were equal, else why the raw writer must not be used. Never throws.
 */
export async function testRawWriter(connection: DuckDBConnection): Promise<string | null> {
  const version = duckdb.library_version();
  if (version !== LAYOUTS_OF_VERSION) return `DuckDB is ${version} and not ${LAYOUTS_OF_VERSION}`;
  if (new Uint8Array(Uint32Array.of(1).buffer)[0] !== 1) return 'The machine is big-endian';
  try {
    return await compareWriters(connection);
  } catch (error) {
    return errorMessage(error);
  }
}

async function compareWriters(connection: DuckDBConnection): Promise<string | null> {
  await connection.run(`CREATE TEMP TABLE ${RAW} (${COLUMNS}); CREATE TEMP TABLE ${SAFE} (${COLUMNS})`);
  // The second append reuses the vectors of the first.
  const samples = [sampleColumns(LONG_LIST_LENGTH), sampleColumns(2)];
  const writers = [
    await openRawTableWriter(connection, 'main', RAW),
    await openSafeTableWriter(connection, 'main', SAFE),
  ];
  for (const writer of writers) {
    for (const columns of samples) writer.append(columns, ROW_COUNT);
    writer.flush();
    writer.close();
  }
  // Positional and not EXCEPT, which sorts: both tables are in the order of writing.
  const reader = await connection.runAndReadAll(
    `SELECT count(*) FROM ${RAW} POSITIONAL JOIN ${SAFE} WHERE ${RAW} IS NOT DISTINCT FROM ${SAFE}`,
  );
  await connection.run(`DROP TABLE temp.${RAW}; DROP TABLE temp.${SAFE}`);
  const equal = Number(reader.getRowsJS()[0]?.[0]);
  const expected = samples.length * ROW_COUNT;
  return equal === expected ? null : `Raw and safe writers agree in ${equal} of ${expected} rows`;
}

function sampleColumns(longest: number): VectorData[] {
  const arena = new GrowableStringArena();
  const texts = (count: number, longEvery: number, nullEvery: number): StringVector => {
    const words = arena.takeWords(count);
    for (let row = 0; row < count; row++) {
      arena.addText(words, row, row % longEvery === 0 ? `a string past twelve bytes ${row}` : `short${row % 97}`);
    }
    return { kind: 'string', arena, words, validity: nulls(count, nullEvery) };
  };
  const times = (count: number): FixedVector => {
    const values = BigInt64Array.from({ length: count }, (_, row) => BigInt(row) * 1_000_000_007n - 5n);
    return { kind: 'fixed', values, validity: nulls(count, 5) };
  };
  const map = (count: number): ListVector => {
    const offsets = triangle(count, 2);
    const entryCount = offsets[count]!;
    const entries = struct([texts(entryCount, 4, 0), texts(entryCount, 3, 7)], null);
    return { kind: 'list', offsets, child: entries, validity: nulls(count, 11) };
  };
  const eventOffsets = triangle(ROW_COUNT, 2);
  const eventCount = eventOffsets[ROW_COUNT]!;
  const serOffsets = triangle(eventCount, 2);
  const ser = texts(serOffsets[eventCount]!, 2, 3);
  const events = struct(
    [times(eventCount), map(eventCount), { kind: 'list', offsets: serOffsets, child: ser, validity: null }],
    nulls(eventCount, 9),
  );
  const typeOffsets = triangle(ROW_COUNT, longest);
  const typeCount = typeOffsets[ROW_COUNT]!;
  const types: FixedVector = {
    kind: 'fixed',
    values: new Uint8Array(typeCount).fill(3),
    validity: nulls(typeCount, 8),
  };
  const numbers = BigUint64Array.from({ length: ROW_COUNT }, (_, row) => 2n ** 64n - 1n - BigInt(row));
  const flags = Uint8Array.from({ length: ROW_COUNT }, (_, row) => row & 1);
  const ids = Uint8Array.from({ length: 16 * ROW_COUNT }, (_, at) => (at * 31) ^ (at >> 8));
  return [
    { kind: 'fixed', values: numbers, validity: null },
    times(ROW_COUNT),
    { kind: 'fixed', values: flags, validity: nulls(ROW_COUNT, 2) },
    { kind: 'uuid', values: ids, validity: nulls(ROW_COUNT, 6) },
    texts(ROW_COUNT, 2, 4),
    { kind: 'constant', value: 'the same long text in every row' },
    { kind: 'constant', value: null },
    { kind: 'list', offsets: typeOffsets, child: types, validity: null },
    map(ROW_COUNT),
    { kind: 'list', offsets: eventOffsets, child: events, validity: nulls(ROW_COUNT, 10) },
  ];
}

function struct(children: VectorData[], validity: Uint8Array | null): StructVector {
  return { kind: 'struct', children, validity };
}

/** Every n-th row null; none for 0. */
function nulls(count: number, every: number): Uint8Array | null {
  if (every === 0) return null;
  return Uint8Array.from({ length: count }, (_, row) => (row % every === 0 ? 0 : 1));
}

/** Offsets of lists of 0, 1, 2, 0, 1, 2, … elements, of which that of row 2 is `longest`. */
function triangle(count: number, longest: number): Uint32Array {
  const offsets = new Uint32Array(count + 1);
  for (let row = 0; row < count; row++) offsets[row + 1] = offsets[row]! + (row === 2 ? longest : row % 3);
  return offsets;
}
