/** OTLP requests over gRPC that cannot be taken for what they are: the status of each, and that nothing of them is logged. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, SIGNALS } from '../../../src/base/index.ts';
import { type CallEnd, compressMessage, type RawCall } from '../../helpers/otap-client.ts';
import { exportGrpc, OTLP_GRPC_PATHS } from '../../helpers/otlp-client.ts';
import { eventually, type FixtureLimits, type GrpcFixture, startFixture } from './grpc-fixture.ts';
import { exportRequest, statusDetails } from './otlp-messages.ts';

const INVALID_ARGUMENT = 3;
const UNIMPLEMENTED = 12;
const UNAVAILABLE = 14;
const MIB = 1024 * 1024;
const request = exportRequest('logs', { rows: 20 });

/** How a call with these bytes ends; nothing may be logged or stay in memory, and a sound request goes through behind it. */
async function refused(fixture: GrpcFixture, encoding: string, send: (call: RawCall) => void): Promise<CallEnd> {
  const { server, intake, log, connect } = fixture;
  const client = await connect();
  const call = client.call(OTLP_GRPC_PATHS.logs, { encoding });
  send(call);
  call.halfClose();
  const end = await call.ended;
  assert.equal(log.appends, 0);
  await eventually(() => server.status().otlpWaitingBytes === 0);
  assert.equal(intake.admission.inFlightBytes, 0);
  const { malformed, unavailable } = intake.status().requests.grpc.logs;
  assert.equal(malformed + unavailable, 1);
  assert.equal((await exportGrpc(client, 'logs', request)).code, 0);
  return end;
}

function refusal(
  name: string,
  encoding: string,
  send: (call: RawCall) => void,
  reason: RegExp,
  limits: FixtureLimits = {},
): void {
  test(name, async (t) => {
    const end = await refused(await startFixture(t, limits), encoding, send);
    assert.equal(end.code, INVALID_ARGUMENT);
    assert.match(end.message, reason);
  });
}

refusal(
  'a truncated request is INVALID_ARGUMENT with the field and the position',
  'identity',
  (call) => void call.send(request.subarray(0, request.length - 3)),
  /Cannot read .*resource_logs.* at byte \d+/i,
);

refusal(
  'a request that is not protobuf is INVALID_ARGUMENT',
  'zstd',
  (call) => void call.send(Buffer.from('{"resourceLogs":[]}')),
  /Cannot read/,
);

for (const encoding of ['zstd', 'zstdarrow5', 'gzip', 'deflate']) {
  refusal(
    `a request of garbage in ${encoding} is INVALID_ARGUMENT`,
    encoding,
    (call) => void call.sendFrame(Buffer.from('garbage, all of it garbage'), 1),
    new RegExp(`Cannot decompress a message \\(${encoding}\\)`),
  );

  refusal(
    `a truncated request in ${encoding} is INVALID_ARGUMENT`,
    encoding,
    (call) => {
      const compressed = compressMessage(request, encoding);
      void call.sendFrame(compressed.subarray(0, compressed.length - 8), 1);
    },
    new RegExp(`Cannot decompress a message \\(${encoding}\\)`),
  );

  refusal(
    `a request in ${encoding} that decompresses past the limit is INVALID_ARGUMENT`,
    encoding,
    (call) => void call.sendFrame(compressMessage(Buffer.alloc(MIB + 1), encoding), 1),
    new RegExp(`Cannot decompress a message \\(${encoding}\\)`),
    { decompressedBytesMax: MIB },
  );
}

refusal(
  'a request larger than the limit is INVALID_ARGUMENT before it is read',
  'identity',
  (call) => void call.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3])),
  /Cannot read a message: .*larger than max/,
);

refusal(
  'a compressed request in a call without an encoding is INVALID_ARGUMENT',
  'identity',
  (call) => void call.sendFrame(compressMessage(request, 'gzip'), 1),
  /no encoding/,
);

refusal(
  'a request with unknown flags is INVALID_ARGUMENT',
  'gzip',
  (call) => void call.sendFrame(request, 0x82),
  /flags are 130/,
);

test('an unknown encoding is UNIMPLEMENTED, and the answer names those that are known', async (t) => {
  const fixture = await startFixture(t);
  const end = await refused(fixture, 'snappy', (call) => void call.sendFrame(request, 1));
  assert.equal(end.code, UNIMPLEMENTED);
  assert.match(end.message, /snappy/);
  const accepted = String(end.headers['grpc-accept-encoding']).split(',');
  for (const name of ['identity', 'gzip', 'deflate', 'zstd', 'zstdarrow1', 'zstdarrow10']) {
    assert.ok(accepted.includes(name), name);
  }
});

test('a reason with text of the sender is one line of ASCII, percent-encoded', async (t) => {
  const { connect } = await startFixture(t);
  const call = (await connect()).call(OTLP_GRPC_PATHS.logs, { encoding: '100%"' });
  await call.sendFrame(request, 1);
  call.halfClose();
  const end = await call.ended;
  assert.equal(end.code, UNIMPLEMENTED);
  assert.match(String({ ...end.headers, ...end.trailers }['grpc-message']), /^[\x21-\x7e]+$/);
  assert.match(end.message, /"100%/);
});

test('a request of another signal is INVALID_ARGUMENT or read by its field numbers, never an error of the server', async (t) => {
  const { connect } = await startFixture(t);
  const client = await connect();
  for (const signal of SIGNALS) {
    for (const other of SIGNALS) {
      const { code } = await exportGrpc(client, signal, exportRequest(other));
      assert.ok(code === 0 || code === INVALID_ARGUMENT, `${other} sent as ${signal}: ${code}`);
    }
  }
});

test('a refusing log is UNAVAILABLE with RetryInfo, and nothing is acknowledged until it takes again', async (t) => {
  const { intake, log, connect } = await startFixture(t);
  const client = await connect();
  log.refuse(3);
  for (const signal of SIGNALS) {
    const end = await exportGrpc(client, signal, exportRequest(signal), { encoding: 'zstd' });
    assert.deepEqual([end.code, end.message], [UNAVAILABLE, 'Cannot append: the test says so']);
    const details = statusDetails({ ...end.headers, ...end.trailers }['grpc-status-details-bin']);
    assert.deepEqual(details, { code: UNAVAILABLE, message: end.message, retryAfterMs: LIMITS.otlpRetryAfterMs });
    assert.equal(intake.status().requests.grpc[signal].unavailable, 1);
  }
  assert.equal(log.batches.length, 0);
  assert.equal(intake.admission.inFlightBytes, 0);
  assert.equal((await exportGrpc(client, 'logs', request)).code, 0);
  assert.equal(log.batches.length, 1);
});

test('a call without a message, and one with two, end with an error and leave nothing behind', async (t) => {
  const { server, log, connect } = await startFixture(t);
  const client = await connect();
  const none = client.call(OTLP_GRPC_PATHS.logs);
  none.halfClose();
  assert.equal((await none.ended).code, UNIMPLEMENTED);
  const two = client.call(OTLP_GRPC_PATHS.logs);
  void two.send(request);
  void two.send(request);
  two.halfClose();
  assert.equal((await two.ended).code, UNIMPLEMENTED);
  await eventually(() => server.status().otlpWaitingBytes === 0);
  assert.equal(log.appends, 0);
});
