/**
 * Goal: any row of any table leads back to the record, span or point that it was made of, and to the bytes that came.
 * Method: captures with all kinds of rows, materialized by the engine; each row is traced and compared with what the table says.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDirectoryDecoder } from '../../src/commands/directory-decoder.ts';
import { type TracedRow, tracedRows } from '../../src/commands/traced-row.ts';
import { findEntryPlace, readEntries } from '../../src/log/index.ts';
import type { EntryTable } from '../../src/base/index.ts';
import type { CanonicalBatch } from '../../src/otap/index.ts';
import { appendCapture, engineRows, engineUntil, startTestEngine } from '../helpers/engine-log.ts';
import { logsRequest, makeLog, ONE_ENTRY_A_SEGMENT, openLogOf } from './log-directories.ts';
import { runTreasury, temporaryDirectory } from './process.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What tells a row of each table from its neighbours: as SQL, and in the trace. */
const TELLING: Readonly<Record<EntryTable, { sql: string; of: (row: TracedRow) => unknown[] }>> = {
  logs: {
    sql: 'SELECT entry_offset, row, flags, severity_number, epoch_ns(observed_time) FROM logs',
    of: ({ found }) => {
      const record = found.record as Fields;
      return [
        record['flags'] ?? 0,
        record['severityNumber'] ?? 0,
        BigInt.asIntN(64, big(record['observedTimeUnixNano'])),
      ];
    },
  },
  spans: {
    sql: "SELECT entry_offset, row, name, coalesce(hex(span_id), '') , len(events), len(links) FROM spans",
    of: ({ found }) => {
      const { name, spanId, events, links } = found.record as Record<string, string & unknown[]>;
      const id = spanId === undefined || /^0*$/.test(spanId) ? '' : spanId.replace(/^0+/, '').toUpperCase();
      return [name ?? '', id, events?.length ?? 0, links?.length ?? 0];
    },
  },
  samples: {
    sql: `SELECT entry_offset, row, metric_name, epoch_ns(time), coalesce(int_value, 0), isnan(coalesce(value, 'nan'))
      FROM samples JOIN series USING (series_id)`,
    of: (row) => {
      const { metric, point } = pointOf(row, 'numberDataPoints');
      const value = point['doubleValue'] ?? point['intValue'];
      return [metric, time(point), point['intValue'] ?? 0n, value === undefined || value === 'NaN'];
    },
  },
  histograms: counted('histograms', 'histogramDataPoints'),
  exp_histograms: counted('exp_histograms', 'expHistogramDataPoints'),
  summaries: counted('summaries', 'summaryDataPoints'),
  exemplars: {
    sql: "SELECT entry_offset, row, metric_name, epoch_ns(time), coalesce(hex(span_id), '') FROM exemplars JOIN series USING (series_id)",
    of: (row) => {
      const kind = ['numberDataPoints', 'histogramDataPoints', 'expHistogramDataPoints'].find(
        (name) => name in (row.found.record as Fields),
      );
      const { metric, point } = pointOf(row, kind!);
      const exemplars = point['exemplars'] as Fields[];
      assert.equal(exemplars.length, 1);
      const id = String(exemplars[0]!['spanId'] ?? '');
      return [metric, time(exemplars[0]!), /^0*$/.test(id) ? '' : id.replace(/^0+/, '').toUpperCase()];
    },
  },
};

function counted(table: string, points: string): (typeof TELLING)['logs'] {
  return {
    sql: `SELECT entry_offset, row, metric_name, epoch_ns(time), count FROM ${table} JOIN series USING (series_id)`,
    of: (row) => {
      const { metric, point } = pointOf(row, points);
      return [metric, time(point), big(point['count'])];
    },
  };
}

function pointOf({ found }: TracedRow, points: string): { metric: unknown; point: Fields } {
  const record = found.record as Fields;
  const list = record[points] as Fields[];
  assert.equal(list.length, 1);
  return { metric: record['name'] ?? '', point: list[0]! };
}

function big(value: unknown): bigint {
  return (value as bigint | undefined) ?? 0n;
}

function time(tree: Fields): bigint {
  return BigInt.asIntN(64, big(tree['timeUnixNano']));
}

