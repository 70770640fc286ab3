/** Input that no honest exporter sends: each refused for what it is, on its own stream only, after the answers that came before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ARROW_PATHS, compressMessage, type OtapStream } from '../../helpers/otap-client.ts';
import { eventually, type GrpcFixture, messagesOf, startFixture } from './grpc-fixture.ts';

const INVALID_ARGUMENT = 3;
const UNIMPLEMENTED = 12;
const MIB = 1024 * 1024;

/** Sends a good batch whose append is held, then `send`; the good batch has to be answered before the RPC ends. */
async function endedBy(
  fixture: GrpcFixture,
  encoding: string | undefined,
  send: (stream: OtapStream) => Promise<void>,
): Promise<OtapStream> {
  const stream = (await fixture.connect()).openStream('logs', encoding === undefined ? {} : { encoding });
  fixture.log.hold();
  await stream.send(messagesOf('rich-1', 'logs')[0]!, { compressed: false });
  await eventually(() => fixture.log.held === 1);
  await send(stream);
  await eventually(() => fixture.server.status().batches.logs.malformed === 1);
  assert.ok(stream.statuses.every(({ code }) => code !== 0));
  fixture.log.release();
  const end = await stream.ended;
  assert.equal(end.code, INVALID_ARGUMENT, end.message);
  assert.deepEqual(stream.statuses.at(-1), { batchId: 0n, code: 0, message: '' });
  assert.equal(fixture.server.status().streamsEnded.malformed, 1);
  return stream;
}

/** A zstd frame of 1 GiB in 8,192 blocks of one repeated byte: 32 KiB on the wire, without a content size. */
function zstdBomb(): Buffer {
  const block = (1 << 1) | ((128 * 1024) << 3);
  const blocks = Buffer.alloc(8192 * 4);
  for (let i = 0; i < 8192; i++) blocks.writeUIntLE(i === 8191 ? block | 1 : block, i * 4, 3);
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]), blocks]);
}

const logs = messagesOf('rich-1', 'logs');
const second = logs[1]!;

test('a truncated batch is answered INVALID_ARGUMENT by its id, and the stream ends', async (t) => {
  const fixture = await startFixture(t);
  const stream = await endedBy(fixture, undefined, (s) => s.send(second.subarray(0, second.length - 100)));
  assert.equal(stream.statuses.length, 2);
  assert.equal(stream.statuses[0]!.batchId, 1n);
  assert.equal(stream.statuses[0]!.code, INVALID_ARGUMENT);
  assert.notEqual(stream.statuses[0]!.message, '');
  assert.equal(fixture.log.appends, 1);
});

test('bytes without a readable batch id end the stream without an answer', async (t) => {
  const fixture = await startFixture(t);
  const stream = await endedBy(fixture, undefined, (s) => s.send(Buffer.from('\xff'.repeat(40), 'latin1')));
  assert.equal(stream.statuses.length, 1);
});

test('a batch of another signal is malformed', async (t) => {
  const fixture = await startFixture(t);
  const stream = (await fixture.connect()).openStream('traces');
  await stream.send(logs[0]!);
  assert.equal((await stream.ended).code, INVALID_ARGUMENT);
  assert.deepEqual(
    stream.statuses.map(({ batchId, code }) => [batchId, code]),
    [[0n, INVALID_ARGUMENT]],
  );
});

test('a batch whose schema was never sent is malformed', async (t) => {
  const { connect } = await startFixture(t);
  const stream = (await connect()).openStream('logs');
  await stream.send(second);
  assert.equal((await stream.ended).code, INVALID_ARGUMENT);
  assert.deepEqual(
    stream.statuses.map(({ batchId, code }) => [batchId, code]),
    [[1n, INVALID_ARGUMENT]],
  );
});

test('a malformed batch ends its own stream only', async (t) => {
  const { connect } = await startFixture(t);
  const client = await connect();
  const good = client.openStream('logs');
  await good.send(logs[0]!);
  await good.reach(1);
  const bad = client.openStream('logs');
  await bad.send(Buffer.from('not protobuf at all'));
  assert.equal((await bad.ended).code, INVALID_ARGUMENT);
  await good.send(second);
  await good.reach(2);
  assert.deepEqual(
    good.statuses.map(({ code }) => code),
    [0, 0],
  );
});

test('a batch sent behind a malformed one is left unanswered', async (t) => {
  const { log, connect } = await startFixture(t);
  const stream = (await connect()).openStream('logs');
  void stream.send(logs[0]!);
  void stream.send(second.subarray(0, 50));
  void stream.send(logs[2]!);
  await stream.ended;
  assert.deepEqual(new Set(stream.statuses.map(({ batchId, code }) => `${batchId} ${code}`)), new Set(['0 0', '1 3']));
  assert.equal(log.appends, 1);
});

