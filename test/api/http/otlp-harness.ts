/** The OTLP/HTTP port on a real socket over a log in a real file, and clients that say exactly what a test wants. */
import { create, toBinary } from '@bufbuild/protobuf';
import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { createAdmission } from '../../../src/api/admission.ts';
import {
  type OtlpHttpServer,
  type OtlpHttpServerLimits,
  startOtlpHttpServer,
} from '../../../src/api/http/otlp-listener.ts';
import { createOtlpIntake, type OtlpCounts, type OtlpIntake } from '../../../src/api/otlp/otlp-intake.ts';
import { LIMITS, type Logger, type Signal, silentLogger } from '../../../src/base/index.ts';
import { ExportLogsServiceRequestSchema } from '../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.js';
import { ExportTraceServiceRequestSchema } from '../../gen/opentelemetry/proto/collector/trace/v1/trace_service_pb.js';
import { type FileLog, openFileLog } from '../grpc/file-log.ts';

export const PROTOBUF = 'application/x-protobuf';
export const JSON_TYPE = 'application/json';

export interface OtlpHarness {
  readonly base: string;
  readonly port: number;
  readonly listener: OtlpHttpServer;
  readonly log: FileLog;
  readonly intake: OtlpIntake;
  counts(signal?: Signal): Readonly<OtlpCounts>;
  post(body: Uint8Array, options?: PostOptions): Promise<HttpAnswer>;
  /** Connects without saying anything. */
  connect(): Promise<RawConnection>;
}

export interface HarnessOptions {
  readonly limits?: Partial<OtlpHttpServerLimits>;
  readonly corsOrigins?: readonly string[];
  /** Of the admission that all requests share. */
  readonly inFlightBytesMax?: number;
  readonly logger?: Logger;
}

export interface PostOptions {
  readonly path?: string;
  readonly method?: string;
  /** Beside `content-type: application/x-protobuf`; undefined takes a header away. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** Starts a server on a free port; stopped when the test ends. */
export async function startOtlpHarness(t: TestContext, options: HarnessOptions = {}): Promise<OtlpHarness> {
  const log = openFileLog();
  const { inFlightBytesMax = LIMITS.inFlightBytesMax, logger = silentLogger, corsOrigins = [], limits = {} } = options;
  const admission = createAdmission(inFlightBytesMax / 2, inFlightBytesMax);
  const intake = createOtlpIntake({ log, logger, admission });
  const listener = await startOtlpHttpServer({ host: '127.0.0.1', port: 0, intake, logger, corsOrigins, limits });
  const sockets: Socket[] = [];
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    log.release();
    await listener.stop();
    await log.close();
  });
  const base = `http://${listener.address}`;
  return {
    base,
    port: listener.port,
    listener,
    log,
    intake,
    counts: (signal = 'logs') => intake.status().requests.http[signal],
    post: (body, { path = '/v1/logs', method = 'POST', headers = {} } = {}) =>
      sendRequest(base + path, method, { 'content-type': PROTOBUF, ...headers }, body),
    connect() {
      const socket = connect(listener.port, '127.0.0.1');
      sockets.push(socket);
      return listening(socket);
    },
  };
}

async function sendRequest(
  url: string,
  method: string,
  headers: Readonly<Record<string, string | undefined>>,
  body: Uint8Array,
): Promise<HttpAnswer> {
  const defined = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const request = httpRequest(url, { method, agent: false, headers: Object.fromEntries(defined) });
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  request.end(body);
  const [response] = await answered;
  const parts: Buffer[] = [];
  for await (const part of response as AsyncIterable<Buffer>) parts.push(part);
  return { status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts) };
}

/** A `google.rpc.Status`, read without any code of the server. */
export interface ReadStatus {
  readonly code: number;
  readonly message: string;
  readonly hasRetryInfo: boolean;
}

/** Reads the Status of a refusal in the type that the answer says it has. */
export function readStatus({ headers, body }: Pick<HttpAnswer, 'headers' | 'body'>): ReadStatus {
  const hasRetryInfo = body.includes('type.googleapis.com/google.rpc.RetryInfo');
  if (headers['content-type'] === JSON_TYPE) {
    const { code, message } = JSON.parse(body.toString()) as { code: number; message: string };
    return { code, message, hasRetryInfo };
  }
  // Field 1 as a varint of one byte, field 2 with a length of one or two bytes.
  const lengthBytes = body[3]! < 0x80 ? 1 : 2;
  const length = lengthBytes === 1 ? body[3]! : (body[3]! & 0x7f) | (body[4]! << 7);
  return { code: body[1]!, message: body.toString('utf8', 3 + lengthBytes, 3 + lengthBytes + length), hasRetryInfo };
}

/** An export of log records whose bodies have `bodyLength` characters. */
export function logsRequest(records = 3, bodyLength = 20): Buffer {
  const logRecords = Array.from({ length: records }, (_, index) => ({
    timeUnixNano: BigInt(index + 1),
    body: { value: { case: 'stringValue' as const, value: `${index} `.padEnd(bodyLength, 'telemetry ') } },
  }));
  const request = create(ExportLogsServiceRequestSchema, { resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
  return Buffer.from(toBinary(ExportLogsServiceRequestSchema, request));
}

/** An export of spans, each with a trace id of so many bytes: 16 is right. */
export function spansRequest(...traceIdBytes: readonly number[]): Buffer {
  const spans = traceIdBytes.map((bytes, index) => ({
    traceId: new Uint8Array(bytes).fill(1),
    spanId: new Uint8Array(8).fill(index + 1),
    name: `span ${index}`,
  }));
  const request = create(ExportTraceServiceRequestSchema, { resourceSpans: [{ scopeSpans: [{ spans }] }] });
  return Buffer.from(toBinary(ExportTraceServiceRequestSchema, request));
}

/** A bare connection that keeps what it hears. */
export interface RawConnection {
  readonly socket: Socket;
  /** All that came. */
  heard(): string;
  /** Settles when this was heard. */
  hears(part: string | RegExp): Promise<void>;
  readonly closed: Promise<unknown>;
}

async function listening(socket: Socket): Promise<RawConnection> {
  const closed = new Promise((resolve) => socket.once('close', resolve));
  let text = '';
  // A reset is one of the ends that tests are about.
  socket.on('error', () => {});
  socket.setEncoding('latin1').on('data', (part: string) => {
    text += part;
  });
  await once(socket, 'connect');
  return {
    socket,
    heard: () => text,
    async hears(part) {
      const isThere = (): boolean => (typeof part === 'string' ? text.includes(part) : part.test(text));
      while (!isThere()) {
        if (socket.destroyed) throw new Error(`Closed without ${String(part)}: ${text}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    closed,
  };
}

/** The head of a POST to `/v1/logs`. */
export function postHead(...lines: readonly string[]): string {
  return ['POST /v1/logs HTTP/1.1', 'Host: x', `Content-Type: ${JSON_TYPE}`, ...lines, '', ''].join('\r\n');
}

/** Waits until the server has let go of everything. */
export async function allReleased({ intake, listener }: OtlpHarness): Promise<void> {
  while (listener.arrivingBytes + intake.admission.inFlightBytes !== 0 || intake.status().inFlight !== 0) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
