/** Many OTLP calls, slow ones, cancelled ones, and a server that stops: what is answered, and what is held in memory meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../../src/base/index.ts';
import { type CallEnd, compressMessage, type OtapClient, type RawCall } from '../../helpers/otap-client.ts';
import { exportGrpc, OTLP_GRPC_PATHS } from '../../helpers/otlp-client.ts';
import { eventually, type GrpcFixture, startFixture } from './grpc-fixture.ts';
import { exportRequest, statusDetails } from './otlp-messages.ts';

const OK = 0;
const UNAVAILABLE = 14;
const DEADLINE_EXCEEDED = 4;
const MIB = 1024 * 1024;
const NEVER_MS = 600_000;
const request = exportRequest('logs');

function isToldToRetry(end: CallEnd): boolean {
  if (end.code !== UNAVAILABLE) return false;
  const details = statusDetails({ ...end.headers, ...end.trailers }['grpc-status-details-bin']);
  return details.code === UNAVAILABLE && details.retryAfterMs === LIMITS.otlpRetryAfterMs;
}

/** Settles when nothing of any request is held. */
async function isIdle({ server, intake }: GrpcFixture): Promise<void> {
  await eventually(() => server.status().otlpWaitingBytes === 0);
  await eventually(() => intake.admission.inFlightBytes === 0);
  await eventually(() => intake.status().inFlight === 0);
}

/** Sends a request and goes no further: the call is open. */
function openCall(client: OtapClient, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): RawCall {
  const call = client.call(OTLP_GRPC_PATHS.logs, { headers });
  void call.send(body);
  return call;
}

test('requests past the bytes in flight are UNAVAILABLE with RetryInfo, and are taken again when there is room', async (t) => {
  const inFlight = { inFlightReadBytesMax: 3 * request.length, inFlightBytesMax: 4 * request.length };
  const fixture = await startFixture(t, { ...inFlight, readHoldMaxMs: 30, appendWaitMaxMs: NEVER_MS });
  const { server, intake, log, connect } = fixture;
  const clients = await Promise.all([connect(), connect()]);
  log.hold();
  const ends = Array.from({ length: 100 }, (_, i) => exportGrpc(clients[i % 2]!, 'logs', request));
  await eventually(() => intake.status().requests.grpc.logs.unavailable === 97);
  assert.equal(log.appends, 3);
  assert.equal(intake.admission.inFlightBytes, 3 * request.length);
  assert.equal(server.status().inFlightBytes, 3 * request.length);
  assert.equal(server.status().otlpWaitingBytes, 0);
  log.release();
  const settled = await Promise.all(ends);
  assert.equal(settled.filter(({ code }) => code === OK).length, 3);
  assert.equal(settled.filter(isToldToRetry).length, 97);
  await isIdle(fixture);
  assert.equal((await exportGrpc(clients[0]!, 'logs', request)).code, OK);
  assert.equal(log.batches.length, 4);
});

test('requests wait for room, as they came, and are taken when there is', async (t) => {
  const fixture = await startFixture(t, {
    inFlightReadBytesMax: 1,
    readHoldMaxMs: NEVER_MS,
    appendWaitMaxMs: NEVER_MS,
  });
  const { server, intake, log, connect } = fixture;
  const { admission } = intake;
  const { wait } = admission;
  let waiting = 0;
  admission.wait = (wake) => {
    waiting++;
    const unwait = wait(wake);
    return () => {
      waiting--;
      unwait();
    };
  };
  const client = await connect();
  log.hold();
  const ends = Array.from({ length: 20 }, () => exportGrpc(client, 'logs', request, { encoding: 'zstd' }));
  const compressedBytes = compressMessage(request, 'zstd').length;
  await eventually(() => server.status().otlpWaitingBytes > 19 * compressedBytes);
  assert.equal(log.appends, 1);
  assert.equal(intake.admission.inFlightBytes, request.length);
  assert.equal(waiting, 1);
  log.release();
  assert.ok((await Promise.all(ends)).every(({ code }) => code === OK));
  await isIdle(fixture);
  assert.equal(waiting, 0);
});

test('a request that would pass the bytes in flight is refused although there was room to read', async (t) => {
  const fixture = await startFixture(t, {
    inFlightReadBytesMax: request.length + 1,
    inFlightBytesMax: 2 * request.length - 1,
  });
  const { intake, log, connect } = fixture;
  const client = await connect();
  log.hold();
  const first = exportGrpc(client, 'logs', request);
  await eventually(() => log.held === 1);
  assert.ok(isToldToRetry(await exportGrpc(client, 'logs', request, { encoding: 'gzip' })));
  assert.equal(intake.admission.inFlightBytes, request.length);
  log.release();
  assert.equal((await first).code, OK);
  await isIdle(fixture);
  assert.equal(log.appends, 1);
});

