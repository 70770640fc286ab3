/**
 * Goal: Delta tables stay fast to open however long they grow, and go on over releases whose columns differ.
 * Method: folders with a commit for every entry; commits below a checkpoint are deleted as log cleanup does; tables are made to look as
 * another release would have made them. Read back with DuckDB, and with deltalake where there is one.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { DuckDBInstance } from '@duckdb/node-api';
import { LIMITS } from '../../src/base/index.ts';
import type { DeltaField } from '../../src/materialize/batch-columns.ts';
import { widerSchema } from '../../src/materialize/delta-schema.ts';
import { openTableFolder, type TableFolder } from '../../src/materialize/table-folder.ts';
import { decodeOtlp, initZstd, OTLP_CONTENT_TYPES } from '../../src/otap/index.ts';
import { ExportLogsServiceRequestSchema } from '../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { pythonMissing, runPythonJson } from '../helpers/python.ts';
import { scratchDirectory } from '../helpers/server-process.ts';

const NO_DELTALAKE = pythonMissing('deltalake', 'pyarrow');
const { deltaCheckpointCommits } = LIMITS;
const NOON_NANOS = 1_700_000_000_000_000_000n;

before(() => initZstd());

interface Commit {
  readonly metaData?: { schemaString: string; configuration: Record<string, string> };
  readonly add?: { readonly path: string; size: number };
}

function openFolder(directory: string, format: 'delta' | 'parquet' = 'delta'): Promise<TableFolder> {
  return openTableFolder({ directory, format, logUuid: 'log', from: 0n, memoryLimitMb: 128, threads: 1 });
}

/** A commit for each offset, of one record each, whose time and body are by the offset. */
async function fill(directory: string, from: number, to: number): Promise<void> {
  const folder = await openFolder(directory);
  for (let offset = from; offset < to; offset++) {
    addRecord(folder, offset, NOON_NANOS + BigInt(offset));
    await folder.flush(BigInt(offset) + 1n);
  }
  await folder.close();
}

function addRecord(folder: TableFolder, offset: number, timeUnixNano: bigint): void {
  const record = {
    timeUnixNano: BigInt.asUintN(64, timeUnixNano),
    eventName: `event ${offset}`,
    body: { value: { case: 'stringValue' as const, value: String(offset) } },
  };
  const message = create(ExportLogsServiceRequestSchema, {
    resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }],
  });
  const batch = decodeOtlp('logs', toBinary(ExportLogsServiceRequestSchema, message), OTLP_CONTENT_TYPES.PROTOBUF);
  folder.add({ offset: BigInt(offset), receivedAtUnixNano: NOON_NANOS }, batch);
}

function logFolder(directory: string): string {
  return join(directory, 'logs', '_delta_log');
}

function commitsOf(directory: string): string[] {
  return readdirSync(logFolder(directory))
    .filter((name) => /^\d{20}\.json$/.test(name))
    .toSorted();
}

function readCommit(directory: string, name: string): Commit[] {
  const text = readFileSync(join(logFolder(directory), name), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Commit);
}

/** Deletes the commits that the newest checkpoint stands for. */
function cleanUp(directory: string): void {
  const { version } = JSON.parse(readFileSync(join(logFolder(directory), '_last_checkpoint'), 'utf8')) as {
    version: number;
  };
  for (const name of commitsOf(directory)) {
    if (Number(name.slice(0, 20)) <= version) rmSync(join(logFolder(directory), name));
  }
}

interface Read {
  readonly version: number;
  readonly txn: number;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

/** The table of logs as deltalake reads it. */
function readDelta(directory: string, columns: readonly string[]): Promise<Read> {
  return runPythonJson<Read>(
    `
import json, sys
from deltalake import DeltaTable
table = DeltaTable(sys.argv[1])
rows = table.to_pyarrow_dataset().to_table(columns=sys.argv[2:]).sort_by('entry_offset').to_pylist()
print(json.dumps({'version': table.version(), 'txn': table.transaction_version('log/logs'), 'rows': rows}, default=str))
`,
    { args: [join(directory, 'logs'), ...columns] },
  );
}

async function query(t: TestContext, sql: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  t.after(() => {
    connection.closeSync();
    instance.closeSync();
  });
  return (await connection.runAndReadAll(sql)).getRowsJS();
}

test('a table has a checkpoint every so many commits, and goes on when the commits below are gone', async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  const count = 2 * deltaCheckpointCommits + 5;
  await fill(directory, 0, count);
  const log = logFolder(directory);
  const checkpoints = readdirSync(log)
    .filter((name) => name.endsWith('.checkpoint.parquet'))
    .toSorted();
  assert.deepEqual(
    checkpoints.map((name) => Number(name.slice(0, 20))),
    [deltaCheckpointCommits, 2 * deltaCheckpointCommits],
  );
  const newest = join(log, checkpoints.at(-1)!);
  const [[adds, txn, metaData, protocol]] = (await query(
    t,
    `SELECT count("add"), max(txn.version), count(metaData), count(protocol) FROM '${newest}'`,
  )) as [[bigint, bigint, bigint, bigint]];
  const files = 2 * deltaCheckpointCommits + 1;
  assert.deepEqual([Number(adds), Number(txn), Number(metaData), Number(protocol)], [files, files, 1, 1]);
  const last = JSON.parse(readFileSync(join(log, '_last_checkpoint'), 'utf8')) as Record<string, number>;
  assert.deepEqual(last, { version: 2 * deltaCheckpointCommits, size: files + 3, numOfAddFiles: files });
  assert.ok(!readdirSync(log).some((name) => name.startsWith('.')));

  cleanUp(directory);
  // All of it comes once more, and something new; the checkpoint after that is made of the one before.
  await fill(directory, 0, count + deltaCheckpointCommits);
  cleanUp(directory);
  const rest = commitsOf(directory).length;
  assert.equal(rest, (count + deltaCheckpointCommits - 1) % deltaCheckpointCommits);
  const [[all]] = (await query(t, `SELECT count("add") FROM '${log}/${lastCheckpoint(log)}'`)) as [[bigint]];
  assert.equal(Number(all) + rest, count + deltaCheckpointCommits);
});

