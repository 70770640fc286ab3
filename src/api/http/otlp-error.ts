/** Requests for telemetry that HTTP refuses: the status line, and the `google.rpc.Status` that goes with it. */
import { RPC_CODES } from '../otlp/otlp-answers.ts';

/** Statuses that refused requests get. */
export type OtlpErrorStatus = keyof typeof CODES;

/** A request that is refused. */
export class OtlpHttpError extends Error {
  override readonly name = 'OtlpHttpError';
  readonly status: OtlpErrorStatus;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: OtlpErrorStatus, message: string, headers: OtlpHttpError['headers'] = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }

  /** The `google.rpc.Code`. */
  get code(): number {
    return CODES[this.status];
  }

  /** Whether the sender should send the same again: of the statuses here, OTLP exporters do it after 503 alone. */
  get isRetryable(): boolean {
    return this.status === 503;
  }
}

const CODES = {
  400: RPC_CODES.INVALID_ARGUMENT,
  404: RPC_CODES.NOT_FOUND,
  405: RPC_CODES.UNIMPLEMENTED,
  408: RPC_CODES.DEADLINE_EXCEEDED,
  // As over gRPC, and for its reason: what exporters make of RESOURCE_EXHAUSTED differs.
  413: RPC_CODES.INVALID_ARGUMENT,
  415: RPC_CODES.UNIMPLEMENTED,
  417: RPC_CODES.UNIMPLEMENTED,
  431: RPC_CODES.INVALID_ARGUMENT,
  501: RPC_CODES.UNIMPLEMENTED,
  503: RPC_CODES.UNAVAILABLE,
} as const;
