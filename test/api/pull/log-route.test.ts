/**
 * Goal: whoever pulls the log gets every entry once, in order, or knows that and where the answer was cut; nobody holds up ingest.
 * Method: a real server, log and thread of pulls; clients that read, stall and leave.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { RecordBatchReader } from 'apache-arrow';
import type { Log, LogEntry } from '../../../src/log/index.ts';
import { createEntryStreamReader } from '../../../src/log/index.ts';
import { writePaced } from '../../../src/api/pull/paced-answer.ts';
import { startPullServer } from './pull-server.ts';

const SMALL = { frameEntriesMax: 4, frameBytesMax: 4_000, segmentBytesMax: 40_000 };

async function append(log: Log, count: number, bytes = 500): Promise<void> {
  const appends = Array.from({ length: count }, (_, i) =>
    log.appendOtlp((i % 3) + 1, {
      batchId: 0n,
      record: [Buffer.alloc(bytes, i)],
      headers: new Map([['content-type', 'application/x-protobuf']]),
    }),
  );
  await Promise.all(appends);
}

async function pull(url: string): Promise<{ entries: LogEntry[]; isEnded: boolean; nextOffset: bigint | null }> {
  const response = await fetch(url);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'application/vnd.apache.arrow.stream');
  const reader = createEntryStreamReader();
  const entries = reader.push(new Uint8Array(await response.arrayBuffer()));
  return { entries, isEnded: reader.isEnded, nextOffset: reader.nextOffset };
}

const offsets = (entries: readonly LogEntry[]) => entries.map(({ offset }) => Number(offset));
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

test('GET /treasury/v1/log answers the entries from an offset on, as Arrow', async (t) => {
  const { base, log } = await startPullServer(t, { limits: SMALL });
  await append(log, 200);
  const url = `${base}/treasury/v1/log`;
  const { entries, isEnded, nextOffset } = await pull(url);
  assert.deepEqual(offsets(entries), range(0, 200));
  assert.ok(isEnded);
  assert.equal(nextOffset, 200n);
  assert.deepEqual(offsets((await pull(`${url}?from=77`)).entries), range(77, 200));
  assert.deepEqual(offsets((await pull(`${url}?from=77&limit=10`)).entries), range(77, 87));
  assert.deepEqual((await pull(`${url}?from=end`)).entries, []);
  const traces = (await pull(`${url}?from=3&signal=traces`)).entries;
  assert.deepEqual(
    offsets(traces),
    range(3, 200).filter((offset) => offset % 3 === 1),
  );
  const arrow = RecordBatchReader.from(new Uint8Array(await (await fetch(`${url}?from=77`)).arrayBuffer()));
  assert.equal(
    [...arrow].reduce((rows, batch) => rows + batch.numRows, 0),
    123,
  );
});

test('GET /treasury/v1/log refuses offsets out of range with both bounds, and names parameters that are wrong', async (t) => {
  const { base, log } = await startPullServer(t);
  await append(log, 3);
  const refused = async (query: string): Promise<Record<string, unknown>> => {
    const response = await fetch(`${base}/treasury/v1/log?${query}`);
    return { status: response.status, ...((await response.json()) as { error: Record<string, unknown> }).error };
  };
  assert.deepEqual(await refused('from=4'), {
    status: 416,
    code: 'TREASURY_OFFSET_OUT_OF_RANGE',
    message: 'Cannot read from offset 4: the log holds 0 to 3 (exclusive)',
    requested: '4',
    firstOffset: '0',
    nextOffset: '3',
  });
  for (const query of [
    'from=x',
    'from=-1',
    'limit=0',
    'follow=yes',
    'signal=log',
    'decoded=1',
    'form=3',
    'from=1&from=2',
  ]) {
    const { status, message, parameter } = await refused(query);
    const name = query.split('=')[0];
    assert.deepEqual({ status, parameter }, { status: 400, parameter: name }, query);
    assert.match(String(message), new RegExp(`parameter ${name}`));
  }
});

test('GET /treasury/v1/log?follow goes from what is there over to what comes, without gap or repeat', async (t) => {
  const { base, log } = await startPullServer(t, { limits: SMALL });
  await append(log, 50);
  const response = await fetch(`${base}/treasury/v1/log?from=5&follow=true`);
  const body = response.body!.getReader();
  const reader = createEntryStreamReader();
  const seen: number[] = [];
  const appending = (async () => {
    for (let i = 0; i < 40; i++) await append(log, 5);
  })();
  while (seen.length < 245) {
    const { value } = await body.read();
    seen.push(...offsets(reader.push(value!)));
  }
  await appending;
  assert.deepEqual(seen, range(5, 250));
  assert.equal(reader.isEnded, false);
  await append(log, 1);
  const { value } = await body.read();
  assert.deepEqual(offsets(reader.push(value!)), [250]);
  await body.cancel();
});

test('GET /treasury/v1/log?follow&limit ends after its entries', async (t) => {
  const { base, log } = await startPullServer(t);
  await append(log, 3);
  const pulling = pull(`${base}/treasury/v1/log?follow=true&limit=5`);
  await append(log, 5);
  const { entries, isEnded } = await pulling;
  assert.deepEqual(offsets(entries), range(0, 5));
  assert.ok(isEnded);
});

/** A client that asks and reads nothing. */
async function stalledClient(url: string): Promise<IncomingMessage> {
  const request = get(url);
  request.on('error', () => {});
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.on('error', () => {});
  response.pause();
  return response;
}