test('a request whose turn comes too late for its exporter is told to come again', async (t) => {
  const fixture = await startFixture(t, { appendWaitMaxMs: 0 });
  const { intake, log, connect } = fixture;
  assert.ok(isToldToRetry(await exportGrpc(await connect(), 'logs', request)));
  assert.equal(intake.status().requests.grpc.logs.unavailable, 1);
  await isIdle(fixture);
  assert.equal(log.appends, 0);
});

test('bombs that come together are decompressed one at a time', async (t) => {
  const fixture = await startFixture(t, {
    inFlightReadBytesMax: 32 * MIB,
    inFlightBytesMax: 64 * MIB,
    appendWaitMaxMs: NEVER_MS,
  });
  const { server, intake, log, connect } = fixture;
  const client = await connect();
  // Sound, and large only when decompressed: each fits the bound of one message, all together a gigabyte.
  const large = exportRequest('logs', { rows: 1, text: 'a'.repeat(16 * MIB) });
  const bomb = compressMessage(large, 'gzip');
  assert.ok(bomb.length < 32 * 1024);
  log.hold();
  const before = process.memoryUsage.rss();
  const ends = Array.from({ length: 64 }, async () => {
    const call = client.call(OTLP_GRPC_PATHS.logs, { encoding: 'gzip' });
    await call.sendFrame(bomb, 1);
    call.halfClose();
    return call.ended;
  });
  await eventually(() => intake.status().requests.grpc.logs.unavailable === 62);
  assert.equal(intake.admission.inFlightBytes, 2 * large.length);
  assert.ok(process.memoryUsage.rss() - before < 512 * MIB);
  log.release();
  const settled = await Promise.all(ends);
  assert.equal(settled.filter(({ code }) => code === OK).length, 2);
  assert.equal(settled.filter(isToldToRetry).length, 62);
  assert.equal(server.status().otlpWaitingBytes, 0);
});

test('bombs in calls that are never half-closed are not decompressed', async (t) => {
  const fixture = await startFixture(t);
  const { server, intake, connect } = fixture;
  const client = await connect();
  const bomb = compressMessage(Buffer.alloc(32 * MIB), 'gzip');
  const calls = Array.from({ length: 50 }, () => {
    const call = client.call(OTLP_GRPC_PATHS.logs, { encoding: 'gzip' });
    void call.sendFrame(bomb, 1);
    return call;
  });
  await eventually(() => server.status().otlpWaitingBytes >= 50 * bomb.length);
  assert.ok(server.status().otlpWaitingBytes < 60 * bomb.length);
  assert.equal(intake.admission.inFlightBytes, 0);
  for (const call of calls) call.cancel();
  await isIdle(fixture);
});

test('requests that arrive together past the bytes that may wait are refused while they arrive', async (t) => {
  const fixture = await startFixture(t, { otlpWaitingBytesMax: 2 * MIB });
  const { server, intake, log, connect } = fixture;
  const client = await connect();
  const claimed = MIB;
  const calls = Array.from({ length: 10 }, () => {
    const call = client.call(OTLP_GRPC_PATHS.logs);
    // All but the last byte of a message.
    void call.sendFrame(Buffer.alloc(claimed - 1), 0, claimed);
    return call;
  });
  const told: CallEnd[] = [];
  for (const call of calls) void call.ended.then((end) => told.push(end));
  await eventually(() => told.length >= 8 && told.length === intake.status().requests.grpc.logs.unavailable);
  assert.ok(told.every(isToldToRetry));
  assert.ok(server.status().otlpWaitingBytes <= 2 * MIB);
  for (const call of calls) call.cancel();
  await isIdle(fixture);
  assert.equal(log.appends, 0);
  assert.equal((await exportGrpc(client, 'logs', request)).code, OK);
});

