/** The OTLP/HTTP port. On node:http alone, without a framework: most telemetry comes through here. */
import type { Server } from 'node:http';
import { LIMITS, type Logger } from '../../base/index.ts';
import { initZstd } from '../../otap/index.ts';
import type { OtlpIntake } from '../otlp/otlp-intake.ts';
import { createCors } from './cors.ts';
import { type HttpListener, listen } from './listener.ts';
import { createConnections } from './otlp-connections.ts';
import { createOtlpReceiver } from './otlp-receiver.ts';

export interface OtlpHttpServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly intake: OtlpIntake;
  readonly logger: Logger;
  /** Whose pages in browsers may send: origins, `*` in them or alone. None: nobody's. */
  readonly corsOrigins: readonly string[];
  /** Those of `LIMITS`, unless a test has others. */
  readonly limits?: Partial<OtlpHttpServerLimits>;
}

/** An OTLP/HTTP port that accepts work. */
export interface OtlpHttpServer extends HttpListener {
  /** What has come of bodies that are not taken yet. */
  readonly arrivingBytes: number;
}

/** As the limits `otlpHttp…` of `LIMITS`. */
export interface OtlpHttpServerLimits {
  readonly bodyBytesMax: number;
  readonly decompressedBytesMax: number;
  readonly jsonBytesMax: number;
  readonly requestsMax: number;
  readonly connectionsMax: number;
  readonly excessConnectionsMax: number;
  readonly headMaxMs: number;
  readonly requestMaxMs: number;
  readonly stallMaxMs: number;
  readonly idleMaxMs: number;
  readonly arrivingBytesMax: number;
  readonly holdMaxMs: number;
  /** How often times are looked at. */
  readonly checkIntervalMs: number;
}

/** Listens on the OTLP/HTTP port. Rejects with TreasuryError TREASURY_CONFIG when it cannot. */
export async function startOtlpHttpServer(options: OtlpHttpServerOptions): Promise<OtlpHttpServer> {
  const { host, port, intake, logger, corsOrigins } = options;
  const limits = { ...SERVER_LIMITS, ...options.limits };
  await initZstd();
  let isStopping = false;
  const connections = createConnections(limits.connectionsMax);
  const cors = createCors(corsOrigins);
  const receiver = createOtlpReceiver({ intake, logger, cors, connections, limits, isStopping: () => isStopping });
  const listener = await listen((request, response) => receiver.receive(request, response, 'nothing'), {
    host,
    port,
    name: 'OTLP over HTTP',
    drainMs: LIMITS.httpDrainMaxMs,
    server: {
      headersTimeout: limits.headMaxMs,
      requestTimeout: limits.requestMaxMs,
      keepAliveTimeout: limits.idleMaxMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
      // Its answer would have no Status, and nothing here looks at Host.
      requireHostHeader: false,
    },
    prepare(server: Server) {
      server.maxConnections = limits.connectionsMax + limits.excessConnectionsMax;
      // A client that takes no answers. Longer than any silence that is in order.
      server.timeout = limits.requestMaxMs + limits.idleMaxMs;
      connections.watch(server);
      server.on('checkContinue', (request, response) => receiver.receive(request, response, 'continue'));
      server.on('checkExpectation', (request, response) => receiver.receive(request, response, 'unknown'));
    },
  });
  return {
    address: listener.address,
    port: listener.port,
    get arrivingBytes() {
      return receiver.arrivingBytes;
    },
    stop() {
      isStopping = true;
      return listener.stop();
    },
  };
}

const SERVER_LIMITS: OtlpHttpServerLimits = {
  bodyBytesMax: LIMITS.messageBytesMax,
  decompressedBytesMax: LIMITS.decompressedBytesMax,
  jsonBytesMax: LIMITS.otlpJsonBytesMax,
  requestsMax: LIMITS.otlpHttpRequestsMax,
  connectionsMax: LIMITS.otlpHttpConnectionsMax,
  excessConnectionsMax: LIMITS.otlpHttpExcessConnectionsMax,
  headMaxMs: LIMITS.otlpHttpHeadMaxMs,
  requestMaxMs: LIMITS.otlpHttpRequestMaxMs,
  stallMaxMs: LIMITS.otlpHttpStallMaxMs,
  idleMaxMs: LIMITS.otlpHttpIdleMaxMs,
  arrivingBytesMax: LIMITS.otlpHttpArrivingBytesMax,
  holdMaxMs: LIMITS.readHoldMaxMs,
  checkIntervalMs: 1_000,
};
