/** OTLP entries of a real log on their way into the tables, through the real engine. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { BatchMalformedError, type Signal, SIGNAL_CODES } from '../../src/base/index.ts';
import { ENTRY_KINDS, type Log, type LogEntry } from '../../src/log/index.ts';
import { decodeOtlpEntry } from '../../src/materialize/otlp-entry.ts';
import type { Engine } from '../../src/materialize/types.ts';
import { inspectOtlp, OTLP_CONTENT_TYPES } from '../../src/otap/index.ts';
import { otlpJsonToProtobuf } from '../../src/otap/otlp-json.ts';
import { readCapture } from '../helpers/captures.ts';
import {
  appendCapture,
  durableOf,
  engineRows,
  engineUntil,
  openTestLog,
  startTestEngine,
  tableHashes,
} from '../helpers/engine-log.ts';
import { toOtlpJson } from '../helpers/otlp-json.ts';

const CAPTURES = ['rich-1', 'odd-1', 'hostmetrics-1', 'empties-1'];

interface Request {
  readonly signal: Signal;
  readonly body: Buffer;
}

function requestsOf(name: string): Request[] {
  return readCapture(name, 'expect')
    .filter((record) => record.t === 'otlp')
    .map(({ signal, body }) => ({ signal: signal!, body }));
}

function append(log: Log, { signal, body }: Request, contentType: string | null): Promise<unknown> {
  const headers = new Map(contentType === null ? [] : [['content-type', contentType]]);
  return log.appendOtlp(SIGNAL_CODES[signal], { batchId: 0n, record: [body], headers });
}

async function setUp(t: TestContext): Promise<{ directory: string; log: Log; start(): Promise<Engine> }> {
  const directory = await mkdtemp(join(tmpdir(), 'otlp-entry-'));
  const log = await openTestLog(directory, { segmentBytesMax: 50_000 });
  const engines: Engine[] = [];
  t.after(async () => {
    await Promise.all(engines.map((engine) => engine.stop()));
    await log.close();
    await rm(directory, { recursive: true });
  });
  return {
    directory,
    log,
    /** An engine that has read the whole log. */
    async start() {
      const engine = await startTestEngine(directory, log.status());
      engines.push(engine);
      const { durableOffset } = log.status();
      engine.advance(durableOf(log.status()));
      await engineUntil(engine, ({ materializedOffset }) => materializedOffset >= durableOffset);
      return engine;
    },
  };
}

test('engine gives the same tables for OTLP entries in a replay from scratch, beside OTAP entries', async (t) => {
  const { directory, log, start } = await setUp(t);
  const live = await startTestEngine(directory, log.status());
  t.after(() => live.stop());
  t.after(log.onDurable((position) => live.advance(position)));
  for (const name of CAPTURES) {
    const streaming = appendCapture(log, name);
    for (const request of requestsOf(name)) {
      await append(log, request, OTLP_CONTENT_TYPES.PROTOBUF);
      const json = Buffer.from(toOtlpJson(request.signal, request.body));
      await append(log, { ...request, body: json }, OTLP_CONTENT_TYPES.JSON);
    }
    await streaming;
  }
  const { durableOffset } = log.status();
  const status = await engineUntil(live, ({ materializedOffset }) => materializedOffset >= durableOffset);
  assert.deepEqual(status.quarantined, []);
  const expected = await tableHashes(live);
  await live.stop();
  for (const table of ['"main"."logs"', '"main"."spans"', '"main"."samples"', '"main"."exemplars"']) {
    assert.ok(Number(expected[table]![0]) > 0, table);
  }
  await rm(join(directory, 'tables'), { recursive: true });
  assert.deepEqual(await tableHashes(await start()), expected);
});

