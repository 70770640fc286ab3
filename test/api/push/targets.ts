/** Targets that answer as told: OTLP over gRPC and over HTTP, and OTAP streams. They keep what they took. */
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import {
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { fromBinary } from '@bufbuild/protobuf';
import { encodeBatchStatus } from '../../../src/api/grpc/batch-status.ts';
import type { Signal } from '../../../src/base/index.ts';
import { createStreamDecoder, decompressZstd, initZstd } from '../../../src/otap/index.ts';
import { encodeOtlp } from '../../../src/otap/otlp-encoder.ts';
import { ExportLogsServiceRequestSchema } from '../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { ARROW_PATHS, compressMessage } from '../../helpers/otap-client.ts';

/** What a target shows over TLS, and whether it asks for a certificate. */
export type TargetTls = SecureContextOptions & Pick<TlsOptions, 'requestCert' | 'rejectUnauthorized'>;

/** What a target answers a request; 'cut' breaks the connection, 'silent' never answers. */
export type Reply =
  | {
      readonly code: number;
      readonly message?: string;
      readonly trailers?: Readonly<Record<string, string>>;
      readonly body?: Uint8Array;
      /** Of the answer, as Go's servers choose it: that of the request. */
      readonly encoding?: string;
    }
  | 'cut'
  | 'silent';

export interface TakenRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Bodies of its log records. */
  readonly bodies: readonly string[];
}

export interface Target {
  readonly endpoint: string;
  /** Every request in order of arrival, whatever it was answered. */
  readonly requests: TakenRequest[];
  /** Bodies of records in requests that were answered well, in that order. */
  readonly accepted: string[];
  /** Requests under way at the same time, at most. */
  readonly busiest: number;
  readonly connections: number;
  stop(): Promise<void>;
}

const OK: Reply = { code: 0 };

/** Answers each request by `reply(its number, its bodies)`; default OK. `port` 0 takes a free one. */
export async function startGrpcTarget(
  t: TestContext,
  reply: (index: number, request: TakenRequest) => Reply | Promise<Reply> = () => OK,
  { port = 0, tls }: { readonly port?: number; readonly tls?: TargetTls } = {},
): Promise<Target> {
  await initZstd();
  const sessions = new Set<ServerHttp2Session>();
  const state = { connections: 0, underWay: 0, busiest: 0 };
  const requests: TakenRequest[] = [];
  const accepted: string[] = [];
  const server = tls === undefined ? createServer() : createSecureServer(tls);
  server.on('session', (session) => {
    state.connections++;
    sessions.add(session);
    session.on('error', () => {});
    session.once('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    void (async () => {
      const content = await readAll(stream);
      const body = frameContents(content, String(headers['grpc-encoding'] ?? 'identity'))[0]!;
      const request = { path: String(headers[':path']), headers, body, bodies: bodiesOf(body) };
      const index = requests.push(request) - 1;
      state.underWay++;
      state.busiest = Math.max(state.busiest, state.underWay);
      const answer = await reply(index, request);
      state.underWay--;
      if (answer === 'silent') return;
      if (answer === 'cut') {
        cut(stream);
        return;
      }
      if (answer.code === 0) accepted.push(...request.bodies);
      respond(stream, answer);
    })();
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const stop = async (): Promise<void> => {
    for (const session of sessions) session.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  t.after(stop);
  return {
    endpoint: endpointOf(server, tls),
    requests,
    accepted,
    get busiest() {
      return state.busiest;
    },
    get connections() {
      return state.connections;
    },
    stop,
  };
}

function respond(
  stream: ServerHttp2Stream,
  { code, message = '', trailers = {}, body = new Uint8Array(), encoding }: Exclude<Reply, string>,
): void {
  if (stream.destroyed) return;
  const status = { 'grpc-status': String(code), 'grpc-message': encodeURIComponent(message), ...trailers };
  if (code !== 0) {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...status }, { endStream: true });
    return;
  }
  const named = encoding === undefined ? {} : { 'grpc-encoding': encoding };
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...named }, { waitForTrailers: true });
  stream.once('wantTrailers', () => stream.sendTrailers(status));
  stream.end(encoding === undefined ? frame(body) : frame(compressMessage(body, encoding), 1));
}

/** What an HTTP target answers. */
export type HttpReply =
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: Uint8Array }
  | 'cut'
  | 'silent';

