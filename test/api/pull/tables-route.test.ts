/**
 * Goal: the rows of a view come by offset of their entry, each once, in batches of whole entries, wherever a pull begins or goes on.
 * Method: a real server, log and engine; the limit of rows of `POST /sql` is 10 here.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RecordBatch, RecordBatchReader } from 'apache-arrow';
import { readRange } from '../../../src/api/pull/view-ranges.ts';
import { findView } from '../../../src/api/pull/views.ts';
import { TreasuryError } from '../../../src/base/index.ts';
import { appendCapture, engineRows, engineUntil } from '../../helpers/engine-log.ts';
import { startPullServer, type PullServer } from './pull-server.ts';

async function filled(server: PullServer, copies: number): Promise<void> {
  for (let i = 0; i < copies; i++) await appendCapture(server.log, 'rich-1');
  // Behind the ends of its streams, which nobody waits for.
  const headers = new Map([['content-type', 'application/json']]);
  await server.log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('{}')], headers });
  await caughtUp(server);
}

async function caughtUp({ log, engine }: PullServer): Promise<void> {
  const { durableOffset } = log.status();
  await engineUntil(await engine(), ({ materializedOffset }) => materializedOffset >= durableOffset);
}

interface Pulled {
  readonly offsets: bigint[];
  readonly batches: RecordBatch[];
  readonly headers: Headers;
}

async function pull(url: string): Promise<Pulled> {
  const response = await fetch(url);
  assert.equal(response.status, 200, await response.clone().text());
  const batches = [...RecordBatchReader.from(new Uint8Array(await response.arrayBuffer()))];
  return { offsets: offsetsOf(batches), batches, headers: response.headers };
}

function offsetsOf(batches: readonly RecordBatch[]): bigint[] {
  return batches.flatMap((batch) => [...(batch.getChild('entry_offset')!.toArray() as BigUint64Array)]);
}

test('GET /treasury/v1/tables/{view} answers all rows from an offset on, in the order of their entries', async (t) => {
  const server = await startPullServer(t);
  await filled(server, 3);
  const engine = await server.engine();
  const next = server.log.status().durableOffset;
  for (const view of ['logs', 'spans', 'metrics', 'normalized.log_attrs', 'normalized.span_events', 'main.samples']) {
    const rows = await engineRows(engine, `SELECT entry_offset FROM ${view} ORDER BY entry_offset`);
    const expected = rows.map(([offset]) => BigInt(offset as string));
    assert.ok(expected.length > 10, view);
    for (const from of [0n, expected[20]!, next]) {
      const { offsets, headers } = await pull(`${server.base}/treasury/v1/tables/${view}?from=${from}`);
      assert.deepEqual(
        offsets,
        expected.filter((offset) => offset >= from),
        `${view} from ${from}`,
      );
      assert.equal(headers.get('x-treasury-from'), String(from));
      assert.equal(headers.get('x-treasury-next'), String(next));
      assert.equal(headers.get('x-treasury-first'), String(expected[0]));
    }
  }
});

test('GET /treasury/v1/tables/{view} with columns and to answers those, and entry_offset always', async (t) => {
  const server = await startPullServer(t);
  await filled(server, 1);
  const all = (await pull(`${server.base}/treasury/v1/tables/logs`)).offsets;
  const [from, to] = [all[0]!, all.at(-1)!];
  const { batches, offsets, headers } = await pull(
    `${server.base}/treasury/v1/tables/logs?from=${from}&to=${to}&columns=body,time`,
  );
  assert.deepEqual(
    batches[0]!.schema.fields.map(({ name }) => name),
    ['entry_offset', 'body', 'time'],
  );
  assert.deepEqual(
    offsets,
    all.filter((offset) => offset < to),
  );
  assert.equal(headers.get('x-treasury-next'), String(to));
});

test('ranges of a view are bounded by rows and bytes, and end behind whole entries', async (t) => {
  const server = await startPullServer(t);
  await filled(server, 3);
  const engine = await server.engine();
  const services = { engine, sqlLimits: { timeoutMs: 30_000 } };
  const view = await findView(services, 'normalized.log_attrs', null);
  const { materializedOffset: end } = await engine.status();
  const rows = await engineRows(engine, 'SELECT entry_offset FROM normalized.log_attrs ORDER BY entry_offset');
  const { signal } = new AbortController();
  for (const limits of [
    { rowsMax: 7, entriesMax: 1_000, batchBytesMax: 1_000_000 },
    { rowsMax: 1_000, entriesMax: 2, batchBytesMax: 1_000_000 },
    { rowsMax: 1_000, entriesMax: 1_000, rangeBytesMax: 40_000 },
  ]) {
    const offsets: bigint[] = [];
    let ranges = 0;
    for (let from = 0n; from < end; ranges++) {
      const range = await readRange(services, view, { from, end, signal, limits });
      assert.ok(range.to > from);
      assert.ok(range.batches.length <= 1);
      const found = offsetsOf([...RecordBatchReader.from(Buffer.concat([range.schema, ...range.batches]))]);
      assert.ok(found.every((offset) => offset >= from && offset < range.to));
      offsets.push(...found);
      from = range.to;
    }
    assert.ok(ranges > 2);
    assert.deepEqual(
      offsets,
      rows.map(([offset]) => BigInt(offset as string)),
    );
  }
});

test('an entry whose rows do not fit a batch cannot be pulled, and is named', async (t) => {
  const server = await startPullServer(t);
  const logRecords = Array.from({ length: 600 }, (_, i) => ({ timeUnixNano: '1', body: { stringValue: `body ${i}` } }));
  await server.log.appendOtlp(1, {
    batchId: 0n,
    record: [Buffer.from(JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] }))],
    headers: new Map([['content-type', 'application/json']]),
  });
  await caughtUp(server);
  const services = { engine: await server.engine(), sqlLimits: { timeoutMs: 30_000 } };
  const view = await findView(services, 'logs', ['body']);
  const { signal } = new AbortController();
  await assert.rejects(
    readRange(services, view, {
      from: 0n,
      end: 1n,
      signal,
      limits: { rowsMax: 7, entriesMax: 5, batchBytesMax: 100 },
    }),
    (error) => error instanceof TreasuryError && error.code === 'TREASURY_PULL_LIMIT' && error.facts['offset'] === '0',
  );
});

test('GET /treasury/v1/tables/{view}?follow goes on with what is materialized, without gap or repeat', async (t) => {
  const server = await startPullServer(t);
  await filled(server, 1);
  const before = (await pull(`${server.base}/treasury/v1/tables/logs?columns=row`)).offsets;
  const response = await fetch(`${server.base}/treasury/v1/tables/logs?follow=true&columns=row`);
  await filled(server, 2);
  const expected = (await pull(`${server.base}/treasury/v1/tables/logs?columns=row`)).offsets;
  assert.ok(expected.length > before.length);
  const seen: bigint[] = [];
  for await (const batch of await RecordBatchReader.from(response.body!)) {
    seen.push(...(batch.getChild('entry_offset')!.toArray() as BigUint64Array));
    if (seen.length >= expected.length) break;
  }
  assert.deepEqual(seen, expected);
});

test('GET /treasury/v1/tables refuses views without offsets, columns and offsets that are not there', async (t) => {
  const server = await startPullServer(t);
  await filled(server, 1);
  const refused = async (path: string): Promise<Record<string, unknown>> => {
    const response = await fetch(`${server.base}/treasury/v1/tables/${path}`);
    return { status: response.status, ...((await response.json()) as { error: Record<string, unknown> }).error };
  };
  for (const view of ['series', 'nothing', 'store.logs_v1', 'logs%22']) {
    const { status, parameter, possible } = await refused(view);
    assert.deepEqual({ status, parameter }, { status: 400, parameter: 'view' });
    assert.match(String(possible), /\blogs\b.*normalized\.log_attrs/);
  }
  const columns = await refused('logs?columns=body,nothing');
  assert.deepEqual([columns['status'], columns['parameter']], [400, 'columns']);
  assert.match(String(columns['possible']), /entry_offset, row, time/);
  const { durableOffset } = server.log.status();
  const outside = await refused(`logs?from=${durableOffset + 1n}`);
  assert.deepEqual([outside['status'], outside['nextOffset']], [416, String(durableOffset)]);
  assert.equal((await refused('logs?from=3&to=2'))['parameter'], 'to');
  assert.equal((await refused('logs?limit=2'))['parameter'], 'limit');
});

test('GET /treasury/v1/tables/{view} tells where a view begins that retention has taken rows from', async (t) => {
  const server = await startPullServer(t, { tables: { retentionAgeMs: 60_000 } });
  const nowUnixNano = String(BigInt(Date.now()) * 1_000_000n);
  for (const timeUnixNano of ['1', nowUnixNano]) {
    const scopeLogs = [{ logRecords: [{ timeUnixNano, body: { stringValue: 'a body' } }] }];
    const record = [Buffer.from(JSON.stringify({ resourceLogs: [{ scopeLogs }] }))];
    const headers = new Map([['content-type', 'application/json']]);
    await server.log.appendOtlp(1, { batchId: 0n, record, headers });
  }
  await caughtUp(server);
  await engineUntil(await server.engine(), ({ retention }) => (retention.rowsDeleted['logs'] ?? 0) > 0);
  const url = `${server.base}/treasury/v1/tables/logs`;
  const { offsets, headers } = await pull(url);
  assert.deepEqual(offsets, [1n]);
  assert.equal(headers.get('x-treasury-first'), '1');
  const response = await fetch(`${url}?to=1`);
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  assert.equal(response.status, 416);
  assert.deepEqual([error['firstOffset'], error['nextOffset'], error['requested']], ['1', '2', '0']);
  assert.deepEqual((await pull(`${url}?to=2`)).offsets, [1n]);
});

test('GET /treasury/v1/log/offsets turns times of receipt and of events into offsets and back', async (t) => {
  const server = await startPullServer(t);
  await filled(server, 2);
  const ask = async (query: string): Promise<Record<string, unknown>> =>
    (await (await fetch(`${server.base}/treasury/v1/log/offsets?${query}`)).json()) as Record<string, unknown>;
  const next = Number(server.log.status().durableOffset);
  const logs = (await engineRows(
    await server.engine(),
    'SELECT entry_offset, epoch_ns(min(time))::VARCHAR, epoch_ns(max(time))::VARCHAR FROM logs GROUP BY 1 ORDER BY 1',
  )) as [string, string, string][];
  const [offset, from] = logs[3]!;
  const answer = await ask(`offset=${offset}`);
  assert.equal(answer['offset'], Number(offset));
  assert.equal(answer['nextOffset'], next);
  const receipts: unknown[] = [];
  for (let at = 0; at < next; at++) receipts.push((await ask(`offset=${at}`))['receivedAt']);
  assert.ok(!receipts.includes(null));
  // Entries of one commit may share their time.
  const first = receipts.indexOf(answer['receivedAt']);
  assert.equal((await ask(`received_at=${String(answer['receivedAt'])}`))['offset'], first);
  const { from: eventFrom } = answer['eventTimes'] as { from: string };
  assert.equal(BigInt(Date.parse(eventFrom)), BigInt(from) / 1_000_000n);
  const byEvent = await ask(`event_time=${from}`);
  assert.deepEqual(await ask(`event_time=${eventFrom}`), byEvent);
  const [[least]] = (await engineRows(
    await server.engine(),
    `SELECT min(o)::VARCHAR FROM (SELECT entry_offset AS o, time FROM logs UNION ALL SELECT entry_offset, start_time FROM spans
     UNION ALL SELECT entry_offset, time FROM samples UNION ALL SELECT entry_offset, time FROM histograms
     UNION ALL SELECT entry_offset, time FROM exp_histograms UNION ALL SELECT entry_offset, time FROM summaries)
     WHERE time >= make_timestamp_ns(${from})`,
  )) as [[string]];
  assert.equal(byEvent['offset'], Number(least));
  assert.equal((await ask('received_at=2000-01-01T00:00:00Z'))['offset'], 0);
  assert.equal((await ask('received_at=2200-01-01T00:00:00Z'))['offset'], next);
  assert.equal((await ask('event_time=2200-01-01T00:00:00.5%2B01:00'))['offset'], next);
  assert.equal((await ask('received_at=yesterday'))['error'] !== undefined, true);
  for (const text of [2n ** 63n - 1n, 1n - 2n ** 63n, -(2n ** 63n), '2262-04-11T23:47:16.854775807Z']) {
    const { error } = (await ask(`event_time=${text}`)) as { error: Record<string, unknown> };
    assert.deepEqual([error['code'], error['parameter']], ['TREASURY_PARAMETER_INVALID', 'event_time']);
    assert.match(String(error['message']), /to 2262-04-11T23:47:16\.854775806Z/);
  }
  assert.equal((await ask(`event_time=${2n ** 63n - 2n}`))['offset'], next);
  assert.deepEqual(await ask(`event_time=${2n - 2n ** 63n}`), await ask('event_time=0'));
});