test('engine sets OTLP entries aside that do not decode, with their reason, and goes on', async (t) => {
  const { log, start } = await setUp(t);
  const [good] = requestsOf('rich-1').filter(({ signal }) => signal === 'logs');
  const cut = { signal: 'logs', body: good!.body.subarray(0, good!.body.length - 1) } as const;
  await append(log, cut, OTLP_CONTENT_TYPES.PROTOBUF);
  await append(log, { signal: 'logs', body: Buffer.from('{"resourceLogs":[') }, OTLP_CONTENT_TYPES.JSON);
  await append(log, good!, null);
  await append(log, good!, 'text/plain');
  await append(log, good!, OTLP_CONTENT_TYPES.PROTOBUF);
  const engine = await start();
  const rows = await engineRows(engine, 'SELECT entry_offset, projection, reason FROM meta.quarantine ORDER BY 1');
  assert.deepEqual(
    rows.map(([offset, projection]) => [offset, projection]),
    ['0', '1', '2', '3'].map((offset) => [offset, 'logs']),
  );
  const reasons = rows.map((row) => String(row[2]));
  assert.match(reasons[0]!, /byte \d+/);
  assert.match(reasons[1]!, /byte \d+/);
  assert.deepEqual(reasons.slice(2), [
    'Cannot decode the OTLP entry: content type is missing',
    'Cannot decode the OTLP entry: content type is "text/plain"',
  ]);
  assert.deepEqual(await engineRows(engine, 'SELECT DISTINCT entry_offset FROM logs'), [['4']]);
});

test('engine leaves out the rows that a sender was told are rejected, and no others', async (t) => {
  const { log, start } = await setUp(t);
  const record = (name: string, id: string) => `{"eventName":"${name}","traceId":"${id}"}`;
  const records = [
    record('good', '01'.repeat(16)),
    record('bad', '0102'),
    record('good, too', ''),
    record('bad', '01'),
  ];
  const json = Buffer.from(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[${records.join()}]}]}]}`);
  const protobuf = Buffer.from(otlpJsonToProtobuf('logs', json));
  for (const [body, contentType] of [
    [protobuf, OTLP_CONTENT_TYPES.PROTOBUF],
    [json, OTLP_CONTENT_TYPES.JSON],
  ] as const) {
    const { rows, rejectedRows } = inspectOtlp('logs', body, contentType);
    assert.deepEqual([rows, rejectedRows], [2, 2]);
    await append(log, { signal: 'logs', body }, contentType);
  }
  const engine = await start();
  const rows = await engineRows(engine, 'SELECT entry_offset, event_name FROM logs ORDER BY entry_offset, row');
  assert.deepEqual(
    rows,
    ['0', '1'].flatMap((offset) => ['good', 'good, too'].map((name) => [offset, name])),
  );
  assert.deepEqual(await engineRows(engine, 'SELECT * FROM meta.quarantine'), []);
});

test('an OTLP entry is decoded as its content type says', () => {
  const [request] = requestsOf('rich-1').filter(({ signal }) => signal === 'traces');
  const json = Buffer.from(toOtlpJson('traces', request!.body));
  const decoded = [
    decodeOtlpEntry('traces', entryOf(request!.body, OTLP_CONTENT_TYPES.PROTOBUF)),
    decodeOtlpEntry('traces', entryOf(json, OTLP_CONTENT_TYPES.JSON)),
  ].map((batch) => (batch.signal === 'traces' ? batch.spans.rowCount : 0));
  assert.ok(decoded[0]! > 0);
  assert.equal(decoded[0], decoded[1]);
  assert.throws(() => decodeOtlpEntry('traces', entryOf(json, OTLP_CONTENT_TYPES.PROTOBUF)), BatchMalformedError);
});

function entryOf(record: Uint8Array, contentType: string): LogEntry {
  return {
    offset: 0n,
    receivedAtUnixNano: 0n,
    streamId: 0n,
    streamSeq: 0,
    batchId: 0n,
    signal: SIGNAL_CODES.traces,
    kind: ENTRY_KINDS.OTLP,
    flags: 0,
    headers: new Map([['content-type', contentType]]),
    record,
    segment: 0n,
  };
}
