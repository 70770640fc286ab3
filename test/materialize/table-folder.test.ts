/**
 * Goal: folders of tables hold what the tables of a server hold, each row once, as Parquet and as Delta Lake tables, and are whole after
 * a run that ended anywhere.
 * Method: captures go into a real log; an engine makes tables of it, and a folder gets the same entries in several flushes. Files are read
 * with DuckDB, pyarrow and deltalake. Ends of runs are made by opening the folder again over what each step leaves.
 */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { before, test } from 'node:test';
import { readEntries } from '../../src/log/index.ts';
import { createEntryDecoder } from '../../src/materialize/entry-decoder.ts';
import { BATCH_TABLES } from '../../src/materialize/batch-tables.ts';
import { openTableFolder, readTableFolder, type TableFolderOptions } from '../../src/materialize/table-folder.ts';
import { captureNames, readArrowStreams } from '../helpers/captures.ts';
import { appendCapture, engineUntil, openTestLog, startTestEngine } from '../helpers/engine-log.ts';
import { pythonMissing, runPythonJson } from '../helpers/python.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import { openStoppedTables } from '../helpers/stopped-tables.ts';
import { assertSameRows, dataFiles, parquetRows } from '../helpers/table-files.ts';

const NAMES = captureNames({ shared: false }).filter((name) =>
  readArrowStreams(name).some(({ messages }) => messages.length > 0),
);
/** Days by time in the tables: 0 is none, and the ends of 64 bits are in no calendar. */
const DAY = `CASE WHEN epoch_ns(time) IN (0, 9223372036854775807, -9223372036854775807) THEN '0000-00-00' ELSE time::DATE::VARCHAR END`;
const MEMORY = { memoryLimitMb: 256, threads: 2 };

let source = '';
let logUuid = '';
let end = 0n;
const kept: (() => void)[] = [];

before(async () => {
  source = scratchDirectory({ after: (done) => kept.push(done) });
  process.on('exit', () => kept.forEach((done) => done()));
  const log = await openTestLog(source);
  for (const name of NAMES) await appendCapture(log, name);
  const status = log.status();
  logUuid = status.uuid;
  end = status.durableOffset;
  const engine = await startTestEngine(source, status);
  await engineUntil(engine, ({ materializedOffset }) => materializedOffset >= end);
  await engine.stop();
  await log.close();
});

for (const flavour of ['parquet', 'delta'] as const) {
  test(`a ${flavour} folder that was filled in several flushes has each row of the tables once`, async (t) => {
    const directory = join(scratchDirectory(t), 'out');
    await fill(directory, { format: flavour, flushEvery: 7 });
    const state = await readTableFolder(directory);
    assert.deepEqual(state, { format: flavour, logUuid, firstOffset: 0n, nextOffset: end });
    const connection = await openStoppedTables(t, source);
    if (flavour === 'parquet') {
      const counts = await assertSameRows(connection, directory);
      for (const table of ['logs', 'spans', 'samples', 'histograms', 'exemplars'] as const) {
        assert.ok(counts[table] > 0, `no rows of ${table}`);
      }
    }
    for (const table of BATCH_TABLES) {
      const rows = `SELECT count(*), sum(entry_offset)::BIGINT, count(DISTINCT (entry_offset, row)) FROM`;
      const files = dataFiles(directory, table);
      const wanted = await connection.runAndReadAll(`${rows} main.${table}`);
      if (files.length === 0) assert.equal(wanted.getRowsJS()[0]![0], 0n, table);
      else
        assert.deepEqual(
          (await connection.runAndReadAll(`${rows} ${parquetRows(files)}`)).getRowsJS(),
          wanted.getRowsJS(),
        );
    }
  });
}