test('a request that comes in single bytes is counted at what it costs', async (t) => {
  const fixture = await startFixture(t, { otlpWaitingBytesMax: 50_000 });
  const call = (await fixture.connect()).call(OTLP_GRPC_PATHS.logs);
  void call.sendFrame(Buffer.alloc(0), 0, 40_000);
  let isOver = false;
  void call.ended.then(() => (isOver = true));
  let sent = 0;
  for (; !isOver && sent < 40_000; sent++) {
    await call.write(Buffer.from([0]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(isToldToRetry(await call.ended));
  assert.ok(sent < 2_000, `${sent} bytes`);
  await isIdle(fixture);
});

test('a request that does not arrive in time is UNAVAILABLE, and its call is cut when it goes on', async (t) => {
  const fixture = await startFixture(t, { otlpReceiveMaxMs: 40, streamEndMaxMs: 20 });
  const { intake, connect } = fixture;
  const client = await connect();
  const call = client.call(OTLP_GRPC_PATHS.logs, { lingers: true });
  void call.sendFrame(Buffer.alloc(10), 0, 1_000);
  const end = await call.ended;
  assert.ok(isToldToRetry(end));
  assert.match(end.message, /not arrived after 40 ms/);
  await eventually(() => call.stream.closed);
  assert.equal(intake.status().requests.grpc.logs.unavailable, 1);
  await isIdle(fixture);
});

test('cancelled calls leave nothing behind, wherever they are', async (t) => {
  const fixture = await startFixture(t, {
    inFlightReadBytesMax: 1,
    readHoldMaxMs: NEVER_MS,
    appendWaitMaxMs: NEVER_MS,
  });
  const { intake, log, connect } = fixture;
  const client = await connect();
  log.hold();
  const appended = openCall(client, request);
  appended.halfClose();
  await eventually(() => log.held === 1);
  const waiting = Array.from({ length: 10 }, () => openCall(client, request));
  for (const call of waiting) call.halfClose();
  const arriving = Array.from({ length: 10 }, () => openCall(client, request));
  await eventually(() => fixture.server.status().otlpWaitingBytes >= 20 * (request.length + 256));
  for (const call of [appended, ...waiting, ...arriving]) call.cancel();
  await eventually(() => fixture.server.status().otlpWaitingBytes === 0);
  log.release();
  await isIdle(fixture);
  // Durable although nobody waits for the answer; the others were never taken.
  assert.equal(log.batches.length, 1);
  const { accepted, unavailable, malformed } = intake.status().requests.grpc.logs;
  assert.deepEqual([accepted, unavailable, malformed], [1, 0, 0]);
  assert.equal((await exportGrpc(client, 'logs', request)).code, OK);
});

test('a connection cut with requests in flight leaves nothing behind', async (t) => {
  const fixture = await startFixture(t);
  const { log, connect } = fixture;
  const client = await connect();
  log.hold();
  const ends = Array.from({ length: 20 }, () => exportGrpc(client, 'logs', request, { encoding: 'gzip' }));
  await eventually(() => log.held > 0);
  client.destroy();
  await Promise.all(ends);
  log.release();
  await isIdle(fixture);
  assert.equal((await exportGrpc(await connect(), 'logs', request)).code, OK);
});

test('a call whose deadline passes ends with DEADLINE_EXCEEDED and releases its bytes when it is durable', async (t) => {
  const fixture = await startFixture(t);
  const { intake, log, connect } = fixture;
  const client = await connect();
  log.hold();
  const end = await exportGrpc(client, 'logs', request, { headers: { 'grpc-timeout': '20m' } });
  assert.equal(end.code, DEADLINE_EXCEEDED);
  assert.equal(intake.admission.inFlightBytes, request.length);
  log.release();
  await isIdle(fixture);
  assert.equal((await exportGrpc(client, 'logs', request, { headers: { 'grpc-timeout': '10S' } })).code, OK);
});

test('stopping answers the requests taken, and refuses those that arrive, at once', async (t) => {
  const fixture = await startFixture(t);
  const { server, log, connect } = fixture;
  const client = await connect();
  log.hold();
  const taken = exportGrpc(client, 'logs', request);
  await eventually(() => log.held === 1);
  const arriving = openCall(client, request);
  await eventually(() => server.status().otlpWaitingBytes > 0);
  const stopped = server.stop();
  const refused = await arriving.ended;
  assert.ok(isToldToRetry(refused));
  assert.match(refused.message, /stopping/);
  log.release();
  assert.equal((await taken).code, OK);
  await stopped;
  await isIdle(fixture);
  assert.equal(log.batches.length, 1);
});

test('stopping is bounded when the log never answers', async (t) => {
  const fixture = await startFixture(t, { shutdownMaxMs: 100 });
  const { server, log, connect } = fixture;
  log.hold();
  const taken = exportGrpc(await connect(), 'logs', request);
  await eventually(() => log.held === 1);
  await server.stop();
  assert.notEqual((await taken).code, OK);
  log.release();
  await isIdle(fixture);
});
