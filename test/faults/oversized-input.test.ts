/**
 * Goal: the size of what is sent cannot take the server's memory, and whoever sends too much is told what the limit is.
 * Method: a real server; messages of 4 MiB to 1 GiB, announced only and really sent, over OTAP, OTLP/gRPC and OTLP/HTTP; batches at
 * the edge of OTAP's 16-bit ids (65,535, 65,536 and 65,537 rows), of 10,000 payloads and of 10,000 columns; strings of 32 MiB. A good
 * client sends all the while. Beside: test/api/grpc/malformed.test.ts (a message above its limit, bombs), test/api/http/otlp-body.test.ts.
 * Invariant: taken whole, with every row in the tables, or refused with INVALID_ARGUMENT (400, 413) and the limit in the reason; memory
 * stays below a bound that does not grow with what was announced; the good client is answered OK every time.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { test, type TestContext } from 'node:test';
import { Field, makeData, Struct, Uint16, Uint8, Utf8, vectorFromArray } from 'apache-arrow';
import { LIMITS } from '../../src/base/index.ts';
import { exportRequest } from '../api/grpc/otlp-messages.ts';
import { batchOfData, splitAtBatches, streamOf } from '../helpers/arrow-streams.ts';
import { ARROW_PATHS, connectOtap, type OtapClient, type RawCall } from '../helpers/otap-client.ts';
import { encodeBatch } from '../helpers/otap-messages.ts';

import { createOtlpHttpClient, exportGrpc, OTLP_GRPC_PATHS, OTLP_HTTP_PATHS } from '../helpers/otlp-client.ts';
import {
  fetchSql,
  scratchDirectory,
  type ServerProcess,
  startServerProcess,
  untilMaterialized,
} from '../helpers/server-process.ts';

const MIB = 1024 * 1024;
const ANNOUNCED_BYTES = [LIMITS.messageBytesMax + 1, 256 * MIB, 1024 * MIB];
const SENT_BYTES = 1024 * MIB;
/** As much again as memory may grow, should they be kept. */
const REFUSED_BODIES = 8;
/** One body of the largest size in chunks that are put together, and what of it is not collected yet; 4 GiB are sent. */
const REFUSED_GROWTH_MAX_BYTES = 384 * MIB;
/** Texts of 32 MiB as they came, decoded, in the tables' arena and in DuckDB. */
const TAKEN_GROWTH_MAX_BYTES = 1024 * MIB;
const INVALID_ARGUMENT = 3;
const GRPC_PATHS = { OTAP: ARROW_PATHS.logs, 'OTLP/gRPC': OTLP_GRPC_PATHS.logs };

test('messages of any size are taken or refused with the limit, in bounded memory', async (t) => {
  const server = await startServerProcess(scratchDirectory(t));
  t.after(() => server.end('SIGKILL'));
  const client = await connectOtap(server.grpc);
  t.after(() => client.destroy());
  await assertGood(client);
  const idleBytes = residentBytes(server, 'VmRSS');

  for (const [name, path] of Object.entries(GRPC_PATHS)) {
    for (const bytes of ANNOUNCED_BYTES) {
      await t.test(`${name}: ${bytes} bytes announced`, async () => {
        const call = client.call(path);
        await call.sendFrame(Buffer.alloc(1000), 0, bytes);
        await assertRefused(call);
        await assertGood(client);
      });
    }
    await t.test(`${name}: 1 GiB sent`, async () => {
      const other = await connectOtap(server.grpc);
      const call = other.call(path, { lingers: true });
      await call.sendFrame(Buffer.alloc(0), 0, SENT_BYTES);
      const written = await sendUntilOver(call, SENT_BYTES);
      await assertRefused(call);
      assert.ok(written < 2 * LIMITS.messageBytesMax, `${written} bytes were taken`);
      other.destroy();
      await assertGood(client);
    });
  }
  for (const isAnnounced of [true, false]) {
    await t.test(
      `OTLP/HTTP: 1 GiB ${isAnnounced ? 'announced' : 'in chunks'}, and sent as far as it is taken`,
      async () => {
        const { status, text, sent } = await postUntilAnswered(server, SENT_BYTES, isAnnounced);
        assert.equal(status, 413);
        assert.match(text, new RegExp(String(LIMITS.messageBytesMax)));
        // What is announced is refused before it is read; in chunks, not before it is too much.
        const bytesMax = isAnnounced ? LIMITS.messageBytesMax : 2 * LIMITS.messageBytesMax;
        assert.ok(sent < bytesMax, `${sent} bytes were taken`);
        await assertGood(client);
      },
    );
  }
  await t.test(`OTLP/HTTP: nothing is kept of ${REFUSED_BODIES} bodies that were refused`, async () => {
    for (let body = 0; body < REFUSED_BODIES; body++) {
      assert.equal((await postUntilAnswered(server, SENT_BYTES, false)).status, 413);
    }
    await assertGood(client);
  });
  assertGrowth(t, server, idleBytes, REFUSED_GROWTH_MAX_BYTES);
  for (const mebibytes of [4, 32]) {
    await t.test(`a string of ${mebibytes} MiB is taken whole over OTLP/gRPC and OTLP/HTTP`, async () => {
      const body = exportRequest('logs', { rows: 1, text: 'x'.repeat(mebibytes * MIB) });
      assert.equal((await exportGrpc(client, 'logs', body)).code, 0);
      const http = await createOtlpHttpClient(server.otlpHttp);
      assert.equal((await http.export('logs', body)).status, 200);
      http.close();
      await untilMaterialized(server);
      const rows = await fetchSql(server, `SELECT count(*) FROM logs WHERE strlen(body) = ${mebibytes * MIB}`);
      assert.equal(Number(rows[0]![0]), 2);
    });
  }
  assertGrowth(t, server, idleBytes, TAKEN_GROWTH_MAX_BYTES);
});

