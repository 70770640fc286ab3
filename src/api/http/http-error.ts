/** Failures as HTTP answers in this API's own shape: `{"error":{"code","message", …facts}}`. */
import { errorMessage, type ErrorCode, type Logger, TreasuryError } from '../../base/index.ts';

/** A request that HTTP itself refuses. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly status: number;
  readonly code: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;

  constructor(status: number, code: string, message: string, facts: HttpError['facts'] = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.facts = facts;
  }
}

/** A status, its headers and the body of an error. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: { readonly error: Readonly<Record<string, unknown>> };
}

/** Seconds after which a refused client may come again. */
const RETRY_AFTER_SECONDS = 1;

/** The answer for anything thrown while a request was served. What nobody expected is logged here and answered without its details. */
export function errorAnswer(error: unknown, logger: Logger): ErrorAnswer {
  if (error instanceof HttpError) return answer(error.status, error.code, error.message, error.facts);
  if (error instanceof TreasuryError) {
    const status = error.retryable ? 503 : STATUSES[error.code];
    return answer(status, error.code, error.message, error.facts);
  }
  if ((error as { code?: unknown } | null)?.code === 'ERR_INVALID_URL') {
    return answer(400, 'TREASURY_BAD_REQUEST', 'Cannot read the request target: it is no URL', {});
  }
  logger.error('Request failed', {
    error: errorMessage(error),
    stack: error instanceof Error ? error.stack : undefined,
  });
  return answer(500, 'TREASURY_INTERNAL', 'The server failed: its log says why', {});
}

/** Statuses of failures that do not pass by themselves; retryable ones are 503. */
const STATUSES: Readonly<Record<ErrorCode, number>> = {
  TREASURY_CONFIG: 500,
  TREASURY_DATA_DIRECTORY_LOCKED: 500,
  TREASURY_LOG_CORRUPT: 500,
  TREASURY_LOG_UNAVAILABLE: 503,
  TREASURY_OFFSET_OUT_OF_RANGE: 416,
  TREASURY_BATCH_MALFORMED: 400,
  TREASURY_STORE: 500,
  TREASURY_MIGRATION: 500,
  TREASURY_ENGINE_UNAVAILABLE: 503,
  TREASURY_PROJECTION_UNKNOWN: 404,
  TREASURY_PROJECTION_STATE: 409,
  TREASURY_DISK_FULL: 507,
  TREASURY_QUERY_INVALID: 400,
  TREASURY_QUERY_LIMIT: 422,
  TREASURY_QUERY_CANCELLED: 499,
  TREASURY_PULL_LIMIT: 503,
  TREASURY_PULL_UNAVAILABLE: 503,
  TREASURY_CURSOR_NAME: 400,
  TREASURY_CURSOR_EXISTS: 409,
  TREASURY_CURSOR_UNKNOWN: 404,
  TREASURY_CURSOR_LIMIT: 409,
  TREASURY_CURSOR_UNWRITABLE: 503,
  TREASURY_EXPORTER_INVALID: 400,
  TREASURY_EXPORTER_UNKNOWN: 404,
  TREASURY_EXPORTER_UNWRITABLE: 503,
};

function answer(status: number, code: string, message: string, facts: HttpError['facts']): ErrorAnswer {
  const headers = status === 503 ? { 'Retry-After': String(RETRY_AFTER_SECONDS) } : {};
  return { status, headers, body: { error: { code, message, ...facts } } };
}