for (const encoding of ['zstdarrow5', 'gzip', 'deflate']) {
  test(`garbage in ${encoding} ends the stream with INVALID_ARGUMENT`, async (t) => {
    const fixture = await startFixture(t);
    await endedBy(fixture, encoding, (s) => s.call.sendFrame(Buffer.from('garbage, all of it garbage'), 1));
  });

  test(`a truncated message in ${encoding} ends the stream with INVALID_ARGUMENT`, async (t) => {
    const fixture = await startFixture(t);
    const compressed = compressMessage(second, encoding);
    await endedBy(fixture, encoding, (s) => s.call.sendFrame(compressed.subarray(0, compressed.length - 20), 1));
  });

  test(`a message in ${encoding} that decompresses past the limit ends the stream with INVALID_ARGUMENT`, async (t) => {
    const fixture = await startFixture(t, { decompressedBytesMax: MIB });
    const bomb = compressMessage(Buffer.alloc(MIB + 1), encoding);
    await endedBy(fixture, encoding, (s) => s.call.sendFrame(bomb, 1));
  });
}

test('a gibibyte in 32 KiB of zstd is refused without being made', async (t) => {
  const fixture = await startFixture(t);
  const before = process.memoryUsage().rss;
  await endedBy(fixture, 'zstd', (s) => s.call.sendFrame(zstdBomb(), 1));
  assert.ok(process.memoryUsage().rss - before < 256 * MIB);
});

test('a window of two gibibytes is refused', async (t) => {
  const fixture = await startFixture(t);
  const frame = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x09, 0x00, 0x00, 7]);
  await endedBy(fixture, 'zstd', (s) => s.call.sendFrame(frame, 1));
});

test('messages below the limit are decompressed one at a time', async (t) => {
  const { log, server, connect } = await startFixture(t);
  const client = await connect();
  const before = process.memoryUsage().rss;
  // 8 MiB each, all of them in one window; the first is malformed, so none of the others may ever be decompressed.
  const near = gzipSync(Buffer.alloc(8 * MIB));
  const streams = Array.from({ length: 2 }, () => client.openStream('logs', { encoding: 'gzip' }));
  for (const stream of streams) for (let i = 0; i < 30; i++) void stream.call.sendFrame(near, 1);
  const ends = await Promise.all(streams.map(({ ended }) => ended));
  assert.deepEqual(
    ends.map(({ code }) => code),
    [3, 3],
  );
  assert.equal(server.status().batches.logs.messageBytes, 2 * 8 * MIB);
  assert.ok(process.memoryUsage().rss - before < 200 * MIB);
  assert.equal(log.appends, 0);
});

test('a message longer than the limit is refused by its header, behind the answers before it', async (t) => {
  const fixture = await startFixture(t, { messageBytesMax: MIB });
  const stream = await endedBy(fixture, undefined, (s) => s.call.sendFrame(Buffer.alloc(100), 0, MIB + 1));
  assert.match((await stream.ended).message, /larger than max/);
});

test('a compressed message in a call without an encoding is refused', async (t) => {
  const fixture = await startFixture(t);
  await endedBy(fixture, undefined, (s) => s.call.sendFrame(compressMessage(second, 'gzip'), 1));
});

test('unknown message flags are refused', async (t) => {
  const fixture = await startFixture(t);
  await endedBy(fixture, 'gzip', (s) => s.call.sendFrame(second, 2));
});

for (const encoding of ['snappy', 'zstdarrow11', 'zstdarrow0', 'gzip, gzip', 'br"']) {
  test(`the encoding ${JSON.stringify(encoding)} is UNIMPLEMENTED, and the answer names those that are`, async (t) => {
    const { connect } = await startFixture(t);
    const stream = (await connect()).openStream('logs', { encoding });
    await stream.call.sendFrame(second, 1);
    const end = await stream.ended;
    assert.equal(end.code, UNIMPLEMENTED);
    for (const said of [end.headers, end.trailers]) {
      const accepted = String(said['grpc-accept-encoding']).split(',');
      for (const name of ['identity', 'gzip', 'deflate', 'zstd', 'zstdarrow1', 'zstdarrow10'])
        assert.ok(accepted.includes(name));
    }
  });
}

test('an empty message is an empty batch, which is malformed', async (t) => {
  const { connect } = await startFixture(t);
  const stream = (await connect()).openStream('logs');
  await stream.send(Buffer.alloc(0));
  assert.equal((await stream.ended).code, INVALID_ARGUMENT);
});

test('a message cut off by a half-close is nothing', async (t) => {
  const { log, connect } = await startFixture(t);
  const stream = (await connect()).openStream('logs');
  await stream.send(logs[0]!);
  await stream.reach(1);
  await stream.call.sendFrame(second.subarray(0, 100), 0, second.length);
  stream.halfClose();
  assert.equal((await stream.ended).code, 0);
  assert.equal(log.appends, 1);
});

test('unknown methods are UNIMPLEMENTED, whatever their name', async (t) => {
  const { connect } = await startFixture(t);
  const client = await connect();
  for (const path of [
    '/opentelemetry.proto.collector.logs.v1.LogsService/Import',
    '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export',
    '/a/b',
    '/%ff"\\/x',
    `/${'x'.repeat(4000)}`,
  ]) {
    assert.equal((await client.unary(path, Buffer.alloc(3), { encoding: 'identity' })).code, UNIMPLEMENTED, path);
  }
});

test('a call that is not gRPC is answered 415', async (t) => {
  const { connect } = await startFixture(t);
  const call = (await connect()).call(ARROW_PATHS.logs, { headers: { 'content-type': 'text/plain' } });
  assert.equal((await call.responded)[':status'], 415);
});