function lastCheckpoint(log: string): string {
  return readdirSync(log)
    .filter((name) => name.endsWith('.checkpoint.parquet'))
    .toSorted()
    .at(-1)!;
}

test('a table without its early commits is read by deltalake', { skip: NO_DELTALAKE }, async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  const count = deltaCheckpointCommits + 3;
  await fill(directory, 0, count);
  cleanUp(directory);
  await fill(directory, 0, count + 1);
  const { version, txn, rows } = await readDelta(directory, ['entry_offset', 'body', 'signal', 'day']);
  assert.deepEqual([version, txn], [count, count + 1]);
  assert.deepEqual(
    rows,
    Array.from({ length: count + 1 }, (_, i) => ({
      entry_offset: i,
      body: String(i),
      signal: 'logs',
      day: '2023-11-14',
    })),
  );
});

test('a table that says how often it wants checkpoints has them so often', async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  await fill(directory, 0, 1);
  rewriteFirst(directory, ({ metaData }) => {
    if (metaData !== undefined) metaData.configuration['delta.checkpointInterval'] = '2';
  });
  await fill(directory, 0, 5);
  assert.deepEqual(
    readdirSync(logFolder(directory))
      .filter((name) => name.endsWith('.parquet'))
      .toSorted()
      .map((name) => Number(name.slice(0, 20))),
    [2, 4],
  );
});

test('a checkpoint that lacks a part, or a missing commit, is found out', async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  await fill(directory, 0, 4);
  const log = logFolder(directory);
  writeFileSync(join(log, `${'2'.padStart(20, '0')}.checkpoint.0000000001.0000000002.parquet`), 'half of one');
  // It counts for nothing.
  await fill(directory, 0, 5);
  rmSync(join(log, commitsOf(directory)[1]!));
  await assert.rejects(openFolder(directory), /Cannot read the Delta table .*: commit 1 is missing/);
});

/** Changes what the first commit says of the table of logs. */
function rewriteFirst(directory: string, change: (action: Commit) => void): void {
  const [first] = commitsOf(directory);
  const actions = readCommit(directory, first!);
  for (const action of actions) change(action);
  writeFileSync(join(logFolder(directory), first!), actions.map((action) => `${JSON.stringify(action)}\n`).join(''));
}

function changeFields(directory: string, change: (fields: DeltaField[]) => DeltaField[]): void {
  rewriteFirst(directory, ({ metaData }) => {
    if (metaData === undefined) return;
    const schema = JSON.parse(metaData.schemaString) as { fields: DeltaField[] };
    metaData.schemaString = JSON.stringify({ ...schema, fields: change(schema.fields) });
  });
}

/** A table as a release made it that had no event names, and something else. */
async function fillOtherRelease(t: TestContext, directory: string): Promise<void> {
  await fill(directory, 0, 1);
  const later: DeltaField = { name: 'later', type: 'string', nullable: true, metadata: {} };
  changeFields(directory, (fields) => [...fields.filter(({ name }) => name !== 'event_name'), later]);
  const { path } = readCommit(directory, commitsOf(directory)[0]!).flatMap(({ add }) => add ?? [])[0]!;
  const file = join(directory, 'logs', path);
  await query(
    t,
    `COPY (SELECT * EXCLUDE (event_name), 'of later' AS later FROM '${file}') TO '${file}.new' (FORMAT parquet)`,
  );
  rmSync(file);
  await query(t, `COPY (SELECT * FROM read_parquet('${file}.new')) TO '${file}' (FORMAT parquet)`);
  rmSync(`${file}.new`);
  rewriteFirst(directory, ({ add }) => {
    if (add !== undefined) add.size = statSync(file).size;
  });
}

