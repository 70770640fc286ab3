/**
 * Goal: what an exporter does with every answer of an OTLP target.
 * Method: a real log, the engine of exporters, and targets over real sockets that answer as told.
 * Invariant: nothing is lost or out of order; repeats are counted; what is refused is told with its offset.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type OpenSender, openSender, type SenderConfig } from '../../../src/api/push/open-sender.ts';
import type { SendResult } from '../../../src/api/push/sender.ts';
import { bytesField, varintField } from '../../../src/api/otlp/protobuf-fields.ts';
import { createLogger } from '../../../src/base/index.ts';
import { decodeOtlp } from '../../../src/otap/index.ts';
import { logsRequest, startPush } from './push-fixture.ts';
import { startGrpcTarget, startHttpTarget } from './targets.ts';

const RETRYABLE = [1, 4, 10, 11, 14, 15];
const REFUSED = [2, 3, 6, 8, 9, 13];
const TARGETS_FAULT = [5, 7, 16];

function exporter(endpoint: string, more: Partial<SenderConfig> = {}): SenderConfig {
  return { name: 'test', protocol: 'otlp-grpc', endpoint, ...more };
}

for (const compression of ['zstd', 'gzip', 'none'] as const) {
  test(`an exporter sends all entries in order over gRPC with ${compression}`, async (t) => {
    const target = await startGrpcTarget(t);
    const push = await startPush(t);
    for (let i = 0; i < 20; i++) await push.append([`a${i}`, `b${i}`]);
    push.start(exporter(target.endpoint, { compression, headers: { 'X-Tenant': 'one' } }));
    const progress = await push.untilSent();
    assert.deepEqual(target.accepted, Array.from({ length: 20 }, (_, i) => [`a${i}`, `b${i}`]).flat());
    assert.deepEqual([progress.sentBatches, progress.sentItems, progress.retries, progress.error], [20, 40, 0, null]);
    assert.equal(target.requests[0]!.headers['x-tenant'], 'one');
    assert.equal(target.requests[0]!.headers['grpc-encoding'], compression === 'none' ? undefined : compression);
    assert.equal(target.connections, 1);
    await push.append(['later']);
    await push.untilSent();
    assert.equal(target.accepted.at(-1), 'later');
    assert.equal((await push.until(({ state }) => state === 'idle')).ackedOffset, push.log.status().durableOffset);
  });

  test(`an exporter sends all entries in order over HTTP with ${compression}`, async (t) => {
    const target = await startHttpTarget(t);
    const push = await startPush(t);
    for (let i = 0; i < 20; i++) await push.append([`a${i}`]);
    push.start(exporter(`${target.endpoint}/`, { protocol: 'otlp-http', compression, headers: { 'X-Tenant': 'one' } }));
    await push.untilSent();
    assert.deepEqual(
      target.accepted,
      Array.from({ length: 20 }, (_, i) => `a${i}`),
    );
    assert.equal(target.requests[0]!.path, '/v1/logs');
    assert.equal(target.requests[0]!.headers['x-tenant'], 'one');
    assert.equal(target.requests[0]!.headers['content-encoding'], compression === 'none' ? undefined : compression);
    assert.equal(target.connections, 1);
  });
}

for (const code of RETRYABLE) {
  test(`an exporter sends again what gRPC status ${code} puts off, in order`, async (t) => {
    const target = await startGrpcTarget(t, (index) => ({
      code: index === 1 || index === 2 ? code : 0,
      message: 'not now',
    }));
    const push = await startPush(t);
    for (let i = 0; i < 4; i++) await push.append([String(i)]);
    push.start(exporter(target.endpoint));
    const progress = await push.untilSent();
    assert.deepEqual(target.accepted, ['0', '1', '2', '3']);
    assert.deepEqual([progress.retries, progress.resentBatches, progress.setAsideEntries], [2, 2, 0]);
  });
}

for (const code of REFUSED) {
  test(`an exporter sets aside what gRPC status ${code} refuses, after bounded tries`, async (t) => {
    const target = await startGrpcTarget(t, (_, { bodies }) => ({
      code: bodies[0] === '1' ? code : 0,
      message: 'bad\nrow',
    }));
    const push = await startPush(t);
    for (let i = 0; i < 3; i++) await push.append([String(i)]);
    push.start(exporter(target.endpoint));
    const progress = await push.untilSent();
    assert.deepEqual(target.accepted, ['0', '2']);
    assert.equal(target.requests.filter(({ bodies }) => bodies[0] === '1').length, 5);
    assert.deepEqual(
      push.setAside.map(({ offset }) => offset),
      [1n],
    );
    assert.match(push.setAside[0]!.reason, /bad row \(5 tries\)$/);
    assert.deepEqual([progress.setAsideEntries, progress.error], [1, null]);
  });
}

for (const code of TARGETS_FAULT) {
  test(`an exporter waits for a target that answers everything with gRPC status ${code}`, async (t) => {
    let isMended = false;
    const target = await startGrpcTarget(t, () => ({ code: isMended ? 0 : code, message: 'no' }));
    const push = await startPush(t);
    await push.append(['0']);
    push.start(exporter(target.endpoint));
    const failed = await push.until(({ state, retries }) => state === 'failed' && retries > 6);
    assert.match(failed.error ?? '', /: no$/);
    assert.equal(failed.ackedOffset, 0n);
    isMended = true;
    const progress = await push.untilSent();
    assert.deepEqual([target.accepted, push.setAside, progress.error], [['0'], [], null]);
  });
}

for (const protocol of ['otlp-grpc', 'otlp-http'] as const) {
  test(`rows that OTLP cannot hold are counted by ${protocol}, and logged once`, async (t) => {
    const target = protocol === 'otlp-grpc' ? await startGrpcTarget(t) : await startHttpTarget(t);
    const lines: string[] = [];
    const logger = createLogger({ format: 'json', level: 'warn', write: (line) => lines.push(line) });
    const push = await startPush(t, { logger });
    await push.appendStream([['0'], ['1'], ['2']], { withOrphan: true });
    push.start(exporter(target.endpoint, { protocol }));
    const progress = await push.untilSent();
    assert.deepEqual([target.accepted, progress.orphanRows], [['0', '1', '2'], 3]);
    const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      told.filter(({ msg, message }) => /OTLP cannot hold/.test(String(msg ?? message))).length,
      1,
      lines.join(''),
    );
  });
}

/** The real senders, and what they say of each batch. */
function recordedSenders(): { results: SendResult[]; openSender: OpenSender } {
  const results: SendResult[] = [];
  return {
    results,
    openSender(config) {
      const sender = openSender(config);
      return {
        async send(batch, facts) {
          const result = await sender.send(batch, facts);
          results.push(result);
          return result;
        },
        close: () => sender.close(),
      };
    },
  };
}