/** The same over HTTP. */
export async function startHttpTarget(
  t: TestContext,
  reply: (index: number, request: TakenRequest) => HttpReply | Promise<HttpReply> = () => ({ status: 200 }),
  tls?: TargetTls,
): Promise<Target> {
  await initZstd();
  const requests: TakenRequest[] = [];
  const accepted: string[] = [];
  const state = { connections: 0, underWay: 0, busiest: 0 };
  const onRequest = (message: IncomingMessage, response: ServerResponse): void => {
    void (async () => {
      const body = plain(await readAll(message), message.headers['content-encoding'] ?? 'identity');
      const request = { path: message.url ?? '', headers: message.headers, body, bodies: bodiesOf(body) };
      const index = requests.push(request) - 1;
      state.underWay++;
      state.busiest = Math.max(state.busiest, state.underWay);
      const answer = await reply(index, request);
      state.underWay--;
      if (answer === 'silent') return;
      if (answer === 'cut') return void message.socket.destroy();
      if (answer.status === 200) accepted.push(...request.bodies);
      response.writeHead(answer.status, { 'content-type': 'application/x-protobuf', ...answer.headers });
      response.end(answer.body ?? Buffer.alloc(0));
    })();
  };
  const server = tls === undefined ? createHttpServer(onRequest) : createHttpsServer(tls, onRequest);
  server.on('connection', () => state.connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  t.after(stop);
  return {
    endpoint: endpointOf(server, tls),
    requests,
    accepted,
    get busiest() {
      return state.busiest;
    },
    get connections() {
      return state.connections;
    },
    stop,
  };
}

/** A batch that came over a stream. */
export interface TakenBatch {
  readonly stream: number;
  readonly batchId: bigint;
  readonly bodies: readonly string[];
}

/** What an OTAP target does with a batch: a status, the end of the stream, a broken connection, or nothing. */
export type StreamReply =
  | { readonly status: number; readonly message?: string; readonly afterMs?: number }
  | { readonly end: number; readonly message?: string }
  | 'cut'
  | 'silent'
  /** OK, and word that the connection ends. */
  | 'goaway';

export interface OtapTarget {
  readonly endpoint: string;
  readonly batches: TakenBatch[];
  /** Bodies of records in batches with status OK, in the order of the statuses. */
  readonly accepted: string[];
  readonly streams: number;
  /** Headers of each stream. */
  readonly headers: IncomingHttpHeaders[];
  /** Streams that the sender has half-closed. */
  readonly halfClosed: number;
  /** Those among them that had batches without a status then. */
  readonly halfClosedEarly: number;
  /** Batches without a status, at most. */
  readonly busiest: number;
  /** Requests over OTLP, in case the sender falls back. */
  readonly otlp: string[];
  stop(): Promise<void>;
}

/** Takes OTAP streams of logs and answers each batch by `reply`; default OK. `refuse`: what opening a stream is answered. */
export async function startOtapTarget(
  t: TestContext,
  options: {
    readonly reply?: (index: number, batch: TakenBatch) => StreamReply;
    readonly refuse?: number;
    readonly port?: number;
    readonly tls?: TargetTls;
  } = {},
): Promise<OtapTarget> {
  await initZstd();
  const { reply = (): StreamReply => ({ status: 0 }), refuse } = options;
  const sessions = new Set<ServerHttp2Session>();
  const batches: TakenBatch[] = [];
  const accepted: string[] = [];
  const otlp: string[] = [];
  const headers: IncomingHttpHeaders[] = [];
  const state = { streams: 0, halfClosed: 0, halfClosedEarly: 0, underWay: 0, busiest: 0 };
  const server = options.tls === undefined ? createServer() : createSecureServer(options.tls);
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {});
    session.once('close', () => sessions.delete(session));
  });

  function onStream(stream: ServerHttp2Stream, head: IncomingHttpHeaders): void {
    const signal = (Object.keys(ARROW_PATHS) as Signal[]).find((name) => ARROW_PATHS[name] === head[':path']);
    if (signal === undefined) return void onOtlp(stream, head);
    const number = state.streams++;
    headers.push(head);
    if (refuse !== undefined) return respond(stream, { code: refuse, message: 'refused' });
    const decoder = createStreamDecoder(signal);
    let unanswered = 0;
    let isHalfClosed = false;
    let isOver = false;
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    let status = { 'grpc-status': '0', 'grpc-message': '' };
    stream.once('wantTrailers', () => stream.sendTrailers(status));
    const end = (code: number, message = ''): void => {
      if (isOver || stream.destroyed) return;
      isOver = true;
      status = { 'grpc-status': String(code), 'grpc-message': encodeURIComponent(message) };
      stream.end();
    };
    const answer = (batch: TakenBatch, code: number, message = ''): void => {
      if (isOver || stream.destroyed) return;
      unanswered--;
      state.underWay--;
      if (code === 0) accepted.push(...batch.bodies);
      stream.write(frame(encodeBatchStatus(batch.batchId, code as 0, message)));
      if (isHalfClosed && unanswered === 0) end(0);
    };
    let buffered: Buffer = Buffer.alloc(0);
    stream.on('data', (chunk: Buffer) => {
      buffered = Buffer.concat([buffered, chunk]);
      const [contents, rest] = cutFrames(buffered, String(head['grpc-encoding'] ?? 'identity'));
      buffered = rest;
      for (const content of contents) {
        if (isOver) return;
        const decoded = decoder.decode(content);
        const batch = { stream: number, batchId: batchIdOf(content), bodies: bodiesOf(encodeOtlp(decoded)) };
        const index = batches.push(batch) - 1;
        unanswered++;
        state.underWay++;
        state.busiest = Math.max(state.busiest, state.underWay);
        const told = reply(index, batch);
        if (told === 'silent') continue;
        if (told === 'cut') {
          isOver = true;
          cut(stream);
        } else if (told === 'goaway') {
          setImmediate(() => stream.session?.close());
          answer(batch, 0);
        } else if ('end' in told) end(told.end, told.message);
        else if (told.afterMs === undefined) answer(batch, told.status, told.message);
        else setTimeout(() => answer(batch, told.status, told.message), told.afterMs);
      }
    });
    stream.once('end', () => {
      isHalfClosed = true;
      state.halfClosed++;
      if (unanswered > 0) state.halfClosedEarly++;
      if (unanswered === 0) end(0);
    });
    stream.once('close', () => {
      state.underWay -= unanswered;
      unanswered = 0;
    });
  }

  async function onOtlp(stream: ServerHttp2Stream, head: IncomingHttpHeaders): Promise<void> {
    const body = frameContents(await readAll(stream), String(head['grpc-encoding'] ?? 'identity'))[0]!;
    otlp.push(...bodiesOf(body));
    respond(stream, { code: 0 });
  }

  server.on('stream', (stream, head) => {
    stream.on('error', () => {});
    onStream(stream, head);
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const stop = async (): Promise<void> => {
    for (const session of sessions) session.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  t.after(stop);
  return {
    endpoint: endpointOf(server, options.tls),
    batches,
    accepted,
    otlp,
    headers,
    get streams() {
      return state.streams;
    },
    get halfClosed() {
      return state.halfClosed;
    },
    get halfClosedEarly() {
      return state.halfClosedEarly;
    },
    get busiest() {
      return state.busiest;
    },
    stop,
  };
}

function endpointOf(server: { address(): unknown }, tls: TargetTls | undefined): string {
  return `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Cuts the connection; not while Node reads from it, which breaks its heap. */
function cut(stream: ServerHttp2Stream): void {
  const { session } = stream;
  setImmediate(() => session?.destroy());
}

const FRAME_HEADER_BYTES = 5;
const CONTENT_BYTES_MAX = 64 * 1024 * 1024;

function frame(content: Uint8Array, flags = 0): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header[0] = flags;
  header.writeUInt32BE(content.length, 1);
  return Buffer.concat([header, content]);
}

function frameContents(bytes: Buffer, encoding: string): Buffer[] {
  return cutFrames(bytes, encoding)[0];
}

function cutFrames(bytes: Buffer, encoding: string): [Buffer[], Buffer] {
  const contents: Buffer[] = [];
  let at = 0;
  while (at + FRAME_HEADER_BYTES <= bytes.length) {
    const end = at + FRAME_HEADER_BYTES + bytes.readUInt32BE(at + 1);
    if (end > bytes.length) break;
    const content = bytes.subarray(at + FRAME_HEADER_BYTES, end);
    contents.push(bytes[at] === 1 ? plain(content, encoding) : content);
    at = end;
  }
  return [contents, bytes.subarray(at)];
}

function plain(content: Buffer, encoding: string): Buffer {
  if (encoding === 'gzip') return gunzipSync(content);
  return encoding === 'zstd' ? decompressZstd(content, CONTENT_BYTES_MAX) : content;
}

function bodiesOf(request: Uint8Array): string[] {
  return fromBinary(ExportLogsServiceRequestSchema, request).resourceLogs.flatMap(({ scopeLogs }) =>
    scopeLogs.flatMap(({ logRecords }) =>
      logRecords.map(({ body }) => (body?.value.case === 'stringValue' ? body.value.value : '')),
    ),
  );
}

/** Field 1 of a BatchArrowRecords, which comes first; 0 is left out. */
function batchIdOf(message: Uint8Array): bigint {
  if (message[0] !== 0x08) return 0n;
  let value = 0n;
  for (let at = 1; ; at++) {
    value |= BigInt(message[at]! & 0x7f) << BigInt(7 * (at - 1));
    if (message[at]! < 0x80) return value;
  }
}

async function readAll(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