test('a table of another release gets the columns that it lacks, and keeps those that it has', async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  await fillOtherRelease(t, directory);
  await fill(directory, 0, 3);
  const declared = commitsOf(directory).map((name) =>
    readCommit(directory, name).flatMap(({ metaData }) => metaData ?? []),
  );
  assert.deepEqual(
    declared.map(({ length }) => length),
    [1, 1, 0],
  );
  const [[was], [is]] = declared as [[NonNullable<Commit['metaData']>], [NonNullable<Commit['metaData']>], []];
  const names = (metaData: { schemaString: string }) =>
    (JSON.parse(metaData.schemaString) as { fields: { name: string }[] }).fields.map(({ name }) => name);
  assert.deepEqual(names(is), [...names(was), 'event_name']);
  assert.deepEqual({ ...is, schemaString: '' }, { ...was, schemaString: '' });
  assert.equal(existsSync(join(logFolder(directory), '_last_checkpoint')), false);
});

test('rows of both releases are read by deltalake', { skip: NO_DELTALAKE }, async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  await fillOtherRelease(t, directory);
  await fill(directory, 0, 2);
  const { rows } = await readDelta(directory, ['entry_offset', 'event_name', 'later']);
  assert.deepEqual(rows, [
    { entry_offset: 0, event_name: null, later: 'of later' },
    { entry_offset: 1, event_name: 'event 1', later: null },
  ]);
});

test('a table with a column in another type, or with what this release does not know, is refused by name', async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  await fill(directory, 0, 1);
  const cases: readonly (readonly [(field: DeltaField) => object, RegExp])[] = [
    [(field) => ({ ...field, type: 'long' }), /its column body is long, and this release writes string; use another/],
    [(field) => ({ ...field, type: { type: 'map' } }), /its column body is map, and this release writes string/],
    [(field) => ({ ...field, nullable: false }), /its column body takes no null/],
    [(field) => ({ ...field, metadata: { 'delta.invariants': '{}' } }), /its column body has delta\.invariants/],
    [(field) => ({ ...field, name: 'Body' }), /its column Body is written body by this release/],
  ];
  const first = readFileSync(join(logFolder(directory), commitsOf(directory)[0]!));
  for (const [change, reason] of cases) {
    changeFields(directory, (fields) =>
      fields.map((field) => (field.name === 'body' ? (change(field) as DeltaField) : field)),
    );
    await assert.rejects(openFolder(directory), reason);
    writeFileSync(join(logFolder(directory), commitsOf(directory)[0]!), first);
  }
  await (await openFolder(directory)).close();
});

test('structs in lists and values of maps are widened too', () => {
  const field = (name: string, type: DeltaField['type']): DeltaField => ({ name, type, nullable: true, metadata: {} });
  const events = (...fields: DeltaField[]) =>
    field('events', { type: 'array', elementType: { type: 'struct', fields }, containsNull: true });
  const text = (...fields: DeltaField[]) => JSON.stringify({ type: 'struct', fields });
  const [a, b, c] = ['a', 'b', 'c'].map((name) => field(name, 'string')) as [DeltaField, DeltaField, DeltaField];
  assert.equal(widerSchema('t', text(events(a, b)), [events(b, c)]), text(events(a, b, c)));
  assert.equal(widerSchema('t', text(events(a, b)), [events(b)]), text(events(a, b)));
  assert.throws(() => widerSchema('t', text(events(field('a', 'long'))), [events(a)]), /events\.element\.a is long/);
});

test('times before 1970 are in their microsecond and on their day', async (t) => {
  const directory = scratchDirectory(t);
  const times = [-1_500n, -1n, -1_000n, -86_400_000_000_001n, 1_999n];
  for (const format of ['delta', 'parquet'] as const) {
    const folder = await openFolder(join(directory, format), format);
    for (const [offset, time] of times.entries()) addRecord(folder, offset, time);
    await folder.flush(BigInt(times.length));
    await folder.close();
    const files = join(directory, format, 'logs', '*', '*', '*.parquet');
    const rows = await query(
      t,
      `SELECT day, epoch_us(time)::BIGINT, ${format === 'delta' ? 'time_unix_nano' : 'epoch_ns(time)'}
       FROM read_parquet('${files}', hive_partitioning = true, hive_types = {'day': VARCHAR}) ORDER BY entry_offset`,
    );
    const days = ['1969-12-31', '1969-12-31', '1969-12-31', '1969-12-30', '1970-01-01'];
    assert.deepEqual(
      rows.map(([day]) => day),
      days,
    );
    assert.deepEqual(
      rows.map(([, , nanos]) => nanos),
      times,
    );
    if (format === 'delta')
      assert.deepEqual(
        rows.map(([, micros]) => micros),
        [-2n, -1n, -1n, -86_400_000_001n, 1n],
      );
  }
});
