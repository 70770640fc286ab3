/**
 * What becomes of an OTLP export request, whichever transport brought it: checked, appended to the log as it came, answered when it is
 * durable. The transports read bodies and write answers in their own form.
 */
import {
  BatchMalformedError,
  errorMessage,
  LIMITS,
  type Logger,
  LogUnavailableError,
  type Signal,
  SIGNAL_CODES,
} from '../../base/index.ts';
import type { Log } from '../../log/index.ts';
import { inspectOtlp, isKeptHeader, type OtlpContentType } from '../../otap/index.ts';
import type { Admission } from '../admission.ts';

/** A request with its body as the sender wrote it, before compression. */
export interface OtlpRequest {
  readonly signal: Signal;
  readonly transport: OtlpTransport;
  readonly contentType: OtlpContentType;
  /** Kept until `onSettled` is called: do not change it. Its bytes must be admitted (`Admission`) by the caller until then. */
  readonly body: Uint8Array;
  /** Metadata or header fields of the request, names in lower case; only those that may reach the disk are stored. */
  readonly headers: Iterable<readonly [name: string, value: string]>;
  /** How long it has been here already: its sender's clock has run. */
  readonly waitedMs?: number;
  /** Called once when the body is needed no more: with the answer, or later if the disk is slow. */
  readonly onSettled?: () => void;
}

export type OtlpTransport = 'grpc' | 'http';

export const OTLP_TRANSPORTS: readonly OtlpTransport[] = ['grpc', 'http'];

/** What the sender is told. */
export type OtlpAnswer =
  /** Durable. `rejectedRows` of it will not be rows, for the reason in `message`: a partial success (OTLP specification). */
  | { readonly kind: 'accepted'; readonly rejectedRows: number; readonly message: string }
  /** Not logged: sending it again will not help. */
  | { readonly kind: 'malformed'; readonly message: string }
  /** Not logged, or not for certain: to be sent again. */
  | { readonly kind: 'unavailable'; readonly message: string };

export interface OtlpCounts {
  /** Requests that are durable, those with rejected rows included. */
  accepted: number;
  /** Of the accepted ones: with rejected rows. */
  partial: number;
  unavailable: number;
  malformed: number;
  /** Log records, spans or data points in accepted requests. */
  rows: number;
  rejectedRows: number;
  /** Bodies of accepted requests after decompression. */
  bodyBytes: number;
}

/** Figures since start. */
export interface OtlpReceiverStatus {
  readonly requests: Readonly<Record<OtlpTransport, Readonly<Record<Signal, Readonly<OtlpCounts>>>>>;
  /** Requests that are not answered yet. */
  readonly inFlight: number;
}

export interface OtlpIntake {
  readonly admission: Admission;
  /** Never rejects. */
  take(request: OtlpRequest): Promise<OtlpAnswer>;
  /** Counts a request that was refused before its body could be taken, and makes the answer. */
  refuse(transport: OtlpTransport, signal: Signal, kind: 'malformed' | 'unavailable', message: string): OtlpAnswer;
  status(): OtlpReceiverStatus;
}

/** OTLP requests belong to no stream, and nobody numbers them. */
const NO_BATCH_ID = 0n;
const CONTENT_TYPE = 'content-type';

/** Makes the intake that appends to `log`; `admission` counts the bytes of all transports together. */
export function createOtlpIntake(options: { log: Log; logger: Logger; admission: Admission }): OtlpIntake {
  const { log, logger, admission } = options;
  const requests = { grpc: countsBySignal(), http: countsBySignal() };
  let inFlight = 0;

  function refuse(
    transport: OtlpTransport,
    signal: Signal,
    kind: 'malformed' | 'unavailable',
    message: string,
  ): OtlpAnswer {
    requests[transport][signal][kind]++;
    if (kind === 'malformed') logger.warn('OTLP request refused', { transport, signal, reason: message });
    return { kind, message };
  }

  async function append(request: OtlpRequest, settleWith: (appended: Promise<unknown>) => void): Promise<OtlpAnswer> {
    const { signal, transport, contentType, body, headers, waitedMs = 0 } = request;
    let inspected;
    try {
      inspected = inspectOtlp(signal, body, contentType);
    } catch (error) {
      if (!(error instanceof BatchMalformedError)) throw error;
      return refuse(transport, signal, 'malformed', error.message);
    }
    const { rows, rejectedRows, rejection } = inspected;
    if (rows === 0 && rejectedRows > 0) return refuse(transport, signal, 'malformed', rejection ?? '');
    // Nothing in it: nothing to keep.
    if (body.length > 0) {
      const appended = log.appendOtlp(SIGNAL_CODES[signal], {
        batchId: NO_BATCH_ID,
        record: [body],
        headers: storedHeaders(headers, contentType),
      });
      settleWith(appended);
      await durableWithin(appended, Math.max(0, LIMITS.appendWaitMaxMs - waitedMs));
    }
    const counts = requests[transport][signal];
    counts.accepted++;
    counts.rows += rows;
    counts.rejectedRows += rejectedRows;
    counts.bodyBytes += body.length;
    if (rejectedRows > 0) {
      counts.partial++;
      logger.warn('Rows of an OTLP request refused', { transport, signal, rows: rejectedRows, reason: rejection });
    }
    return { kind: 'accepted', rejectedRows, message: rejection ?? '' };
  }

  return {
    admission,
    async take(request) {
      inFlight++;
      let settled: Promise<unknown> = Promise.resolve();
      const settleWith = (appended: Promise<unknown>): void => {
        settled = appended;
      };
      try {
        return await append(request, settleWith);
      } catch (error) {
        // The log refuses (its own error), or a bug: either way the sender still has the data and may send it again.
        return refuse(request.transport, request.signal, 'unavailable', errorMessage(error));
      } finally {
        inFlight--;
        const onSettled = request.onSettled ?? (() => {});
        void settled.then(onSettled, onSettled);
      }
    },
    refuse,
    status: () => ({
      requests: { grpc: copyOf(requests.grpc), http: copyOf(requests.http) },
      inFlight,
    }),
  };
}

/** Rejects when the log takes longer: the entry may become durable all the same, and come again. */
async function durableWithin(appended: Promise<unknown>, waitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const message = `Cannot store the request: it is not durable after ${LIMITS.appendWaitMaxMs} ms`;
    timer = setTimeout(() => reject(new LogUnavailableError(message)), Math.max(0, waitMs));
  });
  try {
    await Promise.race([appended, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The headers of the entry. The content type is ours, without parameters: decoding depends on it. */
function storedHeaders(headers: OtlpRequest['headers'], contentType: OtlpContentType): ReadonlyMap<string, string> {
  const stored = new Map<string, string>();
  for (const [name, value] of headers) if (isKeptHeader(name)) stored.set(name, value);
  stored.set(CONTENT_TYPE, contentType);
  return stored;
}

function countsBySignal(): Record<Signal, OtlpCounts> {
  const none = () => ({
    accepted: 0,
    partial: 0,
    unavailable: 0,
    malformed: 0,
    rows: 0,
    rejectedRows: 0,
    bodyBytes: 0,
  });
  return { logs: none(), traces: none(), metrics: none() };
}

function copyOf(counts: Record<Signal, OtlpCounts>): Record<Signal, OtlpCounts> {
  return { logs: { ...counts.logs }, traces: { ...counts.traces }, metrics: { ...counts.metrics } };
}
