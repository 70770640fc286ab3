/**
 * Goal: `decoded=true` holds every value of every canonical table, and any offset decodes to the same rows as the whole log.
 * Method: real streams whose dictionaries grow over several small segments, and captures of a Collector; apache-arrow and pyarrow read.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RecordBatch, RecordBatchReader, StructRow, Vector } from 'apache-arrow';
import { SIGNAL_CODES, type Signal, SIGNALS } from '../../../src/base/index.ts';
import { ENTRY_FLAGS, ENTRY_KINDS, type Log, type LogEntry, openLogReader } from '../../../src/log/index.ts';
import { createEntryStreamReader } from '../../../src/log/index.ts';
import { createEntryDecoder } from '../../../src/materialize/index.ts';
import { type CanonicalBatch, createStreamInspector } from '../../../src/otap/index.ts';
import { canonicalRows } from '../../helpers/canonical-rows.ts';
import { appendCapture, durableOf } from '../../helpers/engine-log.ts';
import { growingStream } from '../../helpers/growing-streams.ts';
import { pythonMissing, runPythonJson } from '../../helpers/python.ts';
import { startPullServer } from './pull-server.ts';

const CAPTURES = ['rich-1', 'odd-1'];
const SMALL = { frameEntriesMax: 4, frameBytesMax: 20_000, segmentBytesMax: 40_000 };

/** Rounds of one batch from each of four streams; one stream ends and begins anew on the way. */
async function writeStreams(log: Log, rounds: number): Promise<void> {
  const open = (signal: Signal) => ({
    sender: growingStream(signal),
    inspector: createStreamInspector(signal),
    stream: log.openStream(SIGNAL_CODES[signal]),
  });
  const streams = [open('logs'), open('traces'), open('metrics'), open('logs')];
  for (let i = 0; i < rounds; i++) {
    if (i === Math.floor(rounds / 2)) {
      streams[3]!.stream.close();
      streams[3] = open('logs');
    }
    await Promise.all(
      streams.map(({ sender, inspector, stream }, at) => {
        const rows = [0, 1].map((row) => ({
          time: BigInt(i * 10 + row + 1),
          name: `name ${Math.floor(i / 2)}`,
          label: `label ${i % 5} of ${at}`,
        }));
        const { batchId, record, stateMessages } = inspector.inspect(sender.next(`service ${at}`, rows));
        const flags = stateMessages.reduce(
          (all, { kind }) => all | (kind === 'schema' ? ENTRY_FLAGS.HAS_SCHEMA : ENTRY_FLAGS.HAS_DICTIONARY),
          0,
        );
        return stream.append({ batchId, record, flags, stateUpdates: stateMessages });
      }),
    );
  }
}

/** Offset and rows of each entry that has some, in order; those below `from` give their state only. */
async function rowsOfEntries(entries: readonly LogEntry[], from: bigint): Promise<string[]> {
  const decoder = await createEntryDecoder({
    readSegment: () => {
      throw new Error('nothing is forgotten here');
    },
  });
  const rows: string[] = [];
  for (const entry of entries) {
    const batch = decoder.decode(entry);
    if (batch === null || entry.offset < from) continue;
    assert.ok(typeof batch !== 'string', String(batch));
    rows.push(`${entry.offset} ${text(canonicalRows(batch))}`);
  }
  return rows;
}

function text(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === 'bigint') return String(part);
    return part instanceof Uint8Array ? Buffer.from(part).toString('hex') : part;
  });
}

function readLog(log: Log, directory: string): LogEntry[] {
  const reader = openLogReader({ directory: `${directory}/log`, from: 0n, durable: durableOf(log.status()) });
  const entries: LogEntry[] = [];
  for (let frame = reader.nextFrame(); frame !== null; frame = reader.nextFrame()) entries.push(...frame);
  reader.close();
  return entries;
}

async function bytesOf(url: string): Promise<Uint8Array> {
  const response = await fetch(url);
  assert.equal(response.status, 200, await response.clone().text());
  return new Uint8Array(await response.arrayBuffer());
}

/** Rows of a decoded answer as plain values, by column. */
function arrowRows(bytes: Uint8Array): Record<string, unknown>[] {
  return [...RecordBatchReader.from(bytes)].flatMap((batch: RecordBatch) =>
    Array.from({ length: batch.numRows }, (_, row) =>
      Object.fromEntries(batch.schema.fields.map(({ name }, at) => [name, plain(batch.getChildAt(at)!.get(row))])),
    ),
  );
}

function plain(value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Iterable<unknown>, plain);
  if (value instanceof StructRow) {
    return Object.fromEntries([...value].map(([name, part]) => [name, plain(part)]));
  }
  if (value instanceof Vector) return Array.from(value, plain);
  return value;
}