test('batches of many rows, payloads and columns are whole or refused with the limit', async (t) => {
  const server = await startServerProcess(scratchDirectory(t));
  t.after(() => server.end('SIGKILL'));
  const client = await connectOtap(server.grpc);
  t.after(() => client.destroy());

  for (const rows of [65_535, 65_536, 65_537]) {
    await t.test(`${rows} rows, each with an attribute of its own`, async () => {
      const from = (await untilMaterialized(server)).durableOffset;
      assert.equal((await sendOne(client, logsBatch(rows))).code, 0);
      assert.equal((await exportGrpc(client, 'logs', exportRequest('logs', { rows }))).code, 0);
      const status = await untilMaterialized(server);
      const found = await fetchSql(
        server,
        `SELECT count(*), count(DISTINCT attributes->>'n'), bool_and(body = coalesce(attributes->>'n', body))
         FROM logs WHERE entry_offset >= ${from} GROUP BY entry_offset ORDER BY entry_offset`,
      );
      const set = JSON.stringify(status['quarantined'] ?? status);
      if (rows <= 65_536) {
        assert.deepEqual(
          found.map(([count, distinct, same]) => [Number(count), Number(distinct), same]),
          [
            [rows, rows, true],
            [rows, 0, true],
          ],
        );
      } else {
        // 16 bits do not tell more rows apart: their attributes would be of two rows each.
        assert.deepEqual(
          found.map(([count]) => Number(count)),
          [rows],
          'only the OTLP request has rows',
        );
        assert.match(set, /65,?536|16/);
      }
    });
  }
  await t.test('10,000 payloads', async () => {
    const record = logsRecord(1);
    const batch = encodeBatch(Array.from({ length: 10_000 }, () => ({ name: 'LOGS' as const, record })));
    const { code, message } = await sendOne(client, batch);
    assert.equal(code, INVALID_ARGUMENT);
    assert.match(message, new RegExp(`\\b${LIMITS.batchPayloadsMax}\\b`));
  });
  await t.test('10,000 columns', async () => {
    const column = vectorFromArray([1], new Uint16()).data[0]!;
    const columns = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`column_${i}`, column]));
    const { code, message } = await sendOne(
      client,
      encodeBatch([{ name: 'LOGS', record: streamOf([batchOfData(columns)]) }]),
    );
    assert.equal(code, INVALID_ARGUMENT);
    assert.match(message, new RegExp(`\\b${LIMITS.schemaFieldsMax}\\b`));
  });
  await assertGood(client);
  assert.equal(server.child.exitCode, null);
});

