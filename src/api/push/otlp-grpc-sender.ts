/** Sends batches as OTLP export requests over gRPC. */
import { BatchTooLargeError, errorMessage, LIMITS, type Signal } from '../../base/index.ts';
import type { CanonicalBatch, OtlpEncodeFaults } from '../../otap/index.ts';
import { decodeExportResponse } from './answers.ts';
import { compressed, DEFAULT_COMPRESSION } from './compression.ts';
import { createGrpcClient, type GrpcEnd } from './grpc-client.ts';
import { otherCompression } from './other-compression.ts';
import type { SendFacts, Sender, SendResult } from './sender.ts';
import type { ExporterConfig } from './types.ts';
import { GRPC_CODES, grpcVerdict } from './verdicts.ts';
import { encodeOtlp } from './encoders.ts';

const PATHS: Readonly<Record<Signal, string>> = {
  logs: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  traces: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
};

export function createOtlpGrpcSender(config: ExporterConfig): Sender {
  const client = createGrpcClient(config);
  let compression = config.compression ?? DEFAULT_COMPRESSION;

  async function send(batch: CanonicalBatch, { signal, items }: SendFacts): Promise<SendResult> {
    const request = encodedRequest(batch, items);
    if ('outcome' in request) return request;
    const { orphanRows } = request;
    const content = compressed(request.bytes, compression);
    let answer: Buffer = Buffer.alloc(0);
    const used = compression;
    const call = client.call(PATHS[signal], {
      compression: used,
      timeoutMs: LIMITS.pushAnswerMaxMs,
      onMessage: (message) => (answer = message),
    });
    call.send(content);
    call.halfClose();
    const end = await call.ended;
    if (end.code === GRPC_CODES.OK) {
      const { rejectedItems, message } = decodeExportResponse(answer);
      return { outcome: 'ok', bytes: content.length, rejectedItems, rejection: message, orphanRows };
    }
    const other = otherCompression(used, end);
    if (other === null) return verdictOn(end);
    compression = other;
    return { outcome: 'retry', reason: end.message, afterMs: 0, mayHaveArrived: false };
  }

  return {
    send,
    close() {
      client.close();
      return Promise.resolve();
    },
  };
}

/** A request, and the rows that it cannot hold. */
interface OtlpRequest extends OtlpEncodeFaults {
  readonly bytes: Uint8Array;
}

/** A request that is small enough, or what is to be done instead. */
export function encodedRequest(batch: CanonicalBatch, items: number): OtlpRequest | SendResult {
  const faults: OtlpEncodeFaults = { orphanRows: 0 };
  let request: Uint8Array;
  try {
    request = encodeOtlp(batch, faults);
  } catch (error) {
    if (error instanceof BatchTooLargeError && items > 1) return { outcome: 'too-large', reason: error.message };
    return { outcome: 'refused', reason: `Cannot encode: ${errorMessage(error)}`, fault: 'batch', isFinal: true };
  }
  // A single item may be above what targets take by default; this one may take more.
  if (request.length <= LIMITS.pushMessageBytesMax || items <= 1) return { bytes: request, ...faults };
  return { outcome: 'too-large', reason: `the request has ${request.length} bytes` };
}

function verdictOn({ code, message, retryAfterMs, wasConnected }: GrpcEnd): SendResult {
  const verdict = grpcVerdict(code, message, retryAfterMs);
  return verdict.outcome === 'retry' && !wasConnected ? { ...verdict, mayHaveArrived: false } : verdict;
}