test('tracedRows finds the record, span, point or exemplar behind every row of every table', async (context) => {
  const data = temporaryDirectory(context);
  mkdirSync(join(data, 'tables'), { recursive: true });
  const log = await openLogOf(data, ONE_ENTRY_A_SEGMENT);
  for (const name of ['rich-1', 'odd-1', 'empties-1']) await appendCapture(log, name);
  await log.close();
  const status = log.status();
  const engine = await startTestEngine(data, status);
  context.after(() => engine.stop());
  await engineUntil(engine, ({ materializedOffset }) => materializedOffset === status.durableOffset);
  const decoder = await createDirectoryDecoder(join(data, 'log'));
  const batches = new Map<string, CanonicalBatch>();
  for (const entry of readEntries(join(data, 'log'), { from: 0n })) {
    const batch = decoder.decode(entry);
    if (batch !== null && typeof batch !== 'string') batches.set(String(entry.offset), batch);
  }
  for (const [table, { sql, of }] of Object.entries(TELLING) as [EntryTable, (typeof TELLING)['logs']][]) {
    const rows = await engineRows(engine, sql);
    assert.ok(rows.length > 0, table);
    for (const [offset, row, ...told] of rows) {
      const found = tracedRows(batches.get(String(offset))!, Number(row), table);
      assert.equal(found.length, 1, `${table} ${offset} ${row}`);
      assert.deepEqual(of(found[0]!).map(String), told.map(String), `${table} ${offset} ${row}`);
    }
    const [offset] = rows[0]!;
    assert.deepEqual(tracedRows(batches.get(String(offset))!, 1_000_000, table), []);
  }
});

test('log cat --row shows the entry, where its bytes are and the row', async (context) => {
  const data = temporaryDirectory(context);
  const directory = await makeLog(data, 4);
  const { code, stdout, stderr } = await runTreasury(['log', 'cat', '--offset', '2', '--row', '0', '--data', data]);
  assert.equal(code, 0, stderr);
  const [facts, place] = stdout.split('\n');
  assert.match(facts!, /^2 \S+ OTLP logs stream=0 .*headers=/);
  const match =
    /^ {2}(\d{20}\.arrows): frame at byte \d+, \d+ bytes, CRC [0-9a-f]{8}, entry \d of \d; record at byte (\d+), (\d+) bytes$/;
  const [, file, position, bytes] = match.exec(place!)!;
  const at = Number(position);
  const record = readFileSync(join(directory, file!)).subarray(at, at + Number(bytes));
  assert.deepEqual(record, logsRequest('body 2'));
  assert.match(stdout, /\n {2}row 0 of logs\n {4}resource\n/);
  assert.match(stdout, /\n {6}body \(string\): "body 2"\n/);
  assert.match(stdout, new RegExp(`\\n +${at} {2}7b 22 72 65 73 6f`));
});

test('log cat --row as JSON holds the whole record and the same place', async (context) => {
  const data = temporaryDirectory(context);
  const directory = await makeLog(data, 2);
  const { stdout } = await runTreasury(['log', 'cat', '1', '--row', '0', '--format', 'json', '--data', data]);
  const traced = JSON.parse(stdout) as { record: string; rows: { table: string; row: number }[]; place: object };
  assert.deepEqual(Buffer.from(traced.record, 'base64'), logsRequest('body 1'));
  assert.deepEqual(
    traced.rows.map(({ table, row }) => [table, row]),
    [['logs', 0]],
  );
  const place = findEntryPlace(directory, { segment: 0n, offset: 1n });
  assert.deepEqual(traced.place, { ...place });
});

const FAULTS: readonly { line: string; code: number; says: RegExp }[] = [
  { line: 'cat 1 --row 1', code: 1, says: /Cannot find row 1 of any table in entry 1, which is of logs/ },
  { line: 'cat 1 --row 0 --table spans', code: 1, says: /Cannot find row 0 of spans in entry 1/ },
  { line: 'cat 9 --row 0', code: 1, says: /the log holds 0 to 2/ },
  { line: 'cat --row 0', code: 2, says: /--row: it goes with --offset/ },
  { line: 'cat 1 --row 0 --raw', code: 2, says: /--raw: it does not go with --row/ },
  { line: 'cat 1 --table logs', code: 2, says: /--table: it goes with --row/ },
  { line: 'cat 1 --row 0 --table log', code: 2, says: /--table/ },
  { line: 'ls --row 0', code: 2, says: /--row: it goes with cat/ },
];

test('log cat --row says what cannot be found or does not go together', async (context) => {
  const data = temporaryDirectory(context);
  await makeLog(data, 2);
  for (const { line, code, says } of FAULTS) {
    const run = await runTreasury(['log', ...line.split(' '), '--data', data]);
    assert.deepEqual([run.code, run.stdout], [code, ''], line);
    assert.match(run.stderr, says);
  }
});
