/**
 * Goal: connections to the OTLP/HTTP port carry many requests, and those that are slow, broken or too many harm nobody else.
 * Method: bare sockets that send what a test wants, a real server, a log that fsyncs a real file.
 * Invariant: nothing that was not wholly received is logged, and afterwards no byte counts as in flight.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toOtlpJson } from '../../helpers/otlp-json.ts';
import { allReleased, logsRequest, postHead, startOtlpHarness } from './otlp-harness.ts';

const BODY = toOtlpJson('logs', logsRequest());
const LENGTH = `Content-Length: ${BODY.length}`;
const WHOLE = postHead(LENGTH) + BODY;

function statusesOf(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d+) [A-Z]/g)].map((match) => Number(match[1]));
}

test('a connection serves many requests, and is kept longer than any client keeps it', async (t) => {
  const harness = await startOtlpHarness(t);
  const connection = await harness.connect();
  for (let count = 1; count <= 100; count++) {
    connection.socket.write(WHOLE);
    while (statusesOf(connection.heard()).length < count) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.equal(harness.log.batches.length, 100);
  const [, seconds] = /Keep-Alive: timeout=(\d+)/i.exec(connection.heard())!;
  assert.ok(Number(seconds) > 90);
  await allReleased(harness);
});

test('pipelined requests are answered in their order, whatever they are', async (t) => {
  const harness = await startOtlpHarness(t);
  harness.log.hold();
  const connection = await harness.connect();
  const requests = [WHOLE, WHOLE.replace('/v1/logs', '/v1/nothing'), WHOLE.replace(/Type: \S+/, 'Type: a/b'), WHOLE];
  connection.socket.write([...requests, 'GET /v1/logs HTTP/1.1\r\n\r\n', WHOLE].join(''));
  while (harness.log.held < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(connection.heard(), '');
  harness.log.release(true);
  await connection.hears(/\{\}[^]*\{\}[^]*\{\}$/);
  assert.deepEqual(statusesOf(connection.heard()), [200, 404, 415, 200, 405, 200]);
  await allReleased(harness);
});

test('a body in chunks of single bytes, with extensions and trailers, is logged as one', async (t) => {
  const harness = await startOtlpHarness(t);
  const connection = await harness.connect();
  const chunks = BODY.replaceAll(/[^]/g, '1;a=b\r\n$&\r\n');
  connection.socket.write(`${postHead('Transfer-Encoding: chunked')}${chunks}0\r\nX-Trailer: 1\r\n\r\n`);
  await connection.hears('200 OK');
  assert.equal(harness.log.batches[0]!.record.toString(), BODY);
  await allReleased(harness);
});

test('a long body in parts of any size is logged as one', async (t) => {
  const harness = await startOtlpHarness(t);
  const body = toOtlpJson('logs', logsRequest(3000, 200));
  for (const framing of ['length', 'chunks']) {
    const connection = await harness.connect();
    const isChunked = framing === 'chunks';
    connection.socket.write(postHead(isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`));
    for (let position = 0, size = 1; position < body.length; position += size, size = (size * 7) % 100_003) {
      const part = body.slice(position, position + size);
      connection.socket.write(isChunked ? `${part.length.toString(16)}\r\n${part}\r\n` : part);
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (isChunked) connection.socket.write('0\r\n\r\n');
    await connection.hears('200 OK');
    assert.equal(harness.log.batches.at(-1)!.record.toString(), body);
  }
  await allReleased(harness);
});

test('a sender that expects 100-continue is told to go on', async (t) => {
  const harness = await startOtlpHarness(t);
  const connection = await harness.connect();
  connection.socket.write(postHead(LENGTH, 'Expect: 100-continue'));
  await connection.hears('100 Continue\r\n\r\n');
  connection.socket.write(BODY);
  await connection.hears('200 OK');
  assert.equal(harness.log.batches.length, 1);
});

const REFUSED_HEADS: readonly (readonly [number, string])[] = [
  [404, postHead(LENGTH, 'Expect: 100-continue').replace('/v1/logs', '/v1/x')],
  [405, postHead(LENGTH, 'Expect: 100-continue').replace('POST', 'PUT')],
  [413, postHead('Content-Length: 1000000000', 'Expect: 100-continue')],
  [415, postHead(LENGTH, 'Expect: 100-continue', 'Content-Encoding: br')],
  [417, postHead(LENGTH, 'Expect: miracles')],
  [413, postHead('Content-Length: 1000000000')],
  [501, postHead('Transfer-Encoding: gzip, chunked')],
];

for (const [status, head] of REFUSED_HEADS) {
  test(`a head that is refused with ${status} is answered before any body: ${head.split('\r\n').slice(3, -2).join(', ')}`, async (t) => {
    const harness = await startOtlpHarness(t);
    const connection = await harness.connect();
    connection.socket.write(head);
    await connection.hears(/"code":\d+/);
    assert.deepEqual(statusesOf(connection.heard()), [status]);
  });
}

test('a sender that expects 100-continue is refused before it sends when too much is in flight', async (t) => {
  const harness = await startOtlpHarness(t, { inFlightBytesMax: 1000, limits: { holdMaxMs: 20 } });
  harness.intake.admission.admit(600);
  const connection = await harness.connect();
  connection.socket.write(postHead(LENGTH, 'Expect: 100-continue'));
  await connection.hears('"code":14');
  assert.deepEqual(statusesOf(connection.heard()), [503]);
  assert.match(connection.heard(), /\r\nRetry-After: 1\r\n/);
  await connection.closed;
  harness.intake.admission.release(600);
});

test('a sender that leaves in the middle of its body leaves nothing behind', async (t) => {
  const harness = await startOtlpHarness(t);
  for (const head of [
    postHead(LENGTH),
    postHead('Transfer-Encoding: chunked') + '5\r\n',
    postHead(LENGTH, 'Expect: 100-continue'),
  ]) {
    for (const leave of ['destroy', 'resetAndDestroy'] as const) {
      const connection = await harness.connect();
      connection.socket.write(`${head}{"res`);
      while (harness.listener.arrivingBytes === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      connection.socket[leave]();
      await allReleased(harness);
    }
  }
  assert.equal(harness.log.appends, 0);
});

test('a sender that leaves while its export is being logged costs nothing but its answer', async (t) => {
  const harness = await startOtlpHarness(t);
  harness.log.hold();
  const connection = await harness.connect();
  connection.socket.write(WHOLE);
  while (harness.log.held === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  connection.socket.resetAndDestroy();
  harness.log.release();
  await allReleased(harness);
  assert.equal(harness.log.batches.length, 1);
  assert.equal((await harness.post(logsRequest())).status, 200);
});

const BROKEN: readonly (readonly [string, number, string])[] = [
  ['a body that ends before its length', 400, postHead(LENGTH) + BODY.slice(0, -1)],
  ['a body in chunks that ends early', 400, `${postHead('Transfer-Encoding: chunked')}5\r\n{"res`],
  ['a head that ends early', 400, postHead(LENGTH).slice(0, 40)],
  ['a chunk of no length', 400, `${postHead('Transfer-Encoding: chunked')}zz\r\n`],
  ['a length and chunks', 400, postHead(LENGTH, 'Transfer-Encoding: chunked') + BODY],
  ['two lengths', 400, postHead(LENGTH, 'Content-Length: 1') + BODY],
  ['something that is not HTTP', 400, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['HTTP/2, as gRPC begins it', 400, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['a head without end', 431, postHead(`X: ${'x'.repeat(20_000)}`)],
  ['chunk extensions without end', 413, `${postHead('Transfer-Encoding: chunked')}1;${'x'.repeat(20_000)}\r\n`],
];

for (const [what, status, bytes] of BROKEN) {
  test(`${what} is answered ${status} with a Status, then the connection ends`, async (t) => {
    const harness = await startOtlpHarness(t);
    const connection = await harness.connect();
    connection.socket.end(bytes, 'latin1');
    await connection.closed;
    assert.deepEqual(statusesOf(connection.heard()), [status]);
    assert.match(connection.heard(), /\r\nConnection: close\r\n/i);
    assert.match(connection.heard(), /\r\n\r\n\{"code":3,"message":"Cannot [^"]+"\}$/);
    assert.equal(harness.log.appends, 0);
    await allReleased(harness);
  });
}

test('what breaks behind a request does not cost it its answer', async (t) => {
  const harness = await startOtlpHarness(t);
  harness.log.hold();
  const connection = await harness.connect();
  connection.socket.write(`${WHOLE}${WHOLE}no HTTP\r\n\r\n`);
  while (harness.log.held < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  connection.socket.write('nor this');
  harness.log.release();
  await connection.closed;
  assert.deepEqual(statusesOf(connection.heard()), [200, 200, 400]);
});

test('a body that stalls is answered 503, for its sender to come again, and no longer counts', async (t) => {
  const harness = await startOtlpHarness(t, { limits: { stallMaxMs: 50 } });
  const connection = await harness.connect();
  connection.socket.write(postHead(LENGTH) + BODY.slice(0, 10));
  await connection.hears('"code":14');
  assertRetryable(connection.heard());
  await allReleased(harness);
  assert.equal(harness.log.appends, 0);
});

test('a body that comes a byte at a time is answered 503 when its time is over', async (t) => {
  const limits = { requestMaxMs: 200, headMaxMs: 200, checkIntervalMs: 20 };
  const harness = await startOtlpHarness(t, { limits });
  const connection = await harness.connect();
  connection.socket.write(postHead(LENGTH));
  const trickle = setInterval(() => connection.socket.write(' '), 10);
  t.after(() => clearInterval(trickle));
  await connection.closed;
  assertRetryable(connection.heard());
  await allReleased(harness);
});

test('a head that comes slowly, or not at all, is answered 408', async (t) => {
  const harness = await startOtlpHarness(t, { limits: { headMaxMs: 100, checkIntervalMs: 20 } });
  for (const begun of ['', 'POST /v1/logs HTTP/1.1\r\nHo']) {
    const connection = await harness.connect();
    connection.socket.write(begun);
    await connection.closed;
    assert.deepEqual(statusesOf(connection.heard()), [408]);
    assert.match(connection.heard(), /"code":4/);
  }
});

test('a connection that is not used any more is closed without a word', async (t) => {
  const harness = await startOtlpHarness(t, { limits: { idleMaxMs: 50 } });
  const connection = await harness.connect();
  connection.socket.write(WHOLE);
  await connection.closed;
  assert.deepEqual(statusesOf(connection.heard()), [200]);
});

/** One answer by which exporters send again what they still have: OTLP lets them do so after 503, and not after 408. */
function assertRetryable(heard: string): void {
  assert.deepEqual(statusesOf(heard), [503]);
  assert.match(heard, /\r\nRetry-After: \d+\r\n/i);
  assert.match(heard, /"code":14,.*google\.rpc\.RetryInfo/);
}