test('a client that does not read holds a bounded buffer and nobody up', async (t) => {
  const { base, log, pulls } = await startPullServer(t);
  await append(log, 60, 1_000_000);
  const clients = await Promise.all(range(0, 3).map(() => stalledClient(`${base}/treasury/v1/log`)));
  await append(log, 30, 100_000);
  assert.equal((await pull(`${base}/treasury/v1/log?from=80`)).entries.length, 10);
  const { running, entries } = pulls.status().log;
  assert.equal(running, 3);
  assert.ok(entries < 3 * 20 + 10, `${entries} entries were read ahead`);
  for (const client of clients) client.destroy();
  while (pulls.status().log.running > 0) await new Promise((resolve) => setTimeout(resolve, 5));
});

test('writePaced gives up a client that does not read in time, and counts it', async (t) => {
  const { createServer } = await import('node:http');
  let stalls = 0;
  const place = { sent() {}, entries() {}, stalled: () => stalls++, leave() {} };
  const outcome = new Promise<string>((resolve) => {
    const server = createServer((_request, response) => {
      async function* chunks() {
        for (;;) yield Buffer.alloc(1_000_000);
      }
      void writePaced(response, chunks(), place, { stallMaxMs: 50 }).then((end) => {
        response.destroy();
        resolve(end);
      });
    });
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      void stalledClient(`http://127.0.0.1:${port}/`);
    });
    t.after(() => server.close());
  });
  assert.equal(await outcome, 'stalled');
  assert.equal(stalls, 1);
});

test('a pull that the server cuts does not look whole', async (t) => {
  const { base, log, pulls } = await startPullServer(t);
  await append(log, 10);
  const response = await fetch(`${base}/treasury/v1/log?follow=true`);
  const body = response.body!.getReader();
  const reader = createEntryStreamReader();
  const seen: number[] = [];
  while (seen.length < 10) seen.push(...offsets(reader.push((await body.read()).value!)));
  await pulls.stop();
  await assert.rejects(async () => {
    while (!(await body.read()).done);
  });
  assert.equal(reader.isEnded, false);
  assert.equal(reader.nextOffset, 10n);
});

test('pulls above their bound are told to come again', async (t) => {
  const { base, log } = await startPullServer(t, { pullsMax: 1 });
  await append(log, 1);
  const first = await fetch(`${base}/treasury/v1/log?follow=true`);
  const second = await fetch(`${base}/treasury/v1/log`);
  assert.equal(second.status, 503);
  assert.equal(second.headers.get('retry-after'), '1');
  assert.equal(((await second.json()) as { error: { code: string } }).error.code, 'TREASURY_PULL_LIMIT');
  await first.body!.cancel();
  while ((await fetch(`${base}/treasury/v1/log?from=end`)).status === 503)
    await new Promise((resolve) => setTimeout(resolve, 5));
});

test('metrics tell pulls, their bytes and their entries', async (t) => {
  const { base, log } = await startPullServer(t);
  await append(log, 7);
  const bytes = (await (await fetch(`${base}/treasury/v1/log`)).arrayBuffer()).byteLength;
  const text = await (await fetch(`${base}/metrics`)).text();
  for (const line of [
    'treasury_pulls{kind="log"} 0',
    'treasury_pulls_started_total{kind="log"} 1',
    `treasury_pulled_bytes_total{kind="log"} ${bytes}`,
    'treasury_pulled_entries_total 7',
    'treasury_pull_stalls_total{kind="log"} 0',
  ]) {
    assert.ok(text.includes(`\n${line}\n`), line);
  }
});
