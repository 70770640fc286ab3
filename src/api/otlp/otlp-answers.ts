/** Bodies of OTLP answers, as protobuf or JSON: the export responses, and `google.rpc.Status` with its hint when to come again. */
import type { Signal } from '../../base/index.ts';
import { OTLP_CONTENT_TYPES, type OtlpContentType } from '../../otap/index.ts';
import { bytesField, varintField } from './protobuf-fields.ts';

/** Codes of `google.rpc.Code` that OTLP senders are told. */
export const RPC_CODES = {
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  UNIMPLEMENTED: 12,
  UNAVAILABLE: 14,
} as const;

/** The part of an accepted answer that its response tells. */
export interface ExportOutcome {
  readonly rejectedRows: number;
  readonly message: string;
}

/** A `google.rpc.Status`. */
export interface OtlpStatus {
  readonly code: number;
  readonly message: string;
  /** Told as `google.rpc.RetryInfo`: without it exporters take UNAVAILABLE for what may be tried again, but at their own pace. */
  readonly retryAfterMs?: number;
}

/**
 * `ExportLogsServiceResponse` and its like. Empty unless rows were rejected: senders take any partial success, even of no rows, for
 * something to warn about.
 */
export function encodeExportResponse(signal: Signal, outcome: ExportOutcome, contentType: OtlpContentType): Buffer {
  const { rejectedRows } = outcome;
  const message = wellFormed(outcome.message);
  if (contentType === OTLP_CONTENT_TYPES.JSON) {
    const errorMessage = message === '' ? {} : { errorMessage: message };
    const partialSuccess = { [REJECTED_NAMES[signal]]: String(rejectedRows), ...errorMessage };
    return Buffer.from(JSON.stringify(rejectedRows > 0 ? { partialSuccess } : {}));
  }
  if (rejectedRows <= 0) return Buffer.alloc(0);
  return bytesField(1, Buffer.concat([varintField(1, rejectedRows), stringField(2, message)]));
}

/** `google.rpc.Status`: the body of OTLP/HTTP errors, and of gRPC's `grpc-status-details-bin`. */
export function encodeStatus(status: OtlpStatus, contentType: OtlpContentType): Buffer {
  const { code, retryAfterMs } = status;
  const message = wellFormed(status.message);
  if (contentType === OTLP_CONTENT_TYPES.JSON) {
    const details = retryAfterMs === undefined ? {} : { details: [retryInfoJson(retryAfterMs)] };
    return Buffer.from(JSON.stringify({ code, message, ...details }));
  }
  const details = retryAfterMs === undefined ? Buffer.alloc(0) : bytesField(3, retryInfoAny(retryAfterMs));
  return Buffer.concat([varintField(1, code), stringField(2, message), details]);
}

const REJECTED_NAMES = {
  logs: 'rejectedLogRecords',
  traces: 'rejectedSpans',
  metrics: 'rejectedDataPoints',
} as const satisfies Record<Signal, string>;

const RETRY_INFO_TYPE = 'type.googleapis.com/google.rpc.RetryInfo';
const NANOS_PER_MS = 1_000_000;

/** `Any{type_url = 1, value = 2}` of `RetryInfo{retry_delay = 1}`, a `Duration{seconds = 1, nanos = 2}`. */
function retryInfoAny(delayMs: number): Buffer {
  const duration = Buffer.concat([
    varintField(1, Math.floor(delayMs / 1000)),
    varintField(2, (delayMs % 1000) * NANOS_PER_MS),
  ]);
  return Buffer.concat([stringField(1, RETRY_INFO_TYPE), bytesField(2, bytesField(1, duration))]);
}

function retryInfoJson(delayMs: number): Readonly<Record<string, string>> {
  // JSON's durations have 0, 3, 6 or 9 digits behind the point.
  const seconds = delayMs % 1000 === 0 ? String(delayMs / 1000) : (delayMs / 1000).toFixed(3);
  return { '@type': RETRY_INFO_TYPE, retryDelay: `${seconds}s` };
}

/** Left out when empty, as proto3 does. */
function stringField(number: number, text: string): Buffer {
  return text === '' ? Buffer.alloc(0) : bytesField(number, Buffer.from(text));
}

/** Reasons may quote what was received; readers of protobuf and JSON refuse lone surrogates. */
function wellFormed(text: string): string {
  return Buffer.from(text).toString();
}
