/** OTAP streams that go well: every encoding, every small capture, order of answers, ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ClientDuplexStream,
  compressionAlgorithms,
  credentials,
  makeGenericClientConstructor,
  type StatusObject,
} from '@grpc/grpc-js';
import { type Signal, SIGNAL_CODES } from '../../../src/base/index.ts';
import { ENTRY_FLAGS } from '../../../src/log/index.ts';
import { captureNames, readArrowStreams, readCapture, sharedCapturesMissing } from '../../helpers/captures.ts';
import { ARROW_PATHS, decodeBatchStatus, replayStreams } from '../../helpers/otap-client.ts';
import { eventually, messagesOf, startFixture } from './grpc-fixture.ts';

const ENCODINGS = ['identity', 'gzip', 'deflate', 'zstd', ...Array.from({ length: 10 }, (_, i) => `zstdarrow${i + 1}`)];

for (const encoding of ENCODINGS) {
  test(`batches in ${encoding} are logged verbatim and answered OK`, async (t) => {
    const { log, connect } = await startFixture(t);
    const messages = messagesOf('rich-1', 'traces');
    const [result] = await replayStreams(await connect(), [{ arrowSignal: 'traces', messages }], { encoding });
    assert.equal(result!.end.code, 0);
    assert.deepEqual(
      result!.statuses.map(({ code, batchId }) => [code, batchId]),
      messages.map((_, i) => [0, BigInt(i)]),
    );
    assert.deepEqual(
      log.batches.map(({ record }) => record),
      messages,
    );
    assert.ok(String(result!.end.headers['grpc-accept-encoding']).split(',').includes(encoding));
  });
}

for (const name of captureNames({ shared: false }).filter((name) =>
  readArrowStreams(name).some(({ messages }) => messages.length > 0),
)) {
  test(`every batch of the capture ${name} is accepted`, async (t) => {
    const { server, log, connect } = await startFixture(t);
    const streams = readArrowStreams(name);
    const results = await replayStreams(await connect(), streams, { encoding: 'zstdarrow5' });
    for (const [index, { end, statuses, signal }] of results.entries()) {
      const expected = streams[index]!.messages;
      assert.equal(end.code, 0, end.message);
      assert.deepEqual(
        statuses.map(({ code }) => code),
        expected.map(() => 0),
      );
      assert.equal(signal, streams[index]!.arrowSignal);
    }
    const logged = (signal: Signal): Buffer[] =>
      log.batches.filter((batch) => batch.signal === SIGNAL_CODES[signal]).map(({ record }) => record);
    for (const { arrowSignal, messages } of streams) {
      for (const message of messages) assert.ok(logged(arrowSignal).some((record) => record.equals(message)));
    }
    const { batches } = server.status();
    const total = streams.reduce((sum, { messages }) => sum + messages.length, 0);
    assert.equal(batches.logs.accepted + batches.traces.accepted + batches.metrics.accepted, total);
    assert.equal(server.status().inFlightBytes, 0);
  });
}

test("a Collector's own zstd frames are read", { skip: sharedCapturesMissing() }, async (t) => {
  const { log, connect } = await startFixture(t);
  const records = readCapture('wire-1');
  const client = await connect();
  const open = records.find(({ t: kind, path }) => kind === 'open' && path?.includes('ArrowLogs'))!;
  const frames = records.filter(({ t: kind, stream }) => kind === 'msg' && stream === open.stream);
  assert.ok(frames.length > 0);
  const headers = new Map(open.headers as unknown as [string, string][]);
  const stream = client.openStream('logs', { encoding: headers.get('grpc-encoding')! });
  for (const { body } of frames) await stream.call.sendFrame(body, 1);
  stream.halfClose();
  assert.equal((await stream.ended).code, 0);
  assert.deepEqual(
    stream.statuses.map(({ code }) => code),
    frames.map(() => 0),
  );
  assert.equal(log.batches.length, frames.length);
});

test('uncompressed messages of a compressed call are read as they are', async (t) => {
  const { log, connect } = await startFixture(t);
  const [first, second] = messagesOf('rich-1', 'logs');
  const stream = (await connect()).openStream('logs', { encoding: 'zstd' });
  await stream.send(first!, { compressed: false });
  await stream.send(second!);
  await stream.reach(2);
  assert.deepEqual(
    log.batches.map(({ record }) => record),
    [first, second],
  );
});

test('a batch is answered only when its append has settled, in whatever order that is', async (t) => {
  const { log, connect } = await startFixture(t);
  const stream = (await connect()).openStream('metrics');
  const messages = messagesOf('rich-1', 'metrics').slice(0, 3);
  log.hold();
  for (const message of messages) await stream.send(message);
  await eventually(() => log.held === 3);
  assert.deepEqual(stream.statuses, []);
  log.release(true);
  await stream.reach(3);
  assert.deepEqual(new Set(stream.statuses.map(({ batchId }) => batchId)), new Set([0n, 1n, 2n]));
  assert.ok(stream.statuses.every(({ code }) => code === 0));
});

test('after a half-close the RPC ends with OK right behind the last status', async (t) => {
  const { server, log, connect } = await startFixture(t);
  const stream = (await connect()).openStream('logs');
  log.hold();
  const [first, second] = messagesOf('rich-1', 'logs');
  await stream.send(first!);
  await stream.send(second!);
  stream.halfClose();
  await eventually(() => log.held === 2 && server.status().streamsOpen === 1);
  log.release();
  const end = await stream.ended;
  // The end is known here, so nothing can come after it: both statuses came before.
  assert.equal(end.code, 0);
  assert.equal(stream.statuses.length, 2);
  await eventually(() => log.streamsClosed === 1);
  assert.equal(server.status().streamsEnded.half_close, 1);
});

test('a stream without batches ends with OK and never reaches the log', async (t) => {
  const { log, server, connect } = await startFixture(t);
  const stream = (await connect()).openStream('logs');
  stream.halfClose();
  assert.equal((await stream.ended).code, 0);
  await eventually(() => server.status().streamsEnded.half_close === 1);
  assert.equal(log.streamsOpened, 0);
});

test('response headers come before the first batch', async (t) => {
  const { connect } = await startFixture(t);
  const stream = (await connect()).openStream('logs');
  const headers = await stream.call.responded;
  assert.equal(headers[':status'], 200);
});

test('repeated batch ids are each answered', async (t) => {
  const { connect } = await startFixture(t);
  const client = await connect();
  const [first] = messagesOf('rich-1', 'logs');
  const stream = client.openStream('logs');
  await stream.send(first!);
  // The same bytes again: a schema message starts the state anew.
  await stream.send(first!);
  await stream.reach(2);
  assert.deepEqual(
    stream.statuses.map(({ batchId, code }) => [batchId, code]),
    [
      [0n, 0],
      [0n, 0],
    ],
  );
});

test('entries say whether they hold schemas and dictionaries', async (t) => {
  const { log, connect } = await startFixture(t);
  await replayStreams(await connect(), [{ arrowSignal: 'logs', messages: messagesOf('rich-1', 'logs') }]);
  assert.ok((log.batches[0]!.flags & ENTRY_FLAGS.HAS_SCHEMA) !== 0);
  assert.ok((log.batches[0]!.flags & ENTRY_FLAGS.HAS_DICTIONARY) !== 0);
  assert.ok(log.batches.every(({ flags }) => (flags & ENTRY_FLAGS.HEADERS_CUT) === 0));
});

test('a thousand idle streams cost the log nothing and no memory to speak of', async (t) => {
  const { log, server, connect } = await startFixture(t);
  const client = await connect();
  const before = process.memoryUsage().rss;
  const streams = Array.from({ length: 1000 }, () => client.openStream('logs'));
  await Promise.all(streams.map(({ call }) => call.responded));
  assert.equal(server.status().streamsOpen, 1000);
  assert.equal(log.streamsOpened, 0);
  // Both ends of all streams live in this process; 100 KB for the two ends of one is far above what they take.
  assert.ok(process.memoryUsage().rss - before < 100_000_000);
  const [first] = messagesOf('rich-1', 'logs');
  await streams[999]!.send(first!);
  assert.equal((await streams[999]!.nextStatus()).code, 0);
  assert.equal(log.streamsOpened, 1);
});

test('a stock gRPC client with gzip is served as it is', async (t) => {
  const { server, log } = await startFixture(t);
  const same = (bytes: Buffer): Buffer => bytes;
  const ArrowLogs = makeGenericClientConstructor(
    {
      ArrowLogs: {
        path: ARROW_PATHS.logs,
        requestStream: true,
        responseStream: true,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    },
    'ArrowLogsService',
  );
  const client = new ArrowLogs(server.address, credentials.createInsecure(), {
    'grpc.default_compression_algorithm': compressionAlgorithms.gzip,
  });
  const messages = messagesOf('rich-1', 'logs');
  const call = client['ArrowLogs']!() as ClientDuplexStream<Buffer, Buffer>;
  const codes: number[] = [];
  call.on('data', (status: Buffer) => codes.push(decodeBatchStatus(status).code));
  const status = new Promise<StatusObject>((resolve) => call.on('status', resolve));
  for (const message of messages) call.write(message);
  call.end();
  assert.equal((await status).code, 0);
  client.close();
  assert.deepEqual(
    codes,
    messages.map(() => 0),
  );
  assert.deepEqual(
    log.batches.map(({ record }) => record),
    messages,
  );
});
