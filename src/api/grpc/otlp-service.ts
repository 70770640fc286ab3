/**
 * The three OTLP services: one request a call, answered when it is durable.
 *
 * Whole requests wait as they came and are decompressed one at a time, each into bytes that `Admission` then takes in or refuses: so
 * there is never more than one message beyond its bound, however many calls and bombs arrive together. What waits is bounded by
 * `UnaryRequests`. No answer is RESOURCE_EXHAUSTED: Go exporters drop data on it.
 */
import type { sendUnaryData, ServerUnaryCall, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { LIMITS, type Signal, SIGNALS } from '../../base/index.ts';
import { OTLP_CONTENT_TYPES } from '../../otap/index.ts';
import { encodeExportResponse, encodeStatus } from '../otlp/otlp-answers.ts';
import type { OtlpAnswer, OtlpIntake } from '../otlp/otlp-intake.ts';
import { roomUntil } from '../room.ts';
import { createTurns } from '../turns.ts';
import { decodeFrame, printable, unavailable, type UnreadableMessage } from './encodings.ts';
import { Metadata, status as grpcStatus } from './grpc-js.ts';
import { rawMethod } from './raw-method.ts';
import type { GrpcLimits } from './receiver-context.ts';
import { createUnaryRequests, type UnaryRequest, type UnaryRequests } from './unary-requests.ts';

const PACKAGE = 'opentelemetry.proto.collector';

/** Full names of the OTLP services. */
export const OTLP_SERVICES = {
  logs: `${PACKAGE}.logs.v1.LogsService`,
  traces: `${PACKAGE}.trace.v1.TraceService`,
  metrics: `${PACKAGE}.metrics.v1.MetricsService`,
} as const satisfies Record<Signal, string>;

const METHOD = 'Export';

/** What the server does with the OTLP services. */
export interface OtlpService {
  /** One service per signal, for `Server.addService`. */
  readonly services: readonly { definition: ServiceDefinition; implementation: UntypedServiceImplementation }[];
  /** The requests of these services, by their paths: the entrance hands them over from their first byte. */
  readonly requests: UnaryRequests;
  readonly paths: ReadonlySet<string>;
}

/** Makes the services that hand requests to `intake`. */
export function createOtlpService(options: { intake: OtlpIntake; limits: GrpcLimits }): OtlpService {
  const { intake, limits } = options;
  const signals = new Map(SIGNALS.map((signal) => [`/${OTLP_SERVICES[signal]}/${METHOD}`, signal]));
  const requests = createUnaryRequests({
    waitingBytesMax: limits.otlpWaitingBytesMax,
    receiveMaxMs: limits.otlpReceiveMaxMs,
    endMaxMs: limits.streamEndMaxMs,
    refused: (path, refusal) => refuse(signals.get(path) as Signal, refusal),
  });
  const turns = createTurns();

  async function answer(signal: Signal, call: OtlpCall, callback: sendUnaryData<Buffer>): Promise<void> {
    const arrivedMs = call.request.begin();
    const admittedRequest = await turns.run(() => admitted(call.request, arrivedMs));
    // Nobody is left to be answered.
    if (admittedRequest === null) return;
    if ('code' in admittedRequest) return callback(refuse(signal, admittedRequest));
    const { body, encoding } = admittedRequest;
    const answered = await intake.take({
      signal,
      transport: 'grpc',
      contentType: OTLP_CONTENT_TYPES.PROTOBUF,
      body,
      headers: headersOf(call.metadata, encoding),
      waitedMs: performance.now() - arrivedMs,
      onSettled: () => intake.admission.release(body.length),
    });
    if (answered.kind !== 'accepted') callback(statusOf(answered));
    else callback(null, encodeExportResponse(signal, answered, OTLP_CONTENT_TYPES.PROTOBUF));
  }

  /** The content of a request, its bytes admitted; or the status to refuse it with; null when the call is over. */
  async function admitted(
    request: UnaryRequest,
    arrivedMs: number,
  ): Promise<AdmittedRequest | UnreadableMessage | null> {
    const { admission } = intake;
    if (request.take() !== null) await roomUntil(admission, arrivedMs + limits.readHoldMaxMs);
    const message = request.take();
    if (message === null) return null;
    // Its exporter's clock has run since it came.
    const isLate = performance.now() - arrivedMs >= limits.appendWaitMaxMs;
    const { frame, encoding } = message;
    const body = isLate || admission.isFull ? full() : await decodeFrame(frame, encoding, limits.decompressedBytesMax);
    request.release();
    if (!Buffer.isBuffer(body)) return body;
    return admission.admit(body.length) ? { body, encoding } : full();
  }

  /** Counts a request that was not taken, and makes its final status. */
  function refuse(signal: Signal, refusal: UnreadableMessage): UnreadableMessage {
    const kind = refusal.code === grpcStatus.UNAVAILABLE ? 'unavailable' : 'malformed';
    intake.refuse('grpc', signal, kind, refusal.details);
    return kind === 'unavailable' ? withRetryInfo(refusal) : refusal;
  }

  return {
    services: SIGNALS.map((signal) => ({
      definition: { [METHOD]: rawMethod(OTLP_SERVICES[signal], METHOD, 'unary') },
      implementation: {
        [METHOD]: (call: OtlpCall, callback: sendUnaryData<Buffer>) => void answer(signal, call, callback),
      },
    })),
    requests,
    paths: new Set(signals.keys()),
  };
}

/** The entrance leaves the message of these calls as it came. */
type OtlpCall = ServerUnaryCall<UnaryRequest, Buffer>;

interface AdmittedRequest {
  readonly body: Buffer;
  readonly encoding: string;
}

function full(): UnreadableMessage {
  return unavailable('Cannot take the request: too many bytes are in flight');
}

function statusOf(answer: Exclude<OtlpAnswer, { kind: 'accepted' }>): UnreadableMessage {
  const details = printable(answer.message);
  if (answer.kind === 'malformed') return { code: grpcStatus.INVALID_ARGUMENT, details };
  return withRetryInfo({ code: grpcStatus.UNAVAILABLE, details });
}

/** The status with the details by which exporters tell backpressure, and how long to wait. */
function withRetryInfo({ code, details }: UnreadableMessage): UnreadableMessage {
  const status = { code, message: details, retryAfterMs: LIMITS.otlpRetryAfterMs };
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', encodeStatus(status, OTLP_CONTENT_TYPES.PROTOBUF));
  return { code, details, metadata };
}

function* headersOf(metadata: Metadata, encoding: string): Generator<readonly [name: string, value: string]> {
  // The library keeps this one to itself.
  if (encoding !== 'identity') yield ['grpc-encoding', encoding];
  for (const name of Object.keys(metadata.getMap())) {
    yield [
      name,
      metadata
        .get(name)
        .filter((value) => typeof value === 'string')
        .join(', '),
    ];
  }
}
