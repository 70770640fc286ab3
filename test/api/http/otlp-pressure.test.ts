/**
 * Goal: memory, requests and connections of the OTLP/HTTP port are bounded, and senders past a bound are told to come again.
 * Method: a real server with small bounds or many senders, a log that holds or refuses on command and fsyncs a real file.
 * Invariant: after everything was answered no byte counts as in flight.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { LIMITS } from '../../../src/base/index.ts';
import { compressZstd, initZstd } from '../../../src/otap/index.ts';
import {
  allReleased,
  JSON_TYPE,
  logsRequest,
  type OtlpHarness,
  postHead,
  PROTOBUF,
  readStatus,
  startOtlpHarness,
} from './otlp-harness.ts';

await initZstd();

async function heldAppends({ log }: OtlpHarness, count: number): Promise<void> {
  while (log.held < count) await new Promise((resolve) => setTimeout(resolve, 1));
}

test('announcing large bodies takes no room from others', async (t) => {
  const harness = await startOtlpHarness(t);
  for (let count = 0; count < 1000; count++) {
    const { socket } = await harness.connect();
    socket.write(postHead(`Content-Length: ${LIMITS.messageBytesMax}`).replace(JSON_TYPE, PROTOBUF));
  }
  assert.equal(harness.intake.admission.inFlightBytes, 0);
  assert.equal((await harness.post(logsRequest())).status, 200);
});

test('bodies that arrive take no room in flight from others', async (t) => {
  const harness = await startOtlpHarness(t, { inFlightBytesMax: 100_000 });
  const slow = await harness.connect();
  slow.socket.write(postHead(`Content-Length: 700000`));
  slow.socket.write(Buffer.alloc(600_000));
  while (harness.listener.arrivingBytes < 600_000) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(harness.intake.admission.inFlightBytes, 0);
  assert.equal((await harness.post(logsRequest(1, 60_000))).status, 200);
  slow.socket.destroy();
  await allReleased(harness);
});

test('past the bytes that may arrive, the body that has been silent longest is answered 503', async (t) => {
  const harness = await startOtlpHarness(t, { limits: { arrivingBytesMax: 100_000 } });
  const spaces = (bytes: number): string => ' '.repeat(bytes);
  const arrived = async (bytes: number): Promise<void> => {
    while (harness.listener.arrivingBytes !== bytes) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const [busy, silent, last] = [await harness.connect(), await harness.connect(), await harness.connect()];
  busy.socket.write(postHead('Content-Length: 60003') + spaces(60_000));
  await arrived(60_000);
  silent.socket.write(postHead('Content-Length: 40000') + spaces(30_000));
  await arrived(90_000);
  busy.socket.write(' ');
  await arrived(90_001);
  last.socket.write(postHead('Content-Length: 30002') + spaces(30_000));
  await silent.hears('"code":14');
  assert.match(silent.heard(), /^HTTP\/1\.1 503 [^]*\r\nRetry-After: 1\r\n/);
  await arrived(90_001);
  for (const { socket, hears } of [busy, last]) {
    socket.write('{}');
    await hears('200 OK');
  }
  assert.equal(harness.counts().unavailable, 1);
  await allReleased(harness);
});

test('a request waits for room in flight, and is taken when there is', async (t) => {
  const harness = await startOtlpHarness(t, { inFlightBytesMax: 100_000, limits: { holdMaxMs: 60_000 } });
  const halfway = await harness.connect();
  halfway.socket.write(`${postHead('Content-Length: 2')}{`);
  while (harness.listener.arrivingBytes === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  harness.log.hold();
  const first = harness.post(logsRequest(1, 60_000));
  await heldAppends(harness, 1);
  halfway.socket.write('}');
  const gone = await harness.connect();
  gone.socket.write(`${postHead('Content-Length: 2')}{`);
  const broken = await harness.connect();
  broken.socket.write(`${postHead('Transfer-Encoding: chunked')}no size`);
  const second = harness.post(logsRequest());
  // All of them are there, and none is read.
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual([harness.log.held, harness.listener.arrivingBytes], [1, 2]);
  gone.socket.destroy();
  harness.log.release();
  await halfway.hears('200 OK');
  await broken.hears('400 Bad Request');
  assert.deepEqual([(await first).status, (await second).status], [200, 200]);
  await allReleased(harness);
});

test('a body that finds no room is answered 503 at its first bytes, and none of it is kept', async (t) => {
  const harness = await startOtlpHarness(t, { inFlightBytesMax: 100_000, limits: { holdMaxMs: 20 } });
  harness.log.hold();
  const first = harness.post(logsRequest(1, 60_000));
  await heldAppends(harness, 1);
  const before = harness.intake.admission.inFlightBytes;
  const connection = await harness.connect();
  connection.socket.write(postHead(`Content-Length: ${LIMITS.otlpJsonBytesMax}`));
  connection.socket.write(Buffer.alloc(60_000));
  await connection.hears('"code":14');
  assert.match(connection.heard(), /^HTTP\/1\.1 503 [^]*\r\nRetry-After: 1\r\n[^]*RetryInfo/);
  assert.match(connection.heard(), /\r\nConnection: close\r\n/);
  assert.equal(harness.intake.admission.inFlightBytes, before);
  await connection.closed;
  harness.log.release();
  assert.equal((await first).status, 200);
  assert.equal(harness.counts().unavailable, 1);
  await allReleased(harness);
  assert.equal((await harness.post(logsRequest(1, 60_000))).status, 200);
});

test('bytes behind a compression count, too', async (t) => {
  const harness = await startOtlpHarness(t, { inFlightBytesMax: 400_000 });
  harness.log.hold();
  const first = harness.post(logsRequest(1, 100_000));
  await heldAppends(harness, 1);
  for (const [encoding, encode] of [
    ['gzip', gzipSync],
    ['zstd', compressZstd],
  ] as const) {
    const answer = await harness.post(encode(logsRequest(1, 350_000)), { headers: { 'content-encoding': encoding } });
    assert.equal(answer.status, 503, encoding);
    const { code, hasRetryInfo } = readStatus(answer);
    assert.deepEqual({ code, hasRetryInfo }, { code: 14, hasRetryInfo: true });
  }
  const second = harness.post(gzipSync(logsRequest(1, 200_000)), { headers: { 'content-encoding': 'gzip' } });
  await heldAppends(harness, 2);
  assert.ok(harness.intake.admission.inFlightBytes >= 300_000);
  harness.log.release();
  assert.deepEqual([(await first).status, (await second).status], [200, 200]);
  await allReleased(harness);
});

test('bombs that wait for room together are not decompressed once one of them has filled it', async (t) => {
  const harness = await startOtlpHarness(t, { inFlightBytesMax: 400_000, limits: { holdMaxMs: 500 } });
  const { admission } = harness.intake;
  const bomb = compressZstd(logsRequest(1, 350_000));
  let bombs = 0;
  const { admit } = admission;
  admission.admit = (bytes) => {
    if (bytes > 300_000) bombs++;
    return admit(bytes);
  };
  const begun = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const connection = await harness.connect();
      const head = postHead(`Content-Length: ${bomb.length}`, 'Content-Encoding: zstd');
      connection.socket.write(head.replace(JSON_TYPE, PROTOBUF));
      connection.socket.write(bomb.subarray(0, -1));
      return connection;
    }),
  );
  const arrived = async (bytes: number): Promise<void> => {
    while (harness.listener.arrivingBytes !== bytes) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  await arrived(begun.length * (bomb.length - 1));
  admit(250_000);
  for (const { socket } of begun) socket.write(bomb.subarray(-1));
  await arrived(begun.length * bomb.length);
  harness.log.hold();
  admission.release(250_000);
  while (harness.counts().unavailable < begun.length - 1) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(bombs, 1);
  harness.log.release();
  await Promise.all(begun.map(({ hears }) => hears('HTTP/1.1 ')));
  const statuses = begun.map(({ heard }) => heard().slice(9, 12)).toSorted();
  assert.deepEqual(statuses, ['200', ...Array.from({ length: begun.length - 1 }, () => '503')]);
});

test('a body that is alone is taken whatever its size is against the bound', async (t) => {
  const harness = await startOtlpHarness(t, { inFlightBytesMax: 10_000 });
  const body = logsRequest(1, 1_000_000);
  assert.equal((await harness.post(body)).status, 200);
  assert.equal(
    (await harness.post(gzipSync(body, { level: 0 }), { headers: { 'content-encoding': 'gzip' } })).status,
    200,
  );
  assert.equal((await harness.post(compressZstd(body), { headers: { 'content-encoding': 'zstd' } })).status, 200);
  assert.deepEqual(
    harness.log.batches.map(({ record }) => record),
    [body, body, body],
  );
  await allReleased(harness);
});

test('requests past the bound are answered 503 while those before are under way, slow senders not among them', async (t) => {
  const harness = await startOtlpHarness(t, { limits: { requestsMax: 2 } });
  for (let count = 0; count < 5; count++) (await harness.connect()).socket.write(`${postHead('Content-Length: 9')}{`);
  harness.log.hold();
  const taken = [harness.post(logsRequest()), harness.post(logsRequest())];
  await heldAppends(harness, 2);
  const refused = await harness.post(logsRequest());
  assert.equal(refused.status, 503);
  assert.equal(refused.headers['retry-after'], '1');
  assert.equal(readStatus(refused).code, 14);
  harness.log.release();
  assert.deepEqual(
    (await Promise.all(taken)).map(({ status }) => status),
    [200, 200],
  );
  assert.equal((await harness.post(logsRequest())).status, 200);
});

test('connections past the bound are told so and end, still more are dropped', async (t) => {
  const harness = await startOtlpHarness(t, { limits: { connectionsMax: 2, excessConnectionsMax: 1 } });
  const within = [await harness.connect(), await harness.connect()];
  const excess = await harness.connect();
  const dropped = await harness.connect();
  await dropped.closed;
  assert.equal(dropped.heard(), '');
  const request = `${postHead('Content-Length: 2')}{}`;
  excess.socket.write(request);
  await excess.closed;
  assert.match(excess.heard(), /^HTTP\/1\.1 503 [^]*Retry-After: 1\r\n[^]*"code":14/);
  for (const { socket, hears } of within) {
    socket.write(request);
    await hears('200 OK');
  }
  within[0]!.socket.destroy();
  await within[0]!.closed;
  // The server may see the end of that one a moment later.
  for (let isTaken = false; !isTaken; ) {
    const next = await harness.connect();
    next.socket.write(request);
    await next.hears(/HTTP\/1\.1 (200|503) /);
    isTaken = next.heard().startsWith('HTTP/1.1 200 ');
    next.socket.destroy();
    await next.closed;
  }
});

test('a small body that is refused keeps its connection, a large one is read until its sender has the answer', async (t) => {
  const harness = await startOtlpHarness(t);
  const connection = await harness.connect();
  const head = (bytes: number): string => postHead(`Content-Length: ${bytes}`, 'Content-Encoding: br');
  connection.socket.write(head(100_000) + 'x'.repeat(100_000));
  await connection.hears('415');
  connection.socket.write(`${postHead('Content-Length: 2')}{}`);
  await connection.hears('200 OK');
  const bytes = 40_000_000;
  connection.socket.write(head(bytes));
  let failure: Error | null = null;
  connection.socket.on('error', (error) => {
    failure = error;
  });
  connection.socket.write(Buffer.alloc(bytes));
  await connection.hears(/415 [^]*415 [^]*Connection: close[^]*"code":12/);
  await connection.closed;
  assert.equal(failure, null);
  assert.equal(harness.intake.admission.inFlightBytes, 0);
});

test('stop answers what is under way, ends every connection and refuses what begins', async (t) => {
  const harness = await startOtlpHarness(t);
  const idle = await harness.connect();
  idle.socket.write(`${postHead('Content-Length: 2')}{}`);
  await idle.hears('200 OK');
  const begun = await harness.connect();
  begun.socket.write('POST /v1/logs HTTP/1.1\r\n');
  const halfway = await harness.connect();
  halfway.socket.write(`${postHead('Content-Length: 2')}{`);
  harness.log.hold();
  const logged = await harness.connect();
  logged.socket.write(`${postHead('Content-Length: 2')}{}`.repeat(2));
  await heldAppends(harness, 2);
  while (harness.listener.arrivingBytes < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  const stopped = harness.listener.stop();
  await idle.closed;
  begun.socket.write('Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}');
  await begun.closed;
  assert.match(begun.heard(), /^HTTP\/1\.1 503 [^]*Retry-After: 1\r\n[^]*Connection: close\r\n/);
  halfway.socket.write('}');
  await heldAppends(harness, 3);
  harness.log.release();
  await Promise.all([halfway.closed, logged.closed]);
  assert.match(halfway.heard(), /^HTTP\/1\.1 200 [^]*Connection: close\r\n/);
  assert.match(logged.heard(), /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 200 [^]*Connection: close\r\n/);
  await stopped;
  await allReleased(harness);
});
