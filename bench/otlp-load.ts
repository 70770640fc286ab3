/**
 * A load generator for OTLP in a process of its own: sends the requests of a file (`writeRequests`) as unary gRPC calls over one
 * HTTP/2 connection, or as HTTP/1.1 posts over kept-alive connections. They are compressed before the clock starts.
 *
 *   otlp-load.ts '{"endpoint":"127.0.0.1:4317","transport":"grpc","encoding":"gzip","requests":"FILE","repeats":8,"inFlight":16}'
 *
 * Prints one JSON line: OtlpLoadResult.
 */
import { Agent, request as httpRequest } from 'node:http';
import { connect, type ClientHttp2Session } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { compressZstd, initZstd } from '../src/otap/index.ts';
import { readRequests } from './otlp-request-file.ts';

export interface OtlpLoadOptions {
  endpoint: string;
  transport: 'grpc' | 'http';
  encoding: 'gzip' | 'zstd' | 'identity';
  /** File of requests. */
  requests: string;
  /** Times that all requests are sent. */
  repeats: number;
  /** Requests without an answer at a time. */
  inFlight: number;
}

export interface OtlpLoadResult {
  requests: number;
  rows: number;
  /** Uncompressed. */
  bodyBytes: number;
  wireBytes: number;
  seconds: number;
  /** Unix milliseconds. */
  startedAtMs: number;
  ackMsP50: number;
  ackMsP99: number;
  refused: number;
}

const FRAME_HEADER_BYTES = 5;
/** What the exporters of the Go Collector set. */
const ZSTD_LEVEL = 3;
const GZIP_LEVEL = 6;
const WINDOW_BYTES = 4 * 1024 * 1024;
const PATHS = {
  logs: { grpc: 'logs.v1.LogsService', http: '/v1/logs' },
  traces: { grpc: 'trace.v1.TraceService', http: '/v1/traces' },
  metrics: { grpc: 'metrics.v1.MetricsService', http: '/v1/metrics' },
} as const;

/** Sends one request; resolves with whether it was accepted. */
type Send = (body: Uint8Array) => Promise<boolean>;

async function main(options: OtlpLoadOptions): Promise<OtlpLoadResult> {
  const { encoding, endpoint, transport, repeats, inFlight } = options;
  await initZstd();
  const { signal, bodies, rows } = readRequests(options.requests);
  const compressed = bodies.map((body) => compress(body, encoding));
  const client =
    transport === 'grpc'
      ? grpcClient(endpoint, `/opentelemetry.proto.collector.${PATHS[signal].grpc}/Export`, encoding)
      : httpClient(endpoint, PATHS[signal].http, encoding, inFlight);
  const latencies: number[] = [];
  let next = 0;
  let refused = 0;
  const total = repeats * compressed.length;
  const startedAtMs = Date.now();
  const worker = async (): Promise<void> => {
    while (next < total) {
      const body = compressed[next++ % compressed.length]!;
      const sentAtMs = performance.now();
      if (!(await client.send(body))) refused++;
      latencies.push(performance.now() - sentAtMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  const seconds = (Date.now() - startedAtMs) / 1000;
  client.close();
  latencies.sort((a, b) => a - b);
  return {
    requests: total,
    rows: repeats * rows,
    bodyBytes: repeats * sum(bodies),
    wireBytes: repeats * sum(compressed),
    seconds,
    startedAtMs,
    ackMsP50: latencies[Math.floor(latencies.length * 0.5)]!,
    ackMsP99: latencies[Math.floor(latencies.length * 0.99)]!,
    refused,
  };
}

function grpcClient(endpoint: string, path: string, encoding: string): { send: Send; close(): void } {
  const session = connect(`http://${endpoint}`, { settings: { initialWindowSize: WINDOW_BYTES } });
  const headers = {
    ':method': 'POST',
    ':path': path,
    te: 'trailers',
    'content-type': 'application/grpc',
    'grpc-encoding': encoding,
  };
  return { send: (body) => call(session, headers, body, encoding !== 'identity'), close: () => session.close() };
}

function call(
  session: ClientHttp2Session,
  headers: Record<string, string>,
  body: Uint8Array,
  isCompressed: boolean,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers);
    let status: unknown;
    stream.on('response', (received) => (status = received['grpc-status'] ?? status));
    stream.on('trailers', (received) => (status = received['grpc-status'] ?? status));
    stream.on('error', reject);
    stream.on('close', () => resolve(Number(status) === 0));
    stream.resume();
    const head = Buffer.alloc(FRAME_HEADER_BYTES);
    head[0] = isCompressed ? 1 : 0;
    head.writeUInt32BE(body.length, 1);
    stream.write(head);
    stream.end(body);
  });
}

function httpClient(
  endpoint: string,
  path: string,
  encoding: string,
  connections: number,
): { send: Send; close(): void } {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const [host, port] = endpoint.split(':');
  const headers = {
    'content-type': 'application/x-protobuf',
    ...(encoding === 'identity' ? {} : { 'content-encoding': encoding }),
  };
  return {
    send: (body) =>
      new Promise((resolve, reject) => {
        const options = {
          agent,
          host,
          port,
          path,
          method: 'POST',
          headers: { ...headers, 'content-length': body.length },
        };
        const request = httpRequest(options, (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode === 200));
          response.on('error', reject);
        });
        request.on('error', reject);
        request.end(body);
      }),
    close: () => agent.destroy(),
  };
}

function compress(body: Uint8Array, encoding: OtlpLoadOptions['encoding']): Uint8Array {
  if (encoding === 'gzip') return gzipSync(body, { level: GZIP_LEVEL });
  return encoding === 'zstd' ? compressZstd(body, ZSTD_LEVEL) : body;
}

function sum(parts: readonly Uint8Array[]): number {
  return parts.reduce((total, part) => total + part.length, 0);
}

console.log(JSON.stringify(await main(JSON.parse(process.argv[2]!) as OtlpLoadOptions)));
