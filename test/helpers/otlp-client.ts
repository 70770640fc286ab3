/** OTLP exports as raw as the sender wants them: bytes in, status and bytes out, over gRPC and HTTP. */
import { Agent, request } from 'node:http';
import type { Signal } from '../../src/base/index.ts';
import { initZstd } from '../../src/otap/zstd.ts';
import { type CallEnd, type CallOptions, compressMessage, type OtapClient } from './otap-client.ts';

export const OTLP_GRPC_PATHS: Readonly<Record<Signal, string>> = {
  logs: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  traces: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
};

export const OTLP_HTTP_PATHS: Readonly<Record<Signal, string>> = {
  logs: '/v1/logs',
  traces: '/v1/traces',
  metrics: '/v1/metrics',
};

/** How a gRPC export ended; `body` is the response message, empty when there was none. */
export interface GrpcExportEnd extends CallEnd {
  readonly body: Buffer;
}

/** Sends one export request over a connection of `connectOtap`. Does not reject: a cut connection is code -1. */
export async function exportGrpc(
  client: OtapClient,
  signal: Signal,
  body: Uint8Array,
  options: CallOptions = {},
): Promise<GrpcExportEnd> {
  if (client.session.destroyed || client.session.closed) {
    return { code: -1, message: 'Connection closed', trailers: {}, headers: {}, resetCode: 0, body: Buffer.alloc(0) };
  }
  const { messages, ...end } = await client.unary(OTLP_GRPC_PATHS[signal], body, options);
  return { ...end, body: messages[0] ?? Buffer.alloc(0) };
}

export interface HttpExportOptions {
  /** Default: protobuf. */
  readonly contentType?: string;
  /** `content-encoding`: the body is compressed so; no header without it. */
  readonly encoding?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An HTTP answer; status 0 when the connection broke first. */
export interface HttpExportEnd {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** A client of an OTLP/HTTP port that keeps its connections. */
export interface OtlpHttpClient {
  export(signal: Signal, body: Uint8Array, options?: HttpExportOptions): Promise<HttpExportEnd>;
  close(): void;
}

/** Makes a client for `address` (HOST:PORT). Its exports do not reject. */
export async function createOtlpHttpClient(address: string): Promise<OtlpHttpClient> {
  await initZstd();
  const agent = new Agent({ keepAlive: true });
  const url = `http://${address}`;
  return {
    export: (signal, body, options = {}) => post(agent, url + OTLP_HTTP_PATHS[signal], body, options),
    close: () => agent.destroy(),
  };
}

function post(agent: Agent, url: string, body: Uint8Array, options: HttpExportOptions): Promise<HttpExportEnd> {
  const { contentType = 'application/x-protobuf', encoding, headers = {} } = options;
  const content = encoding === undefined ? body : compressMessage(body, encoding);
  return new Promise((resolve) => {
    const broken = (): void => resolve({ status: 0, headers: {}, body: Buffer.alloc(0) });
    const sent = request(url, {
      method: 'POST',
      agent,
      headers: {
        ...headers,
        'content-type': contentType,
        'content-length': content.length,
        ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
      },
    });
    sent.once('error', broken);
    sent.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', broken);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    sent.end(content);
  });
}
