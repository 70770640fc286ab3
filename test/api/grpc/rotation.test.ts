/** Streams that the server ends, and those it has no room for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, messagesOf, startFixture } from './grpc-fixture.ts';

const UNAVAILABLE = 14;
const logs = messagesOf('rich-1', 'logs');
const traces = messagesOf('rich-1', 'traces');

test('a stream ends with OK at its age, also without batches', async (t) => {
  const { server, connect } = await startFixture(t, { streamAgeMaxMs: 20 });
  const client = await connect();
  assert.equal((await client.openStream('logs').ended).code, 0);
  await eventually(() => server.status().streamsEnded.age === 1);
  // The connection goes on.
  assert.equal((await client.openStream('logs').ended).code, 0);
});

test('at its age a stream answers what it has taken and takes nothing more', async (t) => {
  // The first batch has to be there before the age is, on a busy machine too.
  const streamAgeMaxMs = 1_500;
  const { log, connect } = await startFixture(t, { streamAgeMaxMs });
  const stream = (await connect()).openStream('logs');
  let isEnded = false;
  void stream.ended.then(() => (isEnded = true));
  log.hold();
  await stream.send(logs[0]!);
  await eventually(() => log.held === 1);
  await new Promise((resolve) => setTimeout(resolve, streamAgeMaxMs));
  assert.equal(isEnded, false);
  await stream.send(logs[1]!);
  log.release();
  assert.equal((await stream.ended).code, 0);
  assert.deepEqual(
    stream.statuses.map(({ batchId, code }) => [batchId, code]),
    [[0n, 0]],
  );
  assert.equal(log.appends, 1);
});

test('streams that begin together end at ages of their own', async (t) => {
  const streamAgeMaxMs = 77_777;
  const timers = t.mock.method(globalThis, 'setTimeout');
  const { server, connect } = await startFixture(t, { streamAgeMaxMs });
  const client = await connect();
  for (let i = 0; i < 8; i++) client.openStream('logs');
  await eventually(() => server.status().streamsOpen === 8);
  const agesMs = timers.mock.calls
    .map(({ arguments: [, delayMs] }) => delayMs ?? 0)
    .filter((delayMs) => delayMs >= 0.9 * streamAgeMaxMs && delayMs <= streamAgeMaxMs);
  assert.deepEqual([agesMs.length, new Set(agesMs).size], [8, 8]);
});

test('a stream ends with OK when its state passes the limit, behind the answer of that batch', async (t) => {
  const { log, server, connect } = await startFixture(t, { streamStateBytesMax: 1 });
  const stream = (await connect()).openStream('logs');
  for (const message of logs) void stream.send(message);
  assert.equal((await stream.ended).code, 0);
  assert.deepEqual(
    stream.statuses.map(({ batchId, code }) => [batchId, code]),
    [[0n, 0]],
  );
  assert.equal(log.appends, 1);
  await eventually(() => server.status().streamStateBytes === 0);
  assert.equal(server.status().streamsEnded.state, 1);
});

test('the stream with the most state ends when all together pass the limit', async (t) => {
  const { server, connect } = await startFixture(t);
  const client = await connect();
  const measured = client.openStream('traces');
  await measured.send(traces[0]!);
  await measured.reach(1);
  const stateBytes = server.status().streamStateBytes;
  assert.ok(stateBytes > 0);

  const limited = await startFixture(t, { streamStatesBytesMax: stateBytes });
  const other = await limited.connect();
  const large = other.openStream('traces');
  await large.send(traces[0]!);
  await large.reach(1);
  const small = other.openStream('logs');
  await small.send(logs[0]!);
  assert.equal((await large.ended).code, 0);
  assert.equal((await small.nextStatus()).code, 0);
  await small.send(logs[1]!);
  assert.equal((await small.nextStatus()).code, 0);
});

test('streams past their number are accepted, answer UNAVAILABLE, and end with OK when there is a place', async (t) => {
  const { log, server, connect } = await startFixture(t, { streamsMax: 1 });
  const first = (await connect()).openStream('logs');
  await first.send(logs[0]!);
  await first.reach(1);
  // A connection of its own: HTTP/2 would not let the same one open a second stream.
  const client = await connect();
  const excess = client.openStream('traces');
  for (const message of traces) await excess.send(message);
  await excess.reach(traces.length);
  assert.deepEqual(
    excess.statuses.map(({ batchId, code }) => [batchId, code]),
    traces.map((_, i) => [BigInt(i), UNAVAILABLE]),
  );
  assert.equal(log.appends, 1);
  assert.equal(server.status().streamsExcess, 1);
  first.halfClose();
  assert.equal((await excess.ended).code, 0);
  const again = client.openStream('traces');
  await again.send(traces[0]!);
  assert.equal((await again.nextStatus()).code, 0);
  assert.deepEqual(server.status().streamsEnded.capacity, 1);
});

test('a client that goes on after the end of its stream is cut', async (t) => {
  const { connect } = await startFixture(t, { streamAgeMaxMs: 20, streamEndMaxMs: 20 });
  const stream = (await connect()).openStream('logs', { lingers: true });
  assert.equal((await stream.ended).code, 0);
  // This side was never closed: without the cut it would stay open for good.
  await new Promise<void>((resolve) => {
    if (stream.call.stream.closed) resolve();
    else stream.call.stream.once('close', () => resolve());
  });
});
