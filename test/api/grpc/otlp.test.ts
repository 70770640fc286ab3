/** OTLP over gRPC on the real log: what is answered OK is on the disk as it came; what is not OK is answered as exporters need it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { type GrpcServer, type OtlpIntake, startGrpcServer } from '../../../src/api/index.ts';
import { LIMITS, SIGNAL_CODES, SIGNALS, silentLogger } from '../../../src/base/index.ts';
import {
  ENTRY_KINDS,
  type Log,
  type LogEntry,
  type LogFileSystem,
  openLog,
  readEntries,
} from '../../../src/log/index.ts';
import { ExportLogsServiceResponseSchema } from '../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { MemoryFileSystem } from '../../log/memory-file-system.ts';
import { connectOtap, type OtapClient } from '../../helpers/otap-client.ts';
import { exportGrpc, OTLP_GRPC_PATHS } from '../../helpers/otlp-client.ts';
import { intakeOver, messagesOf } from './grpc-fixture.ts';
import { exportRequest, statusDetails } from './otlp-messages.ts';

const OK = 0;
const INVALID_ARGUMENT = 3;
const UNAVAILABLE = 14;
const ENCODINGS = ['identity', 'gzip', 'deflate', 'zstd', ...Array.from({ length: 10 }, (_, i) => `zstdarrow${i + 1}`)];

interface RealServer {
  readonly server: GrpcServer;
  readonly intake: OtlpIntake;
  readonly log: Log;
  readonly directory: string;
  readonly client: OtapClient;
  /** The OTLP entries of the log as a reader finds them now. */
  readonly entries: () => LogEntry[];
}