test('Parquet files are read by pyarrow with their partitions', { skip: pythonMissing('pyarrow') }, async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  await fill(directory, { format: 'parquet', flushEvery: 50 });
  const connection = await openStoppedTables(t, source);
  const wanted = await connection.runAndReadAll(
    `SELECT ${DAY} AS day, count(*), sum(entry_offset)::BIGINT, count(trace_id), list(body ORDER BY entry_offset, row)
     FROM main.logs GROUP BY ALL ORDER BY ALL`,
  );
  const found = await runPythonJson<unknown[][]>(
    `
import json, sys, pyarrow.dataset as ds, pyarrow.compute as pc
parts = ds.partitioning(flavor='hive')
table = ds.dataset(sys.argv[1], format='parquet', partitioning=parts).to_table().sort_by([('entry_offset', 'ascending'), ('row', 'ascending')])
rows = []
for day in sorted(set(str(d) for d in table['day'].to_pylist())):
    own = [r for r in table.select(['day', 'signal', 'entry_offset', 'trace_id', 'body']).to_pylist() if str(r['day']) == day]
    assert all(r['signal'] == 'logs' for r in own)
    rows.append([day, len(own), sum(r['entry_offset'] for r in own), sum(r['trace_id'] is not None for r in own), [r['body'] for r in own]])
print(json.dumps(rows))
`,
    { args: [join(directory, 'logs')] },
  );
  const plain = wanted
    .getRowsJS()
    .map((row) => row.map((value) => (typeof value === 'bigint' ? Number(value) : value)));
  assert.deepEqual(found, plain.toSorted(byDay));
});

test('Delta tables are read by deltalake with all columns', {
  skip: pythonMissing('deltalake', 'pyarrow'),
}, async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  await fill(directory, { format: 'delta', flushEvery: 30 });
  const copies = join(scratchDirectory(t), 'copies');
  const tables = BATCH_TABLES.filter((table) => existsSync(join(directory, table)));
  const facts = await runPythonJson<Record<string, { version: number; txn: number; partitions: string[] }>>(
    `
import json, os, sys, pyarrow as pa, pyarrow.parquet as pq
from deltalake import DeltaTable
facts = {}
os.makedirs(sys.argv[2])
for name in sys.argv[4:]:
    table = DeltaTable(os.path.join(sys.argv[1], name))
    rows = pa.table(table.to_pyarrow_dataset().to_table() if hasattr(table, 'to_pyarrow_dataset') else table.to_pyarrow_table())
    pq.write_table(rows, os.path.join(sys.argv[2], name + '.parquet'))
    facts[name] = {'version': table.version(), 'txn': table.transaction_version(sys.argv[3] + '/' + name), 'partitions': table.metadata().partition_columns}
print(json.dumps(facts))
`,
    { args: [directory, copies, logUuid, ...tables] },
  );
  const connection = await openStoppedTables(t, source);
  for (const table of tables) {
    const { version, partitions } = facts[table]!;
    assert.deepEqual(partitions, ['signal', 'day']);
    const commits = readdirSync(join(directory, table, '_delta_log')).filter((name) => name.endsWith('.json'));
    assert.equal(version, commits.length - 1);
    const found = await connection.runAndReadAll(
      `SELECT count(*), bit_xor(hash(t)), sum(hash(t)) FROM (${DELTA_FORMS(`'${join(copies, `${table}.parquet`)}'`, true)[table]}) AS t`,
    );
    const wanted = await connection.runAndReadAll(
      `SELECT count(*), bit_xor(hash(t)), sum(hash(t)) FROM (${DELTA_FORMS(`main.${table}`, false)[table]}) AS t`,
    );
    assert.deepEqual(found.getRowsJS(), wanted.getRowsJS(), table);
  }
  assert.equal(facts['logs']!.txn, Number((await readTableFolder(directory))!.nextOffset));
});

test('a folder that is opened again passes by what it has and goes on', async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  for (const format of ['parquet', 'delta'] as const) {
    const out = join(directory, format);
    await fill(out, { format, flushEvery: 10, until: end / 2n });
    // All entries come once more.
    await fill(out, { format, flushEvery: 13 });
  }
  const connection = await openStoppedTables(t, source);
  await assertSameRows(connection, join(directory, 'parquet'));
  for (const table of ['logs', 'spans', 'samples'] as const) {
    assert.deepEqual(
      await countRows(connection, join(directory, 'delta'), table),
      await countRows(connection, null, table),
    );
  }
});

