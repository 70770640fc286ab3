/** What the statuses of gRPC and HTTP mean for a batch. */
import type { SendResult } from './sender.ts';

/** Codes of gRPC that are told apart. */
export const GRPC_CODES = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

const CODE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(GRPC_CODES).map(([name, code]) => [code, name] as const),
);

/** Codes after which OTLP lets a request be sent again. RESOURCE_EXHAUSTED is one of them when the target says when. */
const RETRYABLE_CODES: ReadonlySet<number> = new Set([
  GRPC_CODES.CANCELLED,
  GRPC_CODES.DEADLINE_EXCEEDED,
  GRPC_CODES.ABORTED,
  GRPC_CODES.OUT_OF_RANGE,
  GRPC_CODES.UNAVAILABLE,
  GRPC_CODES.DATA_LOSS,
]);

/** Codes that say nothing about the batch: any other would be answered so too. */
const TARGET_CODES: ReadonlySet<number> = new Set([
  GRPC_CODES.NOT_FOUND,
  GRPC_CODES.PERMISSION_DENIED,
  GRPC_CODES.UNAUTHENTICATED,
]);

/** How gRPC libraries say that a message is above their bound; the code alone may mean that the target is busy. */
const TOO_LARGE = /larger than max|too large|exceeds? (the )?(max|limit)/i;

/** How stock Collectors refuse a batch that is above their bound for one, by INVALID_ARGUMENT. */
const ABOVE_BOUND = /request is too large/i;

/** How they put off one while they are busy, by RESOURCE_EXHAUSTED without RetryInfo. */
const BUSY = /too much pending data/i;

/** The verdict on a batch that was answered with a code other than OK. */
export function grpcVerdict(code: number, message: string, retryAfterMs?: number): SendResult {
  const reason = `${CODE_NAMES.get(code) ?? `code ${code}`}${message === '' ? '' : `: ${message}`}`;
  const isBusy = code === GRPC_CODES.RESOURCE_EXHAUSTED && (retryAfterMs !== undefined || BUSY.test(message));
  if (RETRYABLE_CODES.has(code) || isBusy) {
    return {
      outcome: 'retry',
      reason,
      mayHaveArrived: true,
      ...(retryAfterMs === undefined ? {} : { afterMs: retryAfterMs }),
    };
  }
  if (code === GRPC_CODES.UNIMPLEMENTED) return { outcome: 'unimplemented', reason };
  if (code === GRPC_CODES.RESOURCE_EXHAUSTED && TOO_LARGE.test(message)) return { outcome: 'too-large', reason };
  if (code === GRPC_CODES.INVALID_ARGUMENT && ABOVE_BOUND.test(message)) return { outcome: 'too-large', reason };
  return { outcome: 'refused', reason, fault: TARGET_CODES.has(code) ? 'target' : 'batch' };
}

/** The code of an answer over HTTP/2 that has no `grpc-status`: a proxy's, mostly. */
export function grpcCodeOfHttp(status: number): number {
  switch (status) {
    case 401:
      return GRPC_CODES.UNAUTHENTICATED;
    case 403:
      return GRPC_CODES.PERMISSION_DENIED;
    case 404:
      return GRPC_CODES.UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return GRPC_CODES.UNAVAILABLE;
    default:
      return GRPC_CODES.UNKNOWN;
  }
}

const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);
/** The request is fine; its address, method or credentials are not. */
const TARGET_STATUSES: ReadonlySet<number> = new Set([401, 402, 403, 404, 405, 407, 410, 451]);
const STATUS_TOO_LARGE = 413;

/** The verdict on a request that was answered with an HTTP status other than 2xx. */
export function httpVerdict(status: number, message: string, retryAfterMs?: number): SendResult {
  const reason = `HTTP ${status}${message === '' ? '' : `: ${message}`}`;
  if (RETRYABLE_STATUSES.has(status)) {
    return {
      outcome: 'retry',
      reason,
      mayHaveArrived: true,
      ...(retryAfterMs === undefined ? {} : { afterMs: retryAfterMs }),
    };
  }
  if (status === STATUS_TOO_LARGE) return { outcome: 'too-large', reason };
  // Redirections are not followed: what they point at need not be who may see the headers.
  const isTargets = TARGET_STATUSES.has(status) || (status >= 300 && status < 400);
  return { outcome: 'refused', reason, fault: isTargets ? 'target' : 'batch' };
}
