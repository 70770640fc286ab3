import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, startFixture } from './grpc-fixture.ts';

const CHECK = '/grpc.health.v1.Health/Check';
const WATCH = '/grpc.health.v1.Health/Watch';
const SERVING = Buffer.from([8, 1]);
const NOT_SERVING = Buffer.from([8, 2]);
const SERVICE_UNKNOWN = Buffer.from([8, 3]);

function request(service: string): Buffer {
  return service === '' ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)]);
}

test('a health check tells whether the server takes work', async (t) => {
  const { server, connect } = await startFixture(t);
  const client = await connect();
  for (const service of ['', 'opentelemetry.proto.experimental.arrow.v1.ArrowLogsService']) {
    server.setServing(true);
    const up = await client.unary(CHECK, request(service), { encoding: 'zstd' });
    assert.deepEqual([up.code, up.messages], [0, [SERVING]]);
    server.setServing(false);
    assert.deepEqual((await client.unary(CHECK, request(service))).messages, [NOT_SERVING]);
  }
});

test('a health check of an unknown service is NOT_FOUND', async (t) => {
  const { connect } = await startFixture(t);
  assert.equal((await (await connect()).unary(CHECK, request('nobody.Service'))).code, 5);
});

test('a health check that cannot be read is INVALID_ARGUMENT', async (t) => {
  const { connect } = await startFixture(t);
  const client = await connect();
  assert.equal((await client.unary(CHECK, Buffer.from([0x0a, 200, 1]))).code, 3);
  const call = client.call(CHECK, { encoding: 'gzip' });
  await call.sendFrame(Buffer.from('garbage'), 1);
  call.halfClose();
  assert.equal((await call.ended).code, 3);
});

test('two requests in a unary call are refused', async (t) => {
  const { connect } = await startFixture(t);
  const call = (await connect()).call(CHECK);
  for (let i = 0; i < 5; i++) void call.send(request(''));
  call.halfClose();
  assert.equal((await call.ended).code, 12);
});

test('a message too large for a unary call is INVALID_ARGUMENT', async (t) => {
  const { connect } = await startFixture(t, { messageBytesMax: 100 });
  const call = (await connect()).call(CHECK);
  await call.sendFrame(Buffer.alloc(10), 0, 101);
  assert.equal((await call.ended).code, 3);
});

test('a health watch is told of every change, and ends when the server stops', async (t) => {
  const { server, connect } = await startFixture(t);
  const client = await connect();
  const call = client.call(WATCH);
  const unknown = client.call(WATCH);
  for (const [watch, service] of [
    [call, ''],
    [unknown, 'nobody'],
  ] as const) {
    await watch.send(request(service));
    watch.halfClose();
  }
  await eventually(() => call.messages.length === 1 && unknown.messages.length === 1);
  server.setServing(false);
  server.setServing(false);
  await eventually(() => call.messages.length === 2);
  server.setServing(true);
  await eventually(() => call.messages.length === 3);
  assert.deepEqual(call.messages, [SERVING, NOT_SERVING, SERVING]);
  assert.deepEqual(unknown.messages, [SERVICE_UNKNOWN]);
  const stopped = server.stop();
  assert.equal((await call.ended).code, 14);
  assert.deepEqual(call.messages.at(-1), NOT_SERVING);
  await stopped;
});

test('watchers are bounded', async (t) => {
  const { connect } = await startFixture(t, { streamsMax: 1 });
  const first = (await connect()).call(WATCH);
  await first.send(request(''));
  first.halfClose();
  await eventually(() => first.messages.length === 1);
  const second = (await connect()).call(WATCH);
  await second.send(request(''));
  second.halfClose();
  assert.equal((await second.ended).code, 14);
});