test('what a run left that ended between its files and its state is taken away', async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  await fill(directory, { format: 'parquet', flushEvery: 10, until: end / 2n });
  const state = readFileSync(join(directory, '_treasury.json'));
  await fill(directory, { format: 'parquet', flushEvery: 1_000 });
  writeFileSync(join(directory, '_treasury.json'), state);
  const [first] = dataFiles(directory, 'logs');
  copyFileSync(first!, join(dirname(first!), '.00000000000000000000-00000000000000000001.parquet.tmp'));
  await fill(directory, { format: 'parquet', flushEvery: 11 });
  await assertSameRows(await openStoppedTables(t, source), directory);
  const drafts = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.tmp'));
  assert.deepEqual(drafts, []);
});

test('a Delta folder whose run ended between the commits of two tables adds nothing twice', async (t) => {
  const scratch = scratchDirectory(t);
  const directory = join(scratch, 'out');
  await fill(directory, { format: 'delta', flushEvery: 10, until: end / 2n });
  const earlier = join(scratch, 'earlier');
  cpSync(directory, earlier, { recursive: true });
  await fill(directory, { format: 'delta', flushEvery: 1_000 });
  // Logs have the commit of the second run, the others and the state do not.
  rmSync(join(earlier, 'logs'), { recursive: true });
  renameSync(join(directory, 'logs'), join(earlier, 'logs'));
  await fill(earlier, { format: 'delta', flushEvery: 9 });
  const connection = await openStoppedTables(t, source);
  for (const table of ['logs', 'spans', 'samples', 'exemplars'] as const) {
    assert.deepEqual(await countRows(connection, earlier, table), await countRows(connection, null, table), table);
  }
});

test('folders of another log, another format, or with something else are refused by name', async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  await fill(directory, { format: 'parquet', flushEvery: 1_000, until: 3n });
  const options: TableFolderOptions = { directory, format: 'parquet', logUuid, from: 0n, ...MEMORY };
  await assert.rejects(openTableFolder({ ...options, logUuid: 'other' }), /it holds rows of log .+, not of log other/);
  await assert.rejects(
    openTableFolder({ ...options, format: 'delta' }),
    /Cannot write delta to .+: its tables are parquet/,
  );
  const foreign = scratchDirectory(t);
  writeFileSync(join(foreign, 'notes.txt'), '');
  await assert.rejects(openTableFolder({ ...options, directory: foreign }), /has no _treasury.json, but has notes.txt/);
  writeFileSync(join(directory, '_treasury.json'), '{"format":');
  await assert.rejects(openTableFolder(options), /_treasury.json: it is damaged/);
});

test('a folder has one writer at a time', async (t) => {
  const directory = join(scratchDirectory(t), 'out');
  const options: TableFolderOptions = { directory, format: 'parquet', logUuid, from: 0n, ...MEMORY };
  const folder = await openTableFolder(options);
  await assert.rejects(openTableFolder(options), { code: 'TREASURY_DATA_DIRECTORY_LOCKED' });
  await folder.close();
  await (await openTableFolder(options)).close();
});

async function fill(
  directory: string,
  options: { readonly format: 'parquet' | 'delta'; readonly flushEvery: number; readonly until?: bigint },
): Promise<void> {
  const { format, flushEvery, until = end } = options;
  const folder = await openTableFolder({ directory, format, logUuid, from: 0n, ...MEMORY });
  const log = join(source, 'log');
  const decoder = await createEntryDecoder({ readSegment: (segment) => readEntries(log, { from: segment }) });
  let since = 0;
  for (const entry of readEntries(log, { from: 0n })) {
    if (entry.offset >= until) break;
    const result = decoder.decode(entry);
    assert.notEqual(typeof result, 'string', String(result));
    if (result !== null && typeof result !== 'string') folder.add(entry, result);
    if (++since < flushEvery) continue;
    await folder.flush(entry.offset + 1n);
    since = 0;
  }
  await folder.flush(until);
  await folder.close();
}

