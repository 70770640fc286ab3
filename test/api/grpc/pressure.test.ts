/** A log that refuses, waits or fails, and clients that take nothing: what is answered, what is held, what is kept in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, messagesOf, startFixture } from './grpc-fixture.ts';

const UNAVAILABLE = 14;
const logs = messagesOf('rich-1', 'logs');
const traces = messagesOf('rich-1', 'traces');
const NEVER_MS = 60_000;

test('a refused append is UNAVAILABLE, and the same stream goes on', async (t) => {
  const { server, log, connect } = await startFixture(t);
  const stream = (await connect()).openStream('logs');
  log.refuse(2);
  for (const message of logs) await stream.send(message);
  await stream.reach(logs.length);
  const codes = new Map(stream.statuses.map(({ batchId, code }) => [batchId, code]));
  assert.deepEqual(
    logs.map((_, i) => codes.get(BigInt(i))),
    logs.map((_, i) => (i < 2 ? UNAVAILABLE : 0)),
  );
  assert.equal(log.streamsOpened, 1);
  assert.deepEqual(server.status().batches.logs.unavailable, 2);
  stream.halfClose();
  assert.equal((await stream.ended).code, 0);
});

test('reading stops at the bytes in flight of a stream and goes on when they are durable', async (t) => {
  const bound = logs[0]!.length + 1;
  const { server, log, connect } = await startFixture(t, { streamInFlightBytesMax: bound, readHoldMaxMs: 3_000 });
  const client = await connect();
  const stream = client.openStream('logs');
  log.hold();
  for (const message of logs) void stream.send(message);
  await eventually(() => server.status().streamsHeld === 1);
  assert.equal(log.appends, 2);
  // Another stream is not held.
  const other = client.openStream('traces');
  await other.send(traces[0]!);
  await eventually(() => log.appends === 3);
  log.release();
  await stream.reach(logs.length);
  assert.ok(stream.statuses.every(({ code }) => code === 0));
  assert.equal(server.status().streamsHeld, 0);
  assert.equal(server.status().inFlightBytes, 0);
});

test('reading of all streams stops at the bytes in flight of the server', async (t) => {
  const { server, log, connect } = await startFixture(t, { inFlightReadBytesMax: 1, readHoldMaxMs: 3_000 });
  const client = await connect();
  const first = client.openStream('logs');
  log.hold();
  await first.send(logs[0]!);
  await eventually(() => server.status().streamsHeld === 1);
  for (const message of logs.slice(1)) void first.send(message);
  log.release();
  await first.reach(logs.length);
  assert.ok(first.statuses.every(({ code }) => code === 0));
  assert.equal(log.appends, logs.length);
});

test('batches held too long are refused with UNAVAILABLE, and what they built up is kept', async (t) => {
  const { server, log, connect } = await startFixture(t, { streamInFlightBytesMax: 1, readHoldMaxMs: 5 });
  const stream = (await connect()).openStream('logs');
  log.hold();
  for (const message of logs) void stream.send(message);
  await stream.reach(logs.length - 1);
  assert.ok(stream.statuses.every(({ code }) => code === UNAVAILABLE));
  assert.equal(log.appends, 1);
  assert.ok(log.absorbed > 0);
  log.release();
  await stream.reach(logs.length);
  assert.equal(stream.statuses.at(-1)!.code, 0);
  // Room again: the stream takes batches as before.
  await stream.send(logs.at(-1)!);
  await stream.reach(logs.length + 1);
  assert.equal(stream.statuses.at(-1)!.code, 0);
  assert.equal(server.status().streamsHeld, 0);
});

test('a batch that would pass the bytes of the server is refused with UNAVAILABLE, one alone never', async (t) => {
  const { log, connect } = await startFixture(t, { inFlightBytesMax: 1 });
  const stream = (await connect()).openStream('logs');
  log.hold();
  await stream.send(logs[0]!);
  await stream.send(logs[1]!);
  assert.deepEqual(await stream.nextStatus().then(({ batchId, code }) => [batchId, code]), [1n, UNAVAILABLE]);
  assert.equal(log.appends, 1);
  log.release();
  assert.deepEqual(await stream.nextStatus().then(({ batchId, code }) => [batchId, code]), [0n, 0]);
  await stream.send(logs[2]!);
  assert.deepEqual(await stream.nextStatus().then(({ batchId, code }) => [batchId, code]), [2n, 0]);
});

test('a batch that is not durable in time is answered UNAVAILABLE, and only once', async (t) => {
  const { log, connect } = await startFixture(t, { appendWaitMaxMs: 5 });
  const stream = (await connect()).openStream('logs');
  log.hold();
  await stream.send(logs[0]!);
  assert.equal((await stream.nextStatus()).code, UNAVAILABLE);
  log.release();
  await eventually(() => log.batches.length === 1);
  await stream.send(logs[1]!);
  assert.deepEqual((await stream.nextStatus()).batchId, 1n);
  stream.halfClose();
  assert.equal((await stream.ended).code, 0);
  assert.equal(stream.statuses.length, 2);
});

test('the time that a batch was held counts against its time to become durable', async (t) => {
  // Long enough for a busy machine to store the last batch in time.
  const limits = { streamInFlightBytesMax: 1, readHoldMaxMs: NEVER_MS, appendWaitMaxMs: 1_000 };
  const { log, connect } = await startFixture(t, limits);
  const stream = (await connect()).openStream('logs');
  log.hold();
  for (const message of logs.slice(0, 2)) void stream.send(message);
  // Answered for taking too long, but still in flight: the other one is held.
  assert.deepEqual(await stream.nextStatus().then(({ batchId, code }) => [batchId, code]), [0n, UNAVAILABLE]);
  // That answer took the whole time, and the other batch has waited from the same moment on: a little more makes it late for sure.
  await new Promise((resolve) => setTimeout(resolve, limits.appendWaitMaxMs / 2));
  log.release();
  assert.deepEqual(await stream.nextStatus().then(({ batchId, code }) => [batchId, code]), [1n, UNAVAILABLE]);
  assert.equal(log.appends, 1);
  await stream.send(logs[2]!);
  assert.deepEqual(await stream.nextStatus().then(({ batchId, code }) => [batchId, code]), [2n, 0]);
});

test('a log that opens no streams ends the RPC with UNAVAILABLE', async (t) => {
  const { log, connect } = await startFixture(t);
  log.refuseStreams();
  const stream = (await connect()).openStream('logs');
  await stream.send(logs[0]!);
  assert.equal((await stream.ended).code, UNAVAILABLE);
});

test('a client that never reads its statuses is not read from, and is cut when its stream ends', async (t) => {
  const limits = { streamStatusesMax: 4, streamInFlightBytesMax: 1, streamEndMaxMs: 20 };
  const { server, log, connect } = await startFixture(t, limits);
  const client = await connect({ windowBytes: 60 });
  const stream = client.openStream('logs');
  await stream.call.responded;
  stream.call.stopReading();
  for (let i = 0; i < 200; i++) void stream.send(logs[0]!);
  await eventually(() => server.status().streamsStalled === 1);
  // Time to read on in, if it did.
  await new Promise((resolve) => setTimeout(resolve, 200));
  // The statuses that fit the window, those that wait behind them, and a batch in flight.
  assert.ok(log.appends > 4 && log.appends < 30, `${log.appends} appends`);
  const stopped = server.stop();
  await eventually(() => server.status().streamsOpen === 0);
  assert.equal(server.status().streamsEnded.shutdown, 1);
  client.destroy();
  await stopped;
  await eventually(() => log.streamsClosed === 1);
});

test('a cancelled stream settles its appends quietly and is closed in the log', async (t) => {
  const { server, log, connect } = await startFixture(t);
  const stream = (await connect()).openStream('logs');
  log.hold();
  for (const message of logs) await stream.send(message);
  await eventually(() => log.held === logs.length);
  stream.cancel();
  await eventually(() => server.status().streamsEnded.cancelled === 1);
  assert.equal(log.streamsClosed, 0);
  log.release();
  await eventually(() => log.streamsClosed === 1);
  assert.equal(log.batches.length, logs.length);
  assert.equal(server.status().inFlightBytes, 0);
  assert.equal(server.status().streamStateBytes, 0);
});

test('a connection cut while batches are in flight frees all its streams', async (t) => {
  const { server, log, connect } = await startFixture(t);
  const client = await connect();
  const streams = [client.openStream('logs'), client.openStream('traces'), client.openStream('metrics')];
  log.hold();
  await streams[0]!.send(logs[0]!);
  await eventually(() => log.held === 1);
  client.destroy();
  await eventually(() => server.status().streamsOpen === 0);
  log.release();
  await eventually(() => log.streamsClosed === 1);
  assert.equal(server.status().streamsEnded.cancelled, 3);
});

test('stopping answers the batches taken, then ends every stream with OK', async (t) => {
  const { server, log, connect } = await startFixture(t);
  const client = await connect();
  const idle = client.openStream('traces');
  const stream = client.openStream('logs');
  log.hold();
  await stream.send(logs[0]!);
  await eventually(() => log.held === 1);
  const stopped = server.stop();
  assert.equal((await idle.ended).code, 0);
  log.release();
  const end = await stream.ended;
  assert.equal(end.code, 0);
  assert.deepEqual(
    stream.statuses.map(({ code }) => code),
    [0],
  );
  await stopped;
  assert.equal(log.streamsClosed, 1);
  assert.equal(server.status().streamsEnded.shutdown, 2);
  await assert.rejects(connect());
});

test('stopping cuts what does not end', async (t) => {
  const { server, log, connect } = await startFixture(t, { shutdownMaxMs: 40, appendWaitMaxMs: NEVER_MS });
  const stream = (await connect()).openStream('logs');
  log.hold();
  await stream.send(logs[0]!);
  await eventually(() => log.held === 1);
  await server.stop();
  assert.equal(server.status().streamsOpen, 0);
  assert.equal((await stream.ended).code, -1);
  log.release();
  await eventually(() => log.streamsClosed === 1);
});