/** One batch with a body and an attribute `n` for each row, both its number; ids as exporters write them, one after the other. */
function logsBatch(rows: number): Buffer {
  const numbers = Array.from({ length: rows }, (_, row) => String(row));
  const attributes = batchOfData({
    parent_id: { data: vectorFromArray(numbers.map(Number), new Uint16()).data[0]!, metadata: { encoding: 'plain' } },
    key: vectorFromArray(
      numbers.map(() => 'n'),
      new Utf8(),
    ).data[0]!,
    type: vectorFromArray(
      numbers.map(() => STRING_TYPE),
      new Uint8(),
    ).data[0]!,
    str: vectorFromArray(numbers, new Utf8()).data[0]!,
  });
  return encodeBatch([
    { name: 'LOGS', record: logsRecord(rows) },
    { name: 'LOG_ATTRS', record: splitAtBatches(streamOf([attributes]))[0]! },
  ]);
}

/** Type of a text in attribute and body columns. */
const STRING_TYPE = 1;

function logsRecord(rows: number): Uint8Array {
  const deltas = Array.from({ length: rows }, (_, row) => (row === 0 ? 0 : 1));
  const type = vectorFromArray(
    deltas.map(() => STRING_TYPE),
    new Uint8(),
  ).data[0]!;
  const str = vectorFromArray(
    deltas.map((_, row) => String(row)),
    new Utf8(),
  ).data[0]!;
  const fields = [new Field('type', type.type, true), new Field('str', str.type, true)];
  const body = makeData({ type: new Struct(fields), length: rows, nullCount: 0, children: [type, str] });
  const batch = batchOfData({ id: vectorFromArray(deltas, new Uint16()).data[0]!, body });
  return splitAtBatches(streamOf([batch]))[0]!;
}

/** How a stream of one batch was answered: the batch's status, or the stream's end where it has none. */
async function sendOne(client: OtapClient, batch: Uint8Array): Promise<{ code: number; message: string }> {
  const stream = client.openStream('logs');
  await stream.send(batch);
  stream.halfClose();
  const end = await stream.ended;
  return stream.statuses[0] ?? end;
}

async function assertGood(client: OtapClient): Promise<void> {
  assert.equal((await exportGrpc(client, 'logs', exportRequest('logs'))).code, 0);
}

async function assertRefused(call: RawCall): Promise<void> {
  const { code, message } = await call.ended;
  assert.equal(code, INVALID_ARGUMENT, message);
  assert.match(message, new RegExp(String(LIMITS.messageBytesMax)));
}

/** Writes until the call is over or all is written. Returns the bytes that were taken off this side's hands. */
async function sendUntilOver(call: RawCall, bytes: number): Promise<number> {
  const chunk = Buffer.alloc(MIB);
  const over = call.ended.then(() => true);
  const closed = new Promise<boolean>((resolve) => call.stream.once('close', () => resolve(true)));
  let written = 0;
  while (written < bytes) {
    const isOver = await Promise.race([over, closed, call.write(chunk).then(() => false)]);
    if (isOver) break;
    written += chunk.length;
  }
  return written;
}

/** Posts a body of so many bytes, until there is an answer. */
function postUntilAnswered(
  server: ServerProcess,
  bytes: number,
  isAnnounced: boolean,
): Promise<{ status: number; text: string; sent: number }> {
  return new Promise((resolve, reject) => {
    const chunk = Buffer.alloc(MIB);
    const call = request(`http://${server.otlpHttp}${OTLP_HTTP_PATHS.logs}`, {
      method: 'POST',
      agent: false,
      headers: {
        'content-type': 'application/x-protobuf',
        ...(isAnnounced ? { 'content-length': bytes } : { 'transfer-encoding': 'chunked' }),
      },
    });
    let sent = 0;
    let isAnswered = false;
    const send = (): void => {
      if (isAnswered || sent >= bytes) return;
      call.write(chunk, () => {
        sent += chunk.length;
        send();
      });
    };
    call.once('response', (response) => {
      isAnswered = true;
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.once('end', () => {
        call.destroy();
        resolve({ status: response.statusCode!, text: Buffer.concat(parts).toString('latin1'), sent });
      });
    });
    call.on('error', (error) => (isAnswered ? undefined : reject(error)));
    send();
  });
}

function assertGrowth(t: TestContext, server: ServerProcess, idleBytes: number, bytesMax: number): void {
  const grown = residentBytes(server, 'VmHWM') - idleBytes;
  t.diagnostic(`memory grew by ${Math.round(grown / MIB)} MiB at most`);
  assert.ok(grown < bytesMax, `memory grew by ${grown} bytes`);
}

function residentBytes(server: ServerProcess, figure: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${server.child.pid}/status`, 'utf8');
  return Number(new RegExp(`${figure}:\\s+(\\d+)`).exec(status)![1]) * 1024;
}