test('an exporter waits as long as RetryInfo says', async (t) => {
  const duration = bytesField(1, varintField(2, 50_000_000));
  const info = Buffer.concat([
    bytesField(1, Buffer.from('type.googleapis.com/google.rpc.RetryInfo')),
    bytesField(2, duration),
  ]);
  const details = Buffer.concat([varintField(1, 8), bytesField(3, info)]).toString('base64');
  const trailers = { 'grpc-status-details-bin': details };
  const target = await startGrpcTarget(t, (index) =>
    index === 0 ? { code: 8, message: 'full', trailers } : { code: 0 },
  );
  const { results, openSender } = recordedSenders();
  const push = await startPush(t, { openSender });
  await push.append(['0']);
  push.start(exporter(target.endpoint));
  await push.untilSent();
  assert.deepEqual(results[0], {
    outcome: 'retry',
    reason: 'RESOURCE_EXHAUSTED: full',
    afterMs: 50,
    mayHaveArrived: true,
  });
});

test('an exporter falls back to a compression that the target knows', async (t) => {
  const target = await startGrpcTarget(t, (_, { headers }) =>
    headers['grpc-encoding'] === 'gzip'
      ? { code: 0 }
      : { code: 12, message: 'grpc: Decompressor is not installed for grpc-encoding "zstd"' },
  );
  const push = await startPush(t);
  await push.append(['0']);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.deepEqual(target.accepted, ['0']);
  assert.equal(progress.fallback, undefined);
});