type Connection = Awaited<ReturnType<typeof openStoppedTables>>;

/** Rows, and rows told apart, of a Delta table by its commits, or (null) of the tables of the server. */
async function countRows(
  connection: Connection,
  folder: string | null,
  table: (typeof BATCH_TABLES)[number],
): Promise<unknown> {
  const from = folder === null ? `main.${table}` : parquetRows(committedFiles(folder, table));
  const reader = await connection.runAndReadAll(
    `SELECT count(*), count(DISTINCT (entry_offset, row)), sum(entry_offset)::BIGINT FROM ${from}`,
  );
  return reader.getRowsJS();
}

function committedFiles(folder: string, table: string): string[] {
  const log = join(folder, table, '_delta_log');
  return readdirSync(log)
    .flatMap((name) => readFileSync(join(log, name), 'utf8').split('\n'))
    .filter((line) => line.startsWith('{"add"'))
    .map((line) => join(folder, table, (JSON.parse(line) as { add: { path: string } }).add.path));
}

/** Some columns of each table in the form of a Delta table, made by hand for both sides. */
function DELTA_FORMS(from: string, isDelta: boolean): Record<string, string> {
  const pick = (delta: string, plain: string) => (isDelta ? delta : plain);
  const ids = 'entry_offset::BIGINT AS entry_offset, row::BIGINT AS row';
  const time = (name: string) =>
    pick(
      `${name}_unix_nano, epoch_us(${name})`,
      `epoch_ns(${name}) AS ${name}_unix_nano, CASE WHEN isfinite(${name}) THEN epoch_ns(${name}) // 1000 - (epoch_ns(${name}) % 1000 < 0)::BIGINT END`,
    );
  const point = `${ids}, ${time('time')}, ${time('start_time')}, flags::BIGINT, series_id::DECIMAL(20, 0)`;
  const trace = pick('trace_id', "replace(trace_id::VARCHAR, '-', '')");
  const span = (name: string) => pick(name, `lower(lpad(to_hex(${name}), 16, '0'))`);
  const maps = 'attributes::VARCHAR, resource_attributes::VARCHAR, scope_attributes::VARCHAR';
  return {
    logs: `SELECT ${ids}, ${time('time')}, ${time('observed_time')}, body, severity_number, ${trace}, ${span('span_id')}, ${maps} FROM ${from}`,
    spans: `SELECT ${ids}, ${time('start_time')}, ${time('end_time')}, name, kind, duration_ns, ${trace}, ${span('span_id')},
      ${span('parent_span_id')}, ${maps}, [e.name FOR e IN events], [e.attributes::VARCHAR FOR e IN events],
      [${pick('e.time_unix_nano', 'epoch_ns(e.time)')} FOR e IN events],
      [${pick('l.span_id', "lower(lpad(to_hex(l.span_id), 16, '0'))")} FOR l IN links] FROM ${from}`,
    samples: `SELECT ${point}, value, int_value FROM ${from}`,
    histograms: `SELECT ${point}, count::DECIMAL(20, 0), sum, bucket_counts::DECIMAL(20, 0)[], explicit_bounds FROM ${from}`,
    exp_histograms: `SELECT ${point}, count::DECIMAL(20, 0), scale, positive_bucket_counts::DECIMAL(20, 0)[] FROM ${from}`,
    summaries: `SELECT ${point}, count::DECIMAL(20, 0), sum, quantiles::VARCHAR FROM ${from}`,
    exemplars: `SELECT ${ids}, ${time('time')}, value, int_value, ${trace}, ${span('span_id')}, attributes::VARCHAR FROM ${from}`,
  };
}

function byDay(a: unknown[], b: unknown[]): number {
  return String(a[0]) < String(b[0]) ? -1 : 1;
}