test('what is pulled from any offset decodes alone to the rows that the whole log decodes to', async (t) => {
  const { base, log, directory } = await startPullServer(t, { limits: SMALL });
  await writeStreams(log, 16);
  const { durableOffset, segments } = log.status();
  assert.ok(segments > 2, `${segments} segments`);
  const all = await rowsOfEntries(readLog(log, directory), 0n);
  const decodedAll = arrowRows(await bytesOf(`${base}/treasury/v1/log?decoded=true`));
  assert.equal(decodedAll.length, Number(durableOffset));
  for (let from = 0n; from <= durableOffset; from += 1n) {
    const reader = createEntryStreamReader();
    const entries = reader.push(await bytesOf(`${base}/treasury/v1/log?from=${from}`));
    assert.deepEqual(
      await rowsOfEntries(entries, from),
      all.filter((row) => BigInt(row.split(' ')[0]!) >= from),
      `from ${from}`,
    );
    if (from % 3n !== 0n) continue;
    const decoded = arrowRows(await bytesOf(`${base}/treasury/v1/log?decoded=true&from=${from}`));
    assert.deepEqual(decoded, decodedAll.slice(Number(from)), `decoded from ${from}`);
  }
});

test('decoded answer of one signal has the tables of that signal alone', async (t) => {
  const { base, log } = await startPullServer(t);
  await writeStreams(log, 3);
  for (const signal of SIGNALS) {
    const rows = arrowRows(await bytesOf(`${base}/treasury/v1/log?decoded=true&signal=${signal}`));
    assert.ok(rows.every((row) => row['signal'] === SIGNAL_CODES[signal]));
    const names = Object.keys(rows[0]!);
    assert.equal(names.includes('log_attrs'), signal === 'logs');
    assert.equal(names.includes('span_links'), signal === 'traces');
    assert.equal(names.includes('number_data_points'), signal === 'metrics');
    assert.ok(names.includes('resource_attrs'));
    assert.ok(!names.includes('record'));
  }
});

test('entries that cannot be decoded say why, and the others are there', async (t) => {
  const { base, log } = await startPullServer(t);
  await log.appendOtlp(1, {
    batchId: 0n,
    record: [Buffer.from('no protobuf')],
    headers: new Map([['content-type', 'application/x-protobuf']]),
  });
  await writeStreams(log, 2);
  const rows = arrowRows(await bytesOf(`${base}/treasury/v1/log?decoded=true`));
  assert.equal(typeof rows[0]!['error'], 'string');
  assert.equal(rows[0]!['logs'], null);
  assert.equal(rows[0]!['headers'], '{"content-type":"application/x-protobuf"}');
  assert.ok(rows.slice(1).every(({ error }) => error === null));
  assert.equal(rows.filter(({ kind }) => kind === ENTRY_KINDS.BAR).length, 8);
});

/** Where a canonical column is in its struct, when that is not its name in snake case. */
const PLACES: Readonly<Record<string, readonly string[]>> = {
  resourceId: ['resource', 'id'],
  resourceSchemaUrl: ['resource', 'schema_url'],
  resourceDroppedAttributesCount: ['resource', 'dropped_attributes_count'],
  scopeId: ['scope', 'id'],
  scopeName: ['scope', 'name'],
  scopeVersion: ['scope', 'version'],
  scopeDroppedAttributesCount: ['scope', 'dropped_attributes_count'],
  statusCode: ['status', 'code'],
  statusMessage: ['status', 'status_message'],
  positiveOffset: ['positive', 'offset'],
  positiveBucketCounts: ['positive', 'bucket_counts'],
  negativeOffset: ['negative', 'offset'],
  negativeBucketCounts: ['negative', 'bucket_counts'],
};

type AnyColumn = {
  values?: ArrayLike<number | bigint>;
  width?: number;
  kind?: string;
  offsets?: ArrayLike<number>;
  pool?: { bytes: Uint8Array; offsets: ArrayLike<number> };
  indices?: ArrayLike<number> | null;
  validity?: Uint8Array | null;
};

/** A value of a canonical column, as `plain` shows it. */
function canonicalValue(column: AnyColumn, row: number, isBool: boolean): unknown {
  if (column.validity?.[row] === 0) return null;
  if (column.pool !== undefined) {
    const at = column.indices?.[row] ?? row;
    const bytes = Buffer.from(column.pool.bytes.subarray(column.pool.offsets[at], column.pool.offsets[at + 1]));
    return column.kind === 'utf8' ? bytes.toString('utf8') : bytes.toString('hex');
  }
  if (column.width !== undefined) {
    const bytes = column.values as unknown as Uint8Array;
    return Buffer.from(bytes.subarray(row * column.width, (row + 1) * column.width)).toString('hex');
  }
  if (column.offsets !== undefined) {
    return Array.from({ length: column.offsets[row + 1]! - column.offsets[row]! }, (_, i) =>
      plain(column.values![column.offsets![row]! + i]),
    );
  }
  return isBool ? column.values![row] !== 0 : plain(column.values![row]);
}

