/**
 * Goal: what is sent to the OTLP/HTTP port is in the log byte for byte, and every other request gets the status that OTLP has for it.
 * Method: a real server on a socket over a log that fsyncs a real file; requests by node:http.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { LIMITS, SIGNAL_CODES, SIGNALS } from '../../../src/base/index.ts';
import { compressZstd, initZstd } from '../../../src/otap/index.ts';
import { toOtlpJson } from '../../helpers/otlp-json.ts';
import { lengthField } from '../../helpers/otlp-wire-messages.ts';
import {
  allReleased,
  JSON_TYPE,
  logsRequest,
  postHead,
  PROTOBUF,
  readStatus,
  spansRequest,
  startOtlpHarness,
} from './otlp-harness.ts';

await initZstd();

test('an export of any signal is answered 200 with an empty response and is in the log as it was sent', async (t) => {
  const harness = await startOtlpHarness(t);
  const bodies = { logs: logsRequest(), traces: spansRequest(16, 16), metrics: Buffer.from([0x0a, 0x00]) };
  for (const signal of SIGNALS) {
    const answer = await harness.post(bodies[signal], { path: `/v1/${signal}?source=test` });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], PROTOBUF);
    assert.equal(answer.headers['content-length'], '0');
    const entry = harness.log.batches.at(-1)!;
    assert.equal(entry.signal, SIGNAL_CODES[signal]);
    assert.deepEqual(entry.record, bodies[signal]);
  }
  assert.equal(harness.log.batches.length, 3);
  await allReleased(harness);
});

const ENCODERS: readonly (readonly [string | undefined, (body: Buffer) => Buffer])[] = [
  [undefined, (body) => body],
  ['', (body) => body],
  ['identity', (body) => body],
  ['none', (body) => body],
  ['gzip', (body) => gzipSync(body)],
  ['x-gzip', (body) => gzipSync(body)],
  ['GZIP', (body) => gzipSync(body)],
  ['deflate', (body) => deflateSync(body)],
  ['deflate', (body) => deflateRawSync(body)],
  ['zlib', (body) => deflateSync(body)],
  ['zstd', (body) => compressZstd(body)],
];

test('a body of every encoding is in the log as it was before compression', async (t) => {
  const harness = await startOtlpHarness(t);
  const body = logsRequest(2000, 100);
  for (const [encoding, encode] of ENCODERS) {
    const answer = await harness.post(encode(body), { headers: { 'content-encoding': encoding } });
    assert.equal(answer.status, 200, encoding);
    assert.deepEqual(harness.log.batches.at(-1)!.record, body);
  }
  assert.equal(harness.counts().bodyBytes, body.length * ENCODERS.length);
  await allReleased(harness);
});

test('gzip of several members is one body', async (t) => {
  const harness = await startOtlpHarness(t);
  const body = logsRequest();
  const members = Buffer.concat([gzipSync(body.subarray(0, 10)), gzipSync(body.subarray(10))]);
  assert.equal((await harness.post(members, { headers: { 'content-encoding': 'gzip' } })).status, 200);
  assert.deepEqual(harness.log.batches[0]!.record, body);
});

test('JSON is logged as it was sent and answered in JSON', async (t) => {
  const harness = await startOtlpHarness(t);
  const body = Buffer.from(toOtlpJson('logs', logsRequest()));
  for (const type of [JSON_TYPE, 'Application/JSON; charset=UTF-8', 'application/json;charset="utf-8"']) {
    const answer = await harness.post(gzipSync(body), {
      headers: { 'content-type': type, 'content-encoding': 'gzip' },
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], JSON_TYPE);
    assert.deepEqual(JSON.parse(answer.body.toString()), {});
    const entry = harness.log.batches.at(-1)!;
    assert.deepEqual(entry.record, body);
    assert.equal(entry.headers.get('content-type'), JSON_TYPE);
  }
  assert.equal(harness.counts().rows, 9);
});

test('an empty body is an export without anything: answered 200, nothing logged', async (t) => {
  const harness = await startOtlpHarness(t);
  assert.equal((await harness.post(Buffer.alloc(0))).status, 200);
  assert.equal(
    (await harness.post(gzipSync(Buffer.alloc(0)), { headers: { 'content-encoding': 'gzip' } })).status,
    200,
  );
  assert.equal(harness.log.appends, 0);
});

test('headers that explain an export are kept with it, credentials are not', async (t) => {
  const harness = await startOtlpHarness(t);
  const headers = {
    'content-type': `${PROTOBUF}; proto=x`,
    'content-encoding': 'gzip',
    'user-agent': 'OTel-OTLP-Exporter-Test/1',
    'x-scope-orgid': 'tenant',
    authorization: 'Bearer hidden',
    'api-key': 'hidden',
    cookie: 'a=hidden',
    'x-other': 'other',
  };
  assert.equal((await harness.post(gzipSync(logsRequest()), { headers })).status, 200);
  assert.deepEqual(Object.fromEntries(harness.log.batches[0]!.headers), {
    'content-type': PROTOBUF,
    'content-encoding': 'gzip',
    'user-agent': 'OTel-OTLP-Exporter-Test/1',
    'x-scope-orgid': 'tenant',
  });
});

test('rows with a fault of their own are told as a partial success, in both types', async (t) => {
  const harness = await startOtlpHarness(t);
  const body = spansRequest(16, 3);
  const binary = await harness.post(body, { path: '/v1/traces' });
  assert.equal(binary.status, 200);
  // partial_success { rejected_spans = 1, … }
  assert.deepEqual([binary.body[0], ...binary.body.subarray(2, 4)], [0x0a, 0x08, 0x01]);
  const json = await harness.post(Buffer.from(toOtlpJson('traces', body)), {
    path: '/v1/traces',
    headers: { 'content-type': JSON_TYPE },
  });
  const { partialSuccess } = JSON.parse(json.body.toString()) as {
    partialSuccess: { rejectedSpans: string; errorMessage: string };
  };
  assert.equal(partialSuccess.rejectedSpans, '1');
  assert.match(partialSuccess.errorMessage, /trace/i);
  assert.equal(harness.log.batches.length, 2);
  assert.equal(harness.counts('traces').partial, 2);
});

test('an export with nothing but faulty rows is answered 400 and not logged', async (t) => {
  const harness = await startOtlpHarness(t);
  const answer = await harness.post(spansRequest(3), { path: '/v1/traces' });
  assert.equal(answer.status, 400);
  assert.equal(readStatus(answer).code, 3);
  assert.equal(harness.log.appends, 0);
});

test('an export of more rows than a batch may have is answered 400 in both types, and not logged', async (t) => {
  const harness = await startOtlpHarness(t);
  const records = Buffer.alloc(2 * (LIMITS.rootRowsMax + 1), Buffer.of(0x12, 0));
  const binary = lengthField(1, lengthField(2, records));
  const json = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}${',{}'.repeat(LIMITS.rootRowsMax)}]}]}]}`;
  for (const [type, body] of [
    [PROTOBUF, binary],
    [JSON_TYPE, Buffer.from(json)],
  ] as const) {
    const answer = await harness.post(gzipSync(body), {
      headers: { 'content-type': type, 'content-encoding': 'gzip' },
    });
    assert.equal(answer.status, 400, type);
    const { code, message, hasRetryInfo } = readStatus(answer);
    assert.deepEqual([code, hasRetryInfo], [3, false]);
    assert.match(message, new RegExp(`\\b${LIMITS.rootRowsMax}\\b`));
  }
  assert.equal(harness.log.appends, 0);
  assert.equal(harness.counts().malformed, 2);
});

const GZIPPED = gzipSync(logsRequest());
const DEFLATED = deflateSync(logsRequest());
const DEFLATED_RAW = deflateRawSync(logsRequest());
const ZSTD = compressZstd(logsRequest());
const DAMAGED: readonly (readonly [string, string | undefined, Buffer])[] = [
  ['protobuf that is none', undefined, Buffer.from('no protobuf')],
  ['truncated protobuf', undefined, logsRequest().subarray(0, -1)],
  ['gzip that is none', 'gzip', logsRequest()],
  ['gzip of no bytes', 'gzip', Buffer.alloc(0)],
  ['truncated gzip', 'gzip', GZIPPED.subarray(0, -1)],
  ['gzip with a wrong checksum', 'gzip', flipped(GZIPPED, GZIPPED.length - 6)],
  ['gzip with something behind it', 'gzip', Buffer.concat([GZIPPED, Buffer.from('behind')])],
  ['gzip with half a member behind it', 'gzip', Buffer.concat([GZIPPED, GZIPPED.subarray(0, 12)])],
  ['truncated deflate', 'deflate', DEFLATED.subarray(0, -1)],
  ['deflate with something behind it', 'deflate', Buffer.concat([DEFLATED, Buffer.from('behind')])],
  ['raw deflate with something behind it', 'deflate', Buffer.concat([DEFLATED_RAW, Buffer.from('behind')])],
  ['deflate that is none', 'deflate', Buffer.from([0xff, 0xff, 0xff])],
  ['truncated zstd', 'zstd', ZSTD.subarray(0, -1)],
  ['zstd with something behind it', 'zstd', Buffer.concat([ZSTD, Buffer.from('behind')])],
];

for (const [what, encoding, body] of DAMAGED) {
  test(`${what} is answered 400 with a Status and not logged`, async (t) => {
    const harness = await startOtlpHarness(t);
    const answer = await harness.post(body, { headers: { 'content-encoding': encoding } });
    assert.equal(answer.status, 400);
    assert.equal(answer.headers['content-type'], PROTOBUF);
    const status = readStatus(answer);
    assert.equal(status.code, 3);
    assert.match(status.message, /^Cannot /);
    assert.equal(status.hasRetryInfo, false);
    assert.equal(harness.log.appends, 0);
    assert.equal(harness.counts().malformed, 1);
    await allReleased(harness);
  });
}

test('malformed JSON is answered 400 with a Status in JSON', async (t) => {
  const harness = await startOtlpHarness(t);
  const answer = await harness.post(Buffer.from('{"resourceLogs":['), { headers: { 'content-type': JSON_TYPE } });
  assert.equal(answer.status, 400);
  assert.equal(answer.headers['content-type'], JSON_TYPE);
  assert.equal(readStatus(answer).code, 3);
});

test('other paths are answered 404, other methods 405 with what is allowed', async (t) => {
  const harness = await startOtlpHarness(t);
  for (const path of ['/', '/v1/log', '/v1/logs/', '/v1/traces/x', '/v1development/profiles']) {
    const answer = await harness.post(logsRequest(), { path });
    assert.equal(answer.status, 404, path);
    assert.equal(readStatus(answer).code, 5);
  }
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const answer = await harness.post(Buffer.alloc(0), { method });
    assert.equal(answer.status, 405, method);
    assert.equal(answer.headers['allow'], 'POST');
    if (method === 'HEAD') assert.equal(answer.body.length, 0);
    else assert.equal(readStatus(answer).code, 12);
  }
  assert.equal(harness.log.appends, 0);
});

const UNSUPPORTED: readonly (readonly [Record<string, string | undefined>, RegExp])[] = [
  [{ 'content-type': undefined }, /of no type: supported are application\/x-protobuf, application\/json/],
  [{ 'content-type': 'text/plain' }, /of type text\/plain: supported are/],
  [{ 'content-type': 'application/x-protobuf2' }, /supported are/],
  [{ 'content-type': 'application/json; charset=utf-16' }, /charset=utf-16: it must be UTF-8/],
  [{ 'content-encoding': 'br' }, /encoded as br: supported is one of gzip, deflate, zlib, zstd, identity/],
  [{ 'content-encoding': 'gzip, zstd' }, /encoded as gzip, zstd/],
  [{ 'content-encoding': 'snappy' }, /encoded as snappy/],
];

for (const [headers, reason] of UNSUPPORTED) {
  test(`a body with ${JSON.stringify(headers)} is answered 415 with what is supported`, async (t) => {
    const harness = await startOtlpHarness(t);
    const answer = await harness.post(logsRequest(), { headers });
    assert.equal(answer.status, 415);
    const isTypeKnown = 'content-encoding' in headers;
    const isJson = !isTypeKnown;
    assert.equal(answer.headers['content-type'], isJson ? JSON_TYPE : PROTOBUF);
    const status = readStatus(answer);
    assert.equal(status.code, 12);
    assert.match(status.message, reason);
    const supported = answer.headers[isTypeKnown ? 'accept-encoding' : 'accept'];
    assert.match(String(supported), isTypeKnown ? /zstd/ : /application\/json/);
    assert.equal(harness.counts().malformed, 1);
  });
}

test('a body above the bound on the wire is answered 413, by its announced length and by what came', async (t) => {
  const harness = await startOtlpHarness(t, { limits: { bodyBytesMax: 1000 } });
  const whole = Buffer.concat([logsRequest(1, 900)]);
  assert.equal((await harness.post(whole)).status, 200);
  for (const headers of [{ 'content-length': '1001' }, { 'transfer-encoding': 'chunked' }]) {
    const answer = await harness.post(Buffer.alloc(1001), { headers });
    assert.equal(answer.status, 413);
    assert.equal(readStatus(answer).code, 3);
    assert.match(readStatus(answer).message, /more than 1000 bytes/);
  }
  assert.equal(harness.log.appends, 1);
  await allReleased(harness);
});

test('a body in chunks is bounded by what all of them hold, and taken up to the last byte of the bound', async (t) => {
  const harness = await startOtlpHarness(t, { limits: { bodyBytesMax: 1000 } });
  for (const [lengths, status] of [
    [[2, 498, 500], 200],
    [[2, 498, 500, 1], 413],
  ] as const) {
    const { socket, hears, heard } = await harness.connect();
    const parts = lengths.map((length) => `${length.toString(16)}\r\n${'{}'.padEnd(length).slice(0, length)}\r\n`);
    // White space behind the request is part of it.
    const chunks = parts.map((part, index) => (index === 0 ? part : part.replace('{}', '  ')));
    socket.write(`${postHead('Transfer-Encoding: chunked')}${chunks.join('')}0\r\n\r\n`);
    await hears(/HTTP\/1\.1 \d+ [^]*\r\n\r\n./);
    assert.match(heard(), new RegExp(`^HTTP/1\\.1 ${status} `));
  }
  assert.deepEqual(
    harness.log.batches.map(({ record }) => record.length),
    [1000],
  );
  await allReleased(harness);
});

test('a body in JSON has a bound of its own, on the wire and behind its compression', async (t) => {
  const harness = await startOtlpHarness(t, { limits: { jsonBytesMax: 1000 } });
  const json = (bytes: number): Buffer => Buffer.from('{}'.padEnd(bytes));
  const headers = { 'content-type': JSON_TYPE };
  assert.equal((await harness.post(json(1000), { headers })).status, 200);
  assert.equal((await harness.post(logsRequest(1, 2000))).status, 200);
  for (const [body, more] of [
    [json(1001), {}],
    [json(1001), { 'transfer-encoding': 'chunked' }],
    [gzipSync(json(1001)), { 'content-encoding': 'gzip' }],
    [compressZstd(json(1001)), { 'content-encoding': 'zstd' }],
  ] as const) {
    const answer = await harness.post(body, { headers: { ...headers, ...more } });
    assert.deepEqual([answer.status, readStatus(answer).code], [413, 3]);
    assert.match(readStatus(answer).message, /\b1000\b/);
  }
  await allReleased(harness);
});

test('a target with a scheme and an authority is its path', async (t) => {
  const harness = await startOtlpHarness(t);
  for (const target of ['http://collector.example/v1/logs', 'HTTP://[::1]:4318/v1/logs?x=http://y']) {
    const connection = await harness.connect();
    connection.socket.write(postHead('Content-Length: 2').replace('/v1/logs', target) + '{}');
    await connection.hears('200 OK');
  }
  const connection = await harness.connect();
  connection.socket.write(postHead('Content-Length: 2').replace('/v1/logs', 'http://v1/logs') + '{}');
  await connection.hears('404 Not Found');
});

test('a body that is too large behind its compression is answered 413', async (t) => {
  const bytesMax = 1024 * 1024;
  const harness = await startOtlpHarness(t, { limits: { decompressedBytesMax: bytesMax } });
  const zeros = Buffer.alloc(bytesMax + 1);
  const bombs = [
    ['gzip', gzipSync(zeros)],
    ['gzip', Buffer.concat([gzipSync(zeros.subarray(1)), gzipSync(zeros.subarray(0, 1))])],
    ['deflate', deflateSync(zeros)],
    ['deflate', deflateRawSync(zeros)],
    ['zstd', compressZstd(zeros)],
  ] as const;
  for (const [encoding, bomb] of bombs) {
    const answer = await harness.post(bomb, { headers: { 'content-encoding': encoding } });
    assert.equal(answer.status, 413, encoding);
    assert.equal(readStatus(answer).code, 3);
  }
  assert.equal(harness.log.appends, 0);
  await allReleased(harness);
});

test('an export that the log refuses is answered 503 with Retry-After and RetryInfo, in both types', async (t) => {
  const harness = await startOtlpHarness(t);
  harness.log.refuse(2);
  const json = Buffer.from(toOtlpJson('logs', logsRequest()));
  for (const [type, body] of [
    [PROTOBUF, logsRequest()],
    [JSON_TYPE, json],
  ] as const) {
    const answer = await harness.post(body, { headers: { 'content-type': type } });
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['retry-after'], '1');
    const { code, hasRetryInfo } = readStatus(answer);
    assert.deepEqual({ code, hasRetryInfo }, { code: 14, hasRetryInfo: true });
  }
  assert.equal((await harness.post(logsRequest())).status, 200);
  assert.equal(harness.counts().unavailable, 2);
  await allReleased(harness);
});

test('a failure of the server itself is answered 503: the sender still has the data', async (t) => {
  const harness = await startOtlpHarness(t);
  const { admission } = harness.intake;
  const { admit } = admission;
  admission.admit = () => {
    throw new TypeError('a bug');
  };
  const answer = await harness.post(gzipSync(logsRequest()), { headers: { 'content-encoding': 'gzip' } });
  assert.equal(answer.status, 503);
  const { code, hasRetryInfo, message } = readStatus(answer);
  assert.deepEqual([code, hasRetryInfo], [14, true]);
  assert.doesNotMatch(message, /a bug/);
  admission.admit = admit;
  assert.equal((await harness.post(logsRequest())).status, 200);
  assert.equal(harness.counts().unavailable, 1);
  await allReleased(harness);
});

function flipped(bytes: Buffer, position: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[position]! ^= 0xff;
  return copy;
}
