/** Every code an expected failure may carry. Closed: callers switch over it. */
export type ErrorCode =
  | 'TREASURY_CONFIG'
  | 'TREASURY_DATA_DIRECTORY_LOCKED'
  | 'TREASURY_LOG_CORRUPT'
  | 'TREASURY_LOG_UNAVAILABLE'
  | 'TREASURY_OFFSET_OUT_OF_RANGE'
  | 'TREASURY_BATCH_MALFORMED'
  | 'TREASURY_STORE'
  | 'TREASURY_MIGRATION'
  | 'TREASURY_ENGINE_UNAVAILABLE'
  | 'TREASURY_PROJECTION_UNKNOWN'
  | 'TREASURY_PROJECTION_STATE'
  | 'TREASURY_DISK_FULL'
  | 'TREASURY_QUERY_INVALID'
  | 'TREASURY_QUERY_LIMIT'
  | 'TREASURY_QUERY_CANCELLED'
  | 'TREASURY_PULL_LIMIT'
  | 'TREASURY_PULL_UNAVAILABLE'
  | 'TREASURY_CURSOR_NAME'
  | 'TREASURY_CURSOR_EXISTS'
  | 'TREASURY_CURSOR_UNKNOWN'
  | 'TREASURY_CURSOR_LIMIT'
  | 'TREASURY_CURSOR_UNWRITABLE'
  | 'TREASURY_EXPORTER_INVALID'
  | 'TREASURY_EXPORTER_UNKNOWN'
  | 'TREASURY_EXPORTER_UNWRITABLE';

interface ErrorOptions {
  cause?: unknown;
  /** Whether the same call may succeed later without a change by the caller. */
  retryable?: boolean;
  /** Named facts for the answer and the log line: offsets, fields, positions. Plain values only. */
  facts?: Readonly<Record<string, string | number | boolean>>;
}

/** An expected failure: something outside this program is not as it has to be. Crosses threads as `toJSON()`. */
export class TreasuryError extends Error {
  override readonly name: string = 'TreasuryError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly facts: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.facts = options.facts ?? {};
  }

  /** A structured-cloneable form. `fromJSON` restores it on the other side of a thread. */
  toJSON(): SerializedError {
    return { code: this.code, message: this.message, retryable: this.retryable, facts: { ...this.facts } };
  }

  static fromJSON(error: SerializedError): TreasuryError {
    return new TreasuryError(error.code, error.message, { retryable: error.retryable, facts: error.facts });
  }
}

/** What a `TreasuryError` looks like between threads. */
export interface SerializedError {
  code: ErrorCode;
  message: string;
  retryable: boolean;
  facts: Readonly<Record<string, string | number | boolean>>;
}

/** Received bytes that are not what the protocol says. `facts` name the field or the position. Never retryable. */
export class BatchMalformedError extends TreasuryError {
  override readonly name: string = 'BatchMalformedError';

  constructor(message: string, facts: Readonly<Record<string, string | number | boolean>> = {}, cause?: unknown) {
    super('TREASURY_BATCH_MALFORMED', message, { facts, cause });
  }
}

/** Received bytes that may be well formed but are worth more, decompressed, than a limit allows. */
export class BatchTooLargeError extends BatchMalformedError {
  override readonly name: string = 'BatchTooLargeError';
}

/** The log cannot take entries now: full disk, failed write, shutting down. Answered as UNAVAILABLE or 503. */
export class LogUnavailableError extends TreasuryError {
  override readonly name = 'LogUnavailableError';

  constructor(message: string, cause?: unknown) {
    super('TREASURY_LOG_UNAVAILABLE', message, { retryable: true, cause });
  }
}

/** A reader asked for an offset that the log does not hold. */
export class OffsetOutOfRangeError extends TreasuryError {
  override readonly name = 'OffsetOutOfRangeError';

  constructor(requested: bigint, firstOffset: bigint, nextOffset: bigint) {
    super(
      'TREASURY_OFFSET_OUT_OF_RANGE',
      `Cannot read from offset ${requested}: the log holds ${firstOffset} to ${nextOffset} (exclusive)`,
      {
        facts: {
          requested: String(requested),
          firstOffset: String(firstOffset),
          nextOffset: String(nextOffset),
        },
      },
    );
  }
}

/** The message of anything thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