async function start(t: TestContext, fileSystem?: LogFileSystem): Promise<RealServer> {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-otlp-'));
  const log = await openLog({ directory, ...(fileSystem === undefined ? {} : { fileSystem }) });
  const intake = intakeOver(log);
  const server = await startGrpcServer({ host: '127.0.0.1', port: 0, log, intake, logger: silentLogger });
  const client = await connectOtap(server.address);
  t.after(async () => {
    client.destroy();
    await server.stop();
    await log.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const entries = () =>
    [...readEntries(directory, { from: 0n })]
      .filter(({ kind }) => kind === ENTRY_KINDS.OTLP)
      .map((entry) => ({ ...entry, record: Buffer.from(entry.record) }));
  return { server, intake, log, directory, client, entries };
}

for (const encoding of ENCODINGS) {
  test(`a request of each signal in ${encoding} is answered OK when it is in the log, verbatim`, async (t) => {
    const { intake, client, entries } = await start(t);
    for (const [index, signal] of SIGNALS.entries()) {
      const body = exportRequest(signal, { text: `${signal} in ${encoding}` });
      const end = await exportGrpc(client, signal, body, { encoding, headers: { 'user-agent': 'test/1.0' } });
      assert.deepEqual([end.code, end.message, end.body.length], [OK, 'OK', 0]);
      // At once, and not after a stop: an answer means that the bytes are there.
      const entry = entries()[index]!;
      assert.deepEqual(entry.record, body);
      assert.deepEqual([entry.signal, entry.streamId, entry.batchId], [SIGNAL_CODES[signal], 0n, 0n]);
      assert.deepEqual(
        entry.headers,
        new Map([
          ...(encoding === 'identity' ? [] : ([['grpc-encoding', encoding]] as const)),
          ['user-agent', 'test/1.0'],
          ['content-type', 'application/x-protobuf'],
        ]),
      );
      const { accepted, rows, bodyBytes } = intake.status().requests.grpc[signal];
      assert.deepEqual([accepted, rows, bodyBytes], [1, 2, body.length]);
    }
    assert.equal(intake.admission.inFlightBytes, 0);
  });
}

test('a request is not answered before it is durable', async (t) => {
  const { log, client, entries } = await start(t);
  const order: string[] = [];
  log.onDurable(() => order.push('durable'));
  await exportGrpc(client, 'logs', exportRequest('logs'));
  order.push('answered');
  assert.deepEqual(order, ['durable', 'answered']);
  assert.equal(entries().length, 1);
});

test('metadata that may be kept stands beside the request, and a credential in no file', async (t) => {
  const { server, log, directory, client, entries } = await start(t);
  const secret = 'Bearer hunter2';
  const headers = {
    authorization: secret,
    'x-api-key': secret,
    'x-tenant-id': 'acme',
    'x-other': 'unknown',
    'trace-bin': Buffer.from('binary').toString('base64'),
  };
  assert.equal((await exportGrpc(client, 'logs', exportRequest('logs'), { headers })).code, OK);
  await client.close();
  await server.stop();
  await log.close();
  const [entry] = entries();
  assert.deepEqual([...entry!.headers.keys()].sort(), ['content-type', 'x-tenant-id']);
  assert.equal(entry!.headers.get('x-tenant-id'), 'acme');
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  assert.ok(files.some(({ name }) => name.endsWith('.arrows')));
  for (const { parentPath, name } of files) assert.ok(!readFileSync(join(parentPath, name)).includes(secret), name);
});

test('an empty request is OK and not logged', async (t) => {
  const { client, entries, intake } = await start(t);
  for (const encoding of ['identity', 'gzip', 'zstd']) {
    for (const signal of SIGNALS) {
      const end = await exportGrpc(client, signal, Buffer.alloc(0), { encoding });
      assert.deepEqual([end.code, end.body.length], [OK, 0]);
    }
  }
  assert.equal(entries().length, 0);
  assert.equal(intake.status().requests.grpc.logs.accepted, 3);
});

test('rows at fault are told as partial success, and the request is logged whole', async (t) => {
  const { client, entries, intake } = await start(t);
  const body = exportRequest('logs', { rows: 3, badRows: 2 });
  const end = await exportGrpc(client, 'logs', body);
  assert.equal(end.code, OK);
  const { partialSuccess } = fromBinary(ExportLogsServiceResponseSchema, end.body);
  assert.equal(partialSuccess?.rejectedLogRecords, 2n);
  assert.match(partialSuccess.errorMessage, /trace_id/);
  assert.deepEqual(entries()[0]!.record, body);
  const { accepted, partial, rows, rejectedRows } = intake.status().requests.grpc.logs;
  assert.deepEqual([accepted, partial, rows, rejectedRows], [1, 1, 3, 2]);
});

test('a request with nothing but rows at fault is INVALID_ARGUMENT and not logged', async (t) => {
  const { client, entries } = await start(t);
  for (const signal of ['logs', 'traces'] as const) {
    const end = await exportGrpc(client, signal, exportRequest(signal, { rows: 0, badRows: 2 }));
    assert.equal(end.code, INVALID_ARGUMENT);
    assert.match(end.message, /trace_id/);
  }
  assert.equal(entries().length, 0);
});

test('a closed log answers UNAVAILABLE with RetryInfo, and nothing is lost that was answered OK', async (t) => {
  const { client, log, entries, intake } = await start(t);
  assert.equal((await exportGrpc(client, 'logs', exportRequest('logs', { text: 'kept' }))).code, OK);
  await log.close();
  const end = await exportGrpc(client, 'logs', exportRequest('logs', { text: 'refused' }));
  assert.equal(end.code, UNAVAILABLE);
  assert.deepEqual(statusDetails(end.trailers['grpc-status-details-bin'] ?? end.headers['grpc-status-details-bin']), {
    code: UNAVAILABLE,
    message: end.message,
    retryAfterMs: LIMITS.otlpRetryAfterMs,
  });
  assert.equal(entries().length, 1);
  assert.equal(intake.status().requests.grpc.logs.unavailable, 1);
  assert.equal(intake.admission.inFlightBytes, 0);
});

test('a full disk answers UNAVAILABLE with RetryInfo, acknowledges nothing, and takes requests when it has room', async (t) => {
  const fileSystem = new MemoryFileSystem();
  const { client, log, intake } = await start(t, fileSystem);
  assert.equal((await exportGrpc(client, 'traces', exportRequest('traces'))).code, OK);
  const { nextOffset } = log.status();
  fileSystem.fault = (operation) => (operation === 'write' ? 'fail' : 'none');
  for (const encoding of ['identity', 'zstd']) {
    const end = await exportGrpc(client, 'traces', exportRequest('traces'), { encoding });
    assert.equal(end.code, UNAVAILABLE);
    const details = statusDetails({ ...end.headers, ...end.trailers }['grpc-status-details-bin']);
    assert.deepEqual([details.code, details.retryAfterMs], [UNAVAILABLE, LIMITS.otlpRetryAfterMs]);
  }
  assert.equal(log.status().durableOffset, nextOffset);
  fileSystem.fault = () => 'none';
  assert.equal((await exportGrpc(client, 'traces', exportRequest('traces'))).code, OK);
  assert.equal(log.status().entriesAppended, 2);
  const { accepted, unavailable } = intake.status().requests.grpc.traces;
  assert.deepEqual([accepted, unavailable], [2, 2]);
});

test('OTAP streams and OTLP requests on one connection do not disturb each other', async (t) => {
  const { client, entries, directory } = await start(t);
  const messages = messagesOf('rich-1', 'logs');
  const stream = client.openStream('logs', { encoding: 'zstdarrow5' });
  const requests = [];
  for (const [index, message] of messages.entries()) {
    await stream.send(message);
    requests.push(exportGrpc(client, 'logs', exportRequest('logs', { text: String(index) }), { encoding: 'zstd' }));
    requests.push(exportGrpc(client, 'traces', Buffer.from([0xff])));
  }
  const codes = (await Promise.all(requests)).map(({ code }) => code);
  assert.deepEqual(
    codes,
    messages.flatMap(() => [OK, INVALID_ARGUMENT]),
  );
  await stream.reach(messages.length);
  assert.ok(stream.statuses.every(({ code }) => code === OK));
  stream.halfClose();
  assert.equal((await stream.ended).code, OK);
  assert.equal(entries().length, messages.length);
  const bars = [...readEntries(directory, { from: 0n })].filter(({ kind }) => kind === ENTRY_KINDS.BAR);
  assert.equal(bars.length, messages.length);
});

test('many requests of several connections at once are all answered and all logged', async (t) => {
  const { server, entries, intake } = await start(t);
  const clients = await Promise.all([1, 2, 3].map(() => connectOtap(server.address)));
  const bodies = Array.from({ length: 150 }, (_, i) => exportRequest('logs', { text: `request ${i}` }));
  const ends = await Promise.all(bodies.map((body, i) => exportGrpc(clients[i % clients.length]!, 'logs', body)));
  for (const client of clients) await client.close();
  assert.ok(ends.every(({ code }) => code === OK));
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  assert.deepEqual(
    entries()
      .map(({ record }) => hex(record))
      .sort(),
    bodies.map(hex).sort(),
  );
  assert.equal(intake.admission.inFlightBytes, 0);
  assert.equal(server.status().otlpWaitingBytes, 0);
});

test('health knows the OTLP services', async (t) => {
  const { server, client } = await start(t);
  server.setServing(true);
  for (const path of Object.values(OTLP_GRPC_PATHS)) {
    const service = path.split('/')[1]!;
    const request = Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)]);
    const { code, messages } = await client.unary('/grpc.health.v1.Health/Check', request);
    assert.deepEqual([code, messages], [OK, [Buffer.from([8, 1])]], service);
  }
});
