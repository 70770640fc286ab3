/** The gRPC server: OTAP in three services, OTLP in three more, and health. */
import { errorMessage, LIMITS, type Logger, TreasuryError } from '../../base/index.ts';
import type { Log } from '../../log/index.ts';
import { initZstd } from '../../otap/index.ts';
import type { OtlpIntake } from '../otlp/otlp-intake.ts';
import { ARROW_SERVICES, type ArrowReceiverStatus, createArrowReceiver } from './arrow-receiver.ts';
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from './grpc-js.ts';
import { createHealthService } from './health.ts';
import { checkGrpcHooks, setStreamWindow } from './hooks.ts';
import { createEntrance, type Entrance } from './intake.ts';
import { createOtlpService, OTLP_SERVICES } from './otlp-service.ts';
import type { GrpcLimits } from './receiver-context.ts';

export interface GrpcServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly log: Log;
  /** Takes the OTLP requests; its admission counts the bytes of OTAP as well. */
  readonly intake: OtlpIntake;
  readonly logger: Logger;
  /** Replace single ones of `LIMITS`. */
  readonly limits?: Partial<GrpcLimits>;
}

export interface GrpcReceiverStatus extends ArrowReceiverStatus {
  /** Bytes of OTLP requests that have arrived and wait, as they came, for their turn. */
  readonly otlpWaitingBytes: number;
}

/** A gRPC server that accepts work. */
export interface GrpcServer {
  /** HOST:PORT with the real port; IPv6 hosts in brackets. */
  readonly address: string;
  readonly port: number;
  /** What the health service answers. */
  setServing(isServing: boolean): void;
  status(): GrpcReceiverStatus;
  /**
   * Takes no more connections, batches and requests, answers those taken, ends every stream with OK; what has not ended after half
   * of `shutdownMaxMs` is cut. Never rejects; later calls return the same promise.
   */
  stop(): Promise<void>;
}

/**
 * Starts the server. Rejects with TreasuryError (TREASURY_CONFIG) when it cannot listen there, or when grpc-js is not the version
 * this was built for.
 */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  checkGrpcHooks();
  await initZstd();
  // grpc-js writes to stderr on its own otherwise; what it would say comes back to us as errors.
  setLogVerbosity(logVerbosity.NONE);
  const { log, logger, intake } = options;
  const limits: GrpcLimits = { ...LIMITS, ...options.limits };
  const receiver = createArrowReceiver({ log, logger, limits, admission: intake.admission });
  const otlp = createOtlpService({ intake, limits });
  const names = [...Object.values(ARROW_SERVICES), ...Object.values(OTLP_SERVICES)];
  const health = createHealthService(names, limits.streamsMax);
  const entrance = createEntrance({
    decompressedBytesMax: limits.decompressedBytesMax,
    sessionWindowBytes: limits.grpcSessionWindowBytes,
    unary: otlp,
  });
  const server = createServer(entrance, limits);
  for (const { definition, implementation } of [...receiver.services, ...otlp.services, health]) {
    server.addService(definition, implementation);
  }
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  const port = await bind(server, `${host}:${options.port}`);
  let stopping: Promise<void> | null = null;
  return {
    address: `${host}:${port}`,
    port,
    setServing: (isServing) => health.setServing(isServing),
    status: () => ({ ...receiver.status(), otlpWaitingBytes: otlp.requests.waitingBytes }),
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };

  async function stop(): Promise<void> {
    health.setServing(false);
    health.stop();
    // First the GOAWAY, then the ends: an exporter opens its next stream the moment one ends.
    const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
    const drained = receiver.drain();
    otlp.requests.drain();
    const { promise: late, cancel } = after(limits.shutdownMaxMs / 2);
    await Promise.race([Promise.all([closed, drained]), late]);
    cancel();
    entrance.cutConnections();
    await drained;
  }
}

function createServer(entrance: Entrance, limits: GrpcLimits): Server {
  const server = new Server({
    interceptors: [entrance.interceptor],
    'grpc.max_receive_message_length': limits.messageBytesMax,
    'grpc.max_concurrent_streams': limits.streamsMax,
    'grpc.keepalive_time_ms': limits.grpcKeepaliveIntervalMs,
    'grpc.keepalive_timeout_ms': limits.grpcKeepaliveTimeoutMs,
    // Books kept for every message that nobody reads.
    'grpc.enable_channelz': 0,
  });
  setStreamWindow(server, limits.grpcStreamWindowBytes);
  return server;
}

function bind(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) return resolve(port);
      const message = `Cannot listen for gRPC on ${address}: ${errorMessage(error)}`;
      return reject(new TreasuryError('TREASURY_CONFIG', message, { cause: error }));
    });
  });
}

function after(delayMs: number): { promise: Promise<void>; cancel: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, delayMs);
  });
  return { promise, cancel: () => clearTimeout(timer) };
}
