/** One OTAP stream of ours: batches out in the order of the calls, statuses back by batch id, an end that loses nothing. */
import { BatchTooLargeError, errorMessage, LIMITS, type Signal } from '../../base/index.ts';
import type { CanonicalBatch } from '../../otap/index.ts';
import { decodeBatchAnswer } from './answers.ts';
import { compressed } from './compression.ts';
import type { GrpcClient, GrpcEnd } from './grpc-client.ts';
import type { SendFacts, SendResult } from './sender.ts';
import type { ExporterCompression } from './types.ts';
import { GRPC_CODES, grpcVerdict } from './verdicts.ts';
import { createStreamEncoder } from './encoders.ts';

const PACKAGE = 'opentelemetry.proto.experimental.arrow.v1';

const PATHS: Readonly<Record<Signal, string>> = {
  logs: `/${PACKAGE}.ArrowLogsService/ArrowLogs`,
  traces: `/${PACKAGE}.ArrowTracesService/ArrowTraces`,
  metrics: `/${PACKAGE}.ArrowMetricsService/ArrowMetrics`,
};

export interface OtapStreamOptions {
  readonly client: GrpcClient;
  readonly signal: Signal;
  readonly compression: ExporterCompression;
  /** Default `pushStreamAgeMaxMs`. */
  readonly ageMaxMs?: number;
  readonly stateBytesMax?: number;
  readonly answerMaxMs?: number;
}

export interface OtapStream {
  /** Whether it takes batches. */
  readonly isOpen: boolean;
  /** Never rejects. */
  send(batch: CanonicalBatch, facts: SendFacts): Promise<SendResult>;
  /** Takes no more; half-closes when all batches have their status, and is cut when those do not come. */
  finish(): void;
  readonly ended: Promise<OtapStreamEnd>;
}

export interface OtapStreamEnd extends GrpcEnd {
  /** Batches that had no status. */
  readonly unanswered: number;
}

interface Unanswered {
  readonly bytes: number;
  resolve(result: SendResult): void;
}

/** Opens one. It ends by itself at its age or when its dictionaries have grown large; the caller opens another then. */
export function openOtapStream(options: OtapStreamOptions): OtapStream {
  const { client, signal, compression } = options;
  const {
    ageMaxMs = LIMITS.pushStreamAgeMaxMs,
    stateBytesMax = LIMITS.pushStreamStateBytesMax,
    answerMaxMs = LIMITS.pushAnswerMaxMs,
  } = options;
  const encoder = createStreamEncoder(signal, { hasMetricAttrs: true });
  const unanswered = new Map<bigint, Unanswered>();
  let nextBatchId = 0n;
  let isOpen = true;
  let answered = 0;
  let answerTimer: NodeJS.Timeout | undefined;
  const call = client.call(PATHS[signal], { compression, onMessage, onGoaway: () => setImmediate(finish) });
  const ageTimer = setTimeout(finish, ageMaxMs);

  function onMessage(message: Buffer): void {
    const answer = decodeBatchAnswer(message);
    if (answer === null) return call.cancel(GRPC_CODES.INTERNAL, 'a status of the target cannot be read');
    const batch = unanswered.get(answer.batchId);
    // A status that comes twice says nothing new.
    if (batch === undefined) return;
    unanswered.delete(answer.batchId);
    answered++;
    watch();
    if (answer.code === GRPC_CODES.OK) {
      batch.resolve({ outcome: 'ok', bytes: batch.bytes, rejectedItems: 0, rejection: '' });
    } else {
      batch.resolve(batchVerdict(answer.code, answer.message));
    }
    if (!isOpen && unanswered.size === 0) call.halfClose();
  }

  /** A target that answers nothing for long is given up; one that answers slowly is not. */
  function watch(): void {
    clearTimeout(answerTimer);
    if (isOpen && unanswered.size === 0) return;
    answerTimer = setTimeout(() => {
      call.cancel(GRPC_CODES.DEADLINE_EXCEEDED, `no status within ${answerMaxMs} ms`);
    }, answerMaxMs);
  }

  function finish(): void {
    if (!isOpen) return;
    isOpen = false;
    clearTimeout(ageTimer);
    // Upstream's receivers may stop to answer on a stream that is half-closed: what is under way has its statuses first.
    if (unanswered.size === 0) call.halfClose();
    watch();
  }

  const ended = call.ended.then((end): OtapStreamEnd => {
    isOpen = false;
    clearTimeout(ageTimer);
    clearTimeout(answerTimer);
    const batches = [...unanswered.values()];
    unanswered.clear();
    for (const batch of batches) batch.resolve(unansweredVerdict(end, batches.length, answered));
    return { ...end, unanswered: batches.length };
  });

  return {
    get isOpen() {
      return isOpen;
    },
    send(batch, { items }) {
      const batchId = nextBatchId++;
      let message: Uint8Array;
      try {
        message = encoder.encode(batch, batchId);
      } catch (error) {
        return Promise.resolve(encodingVerdict(error, items));
      }
      if (message.length > LIMITS.pushMessageBytesMax && items > 1) {
        // The encoder counts on its dictionaries to arrive: without this batch the stream cannot go on.
        finish();
        return Promise.resolve({ outcome: 'too-large', reason: `the batch has ${message.length} bytes` });
      }
      const content = compressed(message, compression);
      return new Promise((resolve) => {
        unanswered.set(batchId, { bytes: content.length, resolve });
        if (unanswered.size === 1) watch();
        call.send(content);
        if (encoder.stateBytes > stateBytesMax) finish();
      });
    },
    finish,
    ended,
  };
}

/** Upstream's receivers put off what they have no room for by RESOURCE_EXHAUSTED, and refuse for good by the same code. */
function batchVerdict(code: number, message: string): SendResult {
  const verdict = grpcVerdict(code, message);
  // A stream that takes batches speaks the protocol.
  if (verdict.outcome === 'unimplemented') return { outcome: 'refused', reason: verdict.reason, fault: 'batch' };
  return verdict;
}

/** Why a batch is without a status, and what is to be done with it. */
function unansweredVerdict(end: GrpcEnd, unanswered: number, answered: number): SendResult {
  const mayHaveArrived = end.wasConnected;
  if (end.code === GRPC_CODES.OK) {
    // The target renews its streams. One that ends them before it answers anything would be called without end.
    const pace = answered > 0 ? { afterMs: 0 } : {};
    return { outcome: 'retry', reason: 'the target ended the stream', mayHaveArrived, ...pace };
  }
  const verdict = grpcVerdict(end.code, end.message, end.retryAfterMs);
  if (verdict.outcome === 'retry') return { ...verdict, mayHaveArrived };
  const isTargets =
    verdict.outcome === 'unimplemented' || (verdict.outcome === 'refused' && verdict.fault === 'target');
  if (isTargets || unanswered === 1) return verdict;
  // It was one of them: alone it shows which.
  return { outcome: 'retry', reason: reasonOf(verdict), afterMs: 0, mayHaveArrived };
}

function reasonOf(verdict: SendResult): string {
  return verdict.outcome === 'ok' ? '' : verdict.reason;
}

function encodingVerdict(error: unknown, items: number): SendResult {
  if (error instanceof BatchTooLargeError && items > 1) return { outcome: 'too-large', reason: error.message };
  return { outcome: 'refused', reason: `Cannot encode: ${errorMessage(error)}`, fault: 'batch', isFinal: true };
}