test('an exporter counts what a partial success leaves out', async (t) => {
  const body = bytesField(1, Buffer.concat([varintField(1, 2), bytesField(2, Buffer.from('too old'))]));
  const grpc = await startGrpcTarget(t, () => ({ code: 0, body }));
  const http = await startHttpTarget(t, () => ({ status: 200, body }));
  const push = await startPush(t);
  await push.append(['0', '1', '2']);
  push.start(exporter(grpc.endpoint));
  push.start(exporter(http.endpoint, { name: 'http', protocol: 'otlp-http' }));
  for (const name of ['test', 'http']) {
    const progress = await push.untilSent(name);
    assert.deepEqual([progress.sentItems, progress.rejectedItems, progress.setAsideEntries], [1, 2, 0]);
  }
});

test('an exporter counts no more items as left out than it sent', async (t) => {
  const target = await startGrpcTarget(t, () => ({ code: 0, body: bytesField(1, varintField(1, 99)) }));
  const push = await startPush(t);
  await push.append(['0', '1', '2']);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.deepEqual([progress.sentItems, progress.rejectedItems], [0, 3]);
});

for (const encoding of ['zstd', 'gzip'] as const) {
  test(`an exporter reads answers that come compressed with ${encoding}`, async (t) => {
    const body = bytesField(1, Buffer.concat([varintField(1, 1), bytesField(2, Buffer.from('too old'))]));
    const target = await startGrpcTarget(t, () => ({ code: 0, body, encoding }));
    const push = await startPush(t);
    await push.append(['0', '1', '2']);
    push.start(exporter(target.endpoint, { compression: encoding }));
    const progress = await push.untilSent();
    assert.deepEqual([progress.sentItems, progress.rejectedItems, progress.setAsideEntries], [2, 1, 0]);
  });
}

test('an exporter halves what a target finds too large, and sets aside a single item that is', async (t) => {
  const target = await startGrpcTarget(t, (_, { bodies }) =>
    bodies.length > 2 || bodies.includes('bad')
      ? { code: 8, message: 'grpc: received message larger than max (9 vs. 4)' }
      : { code: 0 },
  );
  const push = await startPush(t);
  await push.append(['0', '1', '2', 'bad', '4', '5', '6']);
  await push.append(['7']);
  push.start(exporter(target.endpoint));
  const progress = await push.untilSent();
  assert.deepEqual(target.accepted, ['0', '1', '2', '4', '5', '6', '7']);
  assert.deepEqual(
    push.setAside.map(({ offset }) => offset),
    [0n],
  );
  assert.equal(progress.setAsideEntries, 1);
});

for (const status of [408, 429, 502, 503, 504]) {
  test(`an exporter sends again what HTTP status ${status} puts off, in order`, async (t) => {
    const target = await startHttpTarget(t, (index) => ({ status: index === 1 ? status : 200 }));
    const push = await startPush(t);
    for (let i = 0; i < 3; i++) await push.append([String(i)]);
    push.start(exporter(target.endpoint, { protocol: 'otlp-http' }));
    const progress = await push.untilSent();
    assert.deepEqual(target.accepted, ['0', '1', '2']);
    assert.deepEqual([progress.retries, progress.resentBatches], [1, 1]);
  });
}

for (const status of [400, 422, 500]) {
  test(`an exporter sets aside what HTTP status ${status} refuses, after bounded tries`, async (t) => {
    const target = await startHttpTarget(t, (_, { bodies }) => ({ status: bodies[0] === '1' ? status : 200 }));
    const push = await startPush(t);
    for (let i = 0; i < 3; i++) await push.append([String(i)]);
    push.start(exporter(target.endpoint, { protocol: 'otlp-http' }));
    await push.untilSent();
    assert.deepEqual(target.accepted, ['0', '2']);
    assert.deepEqual(
      push.setAside.map(({ offset, reason }) => [offset, reason]),
      [[1n, `HTTP ${status} (5 tries)`]],
    );
  });
}