const snake = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const TABLE_NAMES: Readonly<Record<string, string>> = { metrics: 'univariate_metrics' };

/** Compares every column of every table of a batch with what Arrow has; answers how many values there were. */
function compareBatch(batch: CanonicalBatch, found: Record<string, unknown>): number {
  let values = 0;
  for (const [key, table] of Object.entries(batch) as [string, { rowCount: number } | null][]) {
    if (table === null || typeof table !== 'object') continue;
    const rows = found[TABLE_NAMES[key] ?? snake(key)] as Record<string, unknown>[];
    assert.equal(rows.length, table.rowCount, key);
    for (const [name, column] of Object.entries(table) as [string, AnyColumn | null][]) {
      if (name.endsWith('Validity') || column === null || typeof column !== 'object') continue;
      if (name === 'body') {
        values += compareColumns(
          column as never,
          rows.map((row) => row['body'] as Record<string, unknown>),
        );
      } else if (name.startsWith('quantile')) {
        const member = name === 'quantiles' ? 'quantile' : 'value';
        rows.forEach((row, at) => {
          const pairs = row['quantile'] as Record<string, unknown>[] | null;
          assert.deepEqual(pairs?.map((pair) => pair[member]) ?? null, canonicalValue(column, at, false));
          values++;
        });
      } else {
        values += compareColumns({ [name]: column }, rows);
      }
    }
  }
  return values;
}

function compareColumns(columns: Record<string, AnyColumn | null>, rows: readonly Record<string, unknown>[]): number {
  let values = 0;
  for (const [name, column] of Object.entries(columns)) {
    if (column === null) continue;
    const place = PLACES[name] ?? [snake(name)];
    const typed = ArrayBuffer.isView(column) ? { values: column as never } : column;
    rows.forEach((row, at) => {
      const found = place.reduce<unknown>((part, member) => (part as Record<string, unknown>)[member], row);
      const expected = canonicalValue(typed, at, name === 'bool' || name === 'isMonotonic');
      // apache-arrow gives times as milliseconds with a fraction.
      const isTime = name.endsWith('imeUnixNano') && name !== 'durationTimeUnixNano' && expected !== null;
      if (isTime) assert.ok(Math.abs(Number(found) - Number(expected) / 1e6) < 0.001, `${name} of row ${at}`);
      else assert.deepEqual(found, expected, `${name} of row ${at}`);
      values++;
    });
  }
  return values;
}

test('decoded answer holds every value of the canonical tables of captures', async (t) => {
  const { base, log, directory } = await startPullServer(t);
  for (const name of CAPTURES) await appendCapture(log, name);
  // The ends of streams may become durable in between.
  const entries = readLog(log, directory);
  const rows = arrowRows(await bytesOf(`${base}/treasury/v1/log?decoded=true`));
  const decoder = await createEntryDecoder({ readSegment: () => [] });
  let values = 0;
  for (const [at, entry] of entries.entries()) {
    const batch = decoder.decode(entry);
    assert.equal(rows[at]!['offset'], String(entry.offset));
    assert.equal(rows[at]!['error'], null);
    if (batch !== null && typeof batch !== 'string') values += compareBatch(batch, rows[at]!);
  }
  assert.ok(values > 10_000, `${values} values`);
});

test('pyarrow reads a decoded answer', { skip: pythonMissing('pyarrow') }, async (t) => {
  const { base, log } = await startPullServer(t);
  for (const name of CAPTURES) await appendCapture(log, name);
  const bytes = await bytesOf(`${base}/treasury/v1/log?decoded=true`);
  const found = await runPythonJson<{ rows: number; tables: Record<string, number> }>(
    `
import json, sys, pyarrow as pa, pyarrow.ipc as ipc, pyarrow.compute as pc
table = ipc.open_stream(sys.stdin.buffer).read_all()
table.validate(full=True)
lists = [f.name for f in table.schema if pa.types.is_list(f.type)]
print(json.dumps(dict(rows=table.num_rows, tables={n: pc.sum(pc.list_value_length(table[n])).as_py() or 0 for n in lists})))`,
    { input: bytes },
  );
  const rows = arrowRows(bytes);
  assert.equal(found.rows, rows.length);
  for (const [name, count] of Object.entries(found.tables)) {
    assert.equal(
      count,
      rows.reduce((sum, row) => sum + ((row[name] as unknown[] | null)?.length ?? 0), 0),
      name,
    );
  }
  assert.ok(found.tables['log_attrs']! > 0);
});