for (const status of [301, 401, 403, 404]) {
  test(`an exporter waits for a target that answers everything with HTTP status ${status}`, async (t) => {
    let isMended = false;
    const target = await startHttpTarget(t, () => ({ status: isMended ? 200 : status }));
    const push = await startPush(t);
    await push.append(['0']);
    push.start(exporter(target.endpoint, { protocol: 'otlp-http' }));
    await push.until(({ state, retries }) => state === 'failed' && retries > 6);
    isMended = true;
    await push.untilSent();
    assert.deepEqual([target.accepted, push.setAside], [['0'], []]);
  });
}

test('an exporter waits as long as Retry-After says, within reason', async (t) => {
  const waits = ['0.01', '1', '999999', 'Thu, 01 Jan 2026 00:00:00 GMT', 'soon'];
  const target = await startHttpTarget(t, (index) => ({ status: 429, headers: { 'retry-after': waits[index]! } }));
  const { openSender } = recordedSenders();
  const sender = openSender(exporter(target.endpoint, { protocol: 'otlp-http' }));
  t.after(() => sender.close());
  const batch = decodeOtlp('logs', logsRequest(['0']), 'application/x-protobuf');
  const facts = { signal: 'logs', offset: 0n, receivedAtUnixNano: 0n, items: 1 } as const;
  const afterMs: unknown[] = [];
  for (const _ of waits) afterMs.push(((await sender.send(batch, facts)) as { afterMs?: number }).afterMs);
  assert.deepEqual(afterMs, [10, 1_000, 300_000, undefined, undefined]);
});

test('an exporter halves what HTTP status 413 refuses, and changes the compression at 415', async (t) => {
  const target = await startHttpTarget(t, (_, { bodies, headers }) => {
    if (headers['content-encoding'] === 'zstd') return { status: 415 };
    return { status: bodies.length > 1 ? 413 : 200 };
  });
  const push = await startPush(t);
  await push.append(['0', '1', '2']);
  push.start(exporter(target.endpoint, { protocol: 'otlp-http' }));
  await push.untilSent();
  assert.deepEqual(target.accepted, ['0', '1', '2']);
});

for (const protocol of ['otlp-grpc', 'otlp-http'] as const) {
  test(`an exporter over ${protocol} sends again what a broken connection took along, and counts it`, async (t) => {
    const start = protocol === 'otlp-grpc' ? startGrpcTarget : startHttpTarget;
    const target = await start(t, (index) => (index === 1 ? 'cut' : { code: 0, status: 200 }));
    const push = await startPush(t);
    for (let i = 0; i < 3; i++) await push.append([String(i)]);
    push.start(exporter(target.endpoint, { protocol }));
    const progress = await push.untilSent();
    assert.deepEqual(
      target.requests.map(({ bodies }) => bodies[0]),
      ['0', '1', '1', '2'],
    );
    assert.deepEqual(target.accepted, ['0', '1', '2']);
    assert.equal(progress.resentBatches, 1);
  });

  test(`an exporter over ${protocol} says why a target that is not there takes nothing, and no header values`, async (t) => {
    const target = await (protocol === 'otlp-grpc' ? startGrpcTarget : startHttpTarget)(t);
    await target.stop();
    const push = await startPush(t);
    await push.append(['0']);
    push.start(exporter(target.endpoint, { protocol, headers: { authorization: 'geheim' } }));
    const progress = await push.until(({ state, retries }) => state === 'retrying' && retries > 3);
    assert.match(progress.error ?? '', /ECONNREFUSED/);
    assert.equal(progress.resentBatches, 0);
    const text = JSON.stringify(push.events, (_, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    assert.ok(!text.includes('geheim'));
  });
}
